/* Sums and maxima. Sums add at most 64 numbers in the element type before they go on in double. */
#include "backend/isa/fused.h"
#include "backend/isa/lane.h"

enum { ROWS = 64, WIDE = 4 }; /* rows summed in REAL; registers of columns side by side */

/* `rows` <= ROWS rows of `count` registers, of which the last lanes, from `lanes` on, are unused */
ALWAYS_INLINE void rows_block(double *acc, const REAL *x, int64_t pitch, int64_t rows, int lanes, int count,
                              bool max)
{
    vec s[WIDE];

    UNROLL
    for (int k = 0; k < count; k++)
        s[k] = vec_load_upto(x + k * VEC_LANES, lanes);
    for (int64_t r = 1; r < rows; r++) {
        UNROLL
        for (int k = 0; k < count; k++) {
            const vec v = vec_load_upto(x + r * pitch + k * VEC_LANES, lanes);
            s[k] = max ? vec_max(v, s[k]) : vec_add(s[k], v);
        }
    }
    for (int k = 0; k < count; k++) {
        REAL t[VEC_LANES];

        vec_store(t, s[k]);
        for (int i = 0; i < lanes; i++) {
            double *a = acc + k * VEC_LANES + i;
            *a = !max ? *a + (double)t[i] : *a < (double)t[i] ? (double)t[i] : *a;
        }
    }
}

ALWAYS_INLINE void rows_reduce(double *acc, const REAL *x, int64_t pitch, int64_t rows, int64_t cols,
                               bool max)
{
    for (int64_t r = 0; r < rows; r += ROWS) {
        const int64_t some = rows - r < ROWS ? rows - r : ROWS;
        const REAL *from = x + r * pitch;
        int64_t j = 0;

        for (; j + WIDE * VEC_LANES <= cols; j += WIDE * VEC_LANES)
            rows_block(acc + j, from + j, pitch, some, VEC_LANES, WIDE, max);
        for (; j + VEC_LANES <= cols; j += VEC_LANES)
            rows_block(acc + j, from + j, pitch, some, VEC_LANES, 1, max);
        if (j < cols)
            rows_block(acc + j, from + j, pitch, some, (int)(cols - j), 1, max);
    }
}

void FUSED(sum_rows)(double *acc, const void *x, int64_t pitch, int64_t rows, int64_t cols)
{
    rows_reduce(acc, x, pitch, rows, cols, false);
}

void FUSED(max_rows)(double *acc, const void *x, int64_t pitch, int64_t rows, int64_t cols)
{
    rows_reduce(acc, x, pitch, rows, cols, true);
}

/* At most ROWS additions a lane. */
static double sum_lanes(const REAL *x, int64_t n)
{
    vec s[LANE_VECS];
    int64_t i = 0;

    for (int k = 0; k < LANE_VECS; k++)
        s[k] = vec_zero();
    for (; i + LANES <= n; i += LANES) {
        UNROLL
        for (int k = 0; k < LANE_VECS; k++)
            s[k] = vec_add(s[k], vec_load(x + i + k * VEC_LANES));
    }
    for (int k = 0; k < LANE_VECS && i < n; k++, i += VEC_LANES)
        s[k] = vec_add(s[k], vec_load_upto(x + i, n - i));
    return lanes_sum(s);
}

double FUSED(sum_run)(const void *px, int64_t n)
{
    const REAL *x = px;
    double total = 0;

    if (n < LANES) {
        for (int64_t i = 0; i < n; i++)
            total += (double)x[i];
        return total;
    }
    for (int64_t from = 0; from < n; from += ROWS * LANES)
        total += sum_lanes(x + from, n - from < ROWS * LANES ? n - from : ROWS * LANES);
    return total;
}

double FUSED(max_run)(const void *px, int64_t n)
{
    const REAL *x = px;
    REAL most = x[0];
    int64_t i = 0;

    if (n >= LANES) {
        vec s[LANE_VECS];

        for (int k = 0; k < LANE_VECS; k++)
            s[k] = vec_load(x + k * VEC_LANES);
        for (i = LANES; i + LANES <= n; i += LANES) {
            UNROLL
            for (int k = 0; k < LANE_VECS; k++)
                s[k] = vec_max(vec_load(x + i + k * VEC_LANES), s[k]);
        }
        most = lanes_max(s);
    }
    for (; i < n; i++)
        most = x[i] > most ? x[i] : most;
    return (double)most;
}

/* 16 virtual lanes of doubles: the square of an f32 may overflow f32. */
double FUSED(square_run)(const void *px, int64_t n)
{
    const REAL *x = px;
    double lane[LANES] = {0};
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] = __builtin_fma((double)x[i + k], (double)x[i + k], lane[k]);
    for (int k = 0; i + k < n; k++)
        lane[k] = __builtin_fma((double)x[i + k], (double)x[i + k], lane[k]);
    for (int half = LANES / 2; half; half /= 2)
        for (int k = 0; k < half; k++)
            lane[k] += lane[k + half];
    return lane[0];
}

/* The first of ties; `step` elements from one candidate to the next. */
ALWAYS_INLINE REAL argmax_of(const REAL *x, int64_t n, int64_t step)
{
    REAL most = x[0], at = 0;

    for (int64_t k = 1; k < n; k++) {
        at = x[k * step] > most ? (REAL)k : at;
        most = x[k * step] > most ? x[k * step] : most;
    }
    return at;
}

void FUSED(argmax)(void *py, const void *px, int64_t first, int64_t count, const int64_t shape[2])
{
    const int64_t n = shape[0], inner = shape[1];
    const REAL *x = px;
    REAL *y = py;

    for (int64_t o = first; o < first + count; o++)
        y[o] = inner == 1 ? argmax_of(x + o * n, n, 1)
                          : argmax_of(x + o / inner * inner * n + o % inner, n, inner);
}

void FUSED(add_run)(void *py, const void *px, int64_t n)
{
    const REAL *x = px;
    REAL *y = py;

    for (int64_t i = 0; i < n; i++)
        y[i] += x[i];
}
