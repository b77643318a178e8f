/* Random tensors as functions: element i of a node is drawn from (key, the node's stream, i). The stream is a
 * hash of the scope path and of how many random nodes the graph had, so equal-looking calls stay different.
 */
#include "ops/row.h"

#include "base/rng.h"
#include <math.h>
#include <string.h>

static enum err random_infer(const struct graph *g, struct node *n)
{
    if (graph_type(g, n->in[0]) != DT_I64 || graph_dims(g, n->in[0]).rank != 0)
        return err_set(ERR_SHAPE, "a random key is an I64 scalar");
    n->n_out = 1;
    n->out_dims[0] = n->attr.random.dims;
    n->out_type[0] = graph_real(g);
    return ERR_OK;
}

static void uniform_ref(const struct ref_args *a)
{
    uint32_t block[4];

    for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++) {
        rng_block((uint64_t)a->in[0][0], a->node->attr.random.stream, (uint64_t)i / 4, block);
        a->out[0][i] = block[i % 4] * 0x1p-32;
    }
}

/* Box-Muller on block i: two uniforms of 53 bits from its four words. */
static void normal_ref(const struct ref_args *a)
{
    const double two_pi = 6.283185307179586476925286766559;
    uint32_t b[4];

    for (int64_t i = 0; i < dims_count(&a->out_dims[0]); i++) {
        rng_block((uint64_t)a->in[0][0], a->node->attr.random.stream, (uint64_t)i, b);
        double u = ((b[0] >> 5) * 67108864.0 + (b[1] >> 6) + 1) * 0x1p-53;
        double v = ((b[2] >> 5) * 67108864.0 + (b[3] >> 6)) * 0x1p-53;
        a->out[0][i] = sqrt(-2 * log(u)) * cos(two_pi * v);
    }
}

static void random_sample(struct sampler *s)
{
    for (int i = 0; i < SHAPES; i++) {
        struct sample c = {.n_in = 1, .in = {DIMS0}, .fill = {FILL_KEY}};
        c.attr = attr_none();
        c.attr.random.stream = (uint64_t)i + 5;
        c.attr.random.dims = sample_shape[i];
        sampler_add(s, &c);
    }
}

#define RANDOM(NAME)                                                                                         \
    const struct op op_row_##NAME = {.name = #NAME,                                                          \
                                     .arity = 1,                                                             \
                                     .flags = OP_FLAT,                                                       \
                                     .infer = random_infer,                                                  \
                                     .ref = NAME##_ref,                                                      \
                                     .sample = random_sample}
RANDOM(uniform);
RANDOM(normal);

static val drawn(struct graph *g, int op, val key, struct dims dims)
{
    union attr t = attr_none();
    uint64_t stream = 1469598103934665603u;
    uint64_t calls = 0;

    for (const char *p = graph_scope(g); *p; p++)
        stream = (stream ^ (unsigned char)*p) * 1099511628211u;
    for (int i = 0; i < graph_count(g); i++)
        calls += graph_at(g, i)->id == OP_UNIFORM || graph_at(g, i)->id == OP_NORMAL;
    t.random.stream = rng_key(stream, calls);
    t.random.dims = dims;
    return graph_node(g, op, &t, 1, &key);
}

val op_uniform(struct graph *g, val key, struct dims dims)
{
    return drawn(g, OP_UNIFORM, key, dims);
}

val op_normal(struct graph *g, val key, struct dims dims)
{
    return drawn(g, OP_NORMAL, key, dims);
}
