#include "test.h"

#include "base/mem.h"
#include "base/par.h"
#include "phantom/normals.h"
#include "phantom/render.h"
#include <math.h>

/* A subject of one shape: 0 HU, and `contrast` where inside, label 1 there. */
struct body {
    enum { UNIFORM, PLATE, HALF, BALL } shape;
    float contrast, from, to; /* mm: of the plate along z, of the half space along x (below `to`), radius */
};

static void body_sample(const void *ctx, const struct points *y, int n, void *scratch, float *hu,
                        uint8_t *label)
{
    const struct body *b = ctx;

    (void)scratch;
    for (int i = 0; i < n; i++) {
        float r = sqrtf(y->x[i] * y->x[i] + y->y[i] * y->y[i] + y->z[i] * y->z[i]);
        bool in = b->shape == UNIFORM || (b->shape == PLATE && y->z[i] >= b->from && y->z[i] < b->to) ||
                  (b->shape == HALF && y->x[i] < b->to) || (b->shape == BALL && r < b->to);

        hu[i] = in ? b->contrast : 0;
        label[i] = in;
    }
}

static struct scan scan_of(int64_t n, int64_t slices, double pixel, double thickness)
{
    int64_t dims[3] = {n, n, slices};
    double spacing[3] = {pixel, pixel, thickness}, origin[3];

    for (int a = 0; a < 3; a++)
        origin[a] = -0.5 * (double)(dims[a] - 1) * spacing[a];
    return (struct scan){.grid = grid_make(dims, spacing, origin),
                         .thickness = thickness,
                         .noise = 12,
                         .fpeak = 0.18,
                         .half = {165, 112}};
}

static struct rendered render(const struct body *b, const struct scan *s, struct phantom_id id, int phase)
{
    struct render r = {.subject = {.sample = body_sample, .ctx = b}, .scan = s, .id = &id, .phase = phase};
    struct rendered out;

    assert_ok(render_phase(&out, &r));
    return out;
}

/* The noise of a uniform body that reaches everywhere, divided by its asked SD. */
static void noise_of(struct scan *s, double *out)
{
    const struct body b = {.shape = UNIFORM, .contrast = 60};
    int64_t count = grid_count(&s->grid);
    struct rendered r;

    s->half[0] = s->half[1] = 1e6;
    r = render(&b, s, (struct phantom_id){1, 0}, PHANTOM_PVP);
    for (int64_t i = 0; i < count; i++)
        out[i] = (((int16_t *)r.hu->data)[i] - 60) / (1.17 * s->noise * sqrt(3 / s->thickness));
    rendered_free(&r);
}

enum { SIDE = 64, SLICES = 48, NOISE = SIDE * SIDE * SLICES, BINS = 60 };

static double lag(const double *v, int dx, int dy, int dz)
{
    double sum = 0;
    int n = 0;

    for (int z = 0; z + dz < SLICES; z++)
        for (int y = 0; y + dy < SIDE; y++)
            for (int x = 0; x + dx < SIDE; x++, n++)
                sum += v[x + SIDE * (y + SIDE * z)] * v[x + dx + SIDE * (y + dy + SIDE * (z + dz))];
    return sum / n;
}

static void noise_has_the_asked_strength_and_correlation(void **state)
{
    static double v[NOISE];
    struct scan s = scan_of(SIDE, SLICES, 0.82, 2.5);
    double sum = 0;

    (void)state;
    s.fpeak = 0.26;
    noise_of(&s, v);
    for (int i = 0; i < NOISE; i++)
        sum += v[i];
    assert_float_equal(sum / NOISE, 0, 0.02);
    assert_float_equal(lag(v, 0, 0, 0), 1, 0.05);
    assert_float_equal(lag(v, 0, 0, 1), 0.30, 0.05);
    assert_float_equal(lag(v, 0, 0, 2), 0.023, 0.05);
    assert_float_equal(lag(v, 1, 0, 0), 0.46, 0.06);
    assert_float_equal(lag(v, 0, 1, 0), 0.43, 0.06);

    s = scan_of(SIDE, SLICES, 0.82, 5); /* thicker slices: quieter, less alike */
    noise_of(&s, v);
    assert_float_equal(lag(v, 0, 0, 0), 1, 0.05);
    assert_float_equal(lag(v, 0, 0, 1), 0.16, 0.05);
}

