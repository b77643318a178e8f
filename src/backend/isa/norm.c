/* First pass of a normalisation and of its gradient: sums over chunks of voxels.
 *
 * A sample (V voxels, C channels) is read as rows of fold * C numbers, `fold` voxels each, so that every
 * column belongs to one channel and rows fill registers. A column adds at most 64 rows in the element type
 * (around a pilot mean, so that a mean of many sigmas costs nothing), the rest happens in double, in an order
 * that the shape alone decides. */
#include "backend/isa/fused.h"
#include "backend/isa/lane.h"

enum { ROWS = 64, WIDE = 4, PILOT = 16, NARROW = 128 };

int64_t FUSED(norm_fold)(int64_t channels)
{
    int64_t fold = 1;

    if (channels >= NARROW)
        return 1;
    while (fold * channels % LANES || fold * channels < NARROW / 2)
        fold++;
    return fold; /* at most LANES * (NARROW - 1) columns, below FUSED_COLUMNS */
}

/* What a pass adds up in every column: a = sum g, b = sum g (x - shift), where g is x - shift itself for the
 * moments. */
struct sums {
    const REAL *x, *dy, *y, *more; /* more: a second dy */
    REAL *g;                       /* NULL: g is not kept */
    const REAL *coef;              /* of each column, row by row */
    int64_t pitch;
    const REAL *shift; /* of each column */
    double *a, *b;     /* of each column */
    REAL slope;
    bool stream;
};

enum kind { MOMENTS, GRAD, GRAD_ACT, GATE, GATE_ADD };

/* The activation's derivative times the gradient behind it, element `at`, column j. */
ALWAYS_INLINE vec gated_at(const struct sums *s, int64_t at, int64_t j, int lanes, enum kind kind)
{
    const REAL *p = s->coef + j;
    const vec factor = vec_gate(
        vec_load_upto(s->x + at, lanes), vec_load_upto(p + COEF_SCALE * s->pitch, lanes),
        vec_load_upto(p + COEF_SHIFT * s->pitch, lanes), vec_load_upto(p + COEF_SLOPE * s->pitch, lanes));
    vec dy = vec_load_upto(s->dy + at, lanes);

    if (kind == GATE_ADD)
        dy = vec_add(dy, vec_load_upto(s->more + at, lanes));
    return vec_mul(dy, factor);
}

ALWAYS_INLINE vec gradient_at(const struct sums *s, int64_t at, int64_t j, int lanes, enum kind kind)
{
    vec dy;

    if (kind == GATE || kind == GATE_ADD)
        return gated_at(s, at, j, lanes, kind);
    dy = vec_load_upto(s->dy + at, lanes);
    if (kind == GRAD)
        return dy;
    return vec_select(vec_greater(vec_load_upto(s->y + at, lanes), vec_zero()), dy,
                      vec_mul(dy, vec_set(s->slope)));
}

ALWAYS_INLINE void gradient_keep(const struct sums *s, int64_t at, int lanes, vec g)
{
    if (lanes < VEC_LANES)
        vec_store_part(s->g + at, lanes, g);
    else
        vec_put(s->g + at, g, s->stream);
}

/* rows <= ROWS from element `at` on, `count` registers from column j on, of which the lanes from `lanes` on
 * are unused */
ALWAYS_INLINE void sums_block(const struct sums *s, int64_t at, int64_t rows, int64_t j, int lanes, int count,
                              enum kind kind)
{
    vec a[WIDE], b[WIDE], shift[WIDE];

    UNROLL
    for (int k = 0; k < count; k++) {
        a[k] = b[k] = vec_zero();
        shift[k] = vec_load_upto(s->shift + j + k * VEC_LANES, lanes);
    }
    for (int64_t r = 0; r < rows; r++) {
        const int64_t row = at + r * s->pitch + j;

        UNROLL
        for (int k = 0; k < count; k++) {
            const vec d = vec_sub(vec_load_upto(s->x + row + k * VEC_LANES, lanes), shift[k]);
            const vec g =
                kind == MOMENTS ? d : gradient_at(s, row + k * VEC_LANES, j + k * VEC_LANES, lanes, kind);

            a[k] = vec_add(a[k], g);
            b[k] = vec_fma(g, d, b[k]);
            if (kind >= GATE || (kind == GRAD_ACT && s->g))
                gradient_keep(s, row + k * VEC_LANES, lanes, g);
        }
    }
    for (int k = 0; k < count; k++) {
        lanes_add(s->a + j + k * VEC_LANES, a[k], lanes);
        lanes_add(s->b + j + k * VEC_LANES, b[k], lanes);
    }
}

ALWAYS_INLINE void sums_rows(const struct sums *s, int64_t at, int64_t rows, int64_t cols, enum kind kind)
{
    for (int64_t r = 0; r < rows; r += ROWS) {
        const int64_t some = rows - r < ROWS ? rows - r : ROWS, from = at + r * s->pitch;
        int64_t j = 0;

        for (; j + WIDE * VEC_LANES <= cols; j += WIDE * VEC_LANES)
            sums_block(s, from, some, j, VEC_LANES, WIDE, kind);
        for (; j + VEC_LANES <= cols; j += VEC_LANES)
            sums_block(s, from, some, j, VEC_LANES, 1, kind);
        if (j < cols)
            sums_block(s, from, some, j, (int)(cols - j), 1, kind);
    }
}

