#include "align/mapper.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

/* LINE: nodes of a lattice line that a row may cross for the fast way. NEWTON, then DAMPED rounds. */
enum { LINE = 192, NEWTON_ROUNDS = 12, DAMPED_ROUNDS = 24 };
static const double solved = 1e-3, unsolved = 1e-2; /* nodes */
static const double parallel = 1e-6;                /* nodes that a row may leave its lattice line by */
static const double border = 0.5 + 1e-6;            /* nodes around a field that still count as inside */

struct stage {
    struct affine to_node; /* from the coordinates before to node positions */
    int64_t size[3];
    const float *u; /* displacement in nodes */
    float *made;    /* u, where it belongs to the stage */
    float *guess;   /* inverse of a velocity: displacement of exp(-v); else NULL */
    bool inverse, field;
};

struct mapper {
    struct stage *stage;
    size_t count;
    struct affine last;
};

void mapper_free(struct mapper *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++) {
        mem_free(m->stage[i].made);
        mem_free(m->stage[i].guess);
    }
    mem_free(m->stage);
    mem_free(m);
}

static enum err stage_fill(struct stage *s, const struct element *e)
{
    size_t n = 3 * (size_t)velocity_nodes(&e->lattice);
    float *work;

    s->field = e->kind == ELEMENT_FIELD;
    s->inverse = e->inverse;
    memcpy(s->size, e->lattice.size, sizeof s->size);
    s->u = e->lattice.v;
    if (s->field)
        return ERR_OK;
    s->u = s->made = mem_new(n, sizeof *s->made);
    work = mem_new(n, sizeof *work);
    s->guess = s->inverse ? mem_new(n, sizeof *s->guess) : NULL;
    if (!s->made || !work || (s->inverse && !s->guess)) {
        mem_free(work);
        return ERR_MEMORY;
    }
    velocity_exp(&e->lattice, 1, s->made, work);
    if (s->inverse)
        velocity_exp(&e->lattice, -1, s->guess, work);
    mem_free(work);
    return ERR_OK;
}

static enum err fill(struct mapper *m, const struct transform *t, const struct affine *pre,
                     const struct affine *post)
{
    struct affine sum = pre ? *pre : affine_identity(), to_node;

    m->stage = mem_new(t->count ? t->count : 1, sizeof *m->stage);
    if (!m->stage)
        return ERR_MEMORY;
    for (size_t i = 0; i < t->count; i++) {
        const struct element *e = &t->item[i];

        if (e->kind == ELEMENT_AFFINE) {
            sum = affine_then(&sum, &e->affine);
            continue;
        }
        TRY(affine_invert(&to_node, &e->lattice.to_world));
        m->stage[m->count].to_node = affine_then(&sum, &to_node);
        TRY(stage_fill(&m->stage[m->count++], e));
        sum = e->lattice.to_world;
    }
    m->last = post ? affine_then(&sum, post) : sum;
    return ERR_OK;
}

enum err mapper_new(struct mapper **out, const struct transform *t, const struct affine *pre,
                    const struct affine *post)
{
    struct mapper *m = mem_new(1, sizeof *m);
    enum err err = m ? fill(m, t, pre, post) : ERR_MEMORY;

    if (err) {
        mapper_free(m);
        return err;
    }
    *out = m;
    return ERR_OK;
}

static bool inside(const struct stage *s, const double p[3])
{
    for (int c = 0; c < 3; c++)
        if (!(p[c] >= -border && p[c] <= (double)(s->size[c] - 1) + border))
            return false;
    return true;
}

