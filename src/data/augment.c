#include "data/augment.h"
#include "base/rng.h"
#include "data/jitter.h"
#include <math.h>

enum { /* streams of one key */
       STREAM_SPATIAL = 1,
       STREAM_NOISE,
       STREAM_NOISE_VALUES,
       STREAM_BLUR,
       STREAM_BRIGHTNESS,
       STREAM_CONTRAST,
       STREAM_LOW_RESOLUTION,
       STREAM_GAMMA_INVERTED,
       STREAM_GAMMA,
       STREAM_MIRROR,
};

static const double pi = 3.14159265358979323846;

struct augment augment_from_plan(const struct plan *p)
{
    struct augment a = {.preset = p->augment,
                        .rotation = p->rotation * pi / 180,
                        .scale = {p->scale[0], p->scale[1]},
                        .probability = p->spatial_p};
    int64_t longest = 0;

    for (int i = 0; i < 3; i++) {
        a.patch[i] = p->patch[i];
        longest = p->patch[i] > longest ? p->patch[i] : longest;
    }
    a.flat = longest > 3 * p->patch[0];
    if (a.flat)
        a.rotation = pi;
    return a;
}

uint64_t augment_key(uint64_t seed, int64_t step, int64_t sample)
{
    return rng_key(rng_key(seed, (uint64_t)step), (uint64_t)sample);
}

/* |P R_axis(angle)|, the running maximum with v. */
static void widen(const double patch[3], int axis, double angle, double v[3])
{
    int a = axis == 0 ? 1 : 0, b = axis == 2 ? 1 : 2;
    double c = cos(angle), s = sin(angle);
    double sign = axis == 1 ? -1 : 1; /* R_y turns the other way round */
    double ra = fabs(patch[a] * c + sign * patch[b] * s), rb = fabs(patch[b] * c - sign * patch[a] * s);

    v[a] = fmax(v[a], ra);
    v[b] = fmax(v[b], rb);
}

void augment_sample_size(const struct augment *a, int64_t size[3])
{
    double patch[3], v[3];

    for (int i = 0; i < 3; i++) {
        patch[i] = v[i] = (double)a->patch[i];
        size[i] = a->patch[i];
    }
    if (a->preset != AUGMENT_NNUNET)
        return;
    for (int axis = 0; axis < (a->flat ? 1 : 3); axis++)
        widen(patch, axis, fmin(a->rotation, pi / 2), v);
    for (int i = a->flat ? 1 : 0; i < 3; i++)
        size[i] = (int64_t)(v[i] / 0.85);
}

struct spatial augment_spatial(const struct augment *a, uint64_t key)
{
    struct rng r = rng_at(key, STREAM_SPATIAL);
    int64_t sample[3];
    double angle[3] = {0, 0, 0}, factor = 1;

    augment_sample_size(a, sample);
    if (a->preset != AUGMENT_NNUNET)
        return spatial_identity(a->patch, sample);
    bool rotate = rng_unit(&r) < a->probability, scale = rng_unit(&r) < a->probability;
    for (int i = 0; i < 3; i++) {
        double v = rng_between(&r, -a->rotation, a->rotation);
        if (rotate && (i == 0 || !a->flat))
            angle[i] = v;
    }
    if (scale)
        factor = rng_between(&r, a->scale[0], a->scale[1]);
    if (!rotate && !scale)
        return spatial_identity(a->patch, sample);
    return spatial_make(a->patch, sample, angle, factor, a->flat);
}

/* BG(a, b) of section 8: below 1 and above 1 with equal probability. */
static double around_one(struct rng *r, double low, double high)
{
    return rng_unit(r) < 0.5 ? rng_between(r, low, 1) : rng_between(r, 1, high);
}

static void factors(struct rng *r, int64_t channels, double low, double high, double *out)
{
    for (int64_t c = 0; c < channels; c++)
        out[c] = around_one(r, low, high);
}

