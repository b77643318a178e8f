/* The second pass of a normalisation and of its gradient, and the small sums between the passes (norm.c has
 * the first). */
#include "backend/isa/fused.h"
#include "backend/isa/lane.h"
#include <math.h>

enum { AHEAD = 32 /* rows */, LINE = 64 / sizeof(REAL) };
enum kind { NORM, NORM_ACT, NORM_ADD_ACT, GRAD, GRAD_ACT, STAGE, STAGE_ADD };

struct apply {
    const REAL *x, *dy, *y, *residual;
    const REAL *param; /* arrays of `stride` numbers, one behind the other */
    REAL *out;
    int64_t columns, stride;                  /* numbers of a row */
    int64_t x_row, dy_row, residual_row, row; /* from row to row; row: of out and y */
    REAL slope;
};

ALWAYS_INLINE vec leaky(vec v, vec slope)
{
    return vec_select(vec_greater(v, vec_zero()), v, vec_mul(v, slope));
}

/* leaky(scale x + shift + residual), row r, column j */
ALWAYS_INLINE vec stage_at(const struct apply *a, int64_t r, int64_t j, int64_t lanes, enum kind kind)
{
    const REAL *p = a->param + j;
    const vec scale = vec_load_upto(p + COEF_SCALE * a->stride, lanes),
              shift = vec_load_upto(p + COEF_SHIFT * a->stride, lanes),
              slope = vec_load_upto(p + COEF_SLOPE * a->stride, lanes),
              x = vec_load_upto(a->x + r * a->x_row + j, lanes);
    vec v;

    if (kind == STAGE)
        return vec_stage(x, scale, shift, slope);
    v = vec_add(vec_fma(x, scale, shift), vec_load_upto(a->residual + r * a->residual_row + j, lanes));
    return vec_max(v, vec_mul(v, slope));
}

/* Row r, column j. Forward: (x - mean) scale + shift; the mean is rounded, shift holds what that lost.
 * Backward: of_g g + (of_d (x - mean) + constant). */
ALWAYS_INLINE vec apply_at(const struct apply *a, int64_t r, int64_t j, int64_t lanes, enum kind kind)
{
    const REAL *p = a->param + j;
    const vec d = vec_sub(vec_load_upto(a->x + r * a->x_row + j, lanes), vec_load_upto(p, lanes));
    const vec p1 = vec_load_upto(p + a->stride, lanes), p2 = vec_load_upto(p + 2 * a->stride, lanes);
    const vec slope = vec_set(a->slope);
    vec v;

    if (kind >= STAGE)
        return stage_at(a, r, j, lanes, kind);
    if (kind == GRAD || kind == GRAD_ACT) {
        const vec p3 = vec_load_upto(p + 3 * a->stride, lanes);

        v = vec_load_upto(a->dy + r * a->dy_row + j, lanes);
        if (kind == GRAD_ACT)
            v = vec_select(vec_greater(vec_load_upto(a->y + r * a->row + j, lanes), vec_zero()), v,
                           vec_mul(v, slope));
        return vec_fma(v, p1, vec_fma(d, p2, p3));
    }
    v = vec_fma(d, p1, p2);
    if (kind == NORM_ADD_ACT)
        v = vec_add(v, vec_load_upto(a->residual + r * a->residual_row + j, lanes));
    return kind == NORM ? v : leaky(v, slope);
}

/* A row of a window of a wider buffer, some rows ahead. */
ALWAYS_INLINE void fetch_row(const struct apply *a, const REAL *p, int64_t row, int64_t r)
{
    for (int64_t j = 0; row != a->columns && j < a->columns; j += LINE)
        vec_fetch(p + (r + AHEAD) * row + j);
}

ALWAYS_INLINE void fetch_rows(const struct apply *a, int64_t r, enum kind kind)
{
    fetch_row(a, a->x, a->x_row, r);
    if (kind == GRAD)
        fetch_row(a, a->dy, a->dy_row, r);
    if (kind == STAGE_ADD)
        fetch_row(a, a->residual, a->residual_row, r);
}