/* Rows, then columns, of one slice: the power at every pair of frequencies. */
static void power(const double *v, double *out)
{
    static double re[SIDE][SIDE], im[SIDE][SIDE], c[SIDE], s[SIDE];

    for (int i = 0; i < SIDE; i++) {
        c[i] = cos(2 * 3.14159265358979 * i / SIDE);
        s[i] = sin(2 * 3.14159265358979 * i / SIDE);
    }
    for (int y = 0; y < SIDE; y++)
        for (int f = 0; f < SIDE; f++) {
            re[y][f] = im[y][f] = 0;
            for (int x = 0; x < SIDE; x++) {
                re[y][f] += v[y * SIDE + x] * c[f * x % SIDE];
                im[y][f] -= v[y * SIDE + x] * s[f * x % SIDE];
            }
        }
    for (int g = 0; g < SIDE; g++)
        for (int f = 0; f < SIDE; f++) {
            double a = 0, b = 0;

            for (int y = 0; y < SIDE; y++) {
                a += re[y][f] * c[g * y % SIDE] + im[y][f] * s[g * y % SIDE];
                b += im[y][f] * c[g * y % SIDE] - re[y][f] * s[g * y % SIDE];
            }
            out[g * SIDE + f] += a * a + b * b;
        }
}

static double peak_of(struct scan *s)
{
    static double v[NOISE], p[SIDE * SIDE];
    double bin[BINS] = {0}, best = 0;
    int count[BINS] = {0}, at = 0;

    noise_of(s, v);
    memset(p, 0, sizeof p);
    for (int z = 0; z < SLICES; z++)
        power(v + z * SIDE * SIDE, p);
    for (int i = 0; i < SIDE * SIDE; i++) {
        int x = i % SIDE, y = i / SIDE;
        double fx = (x < SIDE / 2 ? x : x - SIDE) / (SIDE * 0.82);
        double fy = (y < SIDE / 2 ? y : y - SIDE) / (SIDE * 0.82), f = sqrt(fx * fx + fy * fy);
        int k = (int)(f / 0.01);

        if (k < BINS) {
            bin[k] += p[i];
            count[k]++;
        }
    }
    for (int k = 0; k < BINS; k++)
        bin[k] /= count[k] ? count[k] : 1;
    for (int k = 7; k < BINS - 3; k++) { /* above .05; a running mean, for the peak is flat */
        double mean = 0;

        for (int i = -3; i <= 3; i++)
            mean += bin[k + i];

        if (mean > best) {
            best = mean;
            at = k;
        }
    }
    return (at + 0.5) * 0.01;
}

static void noise_peaks_where_asked(void **state)
{
    static const double ask[] = {0.14, 0.18, 0.24};
    struct scan s = scan_of(SIDE, SLICES, 0.82, 2.5);

    (void)state;
    for (int i = 0; i < 3; i++) {
        s.fpeak = ask[i];
        assert_float_equal(peak_of(&s), ask[i], 0.03);
    }
}

/* Mean square noise over all slices within 5 mm of the line (x, y). */
static double sd_near(const struct rendered *r, const struct scan *s, double x, double y)
{
    const int16_t *hu = r->hu->data, *clean = r->clean->data;
    double sum = 0;
    int n = 0;

    for (int64_t i = 0; i < grid_count(&s->grid); i++) {
        double px = s->grid.affine[0][3] + (double)(i % s->grid.dims[0]) * s->grid.spacing[0] - x;
        double py =
            s->grid.affine[1][3] + (double)(i / s->grid.dims[0] % s->grid.dims[1]) * s->grid.spacing[1] - y;

        if (px * px + py * py < 25) {
            sum += (hu[i] - clean[i]) * (hu[i] - clean[i]);
            n++;
        }
    }
    return sqrt(sum / n);
}

