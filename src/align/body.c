#include "align/body.h"
#include "align/lattice.h"
#include "align/select.h"
#include "base/mem.h"
#include "base/par.h"
#include "image/morph.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

static const float body_hu = -200; /* section 3 */

struct masks {
    const float *hu;
    const int64_t *size;
    const uint8_t *in;
    uint8_t *out;
    bool grow;
};

static void threshold_slice(void *ctx, int64_t z)
{
    const struct masks *m = ctx;
    int64_t n = m->size[0] * m->size[1];

    for (int64_t i = z * n; i < (z + 1) * n; i++)
        m->out[i] = m->hu[i] > body_hu;
}

/* Erosion (all of the node and its six neighbours) or dilation (any); beyond the border counts as set when
 * eroding and as not set when growing. */
static void step_slice(void *ctx, int64_t z)
{
    const struct masks *m = ctx;
    int64_t nx = m->size[0], ny = m->size[1], nz = m->size[2];

    for (int64_t y = 0; y < ny; y++) {
        const uint8_t *c = m->in + lattice_index(m->size, 0, y, z);
        const uint8_t *near[4] = {y > 0 ? c - nx : c, y < ny - 1 ? c + nx : c, z > 0 ? c - nx * ny : c,
                                  z < nz - 1 ? c + nx * ny : c};
        uint8_t *out = m->out + lattice_index(m->size, 0, y, z);

        for (int64_t x = 0; x < nx; x++) {
            uint8_t low = c[x > 0 ? x - 1 : 0], high = c[x < nx - 1 ? x + 1 : x];
            uint8_t all = c[x] & low & high & near[0][x] & near[1][x] & near[2][x] & near[3][x];
            uint8_t any = c[x] | low | high | near[0][x] | near[1][x] | near[2][x] | near[3][x];
            out[x] = m->grow ? any : all;
        }
    }
}

struct filling {
    uint8_t *mask;
    const int64_t *size;
    int *failed; /* by slice */
};

static void fill_slice(void *ctx, int64_t z)
{
    const struct filling *f = ctx;
    int64_t slice[3] = {f->size[0], f->size[1], 1};

    f->failed[z] = morph_fill_holes(f->mask + z * slice[0] * slice[1], slice) != ERR_OK;
}

static enum err fill_slices(uint8_t *mask, const int64_t size[3])
{
    struct filling f = {.mask = mask, .size = size, .failed = mem_new((size_t)size[2], sizeof(int))};
    bool failed = false;

    if (!f.failed)
        return ERR_MEMORY;
    par_for(size[2], fill_slice, &f);
    for (int64_t z = 0; z < size[2]; z++)
        failed |= f.failed[z] != 0;
    mem_free(f.failed);
    return failed ? err_set(ERR_MEMORY, "out of memory while filling the body mask") : ERR_OK;
}

enum err body_find(uint8_t **mask, const float *hu, const int64_t size[3])
{
    size_t count = (size_t)(size[0] * size[1] * size[2]);
    uint8_t *out = mem_new(count, 1), *work = mem_new(count, 1);
    struct masks m = {.hu = hu, .size = size, .out = out};
    enum err err = out && work ? ERR_OK : ERR_MEMORY;

    TRY_OR(done, err);
    par_for(size[2], threshold_slice, &m);
    m.in = out;
    m.out = work;
    par_for(size[2], step_slice, &m);
    m.in = work;
    m.out = out;
    m.grow = true;
    par_for(size[2], step_slice, &m);
    TRY_OR(done, morph_keep_largest(out, size, FACES));
    TRY_OR(done, fill_slices(out, size));
    if (!memchr(out, 1, count))
        err = err_set(ERR_INPUT, "no body in the image: nothing connected lies over %g HU", (double)body_hu);
    TRY_OR(done, err);
    *mask = out;
    out = NULL;
done:
    mem_free(out);
    mem_free(work);
    return err;
}

