/* Intensity augmentations against plain double formulas of seg-nnunet.md section 8, and the laws of the
 * whole. */
#include "test.h"

#include "base/mem.h"
#include "base/rng.h"
#include "data/augment.h"
#include "data/jitter.h"
#include "golden.h"
#include <math.h>
#include <string.h>

enum { D = 9, H = 10, W = 13, VOXELS = D * H * W, MOST = JITTER_CHANNELS };

struct fixture {
    struct patch p;
    float image[VOXELS * MOST];
    double before[VOXELS * MOST];
    int8_t label[VOXELS];
};

static void fixture_make(struct fixture *f, int64_t channels)
{
    f->p = (struct patch){{D, H, W}, channels, f->image, f->label};
    golden(f->before, "augment", VOXELS * channels);
    for (int64_t i = 0; i < VOXELS * channels; i++) {
        f->image[i] = (float)(3 * f->before[i] + 0.2 * (double)(i % channels));
        f->before[i] = (double)f->image[i];
    }
    for (int i = 0; i < VOXELS; i++)
        f->label[i] = (int8_t)(i % 5 - 1);
}

struct stats {
    double mean, sd, low, high;
};

static struct stats stats_of(const double *x, int64_t channel, int64_t channels)
{
    struct stats s = {0, 0, INFINITY, -INFINITY};

    for (int64_t i = channel; i < VOXELS * channels; i += channels) {
        s.mean += x[i] / VOXELS;
        s.low = fmin(s.low, x[i]);
        s.high = fmax(s.high, x[i]);
    }
    for (int64_t i = channel; i < VOXELS * channels; i += channels)
        s.sd += (x[i] - s.mean) * (x[i] - s.mean);
    s.sd = sqrt(s.sd / (VOXELS - 1));
    return s;
}

static void assert_image(const struct fixture *f, const double *want, double tolerance)
{
    for (int64_t i = 0; i < VOXELS * f->p.channels; i++)
        if (!(fabs((double)f->image[i] - want[i]) <= tolerance))
            fail_msg("value %lld: %.9g, not %.9g", (long long)i, (double)f->image[i], want[i]);
}

static void brightness_and_contrast(void **state)
{
    static const double factor[MOST] = {1.1, 0.8, 1.25, 0.75, 1.05, 1, 0.9, 1.2};
    static struct fixture f;
    static double want[VOXELS * MOST];

    (void)state;
    for (int64_t c = 1; c <= MOST; c++) {
        fixture_make(&f, c);
        for (int64_t i = 0; i < VOXELS * c; i++)
            want[i] = f.before[i] * factor[i % c];
        jitter_brightness(&f.p, factor);
        assert_image(&f, want, 1e-6);
        fixture_make(&f, c);
        for (int64_t i = 0; i < VOXELS * c; i++) {
            struct stats s = stats_of(f.before, i % c, c);
            want[i] = fmax(s.low, fmin(s.high, (f.before[i] - s.mean) * factor[i % c] + s.mean));
        }
        jitter_contrast(&f.p, factor);
        assert_image(&f, want, 2e-6);
    }
}

static void gamma_curves(void **state)
{
    static const double gamma[MOST] = {0.7, 1.5, 1, 1.2, 0.9, 1.4, 0.75, 1.1};
    static struct fixture f;
    static double want[VOXELS * MOST];

    (void)state;
    for (int64_t c = 1; c <= MOST; c++)
        for (int inverted = 0; inverted < 2; inverted++) {
            double sign = inverted ? -1 : 1;
            fixture_make(&f, c);
            for (int64_t k = 0; k < c; k++) {
                struct stats s, t;
                for (int64_t i = k; i < VOXELS * c; i += c)
                    want[i] = sign * f.before[i];
                s = stats_of(want, k, c);
                for (int64_t i = k; i < VOXELS * c; i += c)
                    want[i] = pow((want[i] - s.low) / (s.high - s.low), gamma[k]) * (s.high - s.low) + s.low;
                t = stats_of(want, k, c);
                for (int64_t i = k; i < VOXELS * c; i += c)
                    want[i] = sign * ((want[i] - t.mean) * s.sd / t.sd + s.mean);
            }
            jitter_gamma(&f.p, gamma, inverted);
            assert_image(&f, want, 1e-5);
        }
}

static void gamma_keeps_a_constant(void **state)
{
    static const double gamma[MOST] = {1.5, 0.7, 1.5, 0.7, 1.5, 0.7, 1.5, 0.7};
    static struct fixture f;

    (void)state;
    fixture_make(&f, 2);
    for (int i = 0; i < 2 * VOXELS; i++)
        f.image[i] = i % 2 ? -0.75f : 0;
    jitter_gamma(&f.p, gamma, false);
    jitter_gamma(&f.p, gamma, true);
    for (int i = 0; i < 2 * VOXELS; i++)
        assert_true(f.image[i] == (i % 2 ? -0.75f : 0));
}

