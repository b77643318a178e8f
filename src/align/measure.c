#include "align/measure.h"
#include "align/fold.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <string.h>

enum { CUBE = 2 /* nodes around the middle of a cube, so 5 x 4 mm */ };

/* Sums over one slice of one region. */
struct slice_sums {
    int64_t nodes, folds, inside[MEASURE_STAGES], bad[MEASURE_STAGES];
    double cost[MEASURE_STAGES], log_det, log_square, moved, moved_most, det_least, det_largest;
};

struct measuring {
    const struct alignment *a;
    const struct lattice *at;     /* level 1 of the fixed image */
    struct affine header, affine; /* fixed node -> moving node at level 1 */
    const float *phi, *det;
    const uint8_t *body, *region;
    float *cost; /* c/12 at the final position, -1 outside */
    struct slice_sums *slice;
    int64_t (*overlap)[3];      /* by slice: body nodes of the fixed image, of the moving under T, of both */
    const uint8_t *moving_body; /* level 1 */
};

/* The nearest of the moving image's nodes is in its body. */
static bool in_moving_body(const struct measuring *m, const double p[3])
{
    const int64_t *n = m->a->moving.level[1].at.size;
    int64_t i[3];

    for (int a = 0; a < 3; a++) {
        i[a] = (int64_t)floor(p[a] + 0.5);
        if (i[a] < 0 || i[a] >= n[a])
            return false;
    }
    return m->moving_body[lattice_index(n, i[0], i[1], i[2])] != 0;
}

/* c/12 between fixed node i and the moving features at p; -1 outside. */
static double distance_at(const struct measuring *m, int64_t i, const double p[3])
{
    float value[FEATURE_NODE];
    const uint8_t *f = m->a->fixed.level[1].node + FEATURE_NODE * i;
    double sum = 0;

    if (!features_at(&m->a->moving.level[1], p, value))
        return -1;
    for (int k = 0; k < FEATURES; k++) {
        double d = (double)value[k] - f[k];
        sum += d * d;
    }
    return sum / (FEATURES * (double)FEATURE_SQUARE);
}

/* Node x in moving nodes at the header's position, under the affine, and under T. */
static void positions(const struct measuring *m, const int64_t x[3], int64_t i, double p[MEASURE_STAGES][3])
{
    double at[3] = {(double)x[0], (double)x[1], (double)x[2]}, moved[3];

    for (int a = 0; a < 3; a++)
        moved[a] = at[a] + (double)m->phi[3 * i + a];
    affine_apply(&m->header, at, p[MEASURE_HEADER]);
    affine_apply(&m->affine, at, p[MEASURE_AFFINE]);
    affine_apply(&m->affine, moved, p[MEASURE_FINAL]);
}

/* |T(x) - x| in mm, from moving nodes: where T brings the node and where the header puts it. */
static double movement(const struct measuring *m, double p[MEASURE_STAGES][3])
{
    double d[3];

    for (int a = 0; a < 3; a++)
        d[a] = p[MEASURE_FINAL][a] - p[MEASURE_HEADER][a];
    affine_turn(&m->a->moving.level[1].at.to_world, d, d);
    return sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
}

static void add_node(const struct measuring *m, struct slice_sums *s, int64_t i, double p[MEASURE_STAGES][3])
{
    double det = (double)m->det[i], log_det = log(fmax(det, 1e-3)), moved = movement(m, p);

    for (int k = 0; k < MEASURE_STAGES; k++) {
        double c = distance_at(m, i, p[k]);

        if (c < 0)
            continue;
        s->inside[k]++;
        s->bad[k] += c > EXPECT_BAD;
        s->cost[k] += c;
    }
    s->nodes++;
    s->folds += det <= 0;
    s->log_det += log_det;
    s->log_square += log_det * log_det;
    s->det_least = fmin(s->det_least, det);
    s->det_largest = fmax(s->det_largest, det);
    s->moved += moved;
    s->moved_most = fmax(s->moved_most, moved);
}

static void measure_slice(void *ctx, int64_t z)
{
    struct measuring *m = ctx;
    struct slice_sums *s = &m->slice[z];

    *s = (struct slice_sums){.det_least = INFINITY, .det_largest = -INFINITY};
    for (int64_t y = 0; y < m->at->size[1]; y++)
        for (int64_t x = 0; x < m->at->size[0]; x++) {
            int64_t at[3] = {x, y, z}, i = lattice_index(m->at->size, x, y, z);
            double p[MEASURE_STAGES][3];
            bool moving;

            positions(m, at, i, p);
            m->cost[i] = m->region[i] ? (float)distance_at(m, i, p[MEASURE_FINAL]) : -1;
            moving = in_moving_body(m, p[MEASURE_FINAL]);
            m->overlap[z][0] += m->body[i];
            m->overlap[z][1] += moving;
            m->overlap[z][2] += m->body[i] && moving;
            if (m->region[i])
                add_node(m, s, i, p);
        }
}