/* The trilinear value at p and, in j, its derivative along each axis (0 where replicated). */
static void value_and_slope(const struct stage *s, const double p[3], double u[3], double j[3][3])
{
    int64_t base[3], step[3] = {3, 3 * s->size[0], 3 * s->size[0] * s->size[1]}, at = 0;
    double w[3];
    bool flat[3];

    for (int c = 0; c < 3; c++) {
        double last = (double)(s->size[c] - 1), x = p[c] > 0 ? (p[c] < last ? p[c] : last) : 0;

        flat[c] = x != p[c] || s->size[c] == 1;
        base[c] = (int64_t)x < s->size[c] - 1 || s->size[c] == 1 ? (int64_t)x : s->size[c] - 2;
        w[c] = x - (double)base[c];
        at += base[c] * step[c];
        step[c] = s->size[c] > 1 ? step[c] : 0;
    }
    for (int c = 0; c < 3; c++) {
        const float *a = s->u + at + c, *b = a + step[2];
        double x00 = (double)a[0], x10 = (double)a[step[1]], x01 = (double)b[0], x11 = (double)b[step[1]];
        double d00 = (double)a[step[0]] - x00, d10 = (double)a[step[0] + step[1]] - x10;
        double d01 = (double)b[step[0]] - x01, d11 = (double)b[step[0] + step[1]] - x11;
        double y0, y1, z0, z1;

        x00 += w[0] * d00, x10 += w[0] * d10, x01 += w[0] * d01, x11 += w[0] * d11;
        y0 = x10 - x00, y1 = x11 - x01;
        z0 = x00 + w[1] * y0, z1 = x01 + w[1] * y1;
        u[c] = z0 + w[2] * (z1 - z0);
        d00 += w[1] * (d10 - d00), d01 += w[1] * (d11 - d01);
        j[c][0] = flat[0] ? 0 : d00 + w[2] * (d01 - d00);
        j[c][1] = flat[1] ? 0 : y0 + w[2] * (y1 - y0);
        j[c][2] = flat[2] ? 0 : z1 - z0;
    }
}

/* d = (I + j)^-1 r; r itself where that is nearly singular. */
static void newton_step(double j[3][3], const double r[3], double d[3])
{
    struct affine a = {0}, inverse;
    double det;

    for (int c = 0; c < 3; c++)
        for (int k = 0; k < 3; k++)
            a.m[c][k] = j[c][k] + (c == k);
    det = affine_det(&a);
    memcpy(d, r, 3 * sizeof *d);
    if (det > 0.02 && affine_invert(&inverse, &a) == ERR_OK)
        affine_turn(&inverse, r, d);
}

/* q with q + u(q) = p, in place in p. Keeps the best of all rounds; false if that is none. */
static bool solve(const struct stage *s, double p[3])
{
    float u[3], at[3] = {(float)p[0], (float)p[1], (float)p[2]};
    double q[3], best[3], least = INFINITY;

    lattice_at(s->guess ? s->guess : s->u, s->size, at, u);
    for (int c = 0; c < 3; c++)
        q[c] = best[c] = p[c] + (s->guess ? 1 : -1) * (double)u[c];
    for (int round = 0; round < DAMPED_ROUNDS; round++) {
        double w[3], j[3][3], r[3], d[3], size = 0;

        value_and_slope(s, q, w, j);
        for (int c = 0; c < 3; c++) {
            r[c] = p[c] - q[c] - w[c];
            size = fmax(size, fabs(r[c]));
        }
        if (size < least) {
            least = size;
            memcpy(best, q, sizeof best);
        }
        if (least <= solved)
            break;
        newton_step(j, r, d);
        for (int c = 0; c < 3; c++)
            q[c] += round < NEWTON_ROUNDS ? d[c] : 0.3 * r[c];
    }
    memcpy(p, best, sizeof best);
    return least <= unsolved;
}

static void displace(const struct stage *s, int n, double p[3][MAPPER_ROW], struct mapper_tally *tally)
{
    for (int i = 0; i < n; i++) {
        double x[3] = {p[0][i], p[1][i], p[2][i]};

        if (s->inverse) {
            tally->unsolved += !solve(s, x);
        } else {
            float at[3] = {(float)x[0], (float)x[1], (float)x[2]}, u[3];

            lattice_at(s->u, s->size, at, u);
            for (int c = 0; c < 3; c++)
                x[c] += (double)u[c];
        }
        if (s->field)
            tally->outside += !inside(s, s->inverse ? x : (double[3]){p[0][i], p[1][i], p[2][i]});
        for (int c = 0; c < 3; c++)
            p[c][i] = x[c];
    }
}

/* Weight of the second of two neighbouring nodes, and the first. */
static int64_t node_below(double x, int64_t n, double *weight)
{
    double last = (double)(n - 1), at = x > 0 ? (x < last ? x : last) : 0;
    int64_t i = (int64_t)at;

    i = i < n - 1 || n == 1 ? i : n - 2;
    *weight = at - (double)i;
    return i;
}

