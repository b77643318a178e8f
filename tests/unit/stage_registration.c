#include "transform_case.h"

#include "align/warp.h"
#include "stage/registration_score.h"

static struct transform *shift(double x, double y, double z)
{
    struct affine a = affine_identity();
    struct transform *t = NULL;

    a.m[0][3] = x, a.m[1][3] = y, a.m[2][3] = z;
    assert_ok(transform_new(&t, NULL, NULL));
    assert_ok(transform_add_affine(t, &a));
    return t;
}

/* A box of label 5 in a volume on g, offset by whole voxels. */
static struct volume *box(const struct grid *g, int64_t dx)
{
    struct volume *v = NULL;
    int64_t i = 0;

    assert_ok(volume_new(&v, g, VOXEL_U8));
    for (int64_t z = 0; z < g->dims[2]; z++)
        for (int64_t y = 0; y < g->dims[1]; y++)
            for (int64_t x = 0; x < g->dims[0]; x++, i++)
                if (x >= 8 + dx && x < 16 + dx && y >= 6 && y < 14 && z >= 3 && z < 7)
                    ((uint8_t *)v->data)[i] = 5;
    return v;
}

static struct grid cube(void)
{
    return grid_make((int64_t[3]){32, 20, 10}, (double[3]){1, 1, 2}, (double[3]){0, 0, 0});
}

static void a_known_shift(void **state)
{
    struct grid g = cube();
    struct transform *truth = shift(4, 0, 0), *t = shift(4, 3, 0);
    struct volume *fixed = box(&g, 0), *moving = box(&g, 4);
    struct registration_query q = {.t = truth,
                                   .fixed = &g,
                                   .moving = &g,
                                   .truth = truth,
                                   .fixed_labels = fixed,
                                   .moving_labels = moving,
                                   .step = 1,
                                   .names = "1=a,5=liver"};
    struct registration_score s;

    (void)state;
    assert_ok(registration_score(&s, &q, NULL));
    assert_int_equal(s.regions, 2);
    assert_string_equal(s.region[1].name, "liver");
    assert_int_equal(s.region[1].nodes, 8 * 8 * 4);
    assert_int_equal(s.region[0].nodes,
                     28 * 20 * 10); /* the last four columns truly leave the moving image */
    assert_float_equal(s.region[1].error[0].mean, 4, 1e-6);
    assert_float_equal(s.region[1].error[1].most, 0, 1e-6);
    assert_float_equal(s.region[1].overlap[0].dice, 0.5, 1e-12);
    assert_float_equal(s.region[1].overlap[0].most, 4, 1e-6);
    assert_float_equal(s.region[1].overlap[1].dice, 1, 0);
    assert_float_equal(s.region[1].volume_ratio, 1, 1e-12);
    assert_float_equal(s.det_least, 1, 1e-6);
    assert_float_equal(s.sd_log_det, 0, 1e-6);
    assert_float_equal(s.moved_mean, 4, 1e-6);
    assert_float_equal(s.inside, 28 / 32.0, 1e-12);
    registration_score_free(&s);
    q.t = t;
    assert_ok(registration_score(&s, &q, NULL));
    assert_float_equal(s.region[1].error[1].mean, 3, 1e-6);
    assert_float_equal(s.region[1].error[1].p95, 3, 1e-6);
    assert_float_equal(s.region[1].overlap[1].dice, 2 * 5.0 / 16, 1e-12);
    registration_score_free(&s);
    volume_free(fixed), volume_free(moving);
    transform_free(t), transform_free(truth);
}

/* A mask limits what counts, thinning keeps the figures, and quantiles are those of a known spread. */
static void a_scaling_in_a_mask(void **state)
{
    struct grid g = cube();
    struct affine a = affine_identity();
    struct transform *t = NULL, *identity = NULL;
    struct volume *body = NULL;
    struct registration_query q = {.fixed = &g, .step = 1};
    struct registration_score s;

    (void)state;
    a.m[0][0] = 1.1;
    assert_ok(transform_new(&t, NULL, NULL));
    assert_ok(transform_add_affine(t, &a));
    assert_ok(transform_new(&identity, NULL, NULL));
    assert_ok(volume_new(&body, &g, VOXEL_U8));
    for (int64_t i = 0; i < grid_count(&g); i++)
        ((uint8_t *)body->data)[i] = i % 32 >= 10 && i % 32 <= 30;
    q.t = t, q.truth = identity, q.body = body;
    for (int k = 0; k < 2; k++) {
        q.step = k ? 2 : 1;
        assert_ok(registration_score(&s, &q, NULL));
        assert_int_equal(s.regions, 1);
        assert_int_equal(s.region[0].nodes, k ? 11 * 10 * 10 : 21 * 20 * 10);
        assert_float_equal(s.region[0].error[1].mean, 2, 1e-5);
        assert_float_equal(s.region[0].error[1].median, 2, 1e-5);
        assert_float_equal(s.region[0].error[1].most, 3, 1e-5);
        assert_float_equal(s.region[0].error[0].most, 0, 0);
        assert_float_equal(s.det_mean, 1.1, 1e-5);
        assert_true(isnan(s.inside));
        registration_score_free(&s);
    }
    memset(body->data, 0, (size_t)grid_count(&g));
    assert_err(registration_score(&s, &q, NULL), ERR_INPUT, "mask is empty");
    transform_free(t), transform_free(identity);
    volume_free(body);
}

static void names_are_checked(void **state)
{
    static const char *const bad[] = {"5", "5=", "x=liver", "0=a", "5=a,,", "300=b"};
    struct grid g = cube();
    struct transform *t = shift(0, 0, 0);
    struct volume *v = box(&g, 0);
    struct registration_query q = {.t = t, .fixed = &g, .fixed_labels = v, .moving_labels = v, .step = 1};
    struct registration_score s;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        q.names = bad[i];
        assert_err(registration_score(&s, &q, NULL), ERR_USAGE, "LABEL=NAME");
    }
    volume_free(v);
    transform_free(t);
}

static void exhaustion_is_an_error(void **state)
{
    struct grid g = cube();
    struct transform *t = case_transform(0.5);
    struct volume *v = box(&g, 0);
    struct registration_query q = {
        .t = t, .fixed = &g, .truth = t, .fixed_labels = v, .moving_labels = v, .step = 2};
    struct registration_score s;

    (void)state;
    assert_survives_exhaustion(registration_score(&s, &q, NULL), registration_score_free(&s));
    volume_free(v);
    transform_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_shift),
        cmocka_unit_test(a_scaling_in_a_mask),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(exhaustion_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