/* Columns of a chunk side by side: all of them when they are folded, else at most FUSED_COLUMNS. */
struct slab {
    int64_t rows, rest, cols, channels; /* rest: numbers of the last, incomplete row */
    double a[FUSED_COLUMNS], b[FUSED_COLUMNS];
    REAL shift[FUSED_COLUMNS];
};

/* The slab from channel c0 on. */
static void slab_make(struct slab *t, const struct norm_chunk *c, int64_t c0)
{
    const int64_t fold = FUSED(norm_fold)(c->channels);

    t->rows = c->voxels / fold;
    t->rest = c->voxels % fold * c->channels;
    t->channels = c->channels - c0 < FUSED_COLUMNS ? c->channels - c0 : FUSED_COLUMNS;
    t->cols = fold * t->channels;
}

/* Fills a and b of the slab's channels; shift holds their first `channels` entries. */
ALWAYS_INLINE void slab_sums(struct slab *t, struct sums *s, int64_t at, enum kind kind)
{
    for (int64_t j = t->channels; j < t->cols; j++)
        t->shift[j] = t->shift[j - t->channels];
    for (int64_t j = 0; j < t->cols; j++)
        t->a[j] = t->b[j] = 0;
    s->shift = t->shift;
    s->a = t->a;
    s->b = t->b;
    sums_rows(s, at, t->rows, t->cols, kind);
    if (t->rest)
        sums_rows(s, at + t->rows * s->pitch, 1, t->rest, kind);
    for (int64_t j = t->channels; j < t->cols; j++) {
        t->a[j % t->channels] += t->a[j];
        t->b[j % t->channels] += t->b[j];
    }
}

/* Mean of the chunk's first voxels: near enough to the chunk's mean for the sums around it to cancel nothing.
 */
static void slab_pilot(struct slab *t, const REAL *x, int64_t voxels, int64_t pitch)
{
    const int64_t some = voxels < PILOT ? voxels : PILOT;

    for (int64_t j = 0; j < t->channels; j++) {
        double sum = 0;

        for (int64_t v = 0; v < some; v++)
            sum += (double)x[v * pitch + j];
        t->shift[j] = (REAL)(sum / (double)some);
    }
}

void FUSED(norm_moments)(const struct norm_chunk *c, double *parts)
{
    const double n = (double)c->voxels;
    struct slab t;

    for (int64_t c0 = 0; c0 < c->channels; c0 += FUSED_COLUMNS) {
        const int64_t at = c->first * c->channels + c0;
        struct sums s = {.x = c->x, .pitch = FUSED(norm_fold)(c->channels) * c->channels};

        slab_make(&t, c, c0);
        slab_pilot(&t, s.x + at, c->voxels, c->channels);
        slab_sums(&t, &s, at, MOMENTS);
        for (int64_t j = 0; j < t.channels; j++) {
            parts[c0 + j] = (double)t.shift[j] + t.a[j] / n;
            parts[c->channels + c0 + j] = t.b[j] - t.a[j] * t.a[j] / n;
        }
    }
}

/* A chunk's sums of g and of g (x - shift), with shift for each channel. */
ALWAYS_INLINE void gradient_sums(const struct norm_chunk *c, const REAL *shift, double *parts, enum kind kind)
{
    struct slab t;

    for (int64_t c0 = 0; c0 < c->channels; c0 += FUSED_COLUMNS) {
        const int64_t at = c->first * c->channels + c0;
        struct sums s = {.x = c->x, .dy = c->dy, .y = c->y, .g = c->g, .slope = (REAL)c->slope};

        s.more = c->residual;
        s.coef = (const REAL *)c->param + c0;
        s.pitch = FUSED(norm_fold)(c->channels) * c->channels;
        s.stream = c->stream && s.g && (uintptr_t)(s.g + at) % VEC_BYTES == 0 && s.pitch % VEC_LANES == 0;
        slab_make(&t, c, c0);
        for (int64_t j = 0; j < t.channels; j++)
            t.shift[j] = shift[c0 + j];
        slab_sums(&t, &s, at, kind);
        for (int64_t j = 0; j < t.channels; j++) {
            parts[c0 + j] = t.a[j];
            parts[c->channels + c0 + j] = t.b[j];
        }
    }
    _mm_sfence();
}

void FUSED(norm_grad_sums)(const struct norm_chunk *c, double *parts)
{
    if (c->y)
        gradient_sums(c, c->param, parts, GRAD_ACT);
    else
        gradient_sums(c, c->param, parts, GRAD);
}

void FUSED(gate)(const struct norm_chunk *c, double *parts)
{
    const REAL *centre = (const REAL *)c->param + COEF_CENTRE * FUSED(norm_fold)(c->channels) * c->channels;

    if (c->residual)
        gradient_sums(c, centre, parts, GATE_ADD);
    else
        gradient_sums(c, centre, parts, GATE);
}
