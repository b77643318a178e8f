/* The matrices of the one-dimensional algorithms F(m, 3), m outputs from m + 2 inputs (winograd.md section
 * 1), and their products with vectors. Row p belongs to evaluation point p:
 *
 *     y = A' [(G g) . (B' d)]        points of F(4,3): 0, +-3/4, +-3/2, infinity; F(3,3): 0, +-1, 2,
 * infinity; F(2,3): 0, +-1, infinity */
#ifndef D4M_BACKEND_ISA_WINO_MATRIX_H
#define D4M_BACKEND_ISA_WINO_MATRIX_H

#include "backend/isa/lane.h"

typedef const double wino_matrix[6][6];

/* clang-format off */
static wino_matrix wino_b4 = {            /* B' of F(4,3) */
    {81. / 64,         0, -45. / 16,       0, 1, 0},
    {       0, -27. / 16,  -9. / 4,   3. / 4, 1, 0},
    {       0,  27. / 16,  -9. / 4,  -3. / 4, 1, 0},
    {       0, -27. / 32,  -9. / 16,  3. / 2, 1, 0},
    {       0,  27. / 32,  -9. / 16, -3. / 2, 1, 0},
    {       0,  81. / 64,        0, -45. / 16, 0, 1},
};
static wino_matrix wino_g4 = {            /* G: the last column times the row, (1, x, x^2) of point x */
    {1,       0,       0, 0, 0,   64. / 81},
    {1,  3. / 4, 9. / 16, 0, 0, -128. / 243},
    {1, -3. / 4, 9. / 16, 0, 0, -128. / 243},
    {1,  3. / 2, 9. / 4,  0, 0,   32. / 243},
    {1, -3. / 2, 9. / 4,  0, 0,   32. / 243},
    {0,       0,       1, 0, 0,           1},
};
static wino_matrix wino_a4 = {            /* A */
    {1,       0,       0,         0},
    {1,  3. / 4, 9. / 16,  27. / 64},
    {1, -3. / 4, 9. / 16, -27. / 64},
    {1,  3. / 2, 9. / 4,   27. / 8},
    {1, -3. / 2, 9. / 4,  -27. / 8},
    {0,       0,       0,         1},
};
static wino_matrix wino_b3 = {
    {2, -1, -2,  1, 0},
    {0, -2, -1,  1, 0},
    {0,  2, -3,  1, 0},
    {0, -1,  0,  1, 0},
    {0,  2, -1, -2, 1},
};
static wino_matrix wino_g3 = {
    {1,  0, 0, 0, 0,  1. / 2},
    {1,  1, 1, 0, 0, -1. / 2},
    {1, -1, 1, 0, 0, -1. / 6},
    {1,  2, 4, 0, 0,  1. / 6},
    {0,  0, 1, 0, 0,       1},
};
static wino_matrix wino_a3 = {
    {1,  0, 0},
    {1,  1, 1},
    {1, -1, 1},
    {1,  2, 4},
    {0,  0, 1},
};
static wino_matrix wino_b2 = {
    {1,  0, -1, 0},
    {0,  1,  1, 0},
    {0, -1,  1, 0},
    {0, -1,  0, 1},
};
static wino_matrix wino_g2 = {
    {1,  0, 0, 0, 0,      1},
    {1,  1, 1, 0, 0, 1. / 2},
    {1, -1, 1, 0, 0, 1. / 2},
    {0,  0, 1, 0, 0,      1},
};
static wino_matrix wino_a2 = {
    {1,  0},
    {1,  1},
    {1, -1},
    {0,  1},
};
/* clang-format on */

/* Everything below is inlined with constant m, so that every index, sign and zero is known to the compiler.
 */

ALWAYS_INLINE int wino_points(const int m)
{
    return m == 1 ? 1 : m + 2;
}

/* Rows p and p + 1 belong to points x and -x: they differ in the sign of their odd columns only. */
ALWAYS_INLINE bool wino_paired(wino_matrix t, const int p, const int rows, const int cols)
{
    bool paired = p % 2 == 1 && p + 2 < rows;

    UNROLL
    for (int j = 0; j < cols; j++)
        paired = paired && t[p + 1][j] == (j % 2 ? -t[p][j] : t[p][j]);
    return paired;
}

/* *sum += c v, where *some says whether there is a sum yet */
ALWAYS_INLINE void wino_term(vec *sum, bool *some, const double c, vec v)
{
    if (c == 0)
        return;
    if (!*some)
        *sum = c == 1 ? v : vec_mul(vec_set((REAL)c), v);
    else
        *sum = c == 1 ? vec_add(*sum, v) : c == -1 ? vec_sub(*sum, v) : vec_fma(vec_set((REAL)c), v, *sum);
    *some = true;
}

