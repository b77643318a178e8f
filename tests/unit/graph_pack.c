/* Packed weights that are made once: the same bytes as those made at each use, for every run, and no more
 * memory than allowed. */
#include "test.h"

#include "backend/backend.h"
#include "base/rng.h"
#include "graph/program.h"
#include "ops/ops.h"

enum { CHANNELS = 16, SIDE = 12 };

struct net {
    struct graph *g;
    struct store *store;
    struct program *p;
    struct backend cpu;
    float *image;
};

static void numbers(float *to, int64_t n, uint64_t stream)
{
    struct rng r = rng_at(5, stream);

    for (int64_t i = 0; i < n; i++)
        to[i] = (float)rng_normal(&r);
}

/* Two convolutions that go the Winograd way and one with a stride, over weights of a store. */
static void open_net(struct net *n, uint64_t fixed_max)
{
    static const char *const names[] = {"a", "b", "c"};
    const struct dims w = DIMS5(CHANNELS, CHANNELS, 3, 3, 3), x = DIMS5(1, SIDE, SIDE, SIDE, CHANNELS);
    val v;

    *n = (struct net){.g = graph_new(DT_F32), .store = store_new()};
    v = graph_input(n->g, "image", DT_F32, x);
    for (int i = 0; i < 3; i++) {
        const struct conv c = {
            .kernel = CUBE(3), .stride = {1 + i / 2, 1 + i / 2, 1 + i / 2}, .pad = CUBE(1)};
        v = op_conv(n->g, v, graph_state(n->g, names[i], DT_F32, w), (val){0}, &c);
    }
    graph_output(n->g, "y", v);
    assert_ok(backend_cpu(&n->cpu, NULL, 2));
    assert_ok(
        program_new(&n->p, n->g, n->store, &(struct compile){.backend = &n->cpu, .fixed_max = fixed_max}));
    for (size_t i = 0; i < store_count(n->store); i++)
        numbers(store_at(n->store, i)->data, dims_count(&w), i);
    n->image = calloc((size_t)dims_count(&x), sizeof *n->image);
    assert_ok(program_bind(n->p, "image", n->image));
}

static void close_net(struct net *n)
{
    program_free(n->p);
    graph_free(n->g);
    store_free(n->store);
    free(n->image);
}

static int64_t packings(struct net *n)
{
    struct program_time list[32];
    const int count = program_times(n->p, list, 32);

    for (int i = 0; i < count; i++)
        if (!strcmp(list[i].op, "conv_weights"))
            return list[i].calls;
    return 0;
}

static void kept_weights_change_no_byte(void **state)
{
    const int64_t x = SIDE * SIDE * SIDE * CHANNELS, y = x / 8;
    struct net each, once;

    (void)state;
    open_net(&each, 0);
    open_net(&once, 1 << 30);
    program_timing(each.p, true);
    program_timing(once.p, true);
    for (uint64_t run = 0; run < 3; run++) {
        numbers(each.image, x, 10 + run);
        numbers(once.image, x, 10 + run);
        assert_ok(program_run(each.p));
        assert_ok(program_run(once.p));
        assert_memory_equal(program_output(each.p, "y"), program_output(once.p, "y"),
                            (size_t)y * sizeof(float));
    }
    assert_int_equal(packings(&each), 9);
    assert_int_equal(packings(&once), 3);
    close_net(&each);
    close_net(&once);
}

static void kept_weights_respect_the_limit(void **state)
{
    struct net each, little;

    (void)state;
    open_net(&each, 0);
    open_net(&little, 1000);
    assert_int_equal(program_bytes(each.p), program_bytes(little.p));
    program_timing(little.p, true);
    assert_ok(program_run(little.p));
    assert_ok(program_run(little.p));
    assert_int_equal(packings(&little), 6);
    close_net(&each);
    close_net(&little);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_weights_change_no_byte),
        cmocka_unit_test(kept_weights_respect_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
