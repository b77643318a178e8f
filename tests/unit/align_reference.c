/* The reference pair at 3 mm, with limits of its own; align_reference_long.c has it at full size. */
#include "reference_case.h"

static struct grid small(void)
{
    return grid_make((int64_t[3]){128, 128, 100}, (double[3]){3, 3, 3}, (double[3]){-9, -40, 34});
}

static void the_true_map_is_found(void **state)
{
    struct grid g = small();
    struct reference_pair p;
    struct registration r;
    struct registration_score s;
    const struct registration_region *liver;

    (void)state;
    reference_need();
    p = reference_make(&g, "noncontrast", 12);
    r = reference_register(&p, 3);
    s = reference_score(&p, r.transform);
    liver = reference_liver(&s);
    print_message("liver %.2f mm (95 %% %.2f), body %.2f, Dice %.3f, det %.2f, SD of log det %.3f\n",
                  liver->error[1].mean, liver->error[1].p95, s.region[0].error[1].mean,
                  liver->overlap[1].dice, s.det_least, s.sd_log_det);
    assert_true(liver->error[0].mean > 15);
    assert_true(liver->error[1].mean < 2.9);
    assert_true(liver->error[1].p95 < 6);
    assert_true(s.region[0].error[1].mean < 2.2);
    assert_true(liver->overlap[1].dice > 0.95);
    assert_true(s.det_least > 0.2);
    assert_true(s.sd_log_det < 0.14);
    assert_int_equal(r.judgement.verdict, VERDICT_PASS);
    registration_score_free(&s);
    registration_free(&r);
    reference_free(&p);
}

/* Left and right exchanged in the voxels, the header as it was. */
static void a_mirrored_image_fails(void **state)
{
    struct grid g = small();
    struct reference_pair p;
    struct registration r;

    (void)state;
    reference_need();
    p = reference_make(&g, "arterial", 12);
    for (int64_t row = 0; row < g.dims[1] * g.dims[2]; row++) {
        int16_t *hu = (int16_t *)p.moving->data + row * g.dims[0];

        for (int64_t x = 0; x < g.dims[0] / 2; x++) {
            int16_t swap = hu[x];
            hu[x] = hu[g.dims[0] - 1 - x];
            hu[g.dims[0] - 1 - x] = swap;
        }
    }
    r = reference_register(&p, 3);
    assert_int_equal(r.judgement.verdict, VERDICT_FAIL);
    registration_free(&r);
    reference_free(&p);
}

/* The same body without anything in it, and with nothing but noise. */
static void an_image_without_content_fails(void **state)
{
    struct grid g = small();
    struct reference_pair p;

    (void)state;
    reference_need();
    p = reference_make(&g, "noncontrast", 12);
    for (int kind = 0; kind < 2; kind++) {
        int16_t *hu = p.moving->data;
        struct registration r;

        for (int64_t i = 0; i < grid_count(&g); i++)
            hu[i] = hu[i] > -300 ? 40 : -1000;
        if (kind)
            reference_noise(p.moving, 60, 7);
        r = reference_register(&p, 4);
        assert_int_equal(r.judgement.verdict, VERDICT_FAIL);
        registration_free(&r);
    }
    reference_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_true_map_is_found),
        cmocka_unit_test(a_mirrored_image_fails),
        cmocka_unit_test(an_image_without_content_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