ALWAYS_INLINE void apply_rows(const struct apply *a, int64_t count, enum kind kind, bool stream)
{
    for (int64_t r = 0; count > 0; count -= a->columns, r++) {
        const int64_t n = count < a->columns ? count : a->columns;
        REAL *out = a->out + r * a->row;
        int64_t j = 0;

        fetch_rows(a, r, kind);
        for (; j + VEC_LANES <= n; j += VEC_LANES)
            vec_put(out + j, apply_at(a, r, j, VEC_LANES, kind), stream);
        if (j < n)
            vec_store_part(out + j, (int)(n - j), apply_at(a, r, j, n - j, kind));
    }
}

static const REAL *from(const void *p, int64_t at)
{
    return p ? (const REAL *)p + at : NULL;
}

/* Rows are of several voxels where every operand is dense, else of one. */
static struct apply apply_of(const struct norm_chunk *c)
{
    const int64_t width = c->channels, columns = FUSED(norm_fold)(width) * width;
    const int64_t x = c->x_pitch ? c->x_pitch : width, dy = c->dy_pitch ? c->dy_pitch : width,
                  residual = c->residual_pitch ? c->residual_pitch : width,
                  out = c->out_pitch ? c->out_pitch : width;
    const bool dense = x == width && dy == width && residual == width && out == width;

    return (struct apply){.x = from(c->x, c->first * x),
                          .dy = from(c->dy, c->first * dy),
                          .y = from(c->y, c->first * out),
                          .residual = from(c->residual, c->first * residual),
                          .param = c->param,
                          .out = (REAL *)c->out + c->first * out,
                          .columns = dense ? columns : width,
                          .stride = columns,
                          .x_row = dense ? columns : x,
                          .dy_row = dense ? columns : dy,
                          .residual_row = dense ? columns : residual,
                          .row = dense ? columns : out,
                          .slope = (REAL)c->slope};
}

ALWAYS_INLINE void apply_chunk(const struct norm_chunk *c, enum kind kind)
{
    const struct apply a = apply_of(c);
    const int64_t count = c->voxels * c->channels;

    /* rows of whole registers keep every row's start aligned */
    if (c->stream && (uintptr_t)a.out % VEC_BYTES == 0 && a.row % VEC_LANES == 0) {
        apply_rows(&a, count, kind, true);
        _mm_sfence();
    } else {
        apply_rows(&a, count, kind, false);
    }
}

void FUSED(norm_apply)(const struct norm_chunk *c)
{
    apply_chunk(c, NORM);
}

void FUSED(norm_act_apply)(const struct norm_chunk *c)
{
    if (c->residual)
        apply_chunk(c, NORM_ADD_ACT);
    else
        apply_chunk(c, NORM_ACT);
}

void FUSED(norm_grad_apply)(const struct norm_chunk *c)
{
    if (c->y)
        apply_chunk(c, GRAD_ACT);
    else
        apply_chunk(c, GRAD);
}

void FUSED(stage)(const struct norm_chunk *c)
{
    if (c->residual)
        apply_chunk(c, STAGE_ADD);
    else
        apply_chunk(c, STAGE);
}

static double chunk_size(const struct norm_sample *s, int64_t k)
{
    const int64_t left = s->voxels - k * s->chunk_voxels;

    return (double)(left < s->chunk_voxels ? left : s->chunk_voxels);
}

/* Chan, Golub and LeVeque's combination of means and squared deviations, over all chunks and channels of a
 * group. */
static void group_moments(const struct norm_sample *s, int64_t c0, int64_t c1, double *mean, double *variance)
{
    const double n = (double)s->voxels * (double)(c1 - c0);
    double sum = 0, square = 0;

    for (int64_t k = 0; k < s->chunks; k++)
        for (int64_t c = c0; c < c1; c++)
            sum += s->parts[2 * k * s->channels + c] * chunk_size(s, k);
    *mean = sum / n;
    for (int64_t k = 0; k < s->chunks; k++)
        for (int64_t c = c0; c < c1; c++) {
            const double *part = s->parts + 2 * k * s->channels, d = part[c] - *mean;
            square += part[s->channels + c] + d * d * chunk_size(s, k);
        }
    *variance = square < 0 ? 0 : square / n; /* keeps a NaN */
}

