/* First pass of a normalisation and of its gradient: sums over chunks of voxels.
 *
 * A sample (V voxels, C channels) is read as rows of fold * C numbers, `fold` voxels each, so that every
 * column belongs to one channel and rows fill registers. A column adds at most 64 rows in the element type
 * (around a pilot mean, so that a mean of many sigmas costs nothing), the rest happens in double, in an order
 * that the shape alone decides. */
#include "backend/isa/fused.h"
#include "backend/isa/lane.h"

enum { ROWS = 64, WIDE = 4, PILOT = 16, NARROW = 128, AHEAD = 32 /* rows */ };

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
    const REAL *x, *dy, *y, *more;                  /* more: a second dy */
    REAL *g;                                        /* NULL: g is not kept */
    int64_t x_pitch, dy_pitch, more_pitch, g_pitch; /* from voxel to voxel; y's is dy's */
    int64_t fold, columns;                          /* voxels, numbers of a row */
    const REAL *coef, *shift;                       /* of each column; coef: rows of `columns` numbers */
    double *a, *b;                                  /* of each column */
    REAL slope;
    bool stream;
};

enum kind { MOMENTS, GRAD, GRAD_ACT, GATE, GATE_ADD };

/* The gradient before the activation, row r, column j. */
ALWAYS_INLINE vec gradient_at(const struct sums *s, int64_t r, int64_t j, int lanes, enum kind kind)
{
    const int64_t at = r * s->fold * s->dy_pitch + j;
    const REAL *p = s->coef + j;
    vec dy = vec_load_upto(s->dy + at, lanes);

    if (kind == GRAD)
        return dy;
    if (kind == GRAD_ACT)
        return vec_select(vec_greater(vec_load_upto(s->y + at, lanes), vec_zero()), dy,
                          vec_mul(dy, vec_set(s->slope)));
    if (kind == GATE_ADD)
        dy = vec_add(dy, vec_load_upto(s->more + r * s->fold * s->more_pitch + j, lanes));
    return vec_mul(dy, vec_gate(vec_load_upto(s->x + r * s->fold * s->x_pitch + j, lanes),
                                vec_load_upto(p + COEF_SCALE * s->columns, lanes),
                                vec_load_upto(p + COEF_SHIFT * s->columns, lanes),
                                vec_load_upto(p + COEF_SLOPE * s->columns, lanes)));
}

ALWAYS_INLINE void gradient_keep(const struct sums *s, int64_t r, int64_t j, int lanes, vec g)
{
    REAL *to = s->g + r * s->fold * s->g_pitch + j;

    if (lanes < VEC_LANES)
        vec_store_part(to, lanes, g);
    else
        vec_put(to, g, s->stream);
}

/* What row r reads, as far as it comes out of windows of wider buffers. */
ALWAYS_INLINE void fetch_at(const struct sums *s, int64_t r, int64_t j, enum kind kind)
{
    vec_fetch(s->x + r * s->fold * s->x_pitch + j);
    if (kind >= GATE)
        vec_fetch(s->dy + r * s->fold * s->dy_pitch + j);
    if (kind == GATE_ADD)
        vec_fetch(s->more + r * s->fold * s->more_pitch + j);
}

/* rows <= ROWS from row r0 on, `count` registers from column j on, of which the lanes from `lanes` on are
 * unused */
