#include "volume/volume.h"
#include <math.h>

enum { OVERLAP_LINES = 64 };

int64_t grid_count(const struct grid *g)
{
    return g->dims[0] * g->dims[1] * g->dims[2];
}

struct grid grid_make(const int64_t dims[3], const double spacing[3], const double origin[3])
{
    struct grid g = {0};

    for (int i = 0; i < 3; i++) {
        g.dims[i] = dims[i];
        g.spacing[i] = spacing[i];
        g.affine[i][i] = spacing[i];
        g.affine[i][3] = origin[i];
    }
    return g;
}

/* mm may be index */
void grid_world(const struct grid *g, const double index[3], double mm[3])
{
    double x = index[0], y = index[1], z = index[2];

    for (int i = 0; i < 3; i++)
        mm[i] = g->affine[i][0] * x + g->affine[i][1] * y + g->affine[i][2] * z + g->affine[i][3];
}

/* Cofactors by cyclic indices; the scale-free test asks for a parallelepiped that is not flat. */
enum err grid_invert(const struct grid *g, double inverse[3][4])
{
    const double(*a)[4] = g->affine;
    double inv[3][4], det = 0, size = 1;

    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            int r = (j + 1) % 3, s = (j + 2) % 3, c = (i + 1) % 3, d = (i + 2) % 3;
            inv[i][j] = a[r][c] * a[s][d] - a[r][d] * a[s][c];
        }
        size *= sqrt(a[0][i] * a[0][i] + a[1][i] * a[1][i] + a[2][i] * a[2][i]);
    }
    for (int j = 0; j < 3; j++)
        det += inv[0][j] * a[j][0];
    if (!isfinite(det) || !(fabs(det) > 1e-9 * size))
        return err_set(ERR_INPUT,
                       "a grid's index-to-mm matrix is singular, so positions cannot be mapped back");
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            inv[i][j] /= det;
        inv[i][3] = -(inv[i][0] * a[0][3] + inv[i][1] * a[1][3] + inv[i][2] * a[2][3]);
    }
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            inverse[i][j] = inv[i][j];
    return ERR_OK;
}

static bool dims_equal(const struct grid *a, const struct grid *b)
{
    return a->dims[0] == b->dims[0] && a->dims[1] == b->dims[1] && a->dims[2] == b->dims[2];
}

static void corner_index(const struct grid *g, int corner, double index[3])
{
    for (int i = 0; i < 3; i++)
        index[i] = corner >> i & 1 ? (double)(g->dims[i] - 1) : 0;
}

static double distance(const double p[3], const double q[3])
{
    double x = p[0] - q[0], y = p[1] - q[1], z = p[2] - q[2];

    return sqrt(x * x + y * y + z * z);
}

double grid_corner_distance(const struct grid *a, const struct grid *b)
{
    double worst = 0;

    if (!dims_equal(a, b))
        return INFINITY;
    for (int corner = 0; corner < 8; corner++) {
        double index[3], p[3], q[3];

        corner_index(a, corner, index);
        grid_world(a, index, p);
        grid_world(b, index, q);
        worst = fmax(worst, distance(p, q));
    }
    return worst;
}

double grid_corner_shift(const struct grid *a, const struct grid *b)
{
    struct grid inverse;
    double worst = 0;

    if (!dims_equal(a, b) || grid_invert(a, inverse.affine))
        return INFINITY;
    for (int corner = 0; corner < 8; corner++) {
        double index[3], p[3];

        corner_index(a, corner, index);
        grid_world(b, index, p);
        grid_world(&inverse, p, p);
        worst = fmax(worst, distance(p, index));
    }
    return worst;
}

bool grid_same(const struct grid *a, const struct grid *b)
{
    return grid_corner_shift(a, b) < 0.1;
}

bool grid_is_identity(const struct grid *g)
{
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            if (fabs(fabs(g->affine[i][j]) - (i == j)) > 1e-6)
                return false;
        if (fabs(g->affine[i][3]) > 1e-6)
            return false;
    }
    return true;
}

/* Share of the segment p + t*d, t in [0,1], that lies in the box [-0.5, n-0.5] of each axis. */
static double segment_inside(const double p[3], const double d[3], const int64_t dims[3])
{
    double from = 0, to = 1;

    for (int i = 0; i < 3; i++) {
        double lo = -0.5 - p[i], hi = (double)dims[i] - 0.5 - p[i];

        if (d[i] == 0) {
            if (lo > 0 || hi < 0)
                return 0;
            continue;
        }
        from = fmax(from, fmin(lo / d[i], hi / d[i]));
        to = fmin(to, fmax(lo / d[i], hi / d[i]));
    }
    return to > from ? to - from : 0;
}

double grid_overlap(const struct grid *a, const struct grid *b)
{
    struct grid inverse;
    double sum = 0;

    if (grid_invert(a, inverse.affine))
        return 0;
    for (int v = 0; v < OVERLAP_LINES; v++) {
        for (int u = 0; u < OVERLAP_LINES; u++) {
            double p[3] = {(u + 0.5) / OVERLAP_LINES * (double)b->dims[0] - 0.5,
                           (v + 0.5) / OVERLAP_LINES * (double)b->dims[1] - 0.5, -0.5};
            double q[3] = {p[0], p[1], (double)b->dims[2] - 0.5};

            grid_world(b, p, p);
            grid_world(b, q, q);
            grid_world(&inverse, p, p);
            grid_world(&inverse, q, q);
            sum += segment_inside(p, (double[3]){q[0] - p[0], q[1] - p[1], q[2] - p[2]}, a->dims);
        }
    }
    return sum / (OVERLAP_LINES * OVERLAP_LINES);
}

/* The permutation with the largest sum of |direction cosines|; the first of equals, so a tie has one answer.
 */
struct orient grid_orient(const struct grid *g)
{
    static const int perms[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct orient o = {.axis = {0, 1, 2}};
    double best = -1, length[3];

    for (int j = 0; j < 3; j++)
        length[j] = sqrt(g->affine[0][j] * g->affine[0][j] + g->affine[1][j] * g->affine[1][j] +
                         g->affine[2][j] * g->affine[2][j]);
    for (int k = 0; k < 6; k++) {
        double sum = 0;

        for (int r = 0; r < 3; r++)
            sum += fabs(g->affine[r][perms[k][r]]) / length[perms[k][r]];
        if (sum > best) {
            best = sum;
            for (int r = 0; r < 3; r++)
                o.axis[r] = perms[k][r];
        }
    }
    for (int r = 0; r < 3; r++)
        o.flip[r] = g->affine[r][o.axis[r]] < 0;
    return o;
}
