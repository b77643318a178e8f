#include "data/normalise.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/intensity.h"
#include <math.h>
#include <stdlib.h>

enum { NUMBERS = 4, LOWEST_TISSUE = -999 };

/* A number from the text at *s, followed by `end` (or by the text's end, if `last`); false if it is not
 * there. */
static bool read_number(const char **s, char end, bool last, double *v)
{
    char *rest;

    *v = strtod(*s, &rest);
    if (rest == *s || !isfinite(*v) || !(*rest == end || (last && !*rest)))
        return false;
    *s = *rest ? rest + 1 : rest;
    return true;
}

/* "low,high,mean,sd;low,high,mean,sd;...": one group a channel. */
static bool read_group(const char **s, struct plan_intensity *out)
{
    double v[NUMBERS];

    for (int i = 0; i < NUMBERS; i++)
        if (!read_number(s, i + 1 < NUMBERS ? ',' : ';', i + 1 == NUMBERS, &v[i]))
            return false;
    *out = (struct plan_intensity){v[0], v[1], v[2], v[3]};
    return v[0] < v[1] && v[3] > 0;
}

static enum err malformed(const struct plan *p, int channel)
{
    return err_set(ERR_INPUT,
                   "intensities \"%.120s\": channel %d: expected low,high,mean,sd with low < high and sd > 0",
                   p->intensities, channel);
}

enum err plan_intensity(struct plan_intensity *out, const struct plan *p, int channel)
{
    const char *s = p->intensities;

    if (!s)
        return err_set(ERR_INPUT,
                       "the plan says normalisation ct, but has no intensities: it was not trained with");
    for (int i = 0; i <= channel; i++)
        if (!read_group(&s, out))
            return malformed(p, i);
    return ERR_OK;
}

enum err plan_check_intensities(const struct plan *p)
{
    struct plan_intensity each;
    const char *s = p->intensities;

    for (int i = 0; s && i < p->phases; i++)
        if (!read_group(&s, &each))
            return malformed(p, i);
    if (s && *s)
        return err_set(ERR_INPUT, "intensities \"%.120s\" has more than %lld channels", p->intensities,
                       (long long)p->phases);
    return ERR_OK;
}

static void add_histogram(struct histogram *sum, const struct histogram *h)
{
    for (int i = 0; i < HISTOGRAM_BINS; i++)
        sum->bin[i] += h->bin[i];
    sum->count += h->count;
}

/* The labelled tissue of one channel over all cases. */
static enum err count_channel(struct histogram *sum, int channel, struct prepared *const *item, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct histogram *h = NULL;

        if (!item[i]->label || channel >= item[i]->phases || !item[i]->phase[channel])
            continue;
        TRY(histogram_make(&h, item[i]->phase[channel], item[i]->label));
        for (int k = 0; k < HISTOGRAM_ZERO + LOWEST_TISSUE; k++) {
            h->count -= h->bin[k];
            h->bin[k] = 0;
        }
        add_histogram(sum, h);
        mem_free(h);
    }
    return ERR_OK;
}

static void describe(struct plan_intensity *out, const struct histogram *h)
{
    const double whole[2] = {-HISTOGRAM_ZERO, HISTOGRAM_BINS - HISTOGRAM_ZERO};

    histogram_clip_stats(h, whole, &out->mean, &out->sd);
    out->low = histogram_quantile(h, 0.005);
    out->high = histogram_quantile(h, 0.995);
    if (!(out->low < out->high)) /* tissue of one value */
        out->high = out->low + 1;
    out->sd = fmax(out->sd, 1e-3);
}

/* h[0..phases) by channel, h[phases] all together. */
static enum err write_text(struct plan *p, struct arena *a, const struct histogram *h)
{
    struct str text = {0};
    enum err err;

    for (int64_t i = 0; i < p->phases; i++) {
        struct plan_intensity v;

        describe(&v, &h[h[i].count ? i : p->phases]);
        str_addf(&text, "%s%.9g,%.9g,%.9g,%.9g", i ? ";" : "", v.low, v.high, v.mean, v.sd);
    }
    err = str_status(&text);
    if (!err) {
        p->intensities = arena_str(a, text.s);
        err = p->intensities ? ERR_OK : ERR_MEMORY;
    }
    str_free(&text);
    return err;
}

enum err plan_measure_intensities(struct plan *p, struct arena *a, struct prepared *const *item, size_t n)
{
    struct histogram *h = mem_new((size_t)p->phases + 1, sizeof *h);
    enum err err = h ? ERR_OK : ERR_MEMORY;

    for (int i = 0; i < p->phases && !err; i++) {
        err = count_channel(&h[i], i, item, n);
        add_histogram(&h[p->phases], &h[i]);
    }
    if (!err && !h[p->phases].count)
        err = err_set(ERR_INPUT,
                      "no training case has a labelled voxel, of which normalisation ct takes its numbers; "
                      "use --set normalisation=volume");
    if (!err)
        err = write_text(p, a, h);
    mem_free(h);
    return err;
}