static int64_t mirror_index(int64_t i, int64_t n)
{
    return i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
}

/* One axis of the blur by its definition. */
static void blur_axis(double *x, int axis, double sigma, int64_t channel, int64_t channels)
{
    static double copy[VOXELS * MOST];
    const int64_t n[3] = {D, H, W};
    int length = (int)(2 * floor((6 * sigma + 0.5) / 2) + 1),
        reach = length / 2; /* nearest odd: to even + 1 */
    double sum = 0;

    memcpy(copy, x, sizeof(double) * (size_t)(VOXELS * channels));
    for (int k = -reach; k <= reach; k++)
        sum += exp(-k * k / (2 * sigma * sigma));
    for (int64_t v = 0; v < VOXELS; v++) {
        int64_t at[3] = {v / (H * W), v / W % H, v % W}, centre = at[axis];
        double y = 0;
        for (int k = -reach; k <= reach; k++) {
            at[axis] = mirror_index(centre + k, n[axis]);
            y += exp(-k * k / (2 * sigma * sigma)) / sum *
                 copy[((at[0] * H + at[1]) * W + at[2]) * channels + channel];
        }
        x[v * channels + channel] = y;
    }
}

static void blur_by_definition(void **state)
{
    static struct fixture f;
    static float scratch[100000];

    (void)state;
    for (int64_t c = 1; c <= MOST; c++) {
        double sigma[MOST][3];
        fixture_make(&f, c);
        assert_true(jitter_scratch(f.p.size, c) <= 100000);
        for (int64_t k = 0; k < c; k++)
            for (int a = 0; a < 3; a++) {
                sigma[k][a] = k % 3 == 2 ? 0 : 0.5 + 0.49 * (double)((k * 3 + a) % 7) / 6;
                if (sigma[k][a] > 0)
                    blur_axis(f.before, a, sigma[k][a], k, c);
            }
        jitter_blur(&f.p, sigma, scratch);
        assert_image(&f, f.before, 2e-6);
    }
}

/* Trilinear value of the shrunken channel, straight from the definition. */
static double low_resolution_at(const double *x, const int64_t at[3], const int64_t m[3], int64_t channel,
                                int64_t channels)
{
    const int64_t n[3] = {D, H, W};
    int64_t low[3];
    double part[3], sum = 0;

    for (int a = 0; a < 3; a++) {
        double u = fmax(0, ((double)at[a] + 0.5) * (double)m[a] / (double)n[a] - 0.5);
        low[a] = (int64_t)u;
        part[a] = u - (double)low[a];
    }
    for (int k = 0; k < 8; k++) {
        double w = 1;
        int64_t from[3];
        for (int a = 0; a < 3; a++) {
            int up = k >> a & 1;
            int64_t i = low[a] + up < m[a] ? low[a] + up : m[a] - 1;
            w *= up ? part[a] : 1 - part[a];
            from[a] = (int64_t)floor(((double)i + 0.5) * (double)n[a] / (double)m[a]);
        }
        sum += w * x[((from[0] * H + from[1]) * W + from[2]) * channels + channel];
    }
    return sum;
}

static void low_resolution_by_definition(void **state)
{
    static const double scale[MOST] = {0.5, 1, 0.77, 0.93, 1, 0.6, 0.85, 0.55};
    static struct fixture f;
    static float scratch[100000];
    static double want[VOXELS * MOST];

    (void)state;
    for (int64_t c = 1; c <= MOST; c++)
        for (int flat = 0; flat < 2; flat++) {
            fixture_make(&f, c);
            for (int64_t i = 0; i < VOXELS * c; i++) {
                int64_t v = i / c, at[3] = {v / (H * W), v / W % H, v % W};
                double s = scale[i % c];
                int64_t m[3] = {flat ? D : (int64_t)rint(D * s), (int64_t)rint(H * s), (int64_t)rint(W * s)};
                want[i] = s < 1 ? low_resolution_at(f.before, at, m, i % c, c) : f.before[i];
            }
            jitter_low_resolution(&f.p, scale, flat, scratch);
            assert_image(&f, want, 2e-6);
        }
}

