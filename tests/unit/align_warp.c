#include "transform_case.h"

#include "align/warp.h"
#include "base/par.h"

static struct transform *identity(void)
{
    struct transform *t = NULL;

    assert_ok(transform_new(&t, NULL, NULL));
    return t;
}

static struct volume *warped(struct volume **valid, const struct warp *w)
{
    struct mapper_tally tally = {0};
    struct volume *v = NULL;

    assert_ok(warp_volume(&v, valid, w, &tally));
    assert_int_equal(tally.unsolved, 0);
    return v;
}

static void same_bytes(const struct volume *a, const struct volume *b)
{
    assert_int_equal(grid_count(&a->grid), grid_count(&b->grid));
    assert_memory_equal(a->data, b->data, (size_t)grid_count(&a->grid) * voxel_size(a->type));
}

/* The identity onto the same grid changes nothing, whatever the way. */
static void identity_is_a_copy(void **state)
{
    struct grid g = case_grid(21, 14, 9);
    struct transform *t = identity();

    (void)state;
    for (enum warp_how how = WARP_LINEAR; how <= WARP_LABELS; how++) {
        struct volume *in = case_noise(&g, how < WARP_NEAREST ? VOXEL_I16 : VOXEL_U8), *valid = NULL;
        struct volume *out = warped(&valid, &(struct warp){t, in, &g, how});

        same_bytes(in, out);
        for (int64_t i = 0; i < grid_count(&g); i++)
            assert_int_equal(((uint8_t *)valid->data)[i], 1);
        volume_free(in), volume_free(out), volume_free(valid);
    }
    transform_free(t);
}