void FUSED(norm_moments_finish)(const struct norm_sample *s)
{
    for (int64_t c = 0; c < s->channels; c++) {
        double mean, variance;

        group_moments(s, c, c + 1, &mean, &variance);
        ((REAL *)s->mean)[c] = (REAL)mean;
        ((REAL *)s->variance)[c] = (REAL)variance;
    }
}

/* Repeats the C numbers of each parameter up to the row's length. */
static void param_fold(REAL *param, int64_t channels, int count)
{
    const int64_t columns = FUSED(norm_fold)(channels) * channels;

    for (int k = 0; k < count; k++)
        for (int64_t j = channels; j < columns; j++)
            param[k * columns + j] = param[k * columns + j - channels];
}

void FUSED(norm_finish)(const struct norm_sample *s)
{
    const int64_t width = s->channels / s->groups, columns = FUSED(norm_fold)(s->channels) * s->channels;
    const REAL *gamma = s->gamma, *beta = s->beta;
    REAL *param = s->param;

    for (int64_t i = 0; i < s->groups; i++) {
        double mean, variance, rstd;

        group_moments(s, i * width, (i + 1) * width, &mean, &variance);
        rstd = 1 / sqrt(variance + s->eps);
        ((REAL *)s->mean)[i] = (REAL)mean;
        ((REAL *)s->rstd)[i] = (REAL)rstd;
        for (int64_t c = i * width; c < (i + 1) * width; c++) {
            const double scale = gamma ? rstd * (double)gamma[c] : rstd;

            param[c] = (REAL)mean;
            param[columns + c] = (REAL)scale;
            param[2 * columns + c] =
                (REAL)((beta ? (double)beta[c] : 0) - (mean - (double)(REAL)mean) * scale);
        }
    }
    param_fold(param, s->channels, 3);
}

void FUSED(norm_mean_param)(const struct norm_sample *s)
{
    const int64_t width = s->channels / s->groups;

    for (int64_t c = 0; c < s->channels; c++)
        ((REAL *)s->param)[c] = ((const REAL *)s->mean)[c / width];
    param_fold(s->param, s->channels, 1);
}

/* Sums over the chunks of one channel, in order. */
static void channel_totals(const struct norm_sample *s, int64_t c, double rstd)
{
    double g = 0, gx = 0;

    for (int64_t k = 0; k < s->chunks; k++) {
        g += s->parts[2 * k * s->channels + c];
        gx += s->parts[(2 * k + 1) * s->channels + c];
    }
    s->totals[c] = g;
    s->totals[s->channels + c] = gx * rstd;
}

/* xhat = (x - mean) rstd, A and B the group's means of gamma g and gamma g xhat:
 * dx = rstd (gamma g - A - xhat B). */
void FUSED(norm_grad_finish)(const struct norm_sample *s)
{
    const int64_t width = s->channels / s->groups, columns = FUSED(norm_fold)(s->channels) * s->channels;
    const double n = (double)s->voxels * (double)width;
    const REAL *gamma = s->gamma;
    REAL *param = s->param;

    for (int64_t i = 0; i < s->groups; i++) {
        const double rstd = (double)((const REAL *)s->rstd)[i];
        double a = 0, b = 0;

        for (int64_t c = i * width; c < (i + 1) * width; c++) {
            channel_totals(s, c, rstd);
            a += (gamma ? (double)gamma[c] : 1) * s->totals[c];
            b += (gamma ? (double)gamma[c] : 1) * s->totals[s->channels + c];
        }
        for (int64_t c = i * width; c < (i + 1) * width; c++) {
            param[columns + c] = (REAL)(gamma ? rstd * (double)gamma[c] : rstd);
            param[2 * columns + c] = (REAL)(-rstd * rstd * (b / n));
            param[3 * columns + c] = (REAL)(-rstd * (a / n));
        }
    }
    param_fold(param + columns, s->channels, 3);
}
