/* The second pass of a normalisation and of its gradient, and the small sums between the passes (norm.c has
 * the first). */
#include "backend/isa/fused.h"
#include "backend/isa/lane.h"
#include <math.h>

enum kind { NORM, NORM_ACT, NORM_ADD_ACT, GRAD, GRAD_ACT, STAGE, STAGE_ADD };

struct apply {
    const REAL *x, *dy, *y, *residual;
    const REAL *param; /* arrays of a row's length, one behind the other */
    REAL *out;
    int64_t columns;
    REAL slope;
};

ALWAYS_INLINE vec leaky(vec v, vec slope)
{
    return vec_select(vec_greater(v, vec_zero()), v, vec_mul(v, slope));
}

/* leaky(scale x + shift + residual) */
ALWAYS_INLINE vec stage_at(const struct apply *a, int64_t at, int64_t j, int64_t lanes, enum kind kind)
{
    const REAL *p = a->param + j;
    const vec scale = vec_load_upto(p + COEF_SCALE * a->columns, lanes),
              shift = vec_load_upto(p + COEF_SHIFT * a->columns, lanes),
              slope = vec_load_upto(p + COEF_SLOPE * a->columns, lanes), x = vec_load_upto(a->x + at, lanes);
    vec v;

    if (kind == STAGE)
        return vec_stage(x, scale, shift, slope);
    v = vec_add(vec_fma(x, scale, shift), vec_load_upto(a->residual + at, lanes));
    return vec_max(v, vec_mul(v, slope));
}

/* Element `at`, column j. Forward: (x - mean) scale + shift; the mean is rounded, shift holds what that lost.
 * Backward: of_g g + (of_d (x - mean) + constant). */
ALWAYS_INLINE vec apply_at(const struct apply *a, int64_t at, int64_t j, int64_t lanes, enum kind kind)
{
    const REAL *p = a->param + j;
    const vec d = vec_sub(vec_load_upto(a->x + at, lanes), vec_load_upto(p, lanes));
    const vec p1 = vec_load_upto(p + a->columns, lanes), p2 = vec_load_upto(p + 2 * a->columns, lanes);
    const vec slope = vec_set(a->slope);
    vec v;

    if (kind == GRAD || kind == GRAD_ACT) {
        const vec p3 = vec_load_upto(p + 3 * a->columns, lanes);

        v = vec_load_upto(a->dy + at, lanes);
        if (kind == GRAD_ACT)
            v = vec_select(vec_greater(vec_load_upto(a->y + at, lanes), vec_zero()), v, vec_mul(v, slope));
        return vec_fma(v, p1, vec_fma(d, p2, p3));
    }
    v = vec_fma(d, p1, p2);
    if (kind == NORM_ADD_ACT)
        v = vec_add(v, vec_load_upto(a->residual + at, lanes));
    return kind == NORM ? v : leaky(v, slope);
}

ALWAYS_INLINE vec result_at(const struct apply *a, int64_t at, int64_t j, int64_t lanes, enum kind kind)
{
    return kind >= STAGE ? stage_at(a, at, j, lanes, kind) : apply_at(a, at, j, lanes, kind);
}

ALWAYS_INLINE void apply_rows(const struct apply *a, int64_t at, int64_t count, enum kind kind, bool stream)
{
    for (; count > 0; count -= a->columns, at += a->columns) {
        const int64_t n = count < a->columns ? count : a->columns;
        int64_t j = 0;

        for (; j + VEC_LANES <= n; j += VEC_LANES)
            vec_put(a->out + at + j, result_at(a, at + j, j, VEC_LANES, kind), stream);
        if (j < n)
            vec_store_part(a->out + at + j, (int)(n - j), result_at(a, at + j, j, n - j, kind));
    }
}

ALWAYS_INLINE void apply_chunk(const struct norm_chunk *c, enum kind kind)
{
    const struct apply a = {.x = c->x,
                            .dy = c->dy,
                            .y = c->y,
                            .residual = c->residual,
                            .param = c->param,
                            .out = c->out,
                            .columns = FUSED(norm_fold)(c->channels) * c->channels,
                            .slope = (REAL)c->slope};
    const int64_t at = c->first * c->channels, count = c->voxels * c->channels;

    /* columns of whole registers keep every row's start aligned */
    if (c->stream && (uintptr_t)(a.out + at) % VEC_BYTES == 0 && a.columns % VEC_LANES == 0) {
        apply_rows(&a, at, count, kind, true);
        _mm_sfence();
    } else {
        apply_rows(&a, at, count, kind, false);
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
