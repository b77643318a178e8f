/* All 48 storage orders, oblique and anisotropic: to RAS and back changes nothing, and every voxel keeps its
 * place in the world, also through a file. */
#include "test.h"

#include "base/mem.h"
#include "base/rng.h"
#include "volume/nifti.h"
#include <math.h>

static const int perms[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

static void rotate(double m[3][3], int a, int b, double angle)
{
    for (int j = 0; j < 3; j++) {
        double u = m[a][j], v = m[b][j];

        m[a][j] = cos(angle) * u - sin(angle) * v;
        m[b][j] = sin(angle) * u + cos(angle) * v;
    }
}

/* World axis perms[k][j] runs along stored axis j, against it where `flips` has bit j; then turned by up to
 * 20 degrees per axis (the closest permutation stays the same below 35 degrees in all). */
static struct grid grid_of(int k, int flips, bool oblique, struct rng *r)
{
    struct grid g = {.dims = {3, 4, 5}, .spacing = {0.7, 1.3, 5}};
    double m[3][3] = {{0}};

    for (int j = 0; j < 3; j++)
        m[perms[k][j]][j] = flips >> j & 1 ? -1 : 1;
    if (oblique) {
        rotate(m, 0, 1, rng_between(r, -0.2, 0.2));
        rotate(m, 1, 2, rng_between(r, -0.2, 0.2));
        rotate(m, 2, 0, rng_between(r, -0.2, 0.2));
    }
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            g.affine[i][j] = m[i][j] * g.spacing[j];
        g.affine[i][3] = rng_between(r, -300, 300);
    }
    return g;
}

static struct volume *numbered(const struct grid *g, enum voxel type)
{
    struct volume *v = NULL;

    assert_ok(volume_new(&v, g, type));
    for (int i = 0; i < 60; i++) {
        if (type == VOXEL_U8)
            ((uint8_t *)v->data)[i] = (uint8_t)i;
        else if (type == VOXEL_I16)
            ((int16_t *)v->data)[i] = (int16_t)(i - 20);
        else
            ((float *)v->data)[i] = (float)i / 3;
    }
    return v;
}

/* Each voxel of w has the value of the voxel of v at the same place. */
static void same_places(const struct volume *v, const struct volume *w)
{
    struct grid inverse;
    size_t size = voxel_size(v->type);

    assert_ok(grid_invert(&v->grid, inverse.affine));
    for (int64_t z = 0, at = 0; z < w->grid.dims[2]; z++)
        for (int64_t y = 0; y < w->grid.dims[1]; y++)
            for (int64_t x = 0; x < w->grid.dims[0]; x++, at++) {
                double p[3] = {(double)x, (double)y, (double)z};
                int64_t index[3];

                grid_world(&w->grid, p, p);
                grid_world(&inverse, p, p);
                for (int i = 0; i < 3; i++) {
                    index[i] = (int64_t)lround(p[i]);
                    assert_true(fabs(p[i] - (double)index[i]) < 1e-9);
                    assert_true(index[i] >= 0 && index[i] < v->grid.dims[i]);
                }
                index[0] += v->grid.dims[0] * (index[1] + v->grid.dims[1] * index[2]);
                assert_memory_equal((char *)v->data + (size_t)index[0] * size,
                                    (char *)w->data + (size_t)at * size, size);
            }
}

static void check_order(const struct grid *g, int k, int flips, enum voxel type)
{
    struct volume *v = numbered(g, type), *ras = NULL, *back = NULL;
    struct orient o = grid_orient(g);

    for (int j = 0; j < 3; j++) {
        assert_int_equal(o.axis[perms[k][j]], j);
        assert_int_equal(o.flip[perms[k][j]], flips >> j & 1);
    }
    assert_ok(volume_to_ras(&ras, v));
    for (int r = 0; r < 3; r++) {
        assert_int_equal(grid_orient(&ras->grid).axis[r], r);
        assert_true(ras->grid.affine[r][r] > 0);
    }
    same_places(v, ras);
    assert_ok(volume_from_ras(&back, ras, o));
    assert_memory_equal(back->grid.dims, v->grid.dims, sizeof v->grid.dims);
    assert_memory_equal(back->grid.spacing, v->grid.spacing, sizeof v->grid.spacing);
    assert_memory_equal(back->data, v->data, 60 * voxel_size(type));
    assert_true(grid_corner_distance(&back->grid, &v->grid) < 1e-9);
    volume_free(v);
    volume_free(ras);
    volume_free(back);
}

static void every_order_goes_to_ras_and_back(void **state)
{
    struct rng r = rng_at(1, 1);

    (void)state;
    for (int k = 0; k < 6; k++)
        for (int flips = 0; flips < 8; flips++)
            for (int n = 0; n < 9; n++) {
                struct grid g = grid_of(k, flips, n >= 3, &r);
                check_order(&g, k, flips, (enum voxel)(n % 3));
            }
}

/* A volume made here gets both forms; each alone gives the grid back (single precision). */
static void every_order_goes_through_a_file(void **state)
{
    static const enum nifti_form forms[] = {NIFTI_SFORM, NIFTI_QFORM};
    const char *folder = test_folder();
    struct rng r = rng_at(1, 2);

    (void)state;
    for (int k = 0; k < 6; k++)
        for (int flips = 0; flips < 8; flips++)
            for (int n = 0; n < 4; n++) {
                struct grid g = grid_of(k, flips, n > 1, &r);
                const char *path = test_path(folder, n % 2 ? "v.nii" : "v.nii.gz");
                struct volume *v = numbered(&g, VOXEL_I16), *w = NULL;
                struct notes notes = {0};
                struct nifti_options o = {.prefer = forms[n % 2], .positions_matter = true};

                assert_ok(nifti_save(v, NULL, path));
                assert_ok(nifti_load_hu(&w, path, &o, &notes));
                assert_int_equal(notes.count, 1); /* thin */
                assert_int_equal(nifti_form_used(w), o.prefer);
                assert_true(grid_corner_distance(&g, &w->grid) < 1e-3);
                assert_memory_equal(w->data, v->data, 120);
                volume_free(v);
                volume_free(w);
                notes_clear(&notes);
            }
}

static void survives_exhaustion(void **state)
{
    struct rng r = rng_at(1, 3);
    struct grid g = grid_of(3, 5, true, &r);
    struct volume *v = numbered(&g, VOXEL_F32), *w = NULL;

    (void)state;
    assert_survives_exhaustion(volume_to_ras(&w, v), volume_free(w));
    volume_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_goes_to_ras_and_back),
        cmocka_unit_test(every_order_goes_through_a_file),
        cmocka_unit_test(survives_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
