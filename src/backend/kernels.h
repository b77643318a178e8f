/* The CPU's kernels: plain functions on channels-last buffers, without graphs and without allocation. One
 * table per instruction set and element type; all four come from one source (src/backend/isa). Results are
 * bitwise equal for any thread count and between AVX2 and AVX-512. Nothing outside the given buffers is read
 * or written. */
#ifndef D4M_BACKEND_KERNELS_H
#define D4M_BACKEND_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which of x (N, D, H, W, Ci), w (Co, Ci / groups, kD, kH, kW) and y (N, oD, oH, oW, Co) is computed from the
 * others. */
enum conv_dir {
    CONV_FORWARD, /* y from x and w: cross-correlation */
    CONV_DX,      /* x from y and w: the adjoint in x; a transposed convolution */
    CONV_DW,      /* w from x and y: the adjoint in w */
};

/* What stands outside x: zeros, x mirrored at its border voxels (not repeated), or its nearest voxel. CONV_DX
 * adds what belongs to a place outside to the voxel of x that stands there. */
enum conv_pad { CONV_PAD_ZERO, CONV_PAD_REFLECT, CONV_PAD_REPLICATE };

/* D, H, W order. `in` is x's size and `out` is y's, whatever the direction; they need not match by the usual
 * formula: a position of y that reads nothing gets 0, and so does one of x that nothing reads (output
 * padding). */
struct conv_shape {
    int64_t n, in[3], ci, out[3], co;
    int64_t kernel[3], stride[3], pad[3], dilation[3], groups;
    bool exact;            /* sums of plain products only, no Winograd: for comparisons with other programs */
    bool packed;           /* w is what conv_pack made of it (CONV_PACKED) */
    enum conv_pad outside; /* CONV_PAD_REFLECT: every pad is 0 or below x's size */
};

/* What a convolution can do on the way, so that no pass of its own over the activations is needed.
 *
 * A stage stands between a stored number x and the number that is convolved, per sample and channel:
 *
 *     v = scale x + shift,  leaky(v) = max(v, slope v)  with 0 <= slope <= 1
 *
 * Scale 1, shift 0 and slope 1 give x itself. Zeros outside x are zero behind it. Coefficients are
 * (N, STAGE_ROWS, C): scale, shift, slope, centre. */
enum { STAGE_SCALE, STAGE_SHIFT, STAGE_SLOPE, STAGE_CENTRE, STAGE_ROWS };

enum conv_hook {
    CONV_X_STAGE = 1, /* x is read through coefficients */
    CONV_Y_STAGE = 2, /* y is */
    CONV_MOMENTS = 4, /* the result's mean and biased variance per sample and channel are written too */
    CONV_GATE = 8, /* the result r, times the derivative of a stage at z: g = r leaky'(scale z + shift); and
                      per sample and channel the sums of g and of g (z - centre) */
    CONV_PACKED = 16, /* w may come packed */
};

/* Pitches count elements from voxel to voxel (>= channels): a buffer may be a channel slice of a wider one.
 * The channels between are left alone. w is dense. The buffer that the direction computes is written, the
 * other two are only read. */
struct conv_buf {
    void *x, *w, *y;
    int64_t x_pitch, y_pitch;
    const void *bias; /* (Co) forward, (Ci) by data: added to every voxel of the result; NULL for none; not
                         for CONV_DW */
    const void *x_stage, *y_stage; /* (N, STAGE_ROWS, C): with the hooks of that name, else NULL */
    /* (N, 2, C): CONV_MOMENTS: mean, variance; CONV_GATE: sum of g, of g (z - centre); else NULL */
    void *sums;
    const void *z, *z_stage; /* CONV_GATE: of the result's shape; its coefficients; else NULL */
    int64_t z_pitch;
    void *work;  /* conv_work bytes, 64-byte aligned */
    int threads; /* not more than conv_work was asked for */
};

/* c[b] (m, n) = op(a[b]) (m, k) op(b[b]) (k, n) for b < batch; op transposes if its flag is set, so that the
 * matrix is stored (k, m) or (n, k). */
struct matmul_shape {
    int64_t batch, m, n, k;
    bool trans_a, trans_b;
};

/* Row pitches and steps from one matrix of the batch to the next, in elements. A step of 0 shares the matrix
 * (not for c). */
struct matmul_buf {
    const void *a, *b;
    void *c;
    int64_t a_pitch, b_pitch, c_pitch, a_batch, b_batch, c_batch;
    const void *bias; /* (n), added to every row; NULL for none */
    void *work;       /* matmul_work bytes, 64-byte aligned */
    int threads;      /* not more than matmul_work was asked for */
};

struct kernel_table {
    const char *isa; /* "avx2" or "avx512" */
    int real_bytes;  /* 4 or 8: the type of every element */

    /* Whether conv takes the shape: positive sizes, groups that divide the channels, element counts below
     * 2^40. */
    bool (*conv_accepts)(const struct conv_shape *s, enum conv_dir dir);
    /* Which of enum conv_hook the shape's kernel takes, alone or together; CONV_MOMENTS and CONV_GATE exclude
     * each other. The same in both instruction sets. */
    unsigned (*conv_hooks)(const struct conv_shape *s, enum conv_dir dir);
    /* Elements of packed weights (a multiple of a cache line); 0 if the shape's kernel reads w as it is. */
    int64_t (*conv_packed)(const struct conv_shape *s, enum conv_dir dir);
    void (*conv_pack)(const struct conv_shape *s, enum conv_dir dir, const void *w, void *packed,
                      int threads);
    size_t (*conv_work)(const struct conv_shape *s, enum conv_dir dir, int threads); /* bytes of scratch */
    void (*conv)(const struct conv_shape *s, enum conv_dir dir, const struct conv_buf *b);

    size_t (*matmul_work)(const struct matmul_shape *s, int threads); /* bytes of scratch */
    void (*matmul)(const struct matmul_shape *s, const struct matmul_buf *b);

    /* What a roofline is drawn from: `rounds` rounds of PEAK_CHAINS independent fused multiply-adds of whole
     * vectors in registers (2 * PEAK_CHAINS * lanes operations a round), and a = b + s c over n elements. */
    double (*fma)(int64_t rounds);
    void (*triad)(void *a, const void *b, const void *c, int64_t n);
    int lanes; /* elements of a vector */
};
enum { PEAK_CHAINS = 10 };

/* The table of an instruction set and element type. Calling its functions on a CPU that lacks the set is a
 * crash: ask base/cpu.h first. */
const struct kernel_table *kernel_table_get(bool avx512, bool f64);
/* Convolutions whose operands are bf16 and whose results and biases are float (real_bytes is the operands');
 * without matrix products. Of hooks they take stages; the number that a stage makes is rounded to bf16. The
 * same bits in all three, as far as AMX does what its manual says. Operands are finite. */
const struct kernel_table *kernel_table_bf16(bool avx512, bool amx);

#endif
