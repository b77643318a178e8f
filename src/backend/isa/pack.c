#include "backend/isa/pack.h"
#include <string.h>

/* Columns contiguous: whole vectors, the last one masked. */
static void panel_of_rows(REAL *to, const struct pack_source *s, int64_t depth, int cols)
{
    const int vectors = cols > VEC_LANES ? 2 : 1, last = cols - (vectors - 1) * VEC_LANES;

    for (int64_t k = 0; k < depth; k++, to += TILE_COLS) {
        const REAL *from = s->from + k * s->k_step;
        if (vectors == 2)
            vec_store(to, vec_load(from));
        vec_store(to + (vectors - 1) * VEC_LANES, vec_load_part(from + (vectors - 1) * VEC_LANES, last));
    }
}

/* k contiguous: a transposition, in blocks that stay in the first cache. */
static void panel_of_columns(REAL *to, const struct pack_source *s, int64_t depth, int cols)
{
    enum { BLOCK = 16 };
    const int padded = cols > VEC_LANES ? TILE_COLS : VEC_LANES;

    for (int64_t k0 = 0; k0 < depth; k0 += BLOCK) {
        int64_t k1 = min64(k0 + BLOCK, depth);
        for (int i = 0; i < cols; i++)
            for (int64_t k = k0; k < k1; k++)
                to[k * TILE_COLS + i] = s->from[k * s->k_step + i * s->col_step];
        for (int64_t k = k0; k < k1; k++)
            for (int i = cols; i < padded; i++)
                to[k * TILE_COLS + i] = 0;
    }
}

void pack_panel(REAL *to, const struct pack_source *s, int64_t depth, int cols)
{
    if (s->col_step == 1)
        panel_of_rows(to, s, depth, cols);
    else
        panel_of_columns(to, s, depth, cols);
}

static void voxels_zero(REAL *to, int64_t count, const struct pack_span *s)
{
    for (int64_t i = 0; i < count; i++)
        memset(to + i * s->to_pitch, 0, (size_t)s->channels * sizeof(REAL));
}

static void voxels_copy(REAL *to, const REAL *from, int64_t count, const struct pack_span *s)
{
    if (s->pitch == s->channels && s->to_pitch == s->channels) {
        memcpy(to, from, (size_t)(count * s->channels) * sizeof(REAL));
        return;
    }
    for (int64_t i = 0; i < count; i++, to += s->to_pitch, from += s->pitch) {
        int64_t c = 0;
        for (; c + VEC_LANES <= s->channels; c += VEC_LANES)
            vec_store(to + c, vec_load(from + c));
        for (; c < s->channels; c++)
            to[c] = from[c];
    }
}

void pack_row(REAL *to, const REAL *row, const struct pack_span *s)
{
    const int64_t begin = min64(max64(s->first, 0), s->first + s->count);
    const int64_t end = max64(min64(s->first + s->count, s->size), begin);

    voxels_zero(to, begin - s->first, s);
    if (end > begin)
        voxels_copy(to + (begin - s->first) * s->to_pitch, row + begin * s->pitch, end - begin, s);
    voxels_zero(to + (end - s->first) * s->to_pitch, s->first + s->count - end, s);
}

void pack_bias(REAL *to, const REAL *bias, int64_t count)
{
    const int64_t padded = ceil_div(count, TILE_COLS) * TILE_COLS;

    memcpy(to, bias, (size_t)count * sizeof(REAL));
    memset(to + count, 0, (size_t)(padded - count) * sizeof(REAL));
}
