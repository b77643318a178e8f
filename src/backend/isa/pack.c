#include "backend/isa/pack.h"
#include "backend/conv_plan.h"
#include "backend/isa/lane.h"
#include <string.h>

/* Coefficients of one or two vectors of channels, the last one `last` wide. Constant counts, once inlined. */
struct coefs {
    int vectors, last;
    vec scale[2], shift[2], slope[2];
};

ALWAYS_INLINE vec load_cut(const REAL *p, int last)
{
    return last == VEC_LANES ? vec_load(p) : vec_load_part(p, last);
}

ALWAYS_INLINE struct coefs coefs_load(const struct stage *s, int64_t c, const int vectors, int last)
{
    struct coefs k = {.vectors = vectors, .last = last};

    for (int v = 0; v < vectors; v++) {
        const REAL *p = s->rows + c + v * VEC_LANES;
        const int lanes = v + 1 == vectors ? last : VEC_LANES;
        k.scale[v] = load_cut(p + STAGE_SCALE * s->pitch, lanes);
        k.shift[v] = load_cut(p + STAGE_SHIFT * s->pitch, lanes);
        k.slope[v] = load_cut(p + STAGE_SLOPE * s->pitch, lanes);
    }
    return k;
}

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

#ifdef REAL_F32
enum { SQUARE = 8 };