/* All 48 storage orders of the moving volume give the same image. */
static void storage_order_does_not_matter(void **state)
{
    static const int perms[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct transform *t = case_transform(1);
    struct volume *in = case_noise(&t->moving, VOXEL_I16);
    struct volume *want = warped(NULL, &(struct warp){t, in, &t->fixed, WARP_LINEAR});

    (void)state;
    for (int k = 0; k < 48; k++) {
        struct orient o = {.flip = {k & 1, k >> 1 & 1, k >> 2 & 1}};
        struct volume *turned = NULL, *out;
        int64_t off = 0;

        memcpy(o.axis, perms[k / 8], sizeof o.axis);
        assert_ok(volume_from_ras(&turned, in, o));
        out = warped(NULL, &(struct warp){t, turned, &t->fixed, WARP_LINEAR});
        for (int64_t i = 0; i < grid_count(&out->grid); i++) /* rounding at halves */
            off += abs(((int16_t *)out->data)[i] - ((int16_t *)want->data)[i]) > 1;
        assert_int_equal(off, 0);
        volume_free(turned), volume_free(out);
    }
    volume_free(in), volume_free(want);
    transform_free(t);
}

/* Trilinear of a function that is linear in mm is the function, through any map. */
static void linear_functions_are_kept(void **state)
{
    static const double k[4] = {3, -2.5, 4, 12};
    struct transform *t = case_transform(1);
    struct volume *in = NULL, *valid = NULL;
    struct mapper_tally tally = {0};
    struct mapper *m = NULL;
    int64_t inside = 0, at = 0;

    (void)state;
    assert_ok(volume_new(&in, &t->moving, VOXEL_I16));
    for (int64_t z = 0; z < in->grid.dims[2]; z++)
        for (int64_t y = 0; y < in->grid.dims[1]; y++)
            for (int64_t x = 0; x < in->grid.dims[0]; x++) {
                double p[3] = {(double)x, (double)y, (double)z};

                grid_world(&in->grid, p, p);
                ((int16_t *)in->data)[at++] = (int16_t)rint(k[0] * p[0] + k[1] * p[1] + k[2] * p[2] + k[3]);
            }
    assert_ok(mapper_new(&m, t, NULL, NULL));
    for (enum warp_how how = WARP_LINEAR; how <= WARP_CUBIC; how++) {
        struct volume *out = warped(&valid, &(struct warp){t, in, &t->fixed, how});

        at = 0;
        for (int64_t z = 0; z < out->grid.dims[2]; z++)
            for (int64_t y = 0; y < out->grid.dims[1]; y++)
                for (int64_t x = 0; x < out->grid.dims[0]; x++, at++) {
                    double p[3] = {(double)x, (double)y, (double)z}, index[3], got;
                    struct grid inverse;

                    grid_world(&out->grid, p, p);
                    mapper_point(m, p, p, &tally);
                    assert_ok(grid_invert(&in->grid, inverse.affine));
                    grid_world(&inverse, p, index);
                    got = ((int16_t *)out->data)[at];
                    if (!((uint8_t *)valid->data)[at])
                        assert_float_equal(got, WARP_OUTSIDE_HU, 0);
                    else if (index[0] > 2 && index[0] < 35 && index[1] > 2 && index[1] < 37 && index[2] > 2 &&
                             index[2] < 22) {
                        assert_float_equal(got, k[0] * p[0] + k[1] * p[1] + k[2] * p[2] + k[3], 1.6);
                        inside++;
                    }
                }
        volume_free(out), volume_free(valid);
    }
    assert_true(inside > 10000);
    mapper_free(m);
    volume_free(in);
    transform_free(t);
}

/* The spline goes through the voxels, and between them through a parabola far from the border. */
static void spline_is_exact_on_parabolas(void **state)
{
    struct grid g = grid_make((int64_t[3]){41, 3, 1}, (double[3]){1, 1, 1}, (double[3]){0, 0, 0}), half = g;
    struct transform *t = identity();
    struct volume *in = NULL, *out;

    (void)state;
    half.affine[0][3] = 0.5;
    assert_ok(volume_new(&in, &g, VOXEL_I16));
    for (int64_t i = 0; i < grid_count(&g); i++)
        ((int16_t *)in->data)[i] = (int16_t)(4 * (i % 41 - 20) * (i % 41 - 20));
    out = warped(NULL, &(struct warp){t, in, &half, WARP_CUBIC});
    for (int64_t i = 12; i < 28; i++) /* below the vertex the range of the voxels ends */
        assert_int_equal(((int16_t *)out->data)[i], 4 * (double)(i - 20) * (double)(i - 19) + 1);
    volume_free(in), volume_free(out);
    transform_free(t);
}

/* By definition: for each label the trilinear value of its mask, the largest wins. */
static void labels_take_the_heaviest(void **state)
{
    struct transform *t = case_transform(1);
    struct volume *in = case_noise(&t->moving, VOXEL_U8), *mask = NULL;
    struct volume *out = warped(NULL, &(struct warp){t, in, &t->fixed, WARP_LABELS}), *share[4];
    int64_t n = grid_count(&in->grid), close = 0;

    (void)state;
    assert_ok(volume_new(&mask, &in->grid, VOXEL_I16));
    for (int label = 0; label < 4; label++) {
        for (int64_t i = 0; i < n; i++)
            ((int16_t *)mask->data)[i] = ((uint8_t *)in->data)[i] == label ? 30000 : 0;
        share[label] = warped(NULL, &(struct warp){t, mask, &t->fixed, WARP_LINEAR});
    }
    for (int64_t i = 0; i < grid_count(&out->grid); i++) {
        int16_t got = ((int16_t *)share[((uint8_t *)out->data)[i]]->data)[i], most = got;

        for (int label = 0; label < 4; label++)
            most = ((int16_t *)share[label]->data)[i] > most ? ((int16_t *)share[label]->data)[i] : most;
        assert_true(got + 1 >= most);
        close += got == most;
    }
    assert_true(close > grid_count(&out->grid) * 99 / 100);
    for (int label = 0; label < 4; label++)
        volume_free(share[label]);
    volume_free(in), volume_free(out), volume_free(mask);
    transform_free(t);
}

static void outside_is_marked(void **state)
{
    struct grid g = grid_make((int64_t[3]){8, 8, 8}, (double[3]){1, 1, 1}, (double[3]){0, 0, 0}), to = g;
    struct transform *t = identity();
    struct volume *in = case_noise(&g, VOXEL_I16), *valid = NULL, *out;

    (void)state;
    to.affine[0][3] = 3.25;
    out = warped(&valid, &(struct warp){t, in, &to, WARP_LINEAR});
    for (int64_t i = 0; i < 512; i++) {
        assert_int_equal(((uint8_t *)valid->data)[i], i % 8 < 5); /* 4 + 3.25 <= 7.5 */
        if (i % 8 >= 5)
            assert_int_equal(((int16_t *)out->data)[i], -1024);
    }
    volume_free(in), volume_free(out), volume_free(valid);
    transform_free(t);
}

static void threads_change_nothing(void **state)
{
    static const int threads[3] = {1, 2, 8};
    struct transform *t = case_transform(1.2), *back = NULL;
    struct volume *image = case_noise(&t->moving, VOXEL_I16), *label = case_noise(&t->moving, VOXEL_U8);
    struct volume *first[5];

    (void)state;
    assert_ok(transform_inverse(&back, t));
    for (int k = 0; k < 3; k++) {
        struct mapper_tally tally = {0};
        struct volume *out[5];

        par_set_threads(threads[k]);
        for (enum warp_how how = WARP_LINEAR; how <= WARP_LABELS; how++)
            out[how] = warped(NULL, &(struct warp){how == WARP_CUBIC ? back : t,
                                                   how < WARP_NEAREST ? image : label, &t->fixed, how});
        assert_ok(warp_jacobian(&out[4], t, &t->fixed, &tally));
        for (int i = 0; i < 5; i++) {
            if (k)
                same_bytes(out[i], first[i]);
            else
                first[i] = out[i];
            if (k)
                volume_free(out[i]);
        }
    }
    par_set_threads(0);
    for (int i = 0; i < 5; i++)
        volume_free(first[i]);
    volume_free(image), volume_free(label);
    transform_free(t), transform_free(back);
}

/* det of an affine is its own, everywhere, on any grid; of T and its inverse they are reciprocal. */
static void determinants(void **state)
{
    struct transform *t = identity(), *curved = case_transform(1), *back = NULL;
    struct affine a = case_affine();
    struct grid g = {
        .dims = {9, 5, 1}, .spacing = {1, 2, 3}, .affine = {{0, 2, 0, 4}, {0, 0, 3, 1}, {-1, 0, 0, 7}}};
    struct mapper_tally tally = {0};
    struct volume *v = NULL;
    struct mapper *m = NULL;
    double lowest = 9, highest = 0;

    (void)state;
    assert_ok(transform_add_affine(t, &a));
    assert_ok(warp_jacobian(&v, t, &g, &tally));
    for (int64_t i = 0; i < grid_count(&g); i++)
        assert_float_equal(((float *)v->data)[i], affine_det(&a), 1e-6);
    volume_free(v);
    assert_ok(transform_inverse(&back, curved));
    assert_ok(mapper_new(&m, curved, NULL, NULL));
    assert_ok(warp_jacobian(&v, curved, &curved->fixed, &tally));
    for (int64_t i = 1000; i < grid_count(&v->grid); i += 997) {
        const int64_t *n = v->grid.dims;
        double p[3] = {(double)(i % n[0]), (double)(i / n[0] % n[1]), (double)(i / n[0] / n[1])}, q[3];
        double det = ((float *)v->data)[i];
        struct volume *inverse = NULL;
        struct grid at;

        grid_world(&v->grid, p, p);
        mapper_point(m, p, q, &tally);
        at = grid_make((int64_t[3]){1, 1, 1}, (double[3]){0.5, 0.5, 0.5}, q);
        assert_ok(warp_jacobian(&inverse, back, &at, &tally));
        assert_float_equal(det * *(float *)inverse->data, 1, 0.12);
        lowest = fmin(lowest, det), highest = fmax(highest, det);
        volume_free(inverse);
    }
    assert_true(lowest > 0.3 && lowest < 0.9 && highest > 1.1);
    mapper_free(m);
    volume_free(v);
    transform_free(t), transform_free(curved), transform_free(back);
}

static void exhaustion_is_an_error(void **state)
{
    struct transform *t = case_transform(0.5);
    struct volume *in = case_noise(&t->moving, VOXEL_I16), *out = NULL, *valid = NULL;
    struct warp w = {t, in, &t->fixed, WARP_CUBIC};
    struct mapper_tally tally = {0};

    (void)state;
    assert_survives_exhaustion(warp_volume(&out, &valid, &w, &tally), volume_free(out); volume_free(valid));
    assert_survives_exhaustion(warp_jacobian(&out, t, &t->fixed, &tally), volume_free(out));
    volume_free(in);
    transform_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_is_a_copy),        cmocka_unit_test(storage_order_does_not_matter),
        cmocka_unit_test(linear_functions_are_kept), cmocka_unit_test(spline_is_exact_on_parabolas),
        cmocka_unit_test(labels_take_the_heaviest),  cmocka_unit_test(outside_is_marked),
        cmocka_unit_test(threads_change_nothing),    cmocka_unit_test(determinants),
        cmocka_unit_test(exhaustion_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