void body_box(const uint8_t *mask, const int64_t size[3], int64_t from[3], int64_t to[3])
{
    for (int a = 0; a < 3; a++) {
        from[a] = size[a];
        to[a] = -1;
    }
    for (int64_t z = 0; z < size[2]; z++)
        for (int64_t y = 0; y < size[1]; y++) {
            const uint8_t *row = mask + lattice_index(size, 0, y, z), *hit = memchr(row, 1, (size_t)size[0]);
            int64_t low = hit ? hit - row : 0, high = size[0] - 1;

            if (!hit)
                continue;
            while (!row[high])
                high--;
            from[0] = low < from[0] ? low : from[0];
            to[0] = high > to[0] ? high : to[0];
            from[1] = y < from[1] ? y : from[1];
            to[1] = y > to[1] ? y : to[1];
            from[2] = z < from[2] ? z : from[2];
            to[2] = z;
        }
}

/* |r| and squared gradient of a node; false where a neighbour lies outside or is no tissue. */
static bool residual(const float *hu, const uint8_t *mask, const int64_t step[3], float *r, float *gradient)
{
    float sum = 0;

    if (!body_counts(*hu, *mask))
        return false;
    *gradient = 0;
    for (int a = 0; a < 3; a++) {
        float low = hu[-step[a]], high = hu[step[a]];

        if (!body_counts(low, mask[-step[a]]) || !body_counts(high, mask[step[a]]))
            return false;
        sum += low + high;
        *gradient += (high - low) * (high - low);
    }
    *r = fabsf(*hu - sum / 6);
    return true;
}

/* Autocorrelation of a triangle of half width 1 (a cubic B-spline) at lag t. */
static double correlation(double t)
{
    return t < 1 ? 1 - 1.5 * t * t + 0.75 * t * t * t : t < 2 ? 0.25 * pow(2 - t, 3) : 0;
}

double body_noise_gain(const double half_width[3])
{
    double near[3], across = 0, sum = 0;

    for (int a = 0; a < 3; a++) {
        near[a] = correlation(1 / half_width[a]);
        across += 2 * correlation(2 / half_width[a]); /* the two neighbours along an axis */
        sum += near[a];
    }
    for (int a = 0; a < 3; a++)
        across += 8 * near[a] * near[(a + 1) % 3]; /* those along two axes */
    return 1 - 4 * sum / 6 + (6 + across) / 36;
}

/* Every second node along each axis is looked at: hundreds of thousands do for a median. */
enum err body_noise(double *sigma, const float *hu, const uint8_t *mask, const int64_t size[3], double gain)
{
    int64_t step[3] = {1, size[0], size[0] * size[1]}, n = 0, kept = 0;
    size_t room = (size_t)((size[0] / 2 + 1) * (size[1] / 2 + 1) * (size[2] / 2 + 1));
    float *r = mem_new(room, sizeof *r), *gradient = mem_new(room, sizeof *gradient), *sorted, limit;
    enum err err;

    if (!r || !gradient) {
        mem_free(r);
        mem_free(gradient);
        return ERR_MEMORY;
    }
    for (int64_t z = 1; z < size[2] - 1; z += 2)
        for (int64_t y = 1; y < size[1] - 1; y += 2)
            for (int64_t x = 1; x < size[0] - 1; x += 2) {
                int64_t i = lattice_index(size, x, y, z);
                n += residual(hu + i, mask + i, step, &r[n], &gradient[n]);
            }
    *sigma = 0;
    sorted = n ? mem_new((size_t)n, sizeof *sorted) : NULL;
    if (n && sorted) {
        memcpy(sorted, gradient, (size_t)n * sizeof *sorted);
        limit = select_float(sorted, n, (n - 1) / 2);
        for (int64_t i = 0; i < n; i++)
            if (gradient[i] <= limit)
                r[kept++] = r[i];
        *sigma = 1.4826 * (double)select_float(r, kept, kept / 2) / sqrt(gain);
    }
    err = n && !sorted ? ERR_MEMORY : ERR_OK;
    mem_free(r);
    mem_free(gradient);
    mem_free(sorted);
    return err;
}