/* to[j][i] = from[i][j] for a square, rows `to_step` and `from_step` apart. */
ALWAYS_INLINE void square_transpose(REAL *to, int64_t to_step, const REAL *from, int64_t from_step)
{
    __m256 a[SQUARE], b[SQUARE];

    for (int i = 0; i < SQUARE; i++)
        a[i] = _mm256_loadu_ps(from + i * from_step);
    for (int i = 0; i < SQUARE; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < SQUARE; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], _MM_SHUFFLE(1, 0, 1, 0));
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], _MM_SHUFFLE(3, 2, 3, 2));
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], _MM_SHUFFLE(1, 0, 1, 0));
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], _MM_SHUFFLE(3, 2, 3, 2));
    }
    for (int i = 0; i < SQUARE / 2; i++) {
        _mm256_storeu_ps(to + i * to_step, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * to_step, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}
#else
enum { SQUARE = 4 };

ALWAYS_INLINE void square_transpose(REAL *to, int64_t to_step, const REAL *from, int64_t from_step)
{
    const __m256d a = _mm256_loadu_pd(from), b = _mm256_loadu_pd(from + from_step),
                  c = _mm256_loadu_pd(from + 2 * from_step), d = _mm256_loadu_pd(from + 3 * from_step);
    const __m256d ab = _mm256_unpacklo_pd(a, b), ba = _mm256_unpackhi_pd(a, b), cd = _mm256_unpacklo_pd(c, d),
                  dc = _mm256_unpackhi_pd(c, d);

    _mm256_storeu_pd(to, _mm256_permute2f128_pd(ab, cd, 0x20));
    _mm256_storeu_pd(to + to_step, _mm256_permute2f128_pd(ba, dc, 0x20));
    _mm256_storeu_pd(to + 2 * to_step, _mm256_permute2f128_pd(ab, cd, 0x31));
    _mm256_storeu_pd(to + 3 * to_step, _mm256_permute2f128_pd(ba, dc, 0x31));
}
#endif

void pack_transpose(REAL *to, int64_t to_step, const REAL *from, int64_t from_step, const int64_t size[2])
{
    const int64_t rows = size[0], cols = size[1];

    for (int64_t i = 0; i < rows && rows >= SQUARE && cols >= SQUARE; i += SQUARE)
        for (int64_t j = 0; j < cols; j += SQUARE) {
            /* the last square may overlap the one before */
            const int64_t row = min64(i, rows - SQUARE), col = min64(j, cols - SQUARE);
            square_transpose(to + col * to_step + row, to_step, from + row * from_step + col, from_step);
        }
    for (int64_t i = 0; i < rows && (rows < SQUARE || cols < SQUARE); i++)
        for (int64_t j = 0; j < cols; j++)
            to[j * to_step + i] = from[i * from_step + j];
}

/* k contiguous: a transposition. */
static void panel_of_columns(REAL *to, const struct pack_source *s, int64_t depth, int cols)
{
    const int padded = cols > VEC_LANES ? TILE_COLS : VEC_LANES;

    pack_transpose(to, TILE_COLS, s->from, s->col_step, (const int64_t[2]){cols, depth});
    for (int64_t k = 0; k < depth; k++)
        for (int i = cols; i < padded; i++)
            to[k * TILE_COLS + i] = 0;
}

/* The same through a stage; zeros stay zeros. */
ALWAYS_INLINE void panel_staged(REAL *to, const struct pack_source *s, int64_t depth, const int vectors,
                                int last)
{
    const struct coefs c = coefs_load(&s->stage, 0, vectors, last);

    for (int64_t k = 0; k < depth; k++, to += TILE_COLS)
        for (int v = 0; v < vectors; v++) {
            const REAL *from = s->from + k * s->k_step + v * VEC_LANES;
            const vec x = load_cut(from, v + 1 == vectors ? last : VEC_LANES);
            vec_store(to + v * VEC_LANES, vec_stage(x, c.scale[v], c.shift[v], c.slope[v]));
        }
}

void pack_panel(REAL *to, const struct pack_source *s, int64_t depth, int cols)
{
    if (s->stage.rows && cols > VEC_LANES)
        panel_staged(to, s, depth, 2, cols - VEC_LANES);
    else if (s->stage.rows)
        panel_staged(to, s, depth, 1, cols);
    else if (s->col_step == 1)
        panel_of_rows(to, s, depth, cols);
    else
        panel_of_columns(to, s, depth, cols);
}

static void voxels_zero(REAL *to, int64_t count, const struct pack_span *s)
{
    for (int64_t i = 0; i < count; i++)
        memset(to + i * s->to_pitch, 0, (size_t)s->channels * sizeof(REAL));
}

/* One or two vectors of channels, from c on. */
ALWAYS_INLINE void channels_stage(REAL *to, const REAL *from, int64_t count, const struct pack_span *s,
                                  const struct coefs *k)
{
    for (int64_t i = 0; i < count; i++, to += s->to_pitch, from += s->pitch)
        for (int v = 0; v < k->vectors; v++) {
            const int lanes = v + 1 == k->vectors ? k->last : VEC_LANES;
            const vec x = load_cut(from + v * VEC_LANES, lanes);
            vec_store_upto(to + v * VEC_LANES, lanes, vec_stage(x, k->scale[v], k->shift[v], k->slope[v]));
        }
}

/* In blocks of voxels: memory is read nearly in order and coefficients are loaded once per block. */
static void voxels_stage(REAL *to, const REAL *from, int64_t count, const struct pack_span *s)
{
    enum { BLOCK = 16 };

    for (int64_t i = 0; i < count; i += BLOCK)
        for (int64_t c = 0; c < s->channels; c += 2 * VEC_LANES) {
            const int64_t rest = s->channels - c, voxels = min64(BLOCK, count - i);
            REAL *p = to + i * s->to_pitch + c;
            const REAL *q = from + i * s->pitch + c;
            if (rest >= 2 * VEC_LANES) {
                const struct coefs k = coefs_load(&s->stage, c, 2, VEC_LANES);
                channels_stage(p, q, voxels, s, &k);
            } else if (rest > VEC_LANES) {
                const struct coefs k = coefs_load(&s->stage, c, 2, (int)rest - VEC_LANES);
                channels_stage(p, q, voxels, s, &k);
            } else {
                const struct coefs k = coefs_load(&s->stage, c, 1, (int)rest);
                channels_stage(p, q, voxels, s, &k);
            }
        }
}

static void voxels_copy(REAL *to, const REAL *from, int64_t count, const struct pack_span *s)
{
    if (s->pitch == s->channels && s->to_pitch == s->channels) {
        memcpy(to, from, (size_t)(count * s->channels) * sizeof(REAL));
        return;
    }
    if (s->channels == 1) {
        for (int64_t i = 0; i < count; i++)
            to[i * s->to_pitch] = from[i * s->pitch];
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

/* Voxels of the row as they are, or through the stage. */
static void voxels_take(REAL *to, const REAL *from, int64_t count, const struct pack_span *s)
{
    if (s->stage.rows)
        voxels_stage(to, from, count, s);
    else
        voxels_copy(to, from, count, s);
}

/* Positions begin .. end - 1, all outside the row. */
static void voxels_outside(REAL *to, const REAL *row, const int64_t range[2], const struct pack_span *s)
{
    if (!s->size || s->outside == CONV_PAD_ZERO) {
        voxels_zero(to, range[1] - range[0], s);
        return;
    }
    for (int64_t i = range[0]; i < range[1]; i++, to += s->to_pitch) {
        const int64_t at = conv_position(s->outside, i, s->size);
        if (at < 0)
            voxels_zero(to, 1, s);
        else
            voxels_take(to, row + at * s->pitch, 1, s);
    }
}

void pack_row(REAL *to, const REAL *row, const struct pack_span *s)
{
    const int64_t begin = min64(max64(s->first, 0), s->first + s->count);
    const int64_t end = max64(min64(s->first + s->count, s->size), begin);

    voxels_outside(to, row, (const int64_t[2]){s->first, begin}, s);
    if (end > begin)
        voxels_take(to + (begin - s->first) * s->to_pitch, row + begin * s->pitch, end - begin, s);
    voxels_outside(to + (end - s->first) * s->to_pitch, row, (const int64_t[2]){end, s->first + s->count}, s);
}

void pack_bias(REAL *to, const REAL *bias, int64_t count)
{
    const int64_t padded = ceil_div(count, TILE_COLS) * TILE_COLS;

    memcpy(to, bias, (size_t)count * sizeof(REAL));
    memset(to + count, 0, (size_t)(padded - count) * sizeof(REAL));
}
