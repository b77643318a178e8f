#include "align/fit.h"
#include "align/select.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

/* Section 5.2. */
enum { ROUNDS = 25 };
static const double kept_share = 0.6;
static const double singular_least = 0.85, singular_most = 1.18, degrees_most = 15;

enum { SIDE = 4, SWEEPS = 50 };

/* Eigenvalues (into value) and vectors (columns of vector) of a symmetric n x n matrix, by Jacobi rotations;
 * a is destroyed. */
static void eigen(double a[SIDE][SIDE], int n, double value[SIDE], double vector[SIDE][SIDE])
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            vector[i][j] = i == j;
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                double theta = 0.5 * atan2(2 * a[p][q], a[q][q] - a[p][p]), c = cos(theta), s = sin(theta);

                for (int k = 0; k < n; k++) {
                    double x = a[k][p], y = a[k][q];
                    a[k][p] = c * x - s * y;
                    a[k][q] = s * x + c * y;
                }
                for (int k = 0; k < n; k++) {
                    double x = a[p][k], y = a[q][k];
                    a[p][k] = c * x - s * y;
                    a[q][k] = s * x + c * y;
                    x = vector[k][p];
                    y = vector[k][q];
                    vector[k][p] = c * x - s * y;
                    vector[k][q] = s * x + c * y;
                }
            }
    for (int i = 0; i < n; i++)
        value[i] = a[i][i];
}

struct moments {
    double from[3], to[3]; /* centres */
    double square[3][3];   /* sum of (from - centre)_i (from - centre)_j */
    double cross[3][3];    /* sum of (to - centre)_i (from - centre)_j */
    int64_t n;
};

static struct moments moments_of(const struct match *pair, const uint8_t *keep, int64_t n)
{
    struct moments m = {0};

    for (int64_t i = 0; i < n; i++)
        if (keep[i]) {
            for (int a = 0; a < 3; a++) {
                m.from[a] += pair[i].from[a];
                m.to[a] += pair[i].to[a];
            }
            m.n++;
        }
    for (int a = 0; a < 3; a++) {
        m.from[a] /= (double)m.n;
        m.to[a] /= (double)m.n;
    }
    for (int64_t i = 0; i < n; i++)
        if (keep[i])
            for (int a = 0; a < 3; a++)
                for (int b = 0; b < 3; b++) {
                    double f = pair[i].from[b] - m.from[b];
                    m.square[a][b] += (pair[i].from[a] - m.from[a]) * f;
                    m.cross[a][b] += (pair[i].to[a] - m.to[a]) * f;
                }
    return m;
}

/* The rotation that brings the centred `from` onto `to` best: Horn's quaternion, the eigenvector of the
 * largest eigenvalue (J. Opt. Soc. Am. A 4, 1987). */
static void rotation(const struct moments *m, double r[3][3])
{
    double s[3][3], k[SIDE][SIDE], value[SIDE], vector[SIDE][SIDE], q[4];
    int best = 0;

    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            s[i][j] = m->cross[j][i]; /* from_i to_j */
    k[0][0] = s[0][0] + s[1][1] + s[2][2];
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, l = (i + 2) % 3;
        k[0][i + 1] = k[i + 1][0] = s[j][l] - s[l][j];
        k[i + 1][i + 1] = s[i][i] - s[j][j] - s[l][l];
        k[i + 1][j + 1] = k[j + 1][i + 1] = s[i][j] + s[j][i];
    }
    eigen(k, 4, value, vector);
    for (int i = 1; i < 4; i++)
        best = value[i] > value[best] ? i : best;
    for (int i = 0; i < 4; i++)
        q[i] = vector[i][best];
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, l = (i + 2) % 3;
        r[i][i] = 1 - 2 * (q[j + 1] * q[j + 1] + q[l + 1] * q[l + 1]);
        r[i][j] = 2 * (q[i + 1] * q[j + 1] - q[0] * q[l + 1]);
        r[j][i] = 2 * (q[i + 1] * q[j + 1] + q[0] * q[l + 1]);
    }
}

static enum err solve(struct affine *out, const struct moments *m, enum fit_model model)
{
    double linear[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};

