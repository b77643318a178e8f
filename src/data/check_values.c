/* Are the values HU of a body? */
#include "base/mem.h"
#include "data/check_steps.h"
#include "image/intensity.h"
#include <math.h>
#include <stdlib.h>

/* Share of voxels that any CT of a body has in [-150, 250] HU. */
static const double soft_least = 0.03;
/* Fat and air, which every body scan shows, lie below this. */
static const double fat_high = -20;
/* Air outside the body, median: -1000, down to -1024 where a scanner cuts. */
static const double air_low = -1050, air_high = -940;
enum { AIR_LEAST_VOXELS = 200, PADDING = -1024, AIR_MOST = -850 };

static enum err show(struct checker *c, struct check_case *k, int channel)
{
    struct check_view *v = check_show(c, k);

    if (v)
        v->channel = channel;
    return ERR_OK;
}

static enum err check_histogram(struct checker *c, struct check_case *k, int channel,
                                const struct histogram *h)
{
    const char *path = k->files->phase[channel];
    double low = histogram_quantile(h, 0), high = histogram_quantile(h, 1);
    int64_t soft = 0;

    for (int hu = -150; hu <= 250; hu++)
        soft += h->bin[hu + HISTOGRAM_ZERO];
    if (low == high)
        TRY(check_add(c, "hu-constant", "%s: every voxel is %g HU", path, low));
    else if ((double)soft < soft_least * (double)h->count)
        TRY(check_add(
            c, "hu-range",
            "%s: only %.2g %% of the voxels (%g to %g) lie in -150 to 250 HU; slope or offset lost?", path,
            100 * (double)soft / (double)h->count, low, high));
    else if (histogram_quantile(h, 0.01) > fat_high)
        TRY(check_add(c, "hu-range", "%s: no fat and no air (values %g to %g); offset of 1024 lost?", path,
                      low, high));
    else
        return ERR_OK;
    return show(c, k, channel);
}

/* Outside the circle of a scanner's field of view one value fills the corners, while air inside it varies. */
static enum err check_padding(struct checker *c, const char *path, const struct volume *hu)
{
    const int64_t *n = hu->grid.dims;
    const int16_t *v = hu->data;
    int64_t corner = 0, padded = 0, air = 0, equal = 0;

    for (int64_t i = 0; i < grid_count(&hu->grid); i++) {
        double x = 2 * ((double)(i % n[0]) + 0.5) / (double)n[0] - 1;
        double y = 2 * ((double)(i / n[0] % n[1]) + 0.5) / (double)n[1] - 1;
        double r = x * x + y * y;

        corner += r > 1.1;
        padded += r > 1.1 && v[i] == PADDING;
        air += r < 0.95 && v[i] < AIR_MOST;
        equal += r < 0.95 && v[i] == PADDING;
    }
    if (!corner || padded != corner || 2 * equal > air)
        return ERR_OK;
    return check_add(c, "padding", "%s: all corners are %d HU, which is padding outside the scanned circle",
                     path, PADDING);
}

enum err check_values(struct checker *c, struct check_case *k, int channel, const struct volume *hu)
{
    struct histogram *h = NULL;
    enum err err;

    TRY(histogram_make(&h, hu, NULL));
    err = check_histogram(c, k, channel, h);
    mem_free(h);
    if (!err && channel == k->files->reference)
        err = check_padding(c, k->files->phase[channel], hu);
    return err;
}

static int by_value(const void *a, const void *b)
{
    return *(const int16_t *)a - *(const int16_t *)b;
}

enum err check_air(struct checker *c, struct check_case *k, int channel)
{
    const struct sketch *s = &k->sketch[channel];
    const int16_t *hu = s->hu->data;
    const uint8_t *body = k->sketch[k->files->reference].body->data;
    int64_t n = grid_count(&s->hu->grid), count = 0;
    int16_t *air = mem_new((size_t)n, sizeof *air);
    double median;

    if (!air)
        return ERR_MEMORY;
    for (int64_t i = 0; i < n; i++)
        if (!body[i] && hu[i] > PADDING && hu[i] < -700)
            air[count++] = hu[i];
    qsort(air, (size_t)count, sizeof *air, by_value);
    median = count ? air[count / 2] : 0;
    mem_free(air);
    if (count < AIR_LEAST_VOXELS || (median >= air_low && median <= air_high))
        return ERR_OK;
    TRY(check_add(c, "air-hu", "%s: air outside the body is %g HU (median); -1000 is expected",
                  k->files->phase[channel], median));
    return show(c, k, channel);
}
