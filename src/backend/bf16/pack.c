#include "backend/bf16/pack.h"

#include "backend/isa/bf16.h"
#include "backend/isa/lane.h"
#include <math.h>
#include <string.h>

struct bf16_chunks bf16_chunks_padded(int64_t pairs)
{
    const int64_t chunks = int64_ceil_div(pairs, BF16_TILE);

    return (struct bf16_chunks){chunks, (int)int64_ceil_div(pairs, chunks)};
}

struct bf16_chunks bf16_chunks_exact(int64_t pairs)
{
    int64_t chunks = int64_ceil_div(pairs, BF16_TILE);

    while (pairs % chunks)
        chunks++;
    return (struct bf16_chunks){chunks, (int)(pairs / chunks)};
}

int bf16_height(int64_t rows)
{
    return (int)int64_ceil_div(rows, int64_ceil_div(rows, BF16_TILE));
}

struct bf16_stage bf16_stage_at(const void *coef, int64_t n, int64_t channels, int64_t first)
{
    const float *of = coef;

    return (struct bf16_stage){of ? of + n * STAGE_ROWS * channels + first : NULL, channels};
}

/* The last channels one by one: the same arithmetic as vec_stage. */
static uint16_t staged_one(uint16_t x, const float *coef, int64_t row)
{
    const float v = fmaf(bf16_widen(x), coef[STAGE_SCALE * row], coef[STAGE_SHIFT * row]);
    const float low = v * coef[STAGE_SLOPE * row];

    return bf16_of((double)(v > low ? v : low));
}

void bf16_staged(uint16_t *to, const uint16_t *from, int64_t channels, const struct bf16_stage *s)
{
    int64_t c = 0;

    if (!s->coef) {
        memcpy(to, from, (size_t)channels * sizeof *to);
        return;
    }
    for (; c + VEC_LANES <= channels; c += VEC_LANES) {
        const float *coef = s->coef + c;
        vec_to_bf16(to + c,
                    vec_stage(vec_of_bf16(from + c), vec_load(coef + STAGE_SCALE * s->row),
                              vec_load(coef + STAGE_SHIFT * s->row), vec_load(coef + STAGE_SLOPE * s->row)));
    }
    for (; c < channels; c++)
        to[c] = staged_one(from[c], s->coef + c, s->row);
}

static void voxels_zero(uint16_t *to, int64_t count, const struct bf16_span *s)
{
    memset(to, 0, (size_t)(count * s->to_pitch) * sizeof *to);
}

static void voxels_copy(uint16_t *to, const uint16_t *from, int64_t count, const struct bf16_span *s)
{
    const size_t bytes = (size_t)s->channels * sizeof *to;
    const size_t rest = (size_t)(s->to_pitch - s->channels) * sizeof *to;

    if (s->pitch == s->channels && !rest && !s->stage.coef) {
        memcpy(to, from, (size_t)count * bytes);
        return;
    }
    for (int64_t i = 0; i < count; i++, to += s->to_pitch, from += s->pitch) {
        bf16_staged(to, from, s->channels, &s->stage);
        memset(to + s->channels, 0, rest);
    }
}

void bf16_row(uint16_t *to, const uint16_t *row, const struct bf16_span *s)
{
    const int64_t last = s->first + s->count;
    const int64_t begin = s->first < 0 ? int64_min(0, last) : s->first;
    const int64_t end = last > s->size ? (s->size > begin ? s->size : begin) : last > begin ? last : begin;

    voxels_zero(to, begin - s->first, s);
    if (end > begin)
        voxels_copy(to + (begin - s->first) * s->to_pitch, row + begin * s->pitch, end - begin, s);
    voxels_zero(to + (end - s->first) * s->to_pitch, last - end, s);
}