    if (model == FIT_RIGID)
        rotation(m, linear);
    if (model == FIT_AFFINE) {
        struct affine square = {0}, inverse;

        for (int i = 0; i < 3; i++)
            memcpy(square.m[i], m->square[i], sizeof m->square[i]);
        TRY(affine_invert(&inverse, &square));
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++) {
                linear[i][j] = 0;
                for (int k = 0; k < 3; k++)
                    linear[i][j] += m->cross[i][k] * inverse.m[k][j];
            }
    }
    for (int i = 0; i < 3; i++) {
        out->m[i][3] = m->to[i];
        for (int j = 0; j < 3; j++) {
            out->m[i][j] = linear[i][j];
            out->m[i][3] -= linear[i][j] * m->from[j];
        }
    }
    return ERR_OK;
}

/* Squared distances under a; keep becomes the `count` smallest, of equals the first. Returns their sum. */
static double trim(const struct affine *a, const struct match *pair, int64_t n, int64_t count, uint8_t *keep,
                   float *error, float *sorted)
{
    int64_t below = 0;
    double sum = 0;
    float limit;

    for (int64_t i = 0; i < n; i++) {
        double p[3], square = 0;

        affine_apply(a, pair[i].from, p);
        for (int k = 0; k < 3; k++)
            square += (p[k] - pair[i].to[k]) * (p[k] - pair[i].to[k]);
        error[i] = sorted[i] = (float)square;
    }
    limit = select_float(sorted, n, count - 1);
    for (int64_t i = 0; i < n; i++)
        below += error[i] < limit;
    for (int64_t i = 0; i < n; i++) {
        bool tie = error[i] == limit && below < count;

        below += tie;
        keep[i] = error[i] < limit || tie;
        sum += keep[i] ? (double)error[i] : 0;
    }
    return sum;
}

enum err fit_trimmed(struct affine *out, double *rms, const struct match *pair, int64_t n,
                     enum fit_model model)
{
    int64_t count = (int64_t)(kept_share * (double)n);
    float *error = mem_new((size_t)n, 2 * sizeof *error);
    uint8_t *keep = mem_new((size_t)n, 1);
    struct affine a = {0}, before;
    enum err err = error && keep ? ERR_OK : ERR_MEMORY;

    TRY_OR(done, err);
    memset(keep, 1, (size_t)n);
    for (int i = 0; i < ROUNDS; i++) {
        struct moments m = moments_of(pair, keep, n);
        double sum;

        before = a;
        TRY_OR(done, solve(&a, &m, model));
        sum = trim(&a, pair, n, count > 0 ? count : 1, keep, error, error + n);
        *rms = sqrt(sum / (double)(count > 0 ? count : 1));
        if (!memcmp(&a, &before, sizeof a)) /* the same pairs again */
            break;
    }
    *out = a;
done:
    mem_free(error);
    mem_free(keep);
    return err;
}

struct fit_shape fit_shape(const struct affine *a)
{
    double square[SIDE][SIDE], value[SIDE], vector[SIDE][SIDE], trace = 0;
    struct fit_shape s = {.det = affine_det(a)};

    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            square[i][j] = 0;
            for (int k = 0; k < 3; k++)
                square[i][j] += a->m[k][i] * a->m[k][j];
        }
    eigen(square, 3, value, vector);
    s.least = s.largest = sqrt(fmax(0, value[0]));
    for (int e = 0; e < 3; e++) {
        double size = sqrt(fmax(0, value[e]));

        s.least = fmin(s.least, size);
        s.largest = fmax(s.largest, size);
        /* the rotation M (M'M)^-1/2 has the trace sum over e of v_e' M v_e / size_e */
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                trace += size > 0 ? vector[i][e] * a->m[i][j] * vector[j][e] / size : 0;
    }
    s.degrees = acos(fmax(-1, fmin(1, (trace - 1) / 2))) * 180 / acos(-1);
    return s;
}

bool fit_inside(const struct fit_shape *s)
{
    return s->det > 0 && s->least >= singular_least && s->largest <= singular_most &&
           s->degrees <= degrees_most;
}
