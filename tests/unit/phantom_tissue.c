#include "phantom/tissue.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { CASES = 200 };

static struct tissues draw(int number, double steatosis, double cirrhosis)
{
    struct phantom_id id = {.seed = 1, .number = number};
    struct tissue_odds odds = {.steatosis = steatosis, .cirrhosis = cirrhosis};
    struct tissues t;

    tissues_draw(&t, &id, &odds);
    return t;
}

/* The law of phantom.md section 15 about drawn values. */
static bool lawful(const struct tissues *t)
{
    const double *aorta = t->hu[TISSUE_AORTA], *liver = t->hu[TISSUE_LIVER];
    const double *cortex = t->hu[TISSUE_CORTEX], *medulla = t->hu[TISSUE_MEDULLA];

    return aorta[PHANTOM_ART] > aorta[PHANTOM_PVP] && aorta[PHANTOM_PVP] > aorta[PHANTOM_DEL] &&
           aorta[PHANTOM_DEL] > aorta[PHANTOM_NC] && liver[PHANTOM_PVP] > liver[PHANTOM_DEL] &&
           liver[PHANTOM_DEL] > liver[PHANTOM_ART] && liver[PHANTOM_ART] > liver[PHANTOM_NC] &&
           cortex[PHANTOM_ART] - medulla[PHANTOM_ART] >= 60 &&
           cortex[PHANTOM_PVP] - medulla[PHANTOM_PVP] <= 60;
}

static void test_order_of_phases(void **state)
{
    int good = 0;

    (void)state;
    for (int i = 0; i < CASES; i++) {
        struct tissues t = draw(i, .15, 0);
        good += lawful(&t);
    }
    assert_true(good >= CASES * 97 / 100);
}

/* Means and spreads over the cases against the table. */
static void test_values(void **state)
{
    static const struct {
        enum tissue which;
        int phase;
        double mean, spread;
    } want[] = {
        {TISSUE_LIVER, PHANTOM_NC, 57, 7},     {TISSUE_LIVER, PHANTOM_PVP, 57 + 53, 10.6},
        {TISSUE_AORTA, PHANTOM_ART, 315, 44},  {TISSUE_SPLEEN, PHANTOM_PVP, 122, 12},
        {TISSUE_PORTAL, PHANTOM_ART, 126, 41}, {TISSUE_PELVIS, PHANTOM_DEL, 326, 47},
        {TISSUE_FAT, PHANTOM_NC, -103, 6},
    };

    (void)state;
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        double sum = 0, squares = 0, mean, sd;
        for (int i = 0; i < CASES; i++) {
            double v = draw(i, 0, 0).hu[want[k].which][want[k].phase];
            sum += v;
            squares += v * v;
        }
        mean = sum / CASES;
        sd = sqrt(squares / CASES - mean * mean);
        assert_true(fabs(mean - want[k].mean) < 4 * want[k].spread / sqrt(CASES));
        assert_true(sd > .8 * want[k].spread && sd < 1.2 * want[k].spread);
    }
}

/* A probability changes only what it names: other tissues stay, and a fatty liver differs without contrast
 * but enhances alike. */
static void test_what_probabilities_change(void **state)
{
    int fatty = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        struct tissues plain = draw(i, 0, 0), fat = draw(i, 1, 0), scar = draw(i, 0, 1);

        assert_true(fat.steatosis && !fat.cirrhosis && scar.cirrhosis && !plain.steatosis);
        for (int k = TISSUE_LIVER + 1; k < TISSUES; k++)
            for (int p = 0; p < PHANTOM_PHASES; p++)
                assert_true(fat.hu[k][p] == plain.hu[k][p] && scar.hu[k][p] == plain.hu[k][p]);
        for (int p = 0; p < PHANTOM_PHASES; p++)
            assert_true(fabs(tissue_gain(&fat, TISSUE_LIVER, p) - tissue_gain(&plain, TISSUE_LIVER, p)) <
                        1e-9);
        assert_true(scar.hu[TISSUE_LIVER][PHANTOM_PVP] < plain.hu[TISSUE_LIVER][PHANTOM_PVP]);
        assert_true(scar.hu[TISSUE_LIVER][PHANTOM_NC] == plain.hu[TISSUE_LIVER][PHANTOM_NC]);
        fatty += fat.hu[TISSUE_LIVER][PHANTOM_NC] < fat.hu[TISSUE_SPLEEN][PHANTOM_NC];
    }
    assert_true(fatty > 25);
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < TISSUES; i++)
        assert_non_null(tissue_names[i]);
    assert_null(tissue_names[TISSUES]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_phases),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_what_probabilities_change),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