static void noise(uint64_t key, const struct patch *p)
{
    struct rng r = rng_at(key, STREAM_NOISE);

    if (rng_unit(&r) < 0.1)
        jitter_noise(p, rng_between(&r, 0, 0.1), key, STREAM_NOISE_VALUES);
}

static void blur(uint64_t key, const struct patch *p, float *scratch)
{
    struct rng r = rng_at(key, STREAM_BLUR);
    double sigma[JITTER_CHANNELS][3] = {{0}};
    bool any = false;

    if (rng_unit(&r) >= 0.2)
        return;
    for (int64_t c = 0; c < p->channels; c++) {
        bool on = rng_unit(&r) < 0.5;
        any = any || on;
        for (int a = 0; a < 3; a++) {
            double s = rng_between(&r, 0.5, 1);
            sigma[c][a] = on ? s : 0;
        }
    }
    if (any)
        jitter_blur(p, sigma, scratch);
}

static void brightness(uint64_t key, const struct patch *p)
{
    struct rng r = rng_at(key, STREAM_BRIGHTNESS);
    double factor[JITTER_CHANNELS];

    if (rng_unit(&r) >= 0.15)
        return;
    factors(&r, p->channels, 0.75, 1.25, factor);
    jitter_brightness(p, factor);
}

static void contrast(uint64_t key, const struct patch *p)
{
    struct rng r = rng_at(key, STREAM_CONTRAST);
    double factor[JITTER_CHANNELS];

    if (rng_unit(&r) >= 0.15)
        return;
    factors(&r, p->channels, 0.75, 1.25, factor);
    jitter_contrast(p, factor);
}

static void low_resolution(const struct augment *a, uint64_t key, const struct patch *p, float *scratch)
{
    struct rng r = rng_at(key, STREAM_LOW_RESOLUTION);
    double scale[JITTER_CHANNELS];

    if (rng_unit(&r) >= 0.25)
        return;
    for (int64_t c = 0; c < p->channels; c++) {
        bool on = rng_unit(&r) < 0.5;
        double s = rng_between(&r, 0.5, 1);
        scale[c] = on ? s : 1;
    }
    jitter_low_resolution(p, scale, a->flat, scratch);
}

static void gamma_curve(uint64_t key, const struct patch *p, bool inverted)
{
    struct rng r = rng_at(key, inverted ? STREAM_GAMMA_INVERTED : STREAM_GAMMA);
    double gamma[JITTER_CHANNELS];

    if (rng_unit(&r) >= (inverted ? 0.1 : 0.3))
        return;
    factors(&r, p->channels, 0.7, 1.5, gamma);
    jitter_gamma(p, gamma, inverted);
}

static void mirror(uint64_t key, const struct patch *p)
{
    struct rng r = rng_at(key, STREAM_MIRROR);
    bool flip[3];

    for (int a = 0; a < 3; a++)
        flip[a] = rng_unit(&r) < 0.5;
    if (flip[0] || flip[1] || flip[2])
        jitter_mirror(p, flip);
}

void augment_apply(const struct augment *a, uint64_t key, const struct patch *p, float *scratch)
{
    if (a->preset == AUGMENT_NNUNET) {
        noise(key, p);
        blur(key, p, scratch);
    }
    if (a->preset != AUGMENT_NONE)
        brightness(key, p);
    if (a->preset == AUGMENT_NNUNET) {
        contrast(key, p);
        low_resolution(a, key, p, scratch);
        gamma_curve(key, p, true);
        gamma_curve(key, p, false);
    }
    if (a->preset != AUGMENT_NONE)
        mirror(key, p);
    for (int64_t i = 0; p->label && i < patch_voxels(p); i++)
        p->label[i] = p->label[i] < 0 ? 0 : p->label[i];
}

int64_t augment_scratch(const struct augment *a, int64_t channels)
{
    return jitter_scratch(a->patch, channels);
}