static void mirror_by_definition(void **state)
{
    static struct fixture f;
    static double want[VOXELS * MOST];

    (void)state;
    for (int64_t c = 1; c <= MOST; c++)
        for (int k = 0; k < 8; k++) {
            bool flip[3] = {k & 1, k & 2, k & 4};
            fixture_make(&f, c);
            jitter_mirror(&f.p, flip);
            for (int64_t v = 0; v < VOXELS; v++) {
                int64_t z = v / (H * W), y = v / W % H, x = v % W;
                int64_t from = ((flip[0] ? D - 1 - z : z) * H + (flip[1] ? H - 1 - y : y)) * W +
                               (flip[2] ? W - 1 - x : x);
                assert_int_equal(f.label[v], from % 5 - 1);
                memcpy(want + v * c, f.before + from * c, sizeof(double) * (size_t)c);
            }
            assert_image(&f, want, 0);
        }
}

static void noise_is_normal(void **state)
{
    int64_t n = 1 << 20;
    float *x = mem_new((size_t)n, sizeof *x);
    struct patch p = {{1 << 10, 1 << 6, 1 << 4}, 1, x, NULL};
    double m[5] = {0};
    int64_t beyond = 0;

    (void)state;
    assert_non_null(x);
    jitter_noise(&p, 2, 11, 3);
    for (int64_t i = 0; i < n; i++) {
        double v = (double)x[i] / 2, w = 1;
        for (int k = 1; k < 5; k++)
            m[k] += (w *= v) / (double)n;
        beyond += fabs(v) > 3;
    }
    assert_true(fabs(m[1]) < 0.005 && fabs(m[2] - 1) < 0.008 && fabs(m[3]) < 0.02 && fabs(m[4] - 3) < 0.06);
    assert_true(fabs((double)beyond / (double)n - 0.0026998) < 0.0003);
    mem_free(x);
}

static struct plan whole_plan(void)
{
    return (struct plan){
        .augment = AUGMENT_NNUNET, .rotation = 30, .scale = {0.7, 1.4}, .spatial_p = 0.2, .patch = {D, H, W}};
}

/* Whatever is drawn: finite values, labels of the sample or 0, the same bytes again, other bytes for another
 * key. */
static void whole_augmentation(void **state)
{
    static struct fixture f, g;
    static float scratch[100000];
    struct plan plan = whole_plan();
    struct augment a = augment_from_plan(&plan);
    int different = 0;

    (void)state;
    for (int64_t step = 0; step < 300; step++) {
        uint64_t key = augment_key(7, step, step % 2);
        fixture_make(&f, 4);
        fixture_make(&g, 4);
        augment_apply(&a, key, &f.p, scratch);
        memset(scratch, 0x7f, sizeof scratch);
        augment_apply(&a, key, &g.p, scratch);
        assert_memory_equal(f.image, g.image, sizeof(float) * VOXELS * 4);
        assert_memory_equal(f.label, g.label, VOXELS);
        for (int i = 0; i < VOXELS * 4; i++)
            assert_true(isfinite(f.image[i]));
        for (int i = 0; i < VOXELS; i++)
            assert_in_range(f.label[i], 0, 3);
        fixture_make(&g, 4);
        augment_apply(&a, augment_key(7, step, step % 2 + 1), &g.p, scratch);
        different += memcmp(f.image, g.image, sizeof(float) * VOXELS * 4) != 0;
    }
    assert_true(different > 250);
}

static void presets_do_what_they_say(void **state)
{
    static struct fixture f;
    static float scratch[100000];
    struct plan plan = whole_plan();
    int scaled = 0, rotated = 0;

    (void)state;
    plan.augment = AUGMENT_NONE;
    struct augment a = augment_from_plan(&plan);
    fixture_make(&f, 4);
    augment_apply(&a, augment_key(1, 2, 3), &f.p, scratch);
    assert_image(&f, f.before, 0);
    assert_int_equal(f.label[0], 0); /* outside became background */
    plan.augment = AUGMENT_NNUNET;
    a = augment_from_plan(&plan);
    for (int64_t i = 0; i < 4000; i++) {
        struct spatial s = augment_spatial(&a, augment_key(5, i, 0));
        double volume = 0;
        for (int k = 0; k < 3; k++)
            volume += s.matrix[0][k] * s.matrix[0][k];
        scaled += fabs(volume - 1) > 1e-9;
        rotated += fabs(s.matrix[0][1]) > 1e-9;
        assert_true(volume > 0.48 && volume < 1.97);
    }
    assert_in_range(scaled, 700, 900); /* 0.2 each: 800 +- 4 sigma */
    assert_in_range(rotated, 700, 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brightness_and_contrast),
        cmocka_unit_test(gamma_curves),
        cmocka_unit_test(gamma_keeps_a_constant),
        cmocka_unit_test(blur_by_definition),
        cmocka_unit_test(low_resolution_by_definition),
        cmocka_unit_test(mirror_by_definition),
        cmocka_unit_test(noise_is_normal),
        cmocka_unit_test(whole_augmentation),
        cmocka_unit_test(presets_do_what_they_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
