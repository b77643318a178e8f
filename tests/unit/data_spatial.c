/* The spatial transform against the vectors of seg-nnunet.md section 20, and its own laws. */
#include "test.h"

#include "base/mem.h"
#include "data/augment.h"
#include "golden.h"
#include <math.h>
#include <string.h>

enum { VOXELS = 10 * 12 * 11, OUT = 8 * 8 * 8 };

struct fixture {
    float image[VOXELS], out[OUT];
    int8_t label[VOXELS], out_label[OUT];
    struct patch box, patch;
};

static void fixture_make(struct fixture *f)
{
    double g[VOXELS];

    golden(g, "spatial", VOXELS);
    for (int i = 0; i < VOXELS; i++)
        f->image[i] = (float)g[i];
    golden(g, "spatialseg", VOXELS);
    for (int i = 0; i < VOXELS; i++)
        f->label[i] = (int8_t)(floor(3 * (g[i] + 0.5)) - 1);
    f->box = (struct patch){{10, 12, 11}, 1, f->image, f->label};
    f->patch = (struct patch){{8, 8, 8}, 1, f->out, f->out_label};
}

static struct spatial vector_transform(void)
{
    return spatial_make((const int64_t[3]){8, 8, 8}, (const int64_t[3]){10, 12, 11},
                        (const double[3]){0.1, -0.2, 0.3}, 1.2, false);
}

static void matrix_and_positions(void **state)
{
    static const double want[3][3] = {{1.12355204, -0.37559019, -0.1912141},
                                      {0.34755537, 1.13364298, -0.1845504},
                                      {0.2384032, 0.11741207, 1.17020439}};
    static const double want_position[3] = {4.778373875, 6.148323979, 5.763009832};
    struct spatial s = vector_transform();
    double position[3];

    (void)state;
    spatial_position(&s, (const int64_t[3]){4, 4, 4}, position);
    for (int a = 0; a < 3; a++) {
        for (int b = 0; b < 3; b++)
            assert_true(fabs(s.matrix[a][b] - want[a][b]) < 1e-8);
        assert_true(fabs(position[a] - want_position[a]) < 1e-6);
    }
}

static void image_vector(void **state)
{
    struct spatial s = vector_transform();
    struct fixture f;
    double sum = 0, square = 0;

    (void)state;
    fixture_make(&f);
    spatial_apply(&s, &f.box, (const int64_t[3]){0, 0, 0}, &f.patch);
    for (int i = 0; i < OUT; i++) {
        sum += (double)f.out[i];
        square += (double)f.out[i] * (double)f.out[i];
    }
    assert_true(fabs(sum + 3.65730584) < 2e-5);
    assert_true(fabs(square - 11.5702197) < 2e-5);
    assert_true(fabs((double)f.out[0] + 0.167445271) < 1e-6);
    assert_true(fabs((double)f.out[4 * 64 + 4 * 8 + 4] - 0.107150234) < 1e-6);
    assert_true(fabs((double)f.out[OUT - 1] + 0.0581211686) < 1e-6);
}

static void assert_counts(const struct fixture *f, const int want[3])
{
    int count[3] = {0};

    for (int i = 0; i < OUT; i++)
        count[f->out_label[i] + 1]++;
    for (int k = 0; k < 3; k++)
        assert_int_equal(count[k], want[k]);
}

static void label_vector(void **state)
{
    static const int8_t row[8] = {-1, 0, 1, 0, 0, 0, -1, -1};
    static const int64_t origin[3] = {0, 0, 0};
    struct spatial s = vector_transform();
    struct fixture f;
    int border = 0;

    (void)state;
    fixture_make(&f);
    memset(f.out_label, 5, sizeof f.out_label);
    for (int a = 0; a < 3; a++)
        s.limit[a] = INFINITY;
    spatial_apply(&s, &f.box, origin, &f.patch);
    assert_counts(&f, (const int[3]){184, 174, 154});
    assert_memory_equal(f.out_label + 4 * 64 + 4 * 8, row, 8);
    /* upstream compares axes in reversed order: the limit as it was implemented there */
    for (int a = 0; a < 3; a++) {
        double n[3] = {10, 12, 11};
        s.limit[a] = n[a] / 2 * (n[2 - a] - 1) / n[2 - a];
    }
    spatial_apply(&s, &f.box, origin, &f.patch);
    assert_counts(&f, (const int[3]){216, 157, 139});
    s = vector_transform(); /* ours: axes matched */
    for (int64_t i = 0; i < OUT; i++) {
        double p[3];
        bool out = false;
        spatial_position(&s, (const int64_t[3]){i / 64, i / 8 % 8, i % 8}, p);
        for (int a = 0; a < 3; a++)
            out = out || p[a] < 0 || p[a] > (double)(s.sample[a] - 1);
        border += out;
    }
    assert_int_equal(border, 56);
}