/* line[c][k]: the lattice at node first + k of the line along x through (., y, z). */
static void blend_line(const struct stage *s, const double yz[2], int64_t first, int count,
                       float line[3][LINE])
{
    double wy, wz;
    int64_t y = node_below(yz[0], s->size[1], &wy), z = node_below(yz[1], s->size[2], &wz);
    int64_t dy = s->size[1] > 1 ? 3 * s->size[0] : 0, dz = s->size[2] > 1 ? 3 * s->size[0] * s->size[1] : 0;
    float fy = (float)wy, fz = (float)wz;
    const float *a = s->u + 3 * ((z * s->size[1] + y) * s->size[0] + first);

    for (int k = 0; k < count; k++)
        for (int c = 0; c < 3; c++, a++) {
            float low = a[0] + fy * (a[dy] - a[0]), high = a[dz] + fy * (a[dz + dy] - a[dz]);

            line[c][k] = low + fz * (high - low);
        }
}

/* Points along the lattice's x axis: one line of nodes is blended and then read along the row. False if the
 * row is none of that. */
static bool displace_line(const struct stage *s, const double step[3], int n, double p[3][MAPPER_ROW])
{
    double low = fmin(p[0][0], p[0][n - 1]), high = fmax(p[0][0], p[0][n - 1]), w;
    float line[3][LINE];
    int64_t first, end;

    if (s->inverse || s->field || fabs(step[1]) * n > parallel || fabs(step[2]) * n > parallel)
        return false;
    first = node_below(low, s->size[0], &w);
    end = node_below(high, s->size[0], &w) + (s->size[0] > 1 ? 2 : 1);
    if (end - first > LINE || end - first < 2)
        return false;
    blend_line(s, (double[2]){p[1][0], p[2][0]}, first, (int)(end - first), line);
    for (int i = 0; i < n; i++) {
        double x = p[0][i] > 0 ? p[0][i] : 0;
        int k;
        float f;

        x = x < (double)(s->size[0] - 1) ? x : (double)(s->size[0] - 1);
        x -= (double)first;
        k = (int)x < (int)(end - first) - 1 ? (int)x : (int)(end - first) - 2;
        f = (float)(x - k);
        for (int c = 0; c < 3; c++)
            p[c][i] += (double)(line[c][k] + f * (line[c][k + 1] - line[c][k]));
    }
    return true;
}

static void apply_row(const struct affine *a, int n, double p[3][MAPPER_ROW])
{
    for (int i = 0; i < n; i++) {
        double x = p[0][i], y = p[1][i], z = p[2][i];

        p[0][i] = a->m[0][0] * x + a->m[0][1] * y + a->m[0][2] * z + a->m[0][3];
        p[1][i] = a->m[1][0] * x + a->m[1][1] * y + a->m[1][2] * z + a->m[1][3];
        p[2][i] = a->m[2][0] * x + a->m[2][1] * y + a->m[2][2] * z + a->m[2][3];
    }
}

void mapper_row(const struct mapper *m, const double start[3], const double step[3], int n,
                double out[3][MAPPER_ROW], struct mapper_tally *tally)
{
    const struct affine *first = m->count ? &m->stage[0].to_node : &m->last;
    double from[3], along[3];

    affine_apply(first, start, from);
    affine_turn(first, step, along);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < n; i++)
            out[c][i] = from[c] + i * along[c];
    for (size_t k = 0; k < m->count; k++) {
        if (k)
            apply_row(&m->stage[k].to_node, n, out);
        if (k || !displace_line(&m->stage[k], along, n, out))
            displace(&m->stage[k], n, out, tally);
    }
    if (m->count)
        apply_row(&m->last, n, out);
}

void mapper_point(const struct mapper *m, const double x[3], double y[3], struct mapper_tally *tally)
{
    double out[3][MAPPER_ROW];

    mapper_row(m, x, (double[3]){0, 0, 0}, 1, out, tally);
    for (int c = 0; c < 3; c++)
        y[c] = out[c][0];
}
