#include "test.h"

#include "base/mem.h"
#include "volume/volume.h"
#include <math.h>

static struct grid box(double x, double y, double z, int64_t n)
{
    return grid_make((int64_t[3]){n, n, n}, (double[3]){1, 1, 1}, (double[3]){x, y, z});
}

static void world_and_back(void **state)
{
    struct grid g = grid_make((int64_t[3]){4, 5, 6}, (double[3]){2, 3, 4}, (double[3]){-1, -2, -3}),
                inverse = g;
    double mm[3], index[3];

    (void)state;
    g.affine[0][1] = 0.5;
    grid_world(&g, (double[3]){1, 2, 0.5}, mm);
    assert_true(mm[0] == 2 + 1 - 1 && mm[1] == 6 - 2 && mm[2] == 2 - 3);
    assert_ok(grid_invert(&g, inverse.affine));
    grid_world(&inverse, mm, index);
    assert_true(fabs(index[0] - 1) < 1e-14 && fabs(index[1] - 2) < 1e-14 && fabs(index[2] - 0.5) < 1e-14);
    assert_int_equal(grid_count(&g), 120);
}

static void singular_grids_are_refused(void **state)
{
    struct grid g = box(0, 0, 0, 3);
    double inverse[3][4];

    (void)state;
    g.affine[2][2] = 0;
    assert_err(grid_invert(&g, inverse), ERR_INPUT, "singular");
    g.affine[2][2] = NAN;
    assert_err(grid_invert(&g, inverse), ERR_INPUT, "singular");
    g = box(0, 0, 0, 3);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            g.affine[i][j] *= 1e-6; /* small is not flat */
    assert_ok(grid_invert(&g, inverse));
    assert_true(fabs(inverse[0][0] - 1e6) < 1e-3);
}

static void corner_shift_sees_the_far_corner(void **state)
{
    struct grid a = grid_make((int64_t[3]){101, 11, 11}, (double[3]){2, 2, 2}, (double[3]){0, 0, 0}), b = a;

    (void)state;
    assert_true(grid_same(&a, &b));
    b.affine[0][0] = 2.001; /* 0.1 mm at index 100: 0.05 voxels */
    assert_true(fabs(grid_corner_shift(&a, &b) - 0.05) < 1e-9);
    assert_true(fabs(grid_corner_distance(&a, &b) - 0.1) < 1e-9);
    assert_true(grid_same(&a, &b));
    b.affine[0][0] = 2.003;
    assert_false(grid_same(&a, &b));
    b = a;
    b.dims[2]++;
    assert_true(isinf(grid_corner_shift(&a, &b)) && isinf(grid_corner_distance(&a, &b)));
    assert_false(grid_same(&a, &b));
}

static void overlap_is_a_share_of_the_second(void **state)
{
    struct grid a = box(0, 0, 0, 10), b = box(5, 0, 0, 10), small = box(2, 3, 4, 2), turned = a;

    (void)state;
    assert_true(fabs(grid_overlap(&a, &a) - 1) < 1e-12);
    assert_true(fabs(grid_overlap(&a, &b) - 0.5) < 1e-12);
    assert_true(fabs(grid_overlap(&a, &small) - 1) < 1e-12);
    assert_true(fabs(grid_overlap(&small, &a) - 0.008) < 1e-3);
    b = box(0, 0, 25, 10);
    assert_true(grid_overlap(&a, &b) == 0);
    b = box(0, 0, 7.9, 10);
    assert_true(fabs(grid_overlap(&a, &b) - 0.21) < 1e-9);
    turned.affine[0][0] = -1; /* stored the other way round */
    turned.affine[0][3] = 9;
    assert_true(fabs(grid_overlap(&a, &turned) - 1) < 1e-12);
    turned.affine[2][2] = 0;
    assert_true(grid_overlap(&turned, &a) == 0);
}

/* A unit cube turned by 45 degrees inside its own kind: an octagon of area 2(sqrt 2 - 1) is common. */
static void overlap_of_turned_boxes(void **state)
{
    struct grid a = box(0, 0, 0, 101), b = a;
    double s = sqrt(0.5);

    (void)state;
    b.affine[0][0] = s, b.affine[0][1] = -s, b.affine[1][0] = s, b.affine[1][1] = s;
    b.affine[0][3] = 50, b.affine[1][3] = 50 - 100 * s;
    assert_true(fabs(grid_overlap(&a, &b) - 2 * (sqrt(2) - 1)) < 0.01);
}

static void identity_is_recognised_either_way_round(void **state)
{
    struct grid g = box(0, 0, 0, 5);

    (void)state;
    assert_true(grid_is_identity(&g));
    g.affine[0][0] = -1;
    assert_true(grid_is_identity(&g));
    g.affine[0][3] = 4;
    assert_false(grid_is_identity(&g));
    g = box(0, 0, 0, 5);
    g.affine[1][1] = 0.7;
    assert_false(grid_is_identity(&g));
}

static void orient_of_a_tie_is_a_permutation(void **state)
{
    struct grid g = {.dims = {2, 2, 2}};
    struct orient o;

    (void)state;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            g.affine[i][j] = 1;
    o = grid_orient(&g);
    assert_int_equal(o.axis[0] + o.axis[1] + o.axis[2], 3);
    assert_int_equal(o.axis[0] * o.axis[1] * o.axis[2], 0);
    for (int i = 0; i < 3; i++)
        g.affine[i][0] = NAN;
    o = grid_orient(&g);
    assert_true(o.axis[0] == 0 && o.axis[1] == 1 && o.axis[2] == 2);
}

static void volumes_check_their_size(void **state)
{
    struct grid g = box(0, 0, 0, 3);
    struct volume *v = NULL;

    (void)state;
    assert_ok(volume_new(&v, &g, VOXEL_F32));
    for (int i = 0; i < 27; i++)
        assert_true(((float *)v->data)[i] == 0);
    volume_free(v);
    volume_free(NULL);
    g.dims[1] = 0;
    assert_err(volume_new(&v, &g, VOXEL_U8), ERR_INPUT, "3 x 0 x 3");
    g.dims[0] = g.dims[1] = g.dims[2] = (int64_t)1 << 22;
    assert_err(volume_new(&v, &g, VOXEL_U8), ERR_INPUT, "cannot be made");
    g = box(0, 0, 0, 3);
    assert_survives_exhaustion(volume_new(&v, &g, VOXEL_I16), volume_free(v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(world_and_back),
        cmocka_unit_test(singular_grids_are_refused),
        cmocka_unit_test(corner_shift_sees_the_far_corner),
        cmocka_unit_test(overlap_is_a_share_of_the_second),
        cmocka_unit_test(overlap_of_turned_boxes),
        cmocka_unit_test(identity_is_recognised_either_way_round),
        cmocka_unit_test(orient_of_a_tie_is_a_permutation),
        cmocka_unit_test(volumes_check_their_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