ALWAYS_INLINE void sums_block(const struct sums *s, int64_t r0, int64_t rows, int64_t j, int lanes, int count,
                              bool dense, enum kind kind)
{
    vec a[WIDE], b[WIDE], shift[WIDE];

    UNROLL
    for (int k = 0; k < count; k++) {
        a[k] = b[k] = vec_zero();
        shift[k] = vec_load_upto(s->shift + j + k * VEC_LANES, lanes);
    }
    for (int64_t r = r0; r < r0 + rows; r++) {
        const REAL *x = s->x + r * s->fold * s->x_pitch + j;

        UNROLL
        for (int k = 0; k < count; k++) {
            const vec d = vec_sub(vec_load_upto(x + k * VEC_LANES, lanes), shift[k]);
            const vec g = kind == MOMENTS ? d : gradient_at(s, r, j + k * VEC_LANES, lanes, kind);

            if (!dense)
                fetch_at(s, r + AHEAD, j + k * VEC_LANES, kind);
            a[k] = vec_add(a[k], g);
            b[k] = vec_fma(g, d, b[k]);
            if (kind >= GATE || (kind == GRAD_ACT && s->g))
                gradient_keep(s, r, j + k * VEC_LANES, lanes, g);
        }
    }
    for (int k = 0; k < count; k++) {
        lanes_add(s->a + j + k * VEC_LANES, a[k], lanes);
        lanes_add(s->b + j + k * VEC_LANES, b[k], lanes);
    }
}

ALWAYS_INLINE void sums_rows(const struct sums *s, int64_t first, int64_t rows, int64_t cols, bool dense,
                             enum kind kind)
{
    for (int64_t r = 0; r < rows; r += ROWS) {
        const int64_t some = rows - r < ROWS ? rows - r : ROWS;
        int64_t j = 0;

        for (; j + WIDE * VEC_LANES <= cols; j += WIDE * VEC_LANES)
            sums_block(s, first + r, some, j, VEC_LANES, WIDE, dense, kind);
        for (; !dense && j + 2 * VEC_LANES <= cols; j += 2 * VEC_LANES)
            sums_block(s, first + r, some, j, VEC_LANES, 2, dense, kind);
        for (; j + VEC_LANES <= cols; j += VEC_LANES)
            sums_block(s, first + r, some, j, VEC_LANES, 1, dense, kind);
        if (j < cols)
            sums_block(s, first + r, some, j, (int)(cols - j), 1, dense, kind);
    }
}

/* Columns of a chunk side by side: all of them when they are folded, else at most FUSED_COLUMNS. */
struct slab {
    int64_t rows, rest, cols, channels; /* rest: numbers of the last, incomplete row */
    double a[FUSED_COLUMNS], b[FUSED_COLUMNS];
    REAL shift[FUSED_COLUMNS];
};

static int64_t pitch_of(int64_t pitch, const struct norm_chunk *c)
{
    return pitch ? pitch : c->channels;
}

static bool is_dense(const struct norm_chunk *c)
{
    return pitch_of(c->x_pitch, c) == c->channels && pitch_of(c->dy_pitch, c) == c->channels &&
           pitch_of(c->residual_pitch, c) == c->channels && pitch_of(c->out_pitch, c) == c->channels;
}

/* The slab from channel c0 on. */
static void slab_make(struct slab *t, const struct norm_chunk *c, int64_t c0)
{
    const int64_t fold = FUSED(norm_fold)(c->channels);

    t->rows = c->voxels / fold;
    t->rest = c->voxels % fold * c->channels;
    t->channels = c->channels - c0 < FUSED_COLUMNS ? c->channels - c0 : FUSED_COLUMNS;
    t->cols = fold * t->channels;
}

/* A chunk's operands from channel c0 on. */
ALWAYS_INLINE struct sums sums_of(const struct norm_chunk *c, int64_t c0, enum kind kind)
{
    struct sums s = {.x_pitch = pitch_of(c->x_pitch, c),
                     .dy_pitch = pitch_of(c->dy_pitch, c),
                     .more_pitch = pitch_of(c->residual_pitch, c),
                     .g_pitch = pitch_of(c->out_pitch, c),
                     .fold = FUSED(norm_fold)(c->channels),
                     .slope = (REAL)c->slope};

    s.columns = s.fold * c->channels;
    s.x = (const REAL *)c->x + c->first * s.x_pitch + c0;
    if (kind != MOMENTS)
        s.dy = (const REAL *)c->dy + c->first * s.dy_pitch + c0;
    if (kind != MOMENTS && c->g)
        s.g = (REAL *)c->g + c->first * s.g_pitch + c0;
    if (kind == GRAD_ACT)
        s.y = (const REAL *)c->y + c->first * s.dy_pitch + c0;
    if (kind == GATE_ADD)
        s.more = (const REAL *)c->residual + c->first * s.more_pitch + c0;
    if (kind >= GATE)
        s.coef = (const REAL *)c->param + c0;
    return s;
}

