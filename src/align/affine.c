#include "align/affine.h"
#include <string.h>

struct affine affine_identity(void)
{
    return (struct affine){{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};
}

struct affine affine_of_grid(const struct grid *g)
{
    struct affine a;

    memcpy(a.m, g->affine, sizeof a.m);
    return a;
}

void affine_turn(const struct affine *a, const double x[3], double y[3])
{
    double p = x[0], q = x[1], r = x[2];

    for (int i = 0; i < 3; i++)
        y[i] = a->m[i][0] * p + a->m[i][1] * q + a->m[i][2] * r;
}

void affine_apply(const struct affine *a, const double x[3], double y[3])
{
    affine_turn(a, x, y);
    for (int i = 0; i < 3; i++)
        y[i] += a->m[i][3];
}

struct affine affine_then(const struct affine *first, const struct affine *next)
{
    struct affine r;

    for (int j = 0; j < 4; j++) {
        double column[3] = {first->m[0][j], first->m[1][j], first->m[2][j]};

        if (j < 3)
            affine_turn(next, column, column);
        else
            affine_apply(next, column, column);
        for (int i = 0; i < 3; i++)
            r.m[i][j] = column[i];
    }
    return r;
}

double affine_det(const struct affine *a)
{
    const double(*m)[4] = a->m;

    return m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
           m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
           m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
}

enum err affine_invert(struct affine *out, const struct affine *a)
{
    struct grid g = {0};

    memcpy(g.affine, a->m, sizeof g.affine);
    return grid_invert(&g, out->m);
}
