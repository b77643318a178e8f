/* The bandwidth-bound kernels: serial functions on chunks that a caller has cut by shape (the files beside
 * this one do), one table per instruction set and element type from one source (src/backend/isa). Buffers
 * hold the table's type, `double` in a signature means double in every table. Results are bitwise equal
 * between AVX2 and AVX-512. */
#ifndef D4M_BACKEND_FUSED_H
#define D4M_BACKEND_FUSED_H

#include "graph/kernel.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FUSED_COLUMNS = 2048, /* most columns of norm's rows, see norm_fold */
    FUSED_WINDOW = 16,    /* channels of a pitched image come in such groups */
    FUSED_CLASSES = 256,  /* most classes of the Dice loss */
};

/* Voxels first .. first + voxels - 1 of one sample. Rows of `columns` numbers, each holding `columns /
 * channels` voxels, so that few channels still fill registers; the parameters are repeated to that length. */
struct norm_chunk {
    const void *x, *dy, *y,
        *residual; /* of the sample, (V, C); unused ones NULL; gate: residual is a second dy */
    void *out, *g; /* (V, C): y or dx; dy behind the activation's derivative, NULL if not wanted */
    int64_t first, voxels, channels;
    /* from voxel to voxel; 0: channels. For moments, stage, gate and norm_grad_apply, with channels a
     * multiple of FUSED_WINDOW; `out` is g's too */
    int64_t x_pitch, dy_pitch, residual_pitch, out_pitch;
    double slope;
    const void
        *param;  /* norm_finish's or norm_grad_finish's, of this sample; stage, gate: rows of coefficients */
    bool stream; /* write past the caches */
};

/* Of one sample: what its chunks found, and what becomes of it. */
struct norm_sample {
    int64_t voxels, channels, groups, chunks, chunk_voxels;
    double eps;
    const double *parts;      /* (chunks, 2, C) from norm_moments or norm_grad_sums */
    const void *gamma, *beta; /* (C) or NULL */
    void *mean, *rstd;        /* (groups): written by norm_finish, read by norm_grad_finish */
    void *variance;           /* (C): norm_moments_finish */
    double *totals; /* (2, C), norm_grad_finish: sums of g and of g (x - mean) rstd over the sample */
    void *param;    /* norm_param_size numbers */
};

/* Soft Dice and cross entropy over `voxels` voxels of one sample. */
struct dice_chunk {
    const void *logits, *labels; /* (voxels, K), (voxels) */
    void *out;                   /* (voxels, K), gradient only */
    int64_t voxels, classes;
    bool squared;
    double *sums;         /* (3 K + 1): I, P, G of each class, then the sum of cross entropies */
    const double *weight; /* (2 K + 1): d loss / d I and d loss / d P of each class, the cross entropy's
                             factor per voxel */
};

/* One chunk of one parameter tensor. */
struct update_chunk {
    const void *w, *g, *m, *v;   /* SGD has no m; v is its momentum */
    void *w_new, *m_new, *v_new; /* may be w, m, v */
    int64_t n;
    double lr, scale, momentum, decay, beta1, beta2, eps;
    double fix1, fix2; /* AdamW: 1 / (1 - beta1^step), 1 / sqrt(1 - beta2^step) */
};

typedef void (*map_function)(void *y, const void *const in[3], int64_t n, const double p[2]);

struct fused_table {
    const char *isa; /* "avx2" or "avx512" */
    int real_bytes;  /* 4 or 8 */

    /* y[i] = op(in[0][i], in[1][i], in[2][i]; p) for i < n; NULL for an op that is not pointwise. y may be an
     * input. */
    const map_function *map;                                /* [OP_COUNT] */
    void (*stream_copy)(void *y, const void *x, int64_t n); /* past the caches if y allows it */
    void (*narrow)(void *y, const void *x, int64_t n);      /* y bf16, rounded as bf16_of does */
    void (*widen)(void *y, const void *x, int64_t n);       /* x bf16 */

    /* acc[j] += sum (or = max) over rows r of x[r * pitch + j], j < cols */
    void (*sum_rows)(double *acc, const void *x, int64_t pitch, int64_t rows, int64_t cols);
    void (*max_rows)(double *acc, const void *x, int64_t pitch, int64_t rows, int64_t cols);
    double (*sum_run)(const void *x, int64_t n);
    double (*max_run)(const void *x, int64_t n);    /* n > 0 */
    double (*square_run)(const void *x, int64_t n); /* sum of squares in double */
    /* Outputs first .. of x (outer, n, inner) over its middle axis, as real numbers; shape = {n, inner}. */
    void (*argmax)(void *y, const void *x, int64_t first, int64_t count, const int64_t shape[2]);
    void (*add)(void *y, const void *x, int64_t n); /* y += x */

    int64_t (*norm_fold)(int64_t channels); /* voxels a row holds */
    void (*norm_moments)(const struct norm_chunk *c,
                         double *parts);                      /* (2, C): mean, sum of squared deviations */
    void (*norm_moments_finish)(const struct norm_sample *s); /* mean, variance */
    void (*norm_finish)(const struct norm_sample *s);         /* mean, rstd, param */
    void (*norm_apply)(const struct norm_chunk *c);           /* out = (x - mean) rstd gamma + beta */
    void (*norm_act_apply)(const struct norm_chunk *c);       /* out = leaky(... + residual) */
    void (*norm_mean_param)(const struct norm_sample *s);     /* param: the mean, for norm_grad_sums */
    void (*norm_grad_sums)(const struct norm_chunk *c,
                           double *parts);                 /* (2, C): sum g, sum g (x - mean); writes g */
    void (*norm_grad_finish)(const struct norm_sample *s); /* totals, param */
    void (*norm_grad_apply)(const struct norm_chunk *c);   /* out = dx */

    void (*stage)(const struct norm_chunk *c);               /* out = leaky(scale x + shift + residual) */
    void (*gate)(const struct norm_chunk *c, double *parts); /* g; (2, C): sum g, sum g (x - centre) */

    void (*softmax)(void *y, const void *x, int64_t rows, int64_t n);
    void (*log_softmax)(void *y, const void *x, int64_t rows, int64_t n);
    void (*dice_sums)(const struct dice_chunk *c);
    void (*dice_grad)(const struct dice_chunk *c);

    void (*sgd)(const struct update_chunk *c);
    void (*adamw)(const struct update_chunk *c);
};

/* Numbers per column in a norm's param block: forward (mean, scale, shift), backward (mean, of g, of x -
 * mean, constant). */
enum { NORM_PARAMS = 4 };

const struct fused_table *fused_table_get(bool avx512, bool f64);
const struct fused_table *fused_of(const struct step *s); /* the one beside s->table */

/* Outputs of this many bytes do not stay in a cache: they are written past it. */
enum { STREAM_BYTES = 16 << 20 };

#endif