static struct region_figures total(const struct measuring *m)
{
    struct slice_sums t = {.det_least = INFINITY, .det_largest = -INFINITY};
    struct region_figures r = {0};
    double n, scale = affine_det(&m->a->affine);

    for (int64_t z = 0; z < m->at->size[2]; z++) {
        const struct slice_sums *s = &m->slice[z];

        for (int k = 0; k < MEASURE_STAGES; k++) {
            t.inside[k] += s->inside[k];
            t.bad[k] += s->bad[k];
            t.cost[k] += s->cost[k];
        }
        t.nodes += s->nodes;
        t.folds += s->folds;
        t.log_det += s->log_det;
        t.log_square += s->log_square;
        t.moved += s->moved;
        t.moved_most = fmax(t.moved_most, s->moved_most);
        t.det_least = fmin(t.det_least, s->det_least);
        t.det_largest = fmax(t.det_largest, s->det_largest);
    }
    n = t.nodes ? (double)t.nodes : 1;
    r.nodes = t.nodes;
    for (int k = 0; k < MEASURE_STAGES; k++) {
        double inside = t.inside[k] ? (double)t.inside[k] : 1;

        r.fit[k] =
            (struct fit_figures){t.cost[k] / inside, (double)t.bad[k] / inside, (double)t.inside[k] / n};
    }
    r.det_least = t.det_least * scale;
    r.det_largest = t.det_largest * scale;
    r.folded = (double)t.folds / n;
    r.log_det_sd = sqrt(fmax(0, t.log_square / n - t.log_det / n * (t.log_det / n)));
    r.moved_mean = t.moved / n;
    r.moved_most = t.moved_most;
    return r;
}

/* Nodes of level 1 whose voxel of the mask is not 0. */
static void sample_mask(uint8_t *out, const struct lattice *at, const struct volume *mask,
                        const struct affine *map)
{
    const uint8_t *label = mask->data;

    for (int64_t i = 0, count = lattice_count(at); i < count; i++) {
        double p[3] = {(double)(i % at->size[0]), (double)(i / at->size[0] % at->size[1]),
                       (double)(i / (at->size[0] * at->size[1]))};
        int64_t v[3];
        bool inside = true;

        affine_apply(map, p, p);
        for (int a = 0; a < 3; a++) {
            v[a] = (int64_t)floor(p[a] + 0.5);
            inside = inside && v[a] >= 0 && v[a] < mask->grid.dims[a];
        }
        out[i] = inside && label[lattice_index(mask->grid.dims, v[0], v[1], v[2])];
    }
}

/* Mean of the costs in the cube around node x; 0 where less than half of it is in the region. */
static double cube_mean(const struct measuring *m, const int64_t x[3])
{
    const int64_t *n = m->at->size;
    double sum = 0;
    int count = 0;

    for (int64_t c = x[2] - CUBE; c <= x[2] + CUBE; c++)
        for (int64_t b = x[1] - CUBE; b <= x[1] + CUBE; b++)
            for (int64_t a = x[0] - CUBE; a <= x[0] + CUBE; a++) {
                float cost = a < 0 || b < 0 || c < 0 || a >= n[0] || b >= n[1] || c >= n[2]
                                 ? -1
                                 : m->cost[lattice_index(n, a, b, c)];
                sum += cost >= 0 ? (double)cost : 0;
                count += cost >= 0;
            }
    return 2 * count > (2 * CUBE + 1) * (2 * CUBE + 1) * (2 * CUBE + 1) ? sum / count : 0;
}

static bool far_from_others(const struct figures *out, const double mm[3], double distance)
{
    for (int k = 0; k < out->mismatches; k++) {
        double square = 0;

        for (int a = 0; a < 3; a++)
            square += pow(mm[a] - out->worst[k].mm[a], 2);
        if (square < distance * distance)
            return false;
    }
    return true;
}

