/* Laws of the vessel trees (phantom.md section 6). */
#include "test.h"

#include "base/mem.h"
#include "base/par.h"
#include "phantom/tree.h"
#include "phantom_liver.h"
#include <stdbool.h>

static const struct phantom_id patient = {7, 3};
static const float one = 1;
static const double leaf[] = {1.35, 1.5}, most[] = {6.3, 5.2};
static const int roots[] = {7, 6};

static struct tree grown(enum tree_kind kind, double scale)
{
    struct liver liver = ball_liver(&one);
    struct tree t = {0};

    assert_ok(tree_grow(&t, kind, &patient, &liver, scale));
    return t;
}

static int children_of(const struct tree *t, int i, double *sum)
{
    int n = 0;

    *sum = 0;
    for (int j = 0; j < t->branches; j++) {
        if (t->branch[j].parent != i)
            continue;
        n++;
        *sum += pow((double)t->branch[j].radius, 2.7);
    }
    return n;
}

static void branches_are_connected_and_inside(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct tree t = grown((enum tree_kind)kind, 1);
        int free_roots = 0, leaves = 0;
        double sum;

        for (int i = 0; i < t.branches; i++) {
            const struct branch *b = &t.branch[i];
            struct points p = {{b->a[0], b->b[0]}, {b->a[1], b->b[1]}, {b->a[2], b->b[2]}};
            float d[2];

            ball_distance(&one, &p, 2, d);
            assert_true(d[0] < 0 && d[1] < 0);
            if (b->parent < 0)
                free_roots++;
            else
                assert_memory_equal(b->a, t.branch[b->parent].b, sizeof b->a);
            if (children_of(&t, i, &sum) == 0 && i >= roots[kind]) {
                assert_true(d[1] < -5);
                leaves++;
            }
        }
        assert_int_equal(free_roots, kind == TREE_PORTAL ? 1 : 3);
        assert_true(leaves > (kind == TREE_PORTAL ? 60 : 45));
        assert_true(leaves <= (kind == TREE_PORTAL ? 120 : 84));
        tree_free(&t);
    }
}

static void radii_follow_murray(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct tree t = grown((enum tree_kind)kind, 1);
        double widest = 0, sum;

        for (int i = 0; i < t.branches; i++) {
            double r = (double)t.branch[i].radius;
            bool end = children_of(&t, i, &sum) == 0;
            double expected = end ? leaf[kind] : fmin(pow(sum, 1 / 2.7), most[kind]);

            assert_true(fabs(r - expected) < 1e-4 * r);
            widest = fmax(widest, r);
        }
        assert_true(widest > .9 * most[kind]);
        tree_free(&t);
    }
}

static double capsule(const struct branch *b, const double p[3], double scale)
{
    double along = 0, length = 0, square = 0, t;

    for (int c = 0; c < 3; c++) {
        double e = (double)(b->b[c] - b->a[c]);

        along += e * (p[c] - (double)b->a[c]);
        length += e * e;
    }
    t = fmin(fmax(length > 0 ? along / length : 0, 0), 1);
    for (int c = 0; c < 3; c++) {
        double e = p[c] - (double)b->a[c] - t * (double)(b->b[c] - b->a[c]);

        square += e * e;
    }
    return scale * sqrt(square) - (double)b->radius;
}

static void lattice_is_the_distance(void **state)
{
    static const double scales[] = {1, .56, 1.2};
    (void)state;
    for (int k = 0; k < 3; k++) {
        struct tree t = grown(k % 2 ? TREE_HEPATIC : TREE_PORTAL, scales[k]);
        struct rng r = rng_at(1, 2);
        struct points p;
        float d[BLOCK_MAX];
        int near = 0;

        for (int i = 0; i < BLOCK_MAX; i++) {
            p.x[i] = (float)(t.lo[0] + 1.5 * (double)rng_below(&r, (uint64_t)t.dims[0] - 1));
            p.y[i] = (float)(t.lo[1] + 1.5 * (double)rng_below(&r, (uint64_t)t.dims[1] - 1));
            p.z[i] = (float)(t.lo[2] + 1.5 * (double)rng_below(&r, (uint64_t)t.dims[2] - 1));
        }
        tree_read(&t, &p, BLOCK_MAX, d);
        for (int i = 0; i < BLOCK_MAX; i++) {
            const double at[3] = {(double)p.x[i], (double)p.y[i], (double)p.z[i]};
            double least = 9;

            for (int j = 0; j < t.branches; j++)
                least = fmin(least, capsule(&t.branch[j], at, scales[k]));
            assert_true(fabs((double)d[i] - least) < 2e-3);
            near += least < 2;
        }
        assert_true(near > 4);
        tree_free(&t);
    }
}

