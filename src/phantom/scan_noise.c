#include "phantom/scan_noise.h"
#include "base/mem.h"
#include "phantom/normals.h"
#include <math.h>

enum { BAND, STREAKS }; /* the two white fields of a slice */

static double dot(const struct scan_taps *a, const struct scan_taps *b)
{
    double sum = (double)a->weight[0] * (double)b->weight[0];

    for (int k = 1; k <= a->radius && k <= b->radius; k++)
        sum += 2 * (double)a->weight[k] * (double)b->weight[k];
    return sum;
}

/* L2 norm of a + b, both separable. */
static double norm(const struct scan_taps a[2], const struct scan_taps b[2])
{
    return sqrt(dot(&a[0], &a[0]) * dot(&a[1], &a[1]) + 2 * dot(&a[0], &b[0]) * dot(&a[1], &b[1]) +
                dot(&b[0], &b[0]) * dot(&b[1], &b[1]));
}

/* n = sqrt(.91) unit(G_s w1 - .85 G_2s w1) + .3 unit(G_{3.5; .7 mm} w2), over the norm of the slice taps. */
static void kernels_make(struct scan_noise *n, const struct scan *s)
{
    static const double streak[2] = {3.5, 0.7}; /* mm */
    const struct scan_taps none[2] = {{0}};
    double sigma = 0.153 / s->fpeak, band, slices;

    n->across = (float)(0.157 * fmin(1, 2.5 / s->grid.spacing[2]));
    slices = sqrt(1 + 2 * (double)n->across * (double)n->across);
    for (int a = 0; a < 2; a++) {
        double pixels = fmax(sigma / s->grid.spacing[a], 0.25);

        n->fine[a] = scan_gauss(pixels);
        n->coarse[a] = scan_gauss(2 * pixels);
        n->streak[a] = scan_gauss(streak[a] / s->grid.spacing[a]);
    }
    scan_taps_scale(&n->coarse[1], -0.85);
    band = sqrt(0.91) / norm(n->fine, n->coarse) / slices;
    scan_taps_scale(&n->fine[1], band);
    scan_taps_scale(&n->coarse[1], band);
    scan_taps_scale(&n->streak[1], 0.3 / norm(n->streak, none) / slices);
}

enum err scan_noise_make(struct scan_noise *out, const struct scan *s, struct rng r)
{
    double sd = s->noise * sqrt(3 / s->thickness);

    *out = (struct scan_noise){.n = {s->grid.dims[0], s->grid.dims[1]}, .rng = r, .base = (float)(0.72 * sd)};
    for (int a = 0; a < 2; a++) {
        out->bump[a] = mem_new((size_t)out->n[a], sizeof(float));
        if (!out->bump[a]) {
            scan_noise_free(out);
            return ERR_MEMORY;
        }
        for (int64_t i = 0; i < out->n[a]; i++) {
            double mm = s->grid.affine[a][3] + (double)i * s->grid.spacing[a];
            double u = (mm - s->axis[a]) / s->half[a];

            out->bump[a][i] = (float)(exp(-1.4 * u * u) * (a ? 1 : 0.45 * sd));
        }
    }
    kernels_make(out, s);
    return ERR_OK;
}

void scan_noise_free(struct scan_noise *n)
{
    mem_free(n->bump[0]);
    mem_free(n->bump[1]);
    *n = (struct scan_noise){0};
}

uint64_t scan_noise_bytes(const int64_t n[2])
{
    return (uint64_t)(5 * n[0] * n[1] + scan_line(n[0])) * sizeof(float);
}

enum err scan_noise_work_new(struct scan_noise_work *out, const struct scan_noise *n)
{
    size_t count = (size_t)(n->n[0] * n->n[1]);
    float **plane[] = {&out->field[0], &out->field[1], &out->field[2], &out->white, &out->rows};

    *out = (struct scan_noise_work){.slice = {INT64_MIN, INT64_MIN, INT64_MIN}};
    out->line = mem_new((size_t)scan_line(n->n[0]), sizeof *out->line);
    for (int i = 0; i < 5 && out->line; i++) {
        *plane[i] = mem_new(count, sizeof(float));
        if (!*plane[i])
            break;
    }
    if (out->line && out->rows)
        return ERR_OK;
    scan_noise_work_free(out);
    return ERR_MEMORY;
}

void scan_noise_work_free(struct scan_noise_work *w)
{
    for (int i = 0; i < 3; i++)
        mem_free(w->field[i]);
    mem_free(w->white);
    mem_free(w->rows);
    mem_free(w->line);
    *w = (struct scan_noise_work){0};
}

static void draw_white(const struct scan_noise *n, int which, int64_t k, float *white)
{
    struct rng r = n->rng;

    r.stream = rng_key(rng_key(r.stream, (uint64_t)k), (uint64_t)which);
    normals_fill(r, n->n[0] * n->n[1], white);
}

/* The field of slice k; slices beyond the volume have theirs too. */
static const float *field_of(const struct scan_noise *n, struct scan_noise_work *w, int64_t k)
{
    int at = (int)((k + 3) % 3);
    float *out = w->field[at];
    const struct part {
        int white; /* drawn first; -1: the last one again */
        const struct scan_taps *taps;
    } part[] = {{BAND, n->fine}, {-1, n->coarse}, {STREAKS, n->streak}};

    if (w->slice[at] == k)
        return out;
    w->slice[at] = k;
    for (int i = 0; i < 3; i++) {
        if (part[i].white >= 0)
            draw_white(n, part[i].white, k, w->white);
        scan_rows(&part[i].taps[0], SCAN_WRAP, n->n, w->white, w->line, w->rows);
        scan_columns(&(struct scan_columns){&part[i].taps[1], SCAN_WRAP, i > 0}, n->n, w->rows, out);
    }
    return out;
}

void scan_noise_add(const struct scan_noise *n, struct scan_noise_work *w, int64_t k, float *hu)
{
    const float *below = field_of(n, w, k - 1), *here = field_of(n, w, k), *above = field_of(n, w, k + 1);
    const float *bump = n->bump[0];

    for (int64_t y = 0; y < n->n[1]; y++) {
        int64_t row = y * n->n[0];
        float across = n->across, base = n->base, strength = n->bump[1][y];

        for (int64_t x = 0; x < n->n[0]; x++) {
            int64_t i = row + x;
            float sd = base + strength * bump[x], v = hu[i];

            hu[i] = v + (v < -700 ? 0.55f : 1.0f) * sd * (here[i] + across * (below[i] + above[i]));
        }
    }
}