/* The row's next voxel, where voxels do not follow one another. */
ALWAYS_INLINE void sums_next(struct sums *s, int64_t channels, enum kind kind)
{
    s->x += s->x_pitch;
    s->shift += channels;
    s->a += channels;
    s->b += channels;
    if (kind >= GATE) {
        s->dy += s->dy_pitch;
        s->g += s->g_pitch;
        s->coef += channels;
    }
    if (kind == GATE_ADD)
        s->more += s->more_pitch;
}

/* Fills a and b of the slab's channels; shift holds their first `channels` entries. */
ALWAYS_INLINE void slab_sums(struct slab *t, struct sums s, bool dense, enum kind kind)
{
    const int64_t width = dense ? t->cols : t->channels;

    for (int64_t j = t->channels; j < t->cols; j++)
        t->shift[j] = t->shift[j - t->channels];
    for (int64_t j = 0; j < t->cols; j++)
        t->a[j] = t->b[j] = 0;
    s.shift = t->shift;
    s.a = t->a;
    s.b = t->b;
    for (int64_t j = 0; j < t->cols; j += width, sums_next(&s, width, kind)) {
        sums_rows(&s, 0, t->rows, width, dense, kind);
        if (t->rest > j)
            sums_rows(&s, t->rows, 1, dense ? t->rest : width, dense, kind);
    }
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
        const struct sums s = sums_of(c, c0, MOMENTS);

        slab_make(&t, c, c0);
        slab_pilot(&t, s.x, c->voxels, s.x_pitch);
        if (is_dense(c))
            slab_sums(&t, s, true, MOMENTS);
        else
            slab_sums(&t, s, false, MOMENTS);
        for (int64_t j = 0; j < t.channels; j++) {
            parts[c0 + j] = (double)t.shift[j] + t.a[j] / n;
            parts[c->channels + c0 + j] = t.b[j] - t.a[j] * t.a[j] / n;
        }
    }
}

/* A chunk's sums of g and of g (x - shift), with shift for each channel. */
ALWAYS_INLINE void gradient_sums(const struct norm_chunk *c, const REAL *shift, double *parts, bool dense,
                                 enum kind kind)
{
    struct slab t;

    for (int64_t c0 = 0; c0 < c->channels; c0 += FUSED_COLUMNS) {
        struct sums s = sums_of(c, c0, kind);

        s.stream = c->stream && dense && s.g && (uintptr_t)s.g % VEC_BYTES == 0 && s.columns % VEC_LANES == 0;
        slab_make(&t, c, c0);
        for (int64_t j = 0; j < t.channels; j++)
            t.shift[j] = shift[c0 + j];
        slab_sums(&t, s, dense, kind);
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
        gradient_sums(c, c->param, parts, true, GRAD_ACT);
    else
        gradient_sums(c, c->param, parts, true, GRAD);
}

ALWAYS_INLINE void gate_sums(const struct norm_chunk *c, double *parts, enum kind kind)
{
    const REAL *centre = (const REAL *)c->param + COEF_CENTRE * FUSED(norm_fold)(c->channels) * c->channels;

    if (is_dense(c))
        gradient_sums(c, centre, parts, true, kind);
    else
        gradient_sums(c, centre, parts, false, kind);
}

void FUSED(gate)(const struct norm_chunk *c, double *parts)
{
    if (c->residual)
        gate_sums(c, parts, GATE_ADD);
    else
        gate_sums(c, parts, GATE);
}
