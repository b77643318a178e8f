/* Morphology against brute force on small random volumes, at every density, with thin and single-slice
 * shapes. */
#include "test.h"

#include "base/mem.h"
#include "base/rng.h"
#include "image/morph.h"
#include <stdbool.h>

enum { ROUNDS = 600, ROOM = 7 * 7 * 7 };

struct sample {
    int64_t dims[3], count;
    uint8_t mask[ROOM];
};

static struct sample draw(struct rng *r)
{
    struct sample s = {.count = 1};
    double density = rng_unit(r);

    for (int i = 0; i < 3; i++) {
        s.dims[i] = 1 + (int64_t)rng_below(r, 7);
        s.count *= s.dims[i];
    }
    for (int64_t i = 0; i < s.count; i++)
        s.mask[i] = rng_unit(r) < density ? (uint8_t)(1 + rng_below(r, 255)) : 0;
    return s;
}

/* Voxel i moved by -1..1 along each axis (k = 0..26, 13 is no move); -1 outside. */
static int64_t neighbour(const int64_t dims[3], int64_t i, int k)
{
    int64_t x = i % dims[0] + k % 3 - 1, y = i / dims[0] % dims[1] + k / 3 % 3 - 1,
            z = i / dims[0] / dims[1] + k / 9 - 1;

    if (x < 0 || y < 0 || z < 0 || x >= dims[0] || y >= dims[1] || z >= dims[2])
        return -1;
    return x + dims[0] * (y + dims[1] * z);
}

static bool is_neighbour(int k, enum neighbours n)
{
    int steps = abs(k % 3 - 1) + abs(k / 3 % 3 - 1) + abs(k / 9 - 1);

    return steps > 0 && (steps == 1 || n == CORNERS);
}

/* Labels by flooding from each voxel in turn, until nothing changes: as slow as it is plain. */
static int32_t flood(const struct sample *s, bool set, enum neighbours n, int32_t label[ROOM])
{
    int32_t count = 0;

    memset(label, 0, ROOM * sizeof *label);
    for (int64_t seed = 0; seed < s->count; seed++) {
        bool grew = true;

        if ((s->mask[seed] != 0) != set || label[seed])
            continue;
        label[seed] = ++count;
        while (grew) {
            grew = false;
            for (int64_t i = 0; i < s->count; i++)
                for (int k = 0; k < 27 && label[i] == count; k++) {
                    int64_t j = is_neighbour(k, n) ? neighbour(s->dims, i, k) : -1;

                    if (j >= 0 && (s->mask[j] != 0) == set && !label[j]) {
                        label[j] = count;
                        grew = true;
                    }
                }
        }
    }
    return count;
}

static void components_equal_flooding(void **state)
{
    struct rng r = rng_at(11, 1);

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct sample s = draw(&r);
        enum neighbours n = round % 2 ? FACES : CORNERS;
        struct components c = {0};
        int32_t label[ROOM];
        int64_t size[ROOM + 1] = {0};
        int32_t count = flood(&s, true, n, label);

        assert_ok(components_find(&c, s.mask, s.dims, n));
        assert_int_equal(c.count, count);
        assert_memory_equal(c.label, label, (size_t)s.count * sizeof *label);
        for (int64_t i = 0; i < s.count; i++)
            size[label[i]]++;
        assert_memory_equal(c.size, size, (size_t)(count + 1) * sizeof *size);
        components_free(&c);
    }
}

static void largest_is_the_first_of_the_largest(void **state)
{
    struct rng r = rng_at(11, 2);

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct sample s = draw(&r), kept = s;
        enum neighbours n = round % 2 ? FACES : CORNERS;
        int32_t label[ROOM], best = 1;
        int64_t size[ROOM + 1] = {0};
        int32_t count = flood(&s, true, n, label);

        for (int64_t i = 0; i < s.count; i++)
            size[label[i]]++;
        for (int32_t k = 2; k <= count; k++)
            best = size[k] > size[best] ? k : best;
        assert_ok(morph_keep_largest(kept.mask, s.dims, n));
        for (int64_t i = 0; i < s.count; i++)
            assert_int_equal(kept.mask[i], label[i] == best ? s.mask[i] : 0);
    }
}

static bool voxel_at_border(const struct sample *s, int64_t i)
{
    int64_t at[3] = {i % s->dims[0], i / s->dims[0] % s->dims[1], i / s->dims[0] / s->dims[1]};

    for (int a = 0; a < 3; a++)
        if (s->dims[a] > 1 && (at[a] == 0 || at[a] == s->dims[a] - 1))
            return true;
    return false;
}

static void holes_are_what_flooding_from_the_border_misses(void **state)
{
    struct rng r = rng_at(11, 3);
    int filled = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct sample s = draw(&r), full = s;
        int32_t label[ROOM];
        bool open[ROOM + 1] = {0};

        flood(&s, false, FACES, label);
        for (int64_t i = 0; i < s.count; i++)
            open[label[i]] |= voxel_at_border(&s, i);
        assert_ok(morph_fill_holes(full.mask, s.dims));
        for (int64_t i = 0; i < s.count; i++) {
            assert_int_equal(full.mask[i], s.mask[i] ? s.mask[i] : label[i] && !open[label[i]]);
            filled += full.mask[i] && !s.mask[i];
        }
    }
    assert_true(filled > 100); /* the draw has holes */
}

static void survives_exhaustion(void **state)
{
    struct rng r = rng_at(11, 5);
    struct sample s = draw(&r);
    struct components c = {0};

    (void)state;
    assert_survives_exhaustion(components_find(&c, s.mask, s.dims, FACES), components_free(&c));
    assert_survives_exhaustion(morph_keep_largest(s.mask, s.dims, FACES), (void)0);
    assert_survives_exhaustion(morph_fill_holes(s.mask, s.dims), (void)0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(components_equal_flooding),
        cmocka_unit_test(largest_is_the_first_of_the_largest),
        cmocka_unit_test(holes_are_what_flooding_from_the_border_misses),
        cmocka_unit_test(survives_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