/* Between nodes the reading is the linear one, and outside the lattice it is 9; any number of points. */
static void reading_interpolates(void **state)
{
    struct tree t = grown(TREE_PORTAL, 1);
    struct points p;
    float d[11] = {[10] = 123};
    int64_t slice = t.dims[0] * t.dims[1], i = 40 + 50 * t.dims[0] + 45 * slice;

    (void)state;
    for (int k = 0; k < 10; k++) {
        p.x[k] = (float)(t.lo[0] + 1.5 * 40.25);
        p.y[k] = (float)(t.lo[1] + 1.5 * 50.5);
        p.z[k] = (float)(t.lo[2] + 1.5 * 45);
    }
    p.x[0] = (float)t.lo[0] - 1;
    p.y[1] = (float)t.lo[1] + 1.5f * (float)t.dims[1];
    p.z[2] = 1e6f;
    p.x[3] = (float)NAN;
    tree_read(&t, &p, 10, d);
    for (int k = 0; k < 4; k++)
        assert_true(d[k] == 9);
    for (int k = 4; k < 10; k++) {
        float low = .75f * t.distance[i] + .25f * t.distance[i + 1];
        float high = .75f * t.distance[i + t.dims[0]] + .25f * t.distance[i + t.dims[0] + 1];

        assert_true(fabsf(d[k] - .5f * (low + high)) < 1e-3f);
    }
    assert_true(d[10] == 123);
    tree_free(&t);
}

static void threads_do_not_matter(void **state)
{
    struct tree first = {0};

    (void)state;
    for (int k = 0; k < 3; k++) {
        struct tree t;
        size_t nodes;

        par_set_threads((const int[]){1, 2, 8}[k]);
        t = grown(TREE_PORTAL, 1);
        nodes = (size_t)(t.dims[0] * t.dims[1] * t.dims[2]);
        if (!k) {
            first = t;
            continue;
        }
        assert_int_equal(t.branches, first.branches);
        assert_memory_equal(t.branch, first.branch, (size_t)t.branches * sizeof *t.branch);
        assert_memory_equal(t.distance, first.distance, nodes * sizeof *t.distance);
        tree_free(&t);
    }
    tree_free(&first);
    par_set_threads(0);
}

/* Vessels of the two trees cross here and there but run apart. */
static void trees_interlace(void **state)
{
    struct tree a = grown(TREE_PORTAL, 1), b = grown(TREE_HEPATIC, 1);
    int64_t in_a = 0, in_b = 0, both = 0;

    (void)state;
    for (int64_t i = 0; i < a.dims[0] * a.dims[1] * a.dims[2]; i++) {
        in_a += a.distance[i] < 0;
        in_b += b.distance[i] < 0;
        both += a.distance[i] < 0 && b.distance[i] < 0;
    }
    assert_true(in_a > 3000 && in_b > 3000); /* 10 ml */
    assert_true(both * 8 < in_a && both * 8 < in_b);
    tree_free(&a);
    tree_free(&b);
}

static void patients_differ(void **state)
{
    struct liver liver = ball_liver(&one);
    struct tree a = grown(TREE_PORTAL, 1), b = {0};

    (void)state;
    assert_ok(tree_grow(&b, TREE_PORTAL, &(struct phantom_id){7, 4}, &liver, 1));
    assert_true(memcmp(a.branch[20].b, b.branch[20].b, sizeof a.branch[20].b) != 0);
    tree_free(&a);
    tree_free(&b);
}

/* A liver in which nothing is deep: the roots alone. */
static void thin_liver_has_roots(void **state)
{
    static const float thin = .05f;
    struct liver liver = ball_liver(&thin);
    struct tree t = {0};

    (void)state;
    assert_ok(tree_grow(&t, TREE_HEPATIC, &patient, &liver, 1));
    assert_int_equal(t.branches, 6);
    tree_free(&t);
}

static void survives_exhaustion(void **state)
{
    struct liver liver = ball_liver(&one);
    struct tree t = {0};

    (void)state;
    assert_survives_exhaustion(tree_grow(&t, TREE_HEPATIC, &patient, &liver, 1), tree_free(&t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches_are_connected_and_inside),
        cmocka_unit_test(radii_follow_murray),
        cmocka_unit_test(lattice_is_the_distance),
        cmocka_unit_test(reading_interpolates),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(trees_interlace),
        cmocka_unit_test(patients_differ),
        cmocka_unit_test(thin_liver_has_roots),
        cmocka_unit_test(survives_exhaustion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
