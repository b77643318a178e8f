#include "image/intensity.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>

/* The volume is cut into this many parts, each counted into its own bins. */
enum { PARTS = 16 };

struct count_job {
    const int16_t *in;
    const uint8_t *mask;
    int64_t voxels;
    uint32_t *part; /* PARTS * HISTOGRAM_BINS */
};

static void count_part(void *ctx, int64_t part)
{
    const struct count_job *b = ctx;
    int64_t first = b->voxels / PARTS * part,
            last = part + 1 == PARTS ? b->voxels : first + b->voxels / PARTS;
    uint32_t *bin = b->part + part * HISTOGRAM_BINS;

    for (int64_t i = first; i < last; i++)
        if (!b->mask || b->mask[i])
            bin[b->in[i] + HISTOGRAM_ZERO]++;
}

enum err histogram_make(struct histogram **out, const struct volume *v, const struct volume *mask)
{
    struct count_job b = {.in = v->data, .mask = mask ? mask->data : NULL, .voxels = grid_count(&v->grid)};
    struct histogram *h;

    if (b.voxels / PARTS >= UINT32_MAX - PARTS)
        return err_set(ERR_INPUT, "a volume of %lld voxels is too large to count", (long long)b.voxels);
    h = mem_new(1, sizeof *h);
    b.part = mem_new(PARTS * (size_t)HISTOGRAM_BINS, sizeof *b.part);
    if (!h || !b.part) {
        mem_free(h);
        mem_free(b.part);
        return ERR_MEMORY;
    }
    par_for(PARTS, count_part, &b);
    for (int64_t i = 0; i < PARTS * (int64_t)HISTOGRAM_BINS; i++)
        h->bin[i % HISTOGRAM_BINS] += b.part[i];
    for (int i = 0; i < HISTOGRAM_BINS; i++)
        h->count += h->bin[i];
    mem_free(b.part);
    *out = h;
    return ERR_OK;
}

void histogram_clip_stats(const struct histogram *h, const double window[2], double *mean, double *sd)
{
    double sum = 0, squares = 0;

    *mean = *sd = 0;
    if (!h->count)
        return;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < HISTOGRAM_BINS; i++) {
            double v = fmin(fmax(i - HISTOGRAM_ZERO, window[0]), window[1]), n = (double)h->bin[i];

            if (pass == 0)
                sum += n * v;
            else
                squares += n * (v - *mean) * (v - *mean);
        }
        *mean = sum / (double)h->count;
    }
    *sd = sqrt(squares / (double)h->count);
}

/* The value of the given rank (0-based) in ascending order. */
static double value_at_rank(const struct histogram *h, int64_t rank)
{
    int64_t seen = 0;

    for (int i = 0; i < HISTOGRAM_BINS; i++) {
        seen += h->bin[i];
        if (seen > rank)
            return i - HISTOGRAM_ZERO;
    }
    return 0;
}

double histogram_quantile(const struct histogram *h, double q)
{
    double at = q * (double)(h->count - 1), base = floor(at), low, high;

    if (!h->count)
        return 0;
    low = value_at_rank(h, (int64_t)base);
    high = base + 1 < (double)h->count ? value_at_rank(h, (int64_t)base + 1) : low;
    return low + (high - low) * (at - base);
}