static void noise_falls_towards_the_skin_and_in_air(void **state)
{
    const struct body tissue = {.shape = UNIFORM, .contrast = 40}, air = {.shape = UNIFORM, .contrast = -900};
    struct scan s = scan_of(96, 40, 2, 3);
    struct rendered r = render(&tissue, &s, (struct phantom_id){4, 0}, PHANTOM_ART);

    (void)state;
    assert_float_equal(sd_near(&r, &s, 0, 0), 12 * 1.17, 1);
    assert_float_equal(sd_near(&r, &s, 80, 80),
                       12 * (0.72 + 0.45 * exp(-1.4 * (pow(80 / 165., 2) + pow(80 / 112., 2)))), 1);
    rendered_free(&r);
    r = render(&air, &s, (struct phantom_id){4, 0}, PHANTOM_ART);
    assert_float_equal(sd_near(&r, &s, 0, 0), 12 * 1.17 * 0.55, 0.6);
    rendered_free(&r);
}

/* Partial volume keeps contrast times thickness, wherever the plate lies. */
static void a_thin_plate_is_averaged(void **state)
{
    struct scan s = scan_of(8, 12, 2, 5);

    (void)state;
    for (int i = 0; i < 10; i++) {
        struct body b = {.shape = PLATE, .contrast = 100, .from = -2 + 0.47f * (float)i};
        struct rendered r;
        double sum = 0;

        b.to = b.from + 4;
        r = render(&b, &s, (struct phantom_id){1, 0}, PHANTOM_PVP);
        for (int z = 0; z < 12; z++)
            sum += 5 * ((int16_t *)r.clean->data)[64 * z + 36];
        assert_float_equal(sum, 400, 40);
        rendered_free(&r);
    }
}

static void edges_are_blurred_in_plane(void **state)
{
    struct scan s = scan_of(64, 2, 0.5, 1);
    struct body b = {.shape = HALF, .contrast = 1000, .to = 0.0f};
    struct phantom_id id = {1, 0};
    struct rendered r = render(&b, &s, id, PHANTOM_PVP);
    const int16_t *v = (int16_t *)r.clean->data + 64 * 30;
    struct render sharp = {.subject = {.sample = body_sample, .ctx = &b, .slice = 1},
                           .scan = &s,
                           .id = &id,
                           .phase = PHANTOM_PVP};

    (void)state;
    for (int x = 0; x < 64; x++) {
        double mm = (x - 31.5) * 0.5;

        assert_float_equal(v[x], 500 * erfc(mm / 0.75 / sqrt(2)), 25);
        assert_int_equal(((uint8_t *)r.label->data)[64 * 30 + x], mm < 0);
    }
    rendered_free(&r);
    assert_ok(render_phase(&r, &sharp));
    v = (int16_t *)r.clean->data + 64 * 30;
    for (int x = 0; x < 64; x++)
        assert_int_equal(v[x], x < 32 ? 1000 : 0);
    rendered_free(&r);
}

static bool same(const struct volume *a, const struct volume *b)
{
    return !memcmp(a->data, b->data, (size_t)grid_count(&a->grid) * voxel_size(a->type));
}

static void threads_change_nothing_and_case_and_phase_do(void **state)
{
    static const int threads[] = {2, 8};
    const struct body b = {.shape = BALL, .contrast = 70, .to = 40};
    struct scan s = scan_of(70, 37, 1.7, 2.5);
    struct rendered one, r;

    (void)state;
    par_set_threads(1);
    one = render(&b, &s, (struct phantom_id){5, 3}, PHANTOM_ART);
    for (int i = 0; i < 2; i++) {
        par_set_threads(threads[i]);
        r = render(&b, &s, (struct phantom_id){5, 3}, PHANTOM_ART);
        assert_true(same(one.hu, r.hu) && same(one.clean, r.clean) && same(one.label, r.label));
        rendered_free(&r);
    }
    for (int i = 0; i < 3; i++) {
        struct phantom_id id = {5 + (i == 0), 3 + (i == 1)};

        r = render(&b, &s, id, i == 2 ? PHANTOM_DEL : PHANTOM_ART);
        assert_false(same(one.hu, r.hu));
        assert_true(same(one.clean, r.clean) && same(one.label, r.label));
        rendered_free(&r);
    }
    par_set_threads(0);
    rendered_free(&one);
}

