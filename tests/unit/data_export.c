/* Streamed resampling and argmax against plain formulas over the whole volume; the liver rule on hand-made
 * masks. */
#include "test.h"

#include "base/mem.h"
#include "base/par.h"
#include "data/export.h"
#include "golden.h"
#include "image/resample.h"
#include <math.h>

enum { K = 3 };

static struct grid grid_of(const int64_t dims[3], const double spacing[3])
{
    return grid_make(dims, spacing, (const double[3]){0, 0, 0});
}

struct tap {
    int64_t low, high;
    double weight;
};

/* skimage's coordinates (section 5.3), and nearest for the separate axis. */
static struct tap tap_at(int64_t n, int64_t m, int64_t i, bool nearest)
{
    double x = ((double)i + 0.5) * (double)n / (double)m - 0.5;
    int64_t low = (int64_t)floor(nearest ? x + 0.5 : x);
    struct tap t = {low, low + !nearest, nearest ? 0 : x - floor(x)};

    t.low = t.low < 0 ? 0 : t.low >= n ? n - 1 : t.low;
    t.high = t.high < 0 ? 0 : t.high >= n ? n - 1 : t.high;
    return t;
}

static double value_at(const double *logits, const int64_t from[3], const struct tap t[3], int k)
{
    double sum = 0;

    for (int c = 0; c < 8; c++) {
        double w = 1;
        int64_t at[3];
        for (int a = 0; a < 3; a++) {
            at[a] = c >> a & 1 ? t[a].high : t[a].low;
            w *= c >> a & 1 ? t[a].weight : 1 - t[a].weight;
        }
        sum += w * logits[((at[2] * from[1] + at[1]) * from[0] + at[0]) * K + k];
    }
    return sum;
}

static void compare(const struct volume *mask, const double *logits, const int64_t from[3], int separate)
{
    const int64_t *to = mask->grid.dims;
    int64_t close = 0;

    for (int64_t v = 0; v < grid_count(&mask->grid); v++) {
        int64_t at[3] = {v % to[0], v / to[0] % to[1], v / (to[0] * to[1])};
        struct tap t[3];
        double value[K], most = -1e9, second = -1e9;
        int best = 0;
        for (int a = 0; a < 3; a++)
            t[a] = tap_at(from[a], to[a], at[a], a == separate);
        for (int k = 0; k < K; k++) {
            value[k] = value_at(logits, from, t, k);
            if (value[k] > most) {
                second = most;
                most = value[k];
                best = k;
            } else {
                second = fmax(second, value[k]);
            }
        }
        close += most - second < 1e-5;
        if (most - second >= 1e-5)
            assert_int_equal(((uint8_t *)mask->data)[v], best);
    }
    assert_true(close * 1000 < grid_count(&mask->grid) + 1000);
}