/* The cubes with the largest mean cost, each apart from those before it; middles on every second node. */
static void find_worst(struct figures *out, const struct measuring *m)
{
    double apart = (2 * CUBE + 1) * lattice_spacing(m->at, 0);

    for (int k = 0; k < MISMATCHES; k++) {
        struct mismatch best = {.mean12 = 0};

        for (int64_t z = 0; z < m->at->size[2]; z += 2)
            for (int64_t y = 0; y < m->at->size[1]; y += 2)
                for (int64_t x = 0; x < m->at->size[0]; x += 2) {
                    int64_t at[3] = {x, y, z};
                    double mm[3] = {(double)x, (double)y, (double)z}, mean;

                    if (m->cost[lattice_index(m->at->size, x, y, z)] < 0)
                        continue;
                    mean = cube_mean(m, at);
                    affine_apply(&m->at->to_world, mm, mm);
                    if (mean > best.mean12 && far_from_others(out, mm, apart)) {
                        best.mean12 = mean;
                        memcpy(best.mm, mm, sizeof best.mm);
                    }
                }
        if (best.mean12 > 0)
            out->worst[out->mismatches++] = best;
    }
}

static double body_overlap(const struct measuring *m)
{
    int64_t sum[3] = {0};

    for (int64_t z = 0; z < m->at->size[2]; z++)
        for (int k = 0; k < 3; k++)
            sum[k] += m->overlap[z][k];
    return sum[0] + sum[1] ? 2.0 * (double)sum[2] / (double)(sum[0] + sum[1]) : 0;
}

struct buffers {
    uint8_t *body, *moving_body, *liver;
    float *phi, *work;
    struct fold_report fold;
};

static void buffers_free(struct buffers *b)
{
    mem_free(b->body);
    mem_free(b->moving_body);
    mem_free(b->liver);
    mem_free(b->phi);
    mem_free(b->work);
    fold_free(&b->fold);
}

static enum err make_buffers(struct buffers *b, const struct alignment *a, int64_t count)
{
    TRY(align_coarse_mask(&b->body, a->fixed.body, a->fixed.size, 1));
    TRY(align_coarse_mask(&b->moving_body, a->moving.body, a->moving.size, 1));
    b->liver = mem_new((size_t)count, 1);
    b->phi = mem_new((size_t)count, 3 * sizeof(float));
    b->work = mem_new((size_t)count, 3 * sizeof(float));
    if (!b->liver || !b->phi || !b->work)
        return ERR_MEMORY;
    velocity_exp(&a->velocity, 1, b->phi, b->work);
    return fold_find(&b->fold, a->velocity.size, a->fixed.size, b->phi);
}

static enum err sample_liver(uint8_t *out, const struct lattice *at, const struct volume *liver)
{
    struct grid back;
    struct affine map;

    TRY(grid_invert(&liver->grid, back.affine));
    memcpy(map.m, back.affine, sizeof map.m);
    map = affine_then(&at->to_world, &map);
    sample_mask(out, at, liver, &map);
    return ERR_OK;
}

enum err measure(struct figures *out, const struct alignment *a, const struct volume *liver)
{
    struct affine identity = affine_identity();
    const struct lattice *at = &a->fixed.level[1].at;
    struct measuring m = {.a = a, .at = at};
    struct figures r = {.det_affine = affine_det(&a->affine)};
    struct buffers b = {0};
    enum err err;

    TRY_OR(done, make_buffers(&b, a, lattice_count(at)));
    m.header = lattice_map(at, &identity, &a->moving.level[1].at);
    m.affine = lattice_map(at, &a->affine, &a->moving.level[1].at);
    m.phi = b.phi;
    m.det = b.fold.det;
    m.body = m.region = b.body;
    m.moving_body = b.moving_body;
    m.slice = mem_new((size_t)at->size[2], sizeof *m.slice);
    m.overlap = mem_new((size_t)at->size[2], sizeof *m.overlap);
    m.cost = mem_new((size_t)lattice_count(at), sizeof *m.cost);
    err = m.slice && m.overlap && m.cost ? ERR_OK : ERR_MEMORY;
    TRY_OR(done, err);
    par_for(at->size[2], measure_slice, &m);
    r.body = total(&m);
    r.body_dice = body_overlap(&m);
    if (liver) {
        TRY_OR(done, sample_liver(b.liver, at, liver));
        m.region = b.liver;
        par_for(at->size[2], measure_slice, &m);
        r.liver = total(&m);
    }
    find_worst(&r, &m);
    *out = r;
done:
    buffers_free(&b);
    mem_free(m.slice);
    mem_free(m.overlap);
    mem_free(m.cost);
    return err;
}
