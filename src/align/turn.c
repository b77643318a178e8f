/* Working images of scans that lie oblique to each other. */
#include "align/tent.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <string.h>

static const double oblique_sine = 0.035; /* of 2 degrees */

static double cosine(const struct lattice *a, int i, const struct lattice *b, int j)
{
    double dot = 0;

    for (int r = 0; r < 3; r++)
        dot += a->to_world.m[r][i] * b->to_world.m[r][j];
    return dot / (lattice_spacing(a, i) * lattice_spacing(b, j));
}

bool tent_oblique(const struct lattice *a, const struct lattice *b)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            if (i != j && fabs(cosine(a, i, b, j)) > oblique_sine)
                return true;
    return false;
}

/* The box along like's axes around the corners of `in`, its first node on the lowest corner. */
static struct lattice box_around(const struct lattice *in, const struct lattice *like)
{
    struct lattice r = *like;
    struct affine identity = affine_identity(), map;
    double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};

    for (int j = 0; j < 3; j++)
        for (int i = 0; i < 3; i++)
            r.to_world.m[i][j] *= lattice_spacing(in, j) / lattice_spacing(like, j);
    map = lattice_map(in, &identity, &r);
    for (int corner = 0; corner < 8; corner++) {
        double p[3];

        for (int a = 0; a < 3; a++)
            p[a] = corner >> a & 1 ? (double)(in->size[a] - 1) : 0;
        affine_apply(&map, p, p);
        for (int a = 0; a < 3; a++) {
            low[a] = fmin(low[a], p[a]);
            high[a] = fmax(high[a], p[a]);
        }
    }
    affine_apply(&r.to_world, low, low);
    for (int a = 0; a < 3; a++)
        r.to_world.m[a][3] = low[a];
    map = lattice_map(in, &identity, &r);
    for (int a = 0; a < 3; a++)
        r.size[a] = 1;
    for (int corner = 0; corner < 8; corner++) {
        double p[3];

        for (int a = 0; a < 3; a++)
            p[a] = corner >> a & 1 ? (double)(in->size[a] - 1) : 0;
        affine_apply(&map, p, p);
        for (int a = 0; a < 3; a++)
            r.size[a] =
                (int64_t)ceil(p[a] - 1e-6) + 1 > r.size[a] ? (int64_t)ceil(p[a] - 1e-6) + 1 : r.size[a];
    }
    return r;
}

struct turning {
    const struct lattice *from, *to;
    struct affine map; /* node of to -> node of from */
    const float *in;
    float *out;
    uint8_t *inside;
};

/* Trilinear at p, whose coordinates are clamped to the image; *inside: whether they had to be. */
static float value_at(const struct turning *t, const double p[3], uint8_t *inside)
{
    const int64_t *n = t->from->size;
    int64_t i[3], next[3];
    double w[3], sum = 0;

    *inside = 1;
    for (int a = 0; a < 3; a++) {
        double last = (double)(n[a] - 1), at = p[a] < 0 ? 0 : p[a] > last ? last : p[a];

        *inside = *inside && at == p[a];
        i[a] = (int64_t)at;
        next[a] = i[a] < n[a] - 1 ? i[a] + 1 : i[a];
        w[a] = at - (double)i[a];
    }
    for (int c = 0; c < 8; c++) {
        int64_t x = c & 1 ? next[0] : i[0], y = c & 2 ? next[1] : i[1], z = c & 4 ? next[2] : i[2];

        sum += (c & 1 ? w[0] : 1 - w[0]) * (c & 2 ? w[1] : 1 - w[1]) * (c & 4 ? w[2] : 1 - w[2]) *
               (double)t->in[lattice_index(n, x, y, z)];
    }
    return (float)sum;
}

static void turn_slice(void *ctx, int64_t z)
{
    const struct turning *t = ctx;

    for (int64_t y = 0; y < t->to->size[1]; y++)
        for (int64_t x = 0; x < t->to->size[0]; x++) {
            int64_t i = lattice_index(t->to->size, x, y, z);
            double p[3] = {(double)x, (double)y, (double)z};

            affine_apply(&t->map, p, p);
            t->out[i] = value_at(t, p, &t->inside[i]);
        }
}

enum err tent_turn(struct lattice *at, float **hu, uint8_t **inside, const struct lattice *like)
{
    struct lattice to = box_around(at, like);
    struct affine identity = affine_identity();
    size_t count = (size_t)lattice_count(&to);
    struct turning t = {.from = at, .to = &to, .in = *hu};

    t.map = lattice_map(&to, &identity, at);
    t.out = mem_new(count, sizeof *t.out);
    t.inside = mem_new(count, 1);
    if (!t.out || !t.inside) {
        mem_free(t.out);
        mem_free(t.inside);
        return ERR_MEMORY;
    }
    par_for(to.size[2], turn_slice, &t);
    mem_free(*hu);
    *hu = t.out;
    *inside = t.inside;
    *at = to;
    return ERR_OK;
}
