/* Random tensors: element i is a function of (key, the node's stream, i), as ops/random.c defines it; plain C
 * in double, so that no instruction set changes a bit. */
#include "backend/classes.h"

#include "base/rng.h"
#include <math.h>

enum { PIECE = 4096 /* elements; a multiple of the four words of a block */ };

/* Largest f32 below 1: rounding must not reach 1. */
#define BELOW_ONE 0x1.fffffep-1f

static void uniform_piece(const struct run *r, uint64_t key, int64_t first, int64_t end)
{
    const struct step *s = r->step;
    uint32_t word[4];

    for (int64_t i = first; i < end; i += 4) {
        rng_block(key, s->node->attr.random.stream, (uint64_t)i / 4, word);
        for (int64_t j = i; j < end && j < i + 4; j++) {
            const double u = word[j - i] * 0x1p-32;

            class_put(r->out[0], j, s->type == DT_F32 && u > (double)BELOW_ONE ? (double)BELOW_ONE : u,
                      s->type);
        }
    }
}

/* Box and Muller's transform of the two 53-bit uniforms in block i. */
static void normal_piece(const struct run *r, uint64_t key, int64_t first, int64_t end)
{
    const double two_pi = 6.283185307179586476925286766559;
    const struct step *s = r->step;
    uint32_t b[4];

    for (int64_t i = first; i < end; i++) {
        double u, v;

        rng_block(key, s->node->attr.random.stream, (uint64_t)i, b);
        u = ((b[0] >> 5) * 67108864.0 + (b[1] >> 6) + 1) * 0x1p-53;
        v = ((b[2] >> 5) * 67108864.0 + (b[3] >> 6)) * 0x1p-53;
        class_put(r->out[0], i, sqrt(-2 * log(u)) * cos(two_pi * v), s->type);
    }
}

static void random_run(const struct run *r)
{
    const struct step *s = r->step;
    const int64_t n = dims_count(&s->out_dims[0]), pieces = int64_ceil_div(n, PIECE);
    const uint64_t key = *(const uint64_t *)r->in[0];
    const int threads = class_threads(s, pieces);

#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t p = 0; p < pieces; p++)
        (s->node->id == OP_UNIFORM ? uniform_piece : normal_piece)(r, key, p * PIECE,
                                                                   int64_min(n, (p + 1) * PIECE));
}

static bool random_accepts(const struct step *s)
{
    return s->in_type[0] == DT_I64 && s->out_type[0] == s->type && (s->type == DT_F32 || s->type == DT_F64);
}

const struct kernel_class class_uniform = {"uniform.philox", OP_UNIFORM, random_accepts, NULL, random_run};
const struct kernel_class class_normal = {"normal.philox", OP_NORMAL, random_accepts, NULL, random_run};
