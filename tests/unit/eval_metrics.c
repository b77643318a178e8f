#include "test.h"

#include "base/mem.h"
#include "base/rng.h"
#include "eval/lesions.h"
#include "eval/metrics.h"
#include "eval/stats.h"
#include <math.h>

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-12)

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) < 1e-12;
}

/* For one triple of counts JAC = DSC/(2-DSC) and DSC = 2 SE PRE/(SE+PRE) hold exactly (seg-backbones.md
 * section 12). */
static void identities(void **state)
{
    struct rng r = rng_at(3, 1);

    (void)state;
    for (int i = 0; i < 5000; i++) {
        struct counts c = {1 + (int64_t)rng_below(&r, 100000), (int64_t)rng_below(&r, 100000),
                           (int64_t)rng_below(&r, 100000), (int64_t)rng_below(&r, 100000)};
        struct counts swapped = {c.tp, c.fn, c.fp, c.tn};
        struct overlap o = counts_overlap(&c, EMPTY_EXCLUDE), s = counts_overlap(&swapped, EMPTY_EXCLUDE);

        NEAR(o.jac, o.dsc / (2 - o.dsc));
        NEAR(o.dsc, 2 * o.se * o.pre / (o.se + o.pre));
        assert_true(o.dsc == s.dsc && o.jac == s.jac && o.se == s.pre && o.pre == s.se);
    }
}