static void resampled_like_the_whole(void **state)
{
    static const struct {
        int64_t from[3], to[3];
        double spacing[3], spacing_to[3];
        int separate;
    } row[] = {
        {{17, 14, 12}, {30, 25, 21}, {1, 1, 1}, {0.6, 0.6, 0.6}, -1},
        {{30, 25, 21}, {17, 14, 12}, {1, 1, 1}, {1.7, 1.7, 1.7}, -1},
        {{20, 21, 22}, {20, 21, 22}, {1, 1, 1}, {1, 1, 1}, -1},
        {{16, 16, 40}, {20, 20, 8}, {1, 1, 1}, {0.8, 0.8, 5}, 2},
        {{40, 16, 16}, {8, 20, 20}, {1, 1, 1}, {5, 0.8, 0.8}, 0},
        {{16, 40, 16}, {20, 8, 20}, {1, 1, 1}, {0.8, 5, 0.8}, 1},
        {{9, 9, 30}, {9, 9, 7}, {1, 1, 1}, {1, 1, 2.9}, -1},
        {{1, 1, 1}, {5, 4, 3}, {5, 5, 5}, {1, 1, 1}, -1},
        {{5, 4, 3}, {1, 1, 1}, {1, 1, 1}, {3, 3, 3}, -1},
        {{12, 12, 5}, {12, 12, 16}, {1, 1, 4}, {1, 1, 1.25}, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct grid from = grid_of(row[i].from, row[i].spacing), to = grid_of(row[i].to, row[i].spacing_to);
        int64_t n = grid_count(&from) * K, plane = from.dims[0] * from.dims[1] * K;
        double *logits = mem_new((size_t)n, sizeof *logits);
        float *slice = mem_new((size_t)plane, sizeof *slice);
        struct export *e = NULL;
        struct volume *mask = NULL, *again = NULL;
        golden(logits, "export", n);
        for (int threads = 1; threads < 4; threads += 2) {
            par_set_threads(threads);
            assert_ok(export_new(&e, &from, &to, K));
            for (int64_t z = 0; z < from.dims[2]; z++) {
                for (int64_t k = 0; k < plane; k++)
                    slice[k] = (float)logits[z * plane + k];
                assert_ok(export_slice(e, z, slice));
                memset(slice, 0x7f, sizeof *slice * (size_t)plane); /* not kept */
            }
            assert_ok(export_take(e, threads == 1 ? &mask : &again));
            export_free(e);
        }
        compare(mask, logits, row[i].from, row[i].separate);
        assert_memory_equal(mask->data, again->data, (size_t)grid_count(&to));
        volume_free(mask);
        volume_free(again);
        mem_free(logits);
        mem_free(slice);
    }
    par_set_threads(0);
}

static void misuse_and_exhaustion(void **state)
{
    struct grid g = grid_of((const int64_t[3]){3, 4, 5}, (const double[3]){1, 1, 1});
    float slice[3 * 4 * K] = {0};
    struct export *e = NULL;
    struct volume *mask = NULL;

    (void)state;
    assert_survives_exhaustion(export_new(&e, &g, &g, K), (void)0);
    assert_err(export_slice(e, 1, slice), ERR_INTERNAL, "slice 1");
    assert_ok(export_slice(e, 0, slice));
    assert_err(export_take(e, &mask), ERR_INTERNAL, "5 slices");
    export_free(e);
    export_free(NULL);
    assert_err(export_new(&e, &g, &g, 256), ERR_INTERNAL, "256 classes");
    assert_true(export_bytes(&g, &g, K) == 60 + 4 * (4 * 9 * K));
}

/* Draws a box of a value. */
static void draw(struct volume *v, const int64_t lo[3], const int64_t hi[3], uint8_t value)
{
    const int64_t *n = v->grid.dims;

    for (int64_t z = lo[2]; z < hi[2]; z++)
        for (int64_t y = lo[1]; y < hi[1]; y++)
            for (int64_t x = lo[0]; x < hi[0]; x++)
                ((uint8_t *)v->data)[(z * n[1] + y) * n[0] + x] = value;
}

#define P(x, y, z) ((const int64_t[3]){x, y, z})

static void liver_rule(void **state)
{
    struct grid g = grid_of(P(30, 28, 26), (const double[3]){1, 1, 1});
    struct volume *v = NULL, *want = NULL;

    (void)state;
    assert_ok(volume_new(&v, &g, VOXEL_U8));
    assert_ok(volume_new(&want, &g, VOXEL_U8));
    assert_ok(export_keep_liver(v)); /* empty stays empty */
    assert_memory_equal(v->data, want->data, (size_t)grid_count(&g));
    for (int pass = 0; pass < 2; pass++) {
        struct volume *d = pass ? want : v;
        draw(d, P(4, 5, 6), P(20, 20, 20), 1);
        draw(d, P(18, 10, 10), P(22, 14, 14), 2); /* a tumour at the capsule belongs to the liver */
        draw(d, P(22, 14, 14), P(23, 15, 15), 2); /* touching by a corner */
        draw(d, P(6, 8, 8), P(9, 11, 11), pass);  /* a hole: filled as liver */
        draw(d, P(10, 8, 8), P(14, 12, 12), 2);
        draw(d, P(11, 9, 9), P(13, 11, 11), pass); /* a hole in the tumour too */
        if (!pass) {
            draw(d, P(25, 2, 2), P(29, 6, 6), 2);   /* tumour far away */
            draw(d, P(0, 22, 20), P(5, 27, 26), 1); /* a second liver */
        }
    }
    assert_ok(export_keep_liver(v));
    assert_memory_equal(v->data, want->data, (size_t)grid_count(&g));
    assert_survives_exhaustion(export_keep_liver(v), (void)0);
    assert_memory_equal(v->data, want->data, (size_t)grid_count(&g));
    /* a notch that reaches the border of the volume is no hole */
    draw(v, P(0, 0, 0), P(30, 28, 26), 1);
    draw(v, P(10, 10, 0), P(12, 12, 9), 0);
    draw(want, P(0, 0, 0), P(30, 28, 26), 1);
    draw(want, P(10, 10, 0), P(12, 12, 9), 0);
    assert_ok(export_keep_liver(v));
    assert_memory_equal(v->data, want->data, (size_t)grid_count(&g));
    volume_free(v);
    volume_free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resampled_like_the_whole),
        cmocka_unit_test(misuse_and_exhaustion),
        cmocka_unit_test(liver_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