/* Sum of row[j] v[j] over the columns of one parity (2: all), from the last, whose factor is 1, to the first.
 */
ALWAYS_INLINE vec wino_row(const double row[6], const int cols, const int parity, const vec v[])
{
    vec sum = vec_zero();
    bool some = false;

    UNROLL
    for (int j = 5; j >= 0; j--)
        if (j < cols && (parity == 2 || j % 2 == parity))
            wino_term(&sum, &some, row[j], v[j]);
    return sum;
}

/* r = t v: to the points */
ALWAYS_INLINE void wino_to_points(wino_matrix t, const int rows, const int cols, const vec v[], vec r[])
{
    UNROLL
    for (int p = 0; p < 6; p++) {
        if (p >= rows || (p > 0 && wino_paired(t, p - 1, rows, cols)))
            continue;
        if (wino_paired(t, p, rows, cols)) {
            const vec even = wino_row(t[p], cols, 0, v), odd = wino_row(t[p], cols, 1, v);
            r[p] = vec_add(even, odd);
            r[p + 1] = vec_sub(even, odd);
        } else {
            r[p] = wino_row(t[p], cols, 2, v);
        }
    }
}

/* r = t' v: from the points. Sums of pairs meet the even columns, differences the odd ones. */
ALWAYS_INLINE void wino_from_points(wino_matrix t, const int rows, const int cols, const vec v[], vec r[])
{
    vec half[2][6];

    UNROLL
    for (int p = 0; p < 6; p++) {
        if (p >= rows)
            continue;
        if (wino_paired(t, p, rows, cols)) {
            half[0][p] = vec_add(v[p], v[p + 1]);
            half[1][p] = vec_sub(v[p], v[p + 1]);
        } else {
            half[0][p] = half[1][p] = v[p];
        }
    }
    UNROLL
    for (int j = 0; j < 6; j++) {
        vec sum = vec_zero();
        bool some = false;
        if (j >= cols)
            continue;
        UNROLL
        for (int p = 0; p < 6; p++)
            if (p < rows && !(p > 0 && wino_paired(t, p - 1, rows, cols)))
                wino_term(&sum, &some, t[p][j], half[j % 2][p]);
        r[j] = sum;
    }
}

/* r = diag(t's last column) v, or t's rows scaled by it: G's factors apply where its rows are whole. */
ALWAYS_INLINE void wino_scale(wino_matrix t, const int rows, const vec v[], vec r[])
{
    UNROLL
    for (int p = 0; p < rows; p++)
        r[p] = t[p][5] == 1 ? v[p] : vec_mul(vec_set((REAL)t[p][5]), v[p]);
}

ALWAYS_INLINE void wino_to_points_scaled(wino_matrix t, const int rows, const int cols, const vec v[],
                                         vec r[])
{
    wino_to_points(t, rows, cols, v, r);
    wino_scale(t, rows, r, r);
}

ALWAYS_INLINE void wino_from_points_scaled(wino_matrix t, const int rows, const int cols, const vec v[],
                                           vec r[])
{
    vec s[6];

    wino_scale(t, rows, v, s);
    wino_from_points(t, rows, cols, s, r);
}

/* The five products; m = 1 copies. */
#define WINO_PRODUCT(name, product, matrix, cols)                                                            \
    ALWAYS_INLINE void name(const int m, const vec v[], vec r[])                                             \
    {                                                                                                        \
        switch (m) {                                                                                         \
        case 4:                                                                                              \
            product(matrix##4, 6, cols, v, r);                                                               \
            break;                                                                                           \
        case 3:                                                                                              \
            product(matrix##3, 5, cols, v, r);                                                               \
            break;                                                                                           \
        case 2:                                                                                              \
            product(matrix##2, 4, cols, v, r);                                                               \
            break;                                                                                           \
        default:                                                                                             \
            r[0] = v[0];                                                                                     \
        }                                                                                                    \
    }
WINO_PRODUCT(wino_input, wino_to_points, wino_b, m + 2)           /* B' d: m + 2 inputs */
WINO_PRODUCT(wino_weight, wino_to_points_scaled, wino_g, 3)       /* G g: 3 taps */
WINO_PRODUCT(wino_gradient, wino_to_points, wino_a, m)            /* A dy: m outputs' gradients */
WINO_PRODUCT(wino_output, wino_from_points, wino_a, m)            /* A' of the products: m outputs */
WINO_PRODUCT(wino_weight_sum, wino_from_points_scaled, wino_g, 3) /* G' of the sums: 3 taps' gradients */

#endif