/* Reading only the box that spatial_box names gives the same patch as reading the whole sample. */
static void box_is_enough(void **state)
{
    struct fixture whole, part;

    (void)state;
    for (int i = 0; i < 200; i++) {
        double t = i * 0.37, angle[3] = {sin(t), sin(2 * t + 1) * 0.7, cos(3 * t)};
        struct spatial s = spatial_make((const int64_t[3]){8, 8, 8}, (const int64_t[3]){10, 12, 11}, angle,
                                        0.5 + 0.01 * i, false);
        int64_t lo[3], hi[3], n = 0;
        float image[VOXELS];
        int8_t label[VOXELS];
        fixture_make(&whole);
        fixture_make(&part);
        spatial_box(&s, lo, hi);
        for (int64_t z = lo[0]; z < hi[0]; z++)
            for (int64_t y = lo[1]; y < hi[1]; y++)
                for (int64_t x = lo[2]; x < hi[2]; x++, n++) {
                    image[n] = whole.image[(z * 12 + y) * 11 + x];
                    label[n] = whole.label[(z * 12 + y) * 11 + x];
                }
        part.box = (struct patch){{hi[0] - lo[0], hi[1] - lo[1], hi[2] - lo[2]}, 1, image, label};
        spatial_apply(&s, &whole.box, (const int64_t[3]){0, 0, 0}, &whole.patch);
        spatial_apply(&s, &part.box, lo, &part.patch);
        /* the position is shifted by whole voxels: equal up to the rounding of that sum */
        for (int k = 0; k < OUT; k++)
            assert_true(fabs((double)(whole.out[k] - part.out[k])) < 1e-5);
    }
}

static void identity_is_the_centre_crop(void **state)
{
    struct spatial s = spatial_identity((const int64_t[3]){7, 8, 5}, (const int64_t[3]){10, 12, 11});
    struct spatial turned = spatial_make((const int64_t[3]){8, 8, 7}, (const int64_t[3]){10, 12, 11},
                                         (const double[3]){0, 0, 0}, 1, false);
    int64_t lo[3], hi[3];
    struct fixture f;

    (void)state;
    spatial_box(&s, lo, hi);
    assert_int_equal(lo[0], 5 - 3);
    assert_int_equal(lo[1], 6 - 4);
    assert_int_equal(lo[2], 5 - 2);
    assert_int_equal(hi[2] - lo[2], 5);
    /* interpolating with the unit matrix is exact where the centres meet on voxels (parities equal) */
    fixture_make(&f);
    f.patch.size[2] = 7;
    spatial_apply(&turned, &f.box, (const int64_t[3]){0, 0, 0}, &f.patch);
    for (int64_t z = 0; z < 8; z++)
        for (int64_t y = 0; y < 8; y++)
            for (int64_t x = 0; x < 7; x++) {
                int64_t from = ((z + 1) * 12 + y + 2) * 11 + x + 2, to = (z * 8 + y) * 7 + x;
                assert_true(f.out[to] == f.image[from]);
                assert_int_equal(f.out_label[to], f.label[from]);
            }
}

static void channels_are_independent(void **state)
{
    struct spatial s = vector_transform();
    struct fixture f;
    static float image[VOXELS * 5], out[OUT * 5];

    (void)state;
    fixture_make(&f);
    spatial_apply(&s, &f.box, (const int64_t[3]){0, 0, 0}, &f.patch);
    for (int c = 1; c <= 5; c++) {
        struct patch box = {{10, 12, 11}, c, image, NULL}, patch = {{8, 8, 8}, c, out, NULL};
        for (int i = 0; i < VOXELS; i++)
            for (int k = 0; k < c; k++)
                image[i * c + k] = f.image[i] * (float)(1 << k);
        spatial_apply(&s, &box, (const int64_t[3]){0, 0, 0}, &patch);
        for (int i = 0; i < OUT; i++)
            for (int k = 0; k < c; k++)
                assert_true(out[i * c + k] == f.out[i] * (float)(1 << k));
    }
}

static void sample_sizes(void **state)
{
    static const struct {
        int64_t patch[3], size[3];
    } row[] = {{{96, 96, 96}, {154, 154, 154}},    {{128, 128, 128}, {205, 205, 205}},
               {{112, 160, 128}, {208, 238, 196}}, {{64, 192, 192}, {178, 308, 233}},
               {{48, 224, 192}, {48, 263, 263}},   {{28, 256, 256}, {28, 301, 301}}};

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct plan p = {.augment = AUGMENT_NNUNET, .rotation = 30, .scale = {0.7, 1.4}, .spatial_p = 0.2};
        int64_t size[3];
        memcpy(p.patch, row[i].patch, sizeof p.patch);
        struct augment a = augment_from_plan(&p);
        augment_sample_size(&a, size);
        for (int k = 0; k < 3; k++)
            assert_int_equal(size[k], row[i].size[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrix_and_positions),
        cmocka_unit_test(image_vector),
        cmocka_unit_test(label_vector),
        cmocka_unit_test(box_is_enough),
        cmocka_unit_test(identity_is_the_centre_crop),
        cmocka_unit_test(channels_are_independent),
        cmocka_unit_test(sample_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