/* Slices are functions of their number: the lower ones of a taller scan are those of a shorter one. */
static void noise_of_a_slice_does_not_depend_on_others(void **state)
{
    const struct body b = {.shape = UNIFORM, .contrast = 10};
    struct scan tall = scan_of(40, 40, 2, 3), low = tall;
    struct rendered a, c;

    (void)state;
    low.grid.dims[2] = 7;
    a = render(&b, &tall, (struct phantom_id){5, 3}, PHANTOM_ART);
    c = render(&b, &low, (struct phantom_id){5, 3}, PHANTOM_ART);
    assert_memory_equal(a.hu->data, c.hu->data, 40 * 40 * 7 * sizeof(int16_t));
    rendered_free(&a);
    rendered_free(&c);
}

static void outside_of_the_circle_is_padded(void **state)
{
    const struct body b = {.shape = UNIFORM, .contrast = -600};
    struct scan s = scan_of(32, 3, 2, 3);
    struct rendered r;
    int padded = 0;

    (void)state;
    s.padding = -2000;
    s.circle[2] = 32;
    r = render(&b, &s, (struct phantom_id){5, 3}, PHANTOM_ART);
    for (int i = 0; i < 32 * 32; i++) {
        double x = (i % 32 - 15.5) * 2, y = (i / 32 - 15.5) * 2;
        int16_t v = ((int16_t *)r.hu->data)[i];

        assert_int_equal(v == -2000, x * x + y * y > 32 * 32);
        assert_int_not_equal(((int16_t *)r.clean->data)[i], -2000);
        padded += v == -2000;
    }
    assert_in_range(padded, 150, 250); /* (1 - pi / 4) of 1024: 220 */
    rendered_free(&r);
}

static const struct scan_options demo = {.dims = {160, 128, 64},
                                         .spacing = {2.2, 2.2, 3},
                                         .centre = {0, -10, -8},
                                         .thickness = 3,
                                         .noise = 12,
                                         .fpeak = 0.18,
                                         .scale = 1.1};

static double middle(const struct scan *s, int a)
{
    return s->grid.affine[a][3] + 0.5 * (double)(s->grid.dims[a] - 1) * s->grid.spacing[a];
}

static void grids_are_the_protocols(void **state)
{
    struct scan s[PHANTOM_PHASES], other[PHANTOM_PHASES];
    double most[PHANTOM_PHASES][3] = {{0}};
    int lps = 0, padded = 0;

    (void)state;
    for (int c = 0; c < 300; c++) {
        scans_draw(s, &(struct phantom_id){1, c}, &demo);
        for (int p = 0; p < PHANTOM_PHASES; p++) {
            assert_int_equal(s[p].lps, s[0].lps);
            assert_float_equal(s[p].half[1], 1.1 * 112, 1e-9);
            for (int a = 0; a < 3; a++)
                most[p][a] = fmax(most[p][a], fabs(middle(&s[p], a) - demo.centre[a]));
        }
        lps += s[0].lps;
        padded += s[0].padding != 0;
        assert_float_equal(s[PHANTOM_NC].thickness, 5, 1e-12);
        assert_int_equal(s[PHANTOM_NC].grid.dims[2], 39);
        assert_float_equal(s[PHANTOM_NC].grid.spacing[2], 5, 1e-12);
        assert_float_equal(s[PHANTOM_DEL].grid.spacing[0], 2.2 * 1.09, 1e-12);
    }
    for (int a = 0; a < 3; a++) {
        assert_float_equal(most[PHANTOM_PVP][a], 0, 1e-9);
        assert_float_equal(most[PHANTOM_NC][a], a == 2 ? 6 : 9, 0.3);
        assert_float_equal(most[PHANTOM_ART][a], a == 2 ? 5 : 4.5, 0.3);
    }
    assert_in_range(lps, 75, 125);
    assert_in_range(padded, 80, 130);
    for (int c = 0; c < 3; c++) {
        struct scan_options o = demo;

        o.registered = true;
        o.thickness = 4.5;
        scans_draw(s, &(struct phantom_id){1, c}, &o);
        for (int p = 0; p < PHANTOM_PHASES; p++) {
            assert_memory_equal(&s[p].grid, &s[PHANTOM_PVP].grid, sizeof s[p].grid);
            assert_float_equal(s[p].thickness, 4.5, 1e-12);
        }
        o.registered = false;
        scans_draw(other, &(struct phantom_id){1, c}, &o);
        assert_memory_equal(&s[PHANTOM_PVP], &other[PHANTOM_PVP],
                            sizeof s[0]); /* the key moves no other draw */
        assert_float_equal(other[PHANTOM_NC].thickness, 5, 1e-12);
    }
}