/* Reference empty or not, prediction empty or not, under the three policies. */
static void empty_cases(void **state)
{
    static const struct {
        struct counts c;
        struct overlap want[3];
    } row[] = {
        {{0, 0, 0, 9}, {{NAN, NAN, NAN, NAN}, {NAN, NAN, NAN, NAN}, {1, 1, 1, 1}}},
        {{0, 4, 0, 5}, {{0, 0, NAN, 0}, {0, 0, NAN, 0}, {0, 0, NAN, 0}}},
        {{0, 0, 4, 5}, {{0, 0, 0, NAN}, {0, 0, 0, 0}, {0, 0, 0, 0}}},
        {{2, 1, 1, 5},
         {{2 / 3., .5, 2 / 3., 2 / 3.}, {2 / 3., .5, 2 / 3., 2 / 3.}, {2 / 3., .5, 2 / 3., 2 / 3.}}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        for (int p = EMPTY_EXCLUDE; p <= EMPTY_ONE; p++) {
            struct overlap o = counts_overlap(&row[i].c, (enum empty_policy)p), w = row[i].want[p];

            assert_true(same(o.dsc, w.dsc) && same(o.jac, w.jac) && same(o.se, w.se) && same(o.pre, w.pre));
            assert_non_null(strstr(empty_policy_text((enum empty_policy)p), "both empty"));
        }
}

static void regions_of_a_joint_count(void **state)
{
    static const uint8_t reference[8] = {0, 0, 1, 1, 2, 2, 2, 9}, prediction[8] = {0, 1, 1, 2, 2, 1, 0, 0};
    struct joint j = {{{0}}};
    struct counts liver, tumour, one;

    (void)state;
    joint_count(&j, reference, prediction, 8, 2);
    liver = joint_region(&j, 1, 2);
    one = joint_region(&j, 1, 1);
    tumour = joint_region(&j, 2, 2);
    assert_true(liver.tp == 4 && liver.fp == 1 && liver.fn == 1 && liver.tn == 2);
    assert_true(one.tp == 1 && one.fp == 2 && one.fn == 1 && one.tn == 4);
    assert_true(tumour.tp == 1 && tumour.fp == 1 && tumour.fn == 2 && tumour.tn == 4);
    counts_add(&liver, &one);
    assert_true(liver.tp == 5 && liver.fp == 3 && liver.fn == 2 && liver.tn == 6);
}

static struct volume *volume_of(int64_t x, int64_t y, int64_t z)
{
    const int64_t dims[3] = {x, y, z};
    const double spacing[3] = {1, 1, 1}, origin[3] = {0, 0, 0};
    struct grid g = grid_make(dims, spacing, origin);
    struct volume *v = NULL;

    assert_ok(volume_new(&v, &g, VOXEL_U8));
    return v;
}

static void set(struct volume *v, int64_t x, int64_t y, int64_t z, uint8_t label)
{
    ((uint8_t *)v->data)[x + v->grid.dims[0] * (y + v->grid.dims[1] * z)] = label;
}

static void unknown_labels_are_listed(void **state)
{
    struct volume *v = volume_of(4, 4, 1);

    (void)state;
    set(v, 1, 1, 0, 2);
    assert_ok(label_check(v, 2, "a.nii"));
    set(v, 2, 1, 0, 7);
    assert_err(label_check(v, 2, "a.nii"), ERR_INPUT, "a.nii: label values 0, 2, 7 found, expected 0 to 2");
    volume_free(v);
}

static void lesions_by_hand(void **state)
{
    struct volume *r = volume_of(12, 8, 6), *p = volume_of(12, 8, 6);
    struct lesion_counts l;
    struct lesion_found big;

    (void)state;
    /* reference: two voxels that touch by a corner are one lesion; a second one; a bar of 3; label 1 is no
     * lesion */
    set(r, 1, 1, 1, 2);
    set(r, 2, 2, 2, 2);
    set(r, 5, 5, 3, 2);
    for (int i = 0; i < 3; i++)
        set(r, 8 + i, 6, 4, 2);
    set(r, 9, 1, 1, 1);
    /* prediction: hits the first and the bar (with one component each), and a false one */
    set(p, 2, 2, 2, 2);
    set(p, 9, 6, 4, 2);
    set(p, 9, 1, 1, 2);
    set(p, 5, 5, 3, 1);
    assert_ok(lesions_match(&l, r, p, 2));
    assert_true(l.reference == 3 && l.predicted == 3 && l.detected == 2 && l.false_positive == 1);
    assert_ok(lesions_match(&l, r, r, 2));
    assert_true(l.reference == 3 && l.detected == 3 && l.false_positive == 0);
    assert_ok(lesion_largest(&big, r, 2, 2));
    assert_true(big.voxels == 3 && big.slice[0] == 8 && big.slice[1] == 6 && big.slice[2] == 4);
    assert_ok(lesion_largest(&big, r, 3, 3));
    assert_int_equal(big.voxels, 0);
    assert_survives_exhaustion(lesions_match(&l, r, p, 2), assert_int_equal(l.detected, 2));
    assert_survives_exhaustion(lesion_largest(&big, r, 2, 2), assert_int_equal(big.voxels, 3));
    volume_free(r);
    volume_free(p);
}

/* numpy: mean, std(ddof=1) and percentile of the same values. */
static void summaries(void **state)
{
    double v[] = {0.5, NAN, 0.9, 0.1, NAN, 0.7}, one[] = {0.25}, none[] = {NAN};
    struct summary s = summary_of(v, 6);

    (void)state;
    assert_true(s.n == 4 && s.undefined == 2);
    NEAR(s.mean, 0.55);
    NEAR(s.sd, 0.3415650255319866);
    NEAR(s.median, 0.6);
    NEAR(s.q1, 0.4);
    NEAR(s.q3, 0.75);
    assert_true(s.min == 0.1 && s.max == 0.9);
    s = summary_of(one, 1);
    assert_true(s.n == 1 && s.mean == 0.25 && s.median == 0.25 && isnan(s.sd));
    s = summary_of(none, 1);
    assert_true(s.n == 0 && s.undefined == 1 && isnan(s.mean) && isnan(s.median));
    s = summary_of(none, 0);
    assert_true(s.n == 0 && s.undefined == 0 && isnan(s.mean));
}

/* NumPy: percentiles 2.5 and 97.5 of four million means of resampled values, which are 0.9, 0.94833 and 0.1,
 * 0.775; 4000 resamples come within 0.002 and 0.02 of them. Order does not matter. */
static void intervals_of_the_mean(void **state)
{
    double six[] = {0.91, 0.93, 0.95, 0.88, 0.97, 0.90}, turned[] = {0.90, 0.97, 0.88, 0.95, 0.93, 0.91};
    double four[] = {0, 0.2, NAN, 0.85, 0.7}, one[] = {0.5}, same[] = {0.5, 0.5};
    struct summary s = summary_of(six, 6), t = summary_of(turned, 6);

    (void)state;
    assert_true(fabs(s.low - 0.9) < 0.002 && fabs(s.high - 0.94833) < 0.002);
    assert_true(s.low == t.low && s.high == t.high);
    s = summary_of(four, 5);
    assert_true(fabs(s.low - 0.1) < 0.02 && fabs(s.high - 0.775) < 0.02);
    s = summary_of(one, 1);
    assert_true(isnan(s.low) && isnan(s.high));
    s = summary_of(same, 2);
    assert_true(s.low == 0.5 && s.high == 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(identities),
                                       cmocka_unit_test(empty_cases),
                                       cmocka_unit_test(regions_of_a_joint_count),
                                       cmocka_unit_test(unknown_labels_are_listed),
                                       cmocka_unit_test(lesions_by_hand),
                                       cmocka_unit_test(summaries),
                                       cmocka_unit_test(intervals_of_the_mean)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
