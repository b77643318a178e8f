#include "test.h"

#include "base/rng.h"
#include <math.h>

/* Known answers of Random123 1.14 (kat_vectors, philox4x32 10). */
static void philox_known_answers(void **state)
{
    static const struct {
        uint64_t seed, stream, index;
        uint32_t out[4];
    } kat[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822,
         0x0370734413198a2e,
         0x85a308d3243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof kat / sizeof *kat; i++) {
        uint32_t out[4];
        rng_block(kat[i].seed, kat[i].stream, kat[i].index, out);
        assert_memory_equal(out, kat[i].out, sizeof out);
    }
}

static void cursor_follows_blocks(void **state)
{
    struct rng r = rng_at(7, 9);
    uint32_t block[4];

    (void)state;
    for (uint64_t b = 0; b < 3; b++) {
        rng_block(7, 9, b, block);
        for (int i = 0; i < 4; i++)
            assert_int_equal(rng_u32(&r), block[i]);
    }
}

static void unit_and_normal_moments(void **state)
{
    struct rng r = rng_at(1, 2);
    double sum = 0, square = 0, mean = 0;
    int n = 200000;

    (void)state;
    for (int i = 0; i < n; i++) {
        double u = rng_unit(&r), x = rng_normal(&r);
        assert_true(u >= 0 && u < 1);
        mean += u / n;
        sum += x / n;
        square += x * x / n;
    }
    assert_true(fabs(mean - 0.5) < 0.004);
    assert_true(fabs(sum) < 0.012);
    assert_true(fabs(square - 1) < 0.02);
}

static void below_is_uniform(void **state)
{
    struct rng r = rng_at(3, 4);
    int count[7] = {0};

    (void)state;
    for (int i = 0; i < 70000; i++)
        count[rng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(count[i], 9500, 10500);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rng_below(&r, 1), 0);
}

static void keys_differ(void **state)
{
    (void)state;
    assert_true(rng_key(1, 2) != rng_key(2, 1));
    assert_true(rng_key(1, 2) == rng_key(1, 2));
    assert_true(rng_key(1, 2) != rng_key(1, 3));
}

/* seg-nnunet.md section 2 (NumPy's legacy RandomState). */
static void twister_known_answers(void **state)
{
    static const uint32_t first[] = {822569775, 2137449171, 2671936806, 3512589365};
    static const uint32_t below[] = {815, 723, 294, 53, 204, 372, 664, 655};
    static const int64_t order[] = {7, 2, 9, 1, 0, 8, 4, 5, 6, 3};
    int64_t v[10];
    struct mt19937 m;

    (void)state;
    mt_seed(&m, 1234);
    assert_int_equal(m.key[1], 3159640283u);
    assert_int_equal(m.key[2], 4062961311u);
    for (int i = 0; i < 4; i++)
        assert_int_equal(mt_u32(&m), first[i]);
    mt_seed(&m, 1234);
    for (int i = 0; i < 8; i++)
        assert_int_equal(mt_interval(&m, 999), below[i]);
    mt_seed(&m, 1234);
    for (int i = 0; i < 10; i++)
        v[i] = i;
    mt_shuffle(&m, v, 10);
    assert_memory_equal(v, order, sizeof v);
    mt_seed(&m, 1234);
    assert_int_equal(mt_interval(&m, 0), 0);
    assert_int_equal(mt_u32(&m), first[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(cursor_follows_blocks),
        cmocka_unit_test(unit_and_normal_moments),
        cmocka_unit_test(below_is_uniform),
        cmocka_unit_test(keys_differ),
        cmocka_unit_test(twister_known_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