static void count(void *ctx, int64_t slices)
{
    atomic_fetch_add((atomic_long *)ctx, (long)slices);
}

static void stops_and_counts(void **state)
{
    const struct body b = {.shape = BALL, .contrast = 70, .to = 40};
    struct scan s = scan_of(32, 37, 2, 2.5);
    struct phantom_id id = {1, 1};
    atomic_int stop;
    atomic_long done;
    struct render r = {.subject = {.sample = body_sample, .ctx = &b},
                       .scan = &s,
                       .id = &id,
                       .phase = PHANTOM_NC,
                       .stop = &stop,
                       .tick = count,
                       .tick_ctx = &done};
    struct rendered out;

    (void)state;
    atomic_init(&stop, 0);
    atomic_init(&done, 0);
    assert_ok(render_phase(&out, &r));
    assert_int_equal(atomic_load(&done), 37);
    rendered_free(&out);
    atomic_store(&stop, 1);
    assert_err(render_phase(&out, &r), ERR_STOPPED, "stopped");
    assert_null(out.hu);
}

static enum err open_scratch(const void *ctx, void **scratch)
{
    (void)ctx;
    *scratch = mem_new(1, 8);
    return *scratch ? ERR_OK : ERR_MEMORY;
}

static void survives_exhaustion(void **state)
{
    const struct body b = {.shape = UNIFORM, .contrast = 10};
    struct scan s = scan_of(8, 3, 2, 3);
    struct phantom_id id = {1, 1};
    struct render r = {.subject = {.sample = body_sample, .open = open_scratch, .close = mem_free, .ctx = &b},
                       .scan = &s,
                       .id = &id};
    struct rendered out;

    (void)state;
    par_set_threads(1);
    assert_survives_exhaustion(render_phase(&out, &r), rendered_free(&out));
    par_set_threads(0);
    assert_true(render_bytes(&s) > 8 * 8 * 3 * 5);
}

static void normals_are_the_transform_of_the_blocks(void **state)
{
    static float out[2 * NORMALS_BATCH + 100];
    struct rng r = rng_at(3, 0x123456789abcdefull);
    double sum = 0, square = 0;

    (void)state;
    normals_fill(r, 2 * NORMALS_BATCH + 100, out);
    for (int i = 0; i < 2 * NORMALS_BATCH + 100; i++) {
        int batch = i / NORMALS_BATCH, lane = i % 256, part = i % NORMALS_BATCH / 256;
        uint32_t word[4];
        double u, v, x;

        rng_block(r.seed, r.stream, (uint64_t)(batch * 256 + lane), word);
        u = ((word[part / 2 * 2] >> 9) + 0.5) * 0x1p-23;
        v = 2 * 3.14159265358979323846 * word[part / 2 * 2 + 1] * 0x1p-32;
        x = sqrt(-2 * log(u)) * (part % 2 ? sin(v) : cos(v));
        assert_float_equal(out[i], x, 2e-6);
        sum += x;
        square += x * x;
    }
    assert_float_equal(sum / (2 * NORMALS_BATCH), 0, 0.1);
    assert_float_equal(square / (2 * NORMALS_BATCH + 100), 1, 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normals_are_the_transform_of_the_blocks),
        cmocka_unit_test(noise_has_the_asked_strength_and_correlation),
        cmocka_unit_test(noise_peaks_where_asked),
        cmocka_unit_test(noise_falls_towards_the_skin_and_in_air),
        cmocka_unit_test(noise_of_a_slice_does_not_depend_on_others),
        cmocka_unit_test(a_thin_plate_is_averaged),
        cmocka_unit_test(edges_are_blurred_in_plane),
        cmocka_unit_test(threads_change_nothing_and_case_and_phase_do),
        cmocka_unit_test(outside_of_the_circle_is_padded),
        cmocka_unit_test(grids_are_the_protocols),
        cmocka_unit_test(stops_and_counts),
        cmocka_unit_test(survives_exhaustion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
