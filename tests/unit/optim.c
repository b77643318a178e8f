#include "nn/loss.h"
#include "nn/nn.h"
#include "nn/optim.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void close_to(double have, double want, double tolerance)
{
    if (!(fabs(have - want) <= tolerance))
        fail_msg("%.12g, should be %.12g", have, want);
}

/* seg-nnunet.md section 10. */
static void test_poly(void **state)
{
    (void)state;
    close_to(schedule_poly(0.01, 0, 1000, 0.9), 0.01, 0);
    close_to(schedule_poly(0.01, 1, 1000, 0.9), 0.00999100, 5e-9);
    close_to(schedule_poly(0.01, 250, 1000, 0.9), 0.0077188951, 5e-11);
    close_to(schedule_poly(0.01, 999, 1000, 0.9), 1.995262e-5, 5e-12);
    close_to(schedule_poly(0.01, 1000, 1000, 0.9), 0, 0);
}

static void test_cosine(void **state)
{
    (void)state;
    close_to(schedule_cosine(1, 0, 10, 0), 1, 1e-15);
    close_to(schedule_cosine(1, 5, 10, 0), 0.5, 1e-15);
    close_to(schedule_cosine(1, 10, 10, 0), 0, 0);
    close_to(schedule_cosine(1, 0, 10, 4), 0.2, 1e-15);
    close_to(schedule_cosine(1, 3, 10, 4), 0.8, 1e-15);
    close_to(schedule_cosine(1, 4, 10, 4), 1, 1e-15);
    close_to(schedule_cosine(1, 7, 10, 4), 0.5, 1e-15);
}

static void test_level_weights(void **state)
{
    static const double four[4] = {4.0 / 7, 2.0 / 7, 1.0 / 7, 0};
    double w[5];

    (void)state;
    loss_level_weights(4, w);
    for (int i = 0; i < 4; i++)
        close_to(w[i], four[i], 1e-15);
    loss_level_weights(5, w);
    close_to(w[0], 8.0 / 15, 1e-15);
    close_to(w[3], 1.0 / 15, 1e-15);
    close_to(w[4], 0, 0);
    loss_level_weights(1, w);
    close_to(w[0], 1, 0);
}

/* Same seed, same numbers; another name or seed, others; the deviation is He's. */
static void test_init(void **state)
{
    struct graph *g = graph_new(DT_F32);
    struct nn *m = nn_new(g);
    struct store *a = store_new(), *b = store_new(), *c = store_new();
    double sum = 0, want = sqrt(2 / (1.0001 * 8 * 27));
    int64_t n = 64 * 8 * 27;

    (void)state;
    nn_enter(m, "stages.%d", 3);
    nn_param(m, "weight", DIMS5(64, 8, 3, 3, 3), INIT_HE);
    nn_param(m, "again", DIMS5(64, 8, 3, 3, 3), INIT_HE);
    nn_param(m, "gain", DIMS1(8), INIT_ONES);
    nn_leave(m);
    assert_int_equal(m->count, 3);
    assert_string_equal(m->param[0].name, "stages.3.weight");
    assert_int_equal(nn_init(m, a, 1), ERR_OK);
    assert_int_equal(nn_init(m, b, 1), ERR_OK);
    assert_int_equal(nn_init(m, c, 2), ERR_OK);
    for (int64_t i = 0; i < n; i++) {
        double x = tensor_get(store_find(a, "stages.3.weight"), i);

        assert_true(x == tensor_get(store_find(b, "stages.3.weight"), i));
        sum += x * x;
    }
    close_to(sqrt(sum / (double)n), want, 0.02 * want);
    assert_true(tensor_get(store_find(a, "stages.3.weight"), 0) !=
                tensor_get(store_find(a, "stages.3.again"), 0));
    assert_true(tensor_get(store_find(a, "stages.3.weight"), 0) !=
                tensor_get(store_find(c, "stages.3.weight"), 0));
    close_to(tensor_get(store_find(a, "stages.3.gain"), 7), 1, 0);
    store_free(a);
    store_free(b);
    store_free(c);
    nn_free(m);
    graph_free(g);
}

/* The same name with another shape is a mistake of the network. */
static void test_shared_name(void **state)
{
    struct graph *g = graph_new(DT_F32);
    struct nn *m = nn_new(g);
    val first = nn_param(m, "weight", DIMS1(4), INIT_ONES);

    (void)state;
    assert_int_equal(nn_param(m, "weight", DIMS1(4), INIT_ONES).id, first.id);
    assert_int_equal(graph_status(g), ERR_OK);
    assert_int_equal(nn_param(m, "weight", DIMS1(5), INIT_ONES).id, first.id);
    assert_int_equal(graph_status(g), ERR_SHAPE);
    assert_int_equal(m->count, 1);
    nn_free(m);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poly), cmocka_unit_test(test_cosine),      cmocka_unit_test(test_level_weights),
        cmocka_unit_test(test_init), cmocka_unit_test(test_shared_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
