#include "data/source.h"
#include "data/normalise.h"
#include <string.h>

bool source_replicate(const bool *present, int channels, int *from)
{
    for (int c = 0; c < channels; c++) {
        int k = 0;
        while (k < channels && !present[(c - k + channels) % channels])
            k++;
        if (k == channels)
            return false;
        from[c] = (c - k + channels) % channels;
    }
    return channels > 0;
}

/* Channel `channel` shows this phase. */
static enum err show_phase(struct source *s, int channel, int phase, const struct prepared *c,
                           const struct plan *p)
{
    const struct phase_stats *stats = &c->stats[phase];
    struct plan_intensity v = {p->window[0], p->window[1], stats->mean, stats->sd > 1e-8 ? stats->sd : 1e-8};

    if (p->normalisation == NORM_CT)
        TRY(plan_intensity(&v, p, phase));
    s->phase[channel] = c->phase[phase]->data;
    s->low[channel] = (float)v.low;
    s->high[channel] = (float)v.high;
    s->mean[channel] = (float)v.mean;
    s->inverse[channel] = (float)(1 / v.sd);
    return ERR_OK;
}

enum err source_make(struct source *s, const struct prepared *c, const struct plan *p)
{
    struct source t = {.channels = p->phases};
    bool present[PLAN_MAX_PHASES] = {false};

    if (p->phases < 1 || p->phases > PLAN_MAX_PHASES || c->phases != p->phases)
        return err_set(ERR_INPUT, "case %s has %d channels, the plan has %lld: prepare it with this plan",
                       c->name, c->phases, (long long)p->phases);
    for (int i = 0; i < c->phases; i++)
        present[i] = c->phase[i] != NULL;
    if (!source_replicate(present, c->phases, t.from))
        return err_set(ERR_INPUT, "case %s has no phase at all: at least one image is needed", c->name);
    for (int i = 0; i < 3; i++)
        t.size[i] = c->grid.dims[2 - i];
    for (int i = 0; i < c->phases; i++)
        TRY(show_phase(&t, i, t.from[i], c, p));
    t.label = c->label ? c->label->data : NULL;
    *s = t;
    return ERR_OK;
}

static void normalise(const struct source *s, int64_t channel, const int16_t *in, int64_t n,
                      float *restrict out)
{
    float low = s->low[channel], high = s->high[channel], mean = s->mean[channel],
          inverse = s->inverse[channel];

    for (int64_t i = 0; i < n; i++) {
        float v = (float)in[i];
        v = v < low ? low : v;
        v = v > high ? high : v;
        out[i] = (v - mean) * inverse;
    }
}

/* n voxels from `from` on, a run of a row, in pieces that stay in the nearest cache while channels are
 * interleaved. */
static void read_run(const struct source *s, int64_t from, int64_t n, float *restrict out)
{
    enum { PIECE = 256 };
    float row[4][PIECE];

    for (int64_t at = 0; at < n; at += PIECE) {
        int64_t count = n - at < PIECE ? n - at : PIECE, channels = s->channels;
        float *restrict o = out + at * channels;
        if (channels == 4) {
            for (int c = 0; c < 4; c++)
                normalise(s, c, s->phase[c] + from + at, count, row[c]);
            for (int64_t x = 0; x < count; x++) {
                o[4 * x] = row[0][x];
                o[4 * x + 1] = row[1][x];
                o[4 * x + 2] = row[2][x];
                o[4 * x + 3] = row[3][x];
            }
            continue;
        }
        for (int64_t c = 0; c < channels; c++) {
            normalise(s, c, s->phase[c] + from + at, count, row[0]);
            for (int64_t x = 0; x < count; x++)
                o[x * channels + c] = row[0][x];
        }
    }
}

static void read_row(const struct source *s, int64_t row, int64_t x0, float *image, int8_t *label,
                     int64_t width)
{
    int64_t size = s->size[2], first = x0 < 0 ? -x0 : 0, last = size - x0 < width ? size - x0 : width;

    first = first < width ? first : width;
    last = last > first ? last : first;
    memset(image, 0, (size_t)(first * s->channels) * sizeof *image);
    memset(image + last * s->channels, 0, (size_t)((width - last) * s->channels) * sizeof *image);
    if (last > first)
        read_run(s, row * size + x0 + first, last - first, image + first * s->channels);
    if (!label)
        return;
    memset(label, LABEL_OUTSIDE, (size_t)width);
    for (int64_t x = first; s->label && x < last; x++)
        label[x] = (int8_t)s->label[row * size + x0 + x];
}

void source_read_plane(const struct source *s, const int64_t at[3], int64_t z, const struct patch *out)
{
    int64_t width = out->size[2], plane = out->size[1] * width, zs = at[0] + z;

    for (int64_t y = 0; y < out->size[1]; y++) {
        float *image = out->image + (z * plane + y * width) * out->channels;
        int8_t *label = out->label ? out->label + z * plane + y * width : NULL;
        int64_t ys = at[1] + y;
        if (zs >= 0 && zs < s->size[0] && ys >= 0 && ys < s->size[1]) {
            read_row(s, zs * s->size[1] + ys, at[2], image, label, width);
            continue;
        }
        memset(image, 0, (size_t)(width * out->channels) * sizeof *image);
        if (label)
            memset(label, LABEL_OUTSIDE, (size_t)width);
    }
}

void source_read(const struct source *s, const int64_t at[3], const struct patch *out)
{
    for (int64_t z = 0; z < out->size[0]; z++)
        source_read_plane(s, at, z, out);
}
