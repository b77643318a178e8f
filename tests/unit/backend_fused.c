/* Every kernel class of the CPU backend but the convolutions and products (they have tests of their own):
 * against its row's reference, on the row's samples and on shapes large enough to be cut, bitwise equal on
 * every instruction set, for every thread count and in place. */
#include "backend_case.h"

static double tolerance(enum dtype t)
{
    return t == DT_F32 ? 4e-6 : 1e-13;
}

/* A cast computes in one type and gives another. */
static enum dtype coarser(const struct backend_case *c, int k)
{
    return c->real == DT_F32 || c->node->out_type[k] == DT_F32 ? DT_F32 : DT_F64;
}

static void compare(const struct backend_case *c, void *const out[])
{
    for (int k = 0; k < c->node->n_out; k++) {
        const int64_t n = dims_count(&c->node->out_dims[k]);
        double *got = case_alloc((size_t)n * sizeof *got), most = 0;

        case_load(got, out[k], n, c->node->out_type[k]);
        for (int64_t i = 0; i < n; i++)
            most = fmax(most, isfinite(c->ref[k][i]) ? fabs(c->ref[k][i]) : 0);
        for (int64_t i = 0; i < n; i++)
            if (!(fabs(got[i] - c->ref[k][i]) <= tolerance(coarser(c, k)) * most))
                fail_msg("%s (%s) output %d[%d]: %.9g is not %.9g", op_rows[c->op]->name, dtype_name(c->real),
                         k, (int)i, got[i], c->ref[k][i]);
        free(got);
    }
}

static void same_bits(const struct backend_case *c, void *const a[], void *const b[], const char *what)
{
    for (int k = 0; k < c->node->n_out; k++)
        if (memcmp(a[k], b[k], case_bytes(&c->node->out_dims[k], c->node->out_type[k])))
            fail_msg("%s (%s) output %d changes with %s", op_rows[c->op]->name, dtype_name(c->real), k, what);
}

static void drop(const struct backend_case *c, void *out[])
{
    for (int k = 0; k < c->node->n_out; k++)
        free(out[k]);
}

static void vary(const struct backend_case *c, void *const first[], const char *isa, int threads, bool reuse)
{
    void *out[CASE_OUT];
    char what[64];

    snprintf(what, sizeof what, "%s, %d threads%s", isa, threads, reuse ? ", in place" : "");
    assert_true(case_run(c, isa, threads, reuse, out));
    same_bits(c, first, out, what);
    drop(c, out);
}

static void check(const struct sample *s, int op, enum dtype real)
{
    struct backend_case c = {.sample = *s, .op = op, .real = real, .seed = (uint64_t)op};
    void *out[CASE_OUT];
    bool reuse;

    case_open(&c);
    if (!case_run(&c, "avx2", 1, false, out))
        fail_msg("%s: no kernel accepts the sample", op_rows[op]->name);
    compare(&c, out);
    vary(&c, out, "avx2", 2, false);
    vary(&c, out, "avx2", 3, false);
    reuse = (op_rows[op]->flags & OP_INPLACE) && c.node->out_type[0] == c.in_type[0] &&
            dims_equal(&c.in_dims[0], &c.node->out_dims[0]);
    if (reuse)
        vary(&c, out, "avx2", 2, true);
    if (case_has_avx512()) {
        vary(&c, out, "avx512", 1, false);
        vary(&c, out, "avx512", 2, false);
    }
    drop(&c, out);
    case_close(&c);
}

static void add_case(int op, struct sample c)
{
    check(&c, op, DT_F32);
    check(&c, op, DT_F64);
}

static bool elsewhere(int op)
{
    return op == OP_CONV || op == OP_CONV_DX || op == OP_CONV_DW || op == OP_MATMUL ||
           (op_rows[op]->flags & (OP_SOURCE | OP_VIEW | OP_OPAQUE));
}

static void test_samples(void **state)
{
    (void)state;
    for (int op = 1; op < OP_COUNT; op++) {
        struct sample item[64];
        struct sampler s = {.item = item, .room = 64};

        if (elsewhere(op) || !op_rows[op]->sample)
            continue;
        op_rows[op]->sample(&s);
        assert_in_range(s.count, 1, s.room);
        for (int i = 0; i < s.count; i++)
            add_case(op, item[i]);
    }
}

/* Images of several chunks; narrow, ragged and wide channels. */
static void test_stages(void **state)
{
    static const int64_t channels[] = {1, 5, 16, 33, 48, 160, 2100};

    (void)state;
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        const int64_t c = channels[i], w = c < 100 ? 90000 / (30 * c) + 1 : 7;
        const struct dims x = DIMS5(2, 3, 10, w, c), rows = DIMS3(2, COEF_ROWS, c), back = DIMS3(2, 3, c);

        add_case(OP_MOMENTS, (struct sample){.n_in = 1, .in = {x}});
        add_case(OP_STAGE, (struct sample){.n_in = 2, .in = {x, rows}});
        add_case(OP_STAGE, (struct sample){.n_in = 3, .in = {x, rows, x}});
        add_case(OP_GATE, (struct sample){.n_in = 3, .in = {x, x, rows}});
        add_case(OP_GATE, (struct sample){.n_in = 4, .in = {x, x, rows, x}});
        add_case(OP_NORM_DX, (struct sample){.n_in = 4, .in = {x, x, rows, back}});
    }
}

static union attr axes(unsigned set)
{
    union attr a;

    memset(&a, 0, sizeof a);
    a.axes = set;
    return a;
}

/* Every way of broadcasting, with more than one block of elements. */
static void test_broadcast(void **state)
{
    const struct dims x = DIMS5(2, 5, 7, 9, 33), other[] = {DIMS0,
                                                            DIMS5(1, 1, 1, 1, 33),
                                                            DIMS5(2, 5, 7, 9, 1),
                                                            DIMS5(2, 1, 1, 1, 33),
                                                            DIMS5(1, 5, 1, 9, 1),
                                                            DIMS5(1, 1, 1, 9, 33),
                                                            DIMS5(1, 1, 1, 1, 1),
                                                            DIMS5(1, 5, 7, 9, 33)};

    (void)state;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        add_case(OP_ADD, (struct sample){.n_in = 2, .in = {x, other[i]}});
        add_case(OP_SUB, (struct sample){.n_in = 2, .in = {other[i], x}});
        add_case(OP_WHERE,
                 (struct sample){.n_in = 3, .in = {other[i], x, other[(i + 3) % 8]}, .fill = {FILL_BOOL}});
    }
    add_case(OP_MUL, (struct sample){.n_in = 2, .in = {DIMS2(3, 2500), DIMS2(1, 2500)}}); /* a long period */
    add_case(OP_MUL, (struct sample){.n_in = 2, .in = {DIMS2(70, 1), DIMS2(1, 90)}});
}

static void test_reduce(void **state)
{
    static const struct dims shape[] = {{5, {2, 6, 10, 12, 19}}, {5, {1, 30, 24, 26, 3}},
                                        {5, {2, 3, 5, 4, 700}},  {8, {2, 3, 2, 4, 2, 3, 2, 20}},
                                        {2, {1, 200001}},        {2, {40001, 2}}};
    const unsigned step[] = {1, 3, 3, 21, 1, 1}; /* through the sets of axes; 85 pools */

    (void)state;
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (unsigned set = 1; set < (1u << shape[i].rank); set += step[i]) {
            add_case(OP_SUM, (struct sample){.attr = axes(set), .n_in = 1, .in = {shape[i]}});
            add_case(OP_MAX_OVER, (struct sample){.attr = axes(set), .n_in = 1, .in = {shape[i]}});
        }
    add_case(OP_ARGMAX, (struct sample){.attr = axes(AXIS(4)), .n_in = 1, .in = {DIMS5(2, 9, 10, 11, 3)}});
    add_case(OP_ARGMAX, (struct sample){.attr = axes(AXIS(1)), .n_in = 1, .in = {DIMS2(50, 77)}});
}

static union attr permuted(const int perm[], int n)
{
    union attr a;

    memset(&a, 0, sizeof a);
    memcpy(a.transpose.perm, perm, (size_t)n * sizeof *perm);
    return a;
}

static union attr boxed(const int64_t start[], const int64_t size[], int n)
{
    union attr a;

    memset(&a, 0, sizeof a);
    if (start)
        memcpy(a.box.start, start, (size_t)n * sizeof *start);
    memcpy(a.box.size, size, (size_t)n * sizeof *size);
    return a;
}

static void test_move(void **state)
{
    const int to_first[] = {0, 4, 1, 2, 3}, to_last[] = {0, 2, 3, 4, 1}, mixed[] = {3, 1, 4, 0, 2};
    const int64_t start[] = {0, 2, 1, 3, 5}, size[] = {2, 7, 9, 20, 30}, grown[] = {2, 14, 16, 40, 60};
    const int64_t up[] = {20, 31, 9}, down[] = {5, 6, 7};
    const struct dims x = DIMS5(2, 11, 12, 30, 40), small = DIMS5(2, 10, 13, 9, 17);

    (void)state;
    add_case(OP_TRANSPOSE, (struct sample){.attr = permuted(to_first, 5), .n_in = 1, .in = {x}});
    add_case(OP_TRANSPOSE, (struct sample){.attr = permuted(to_last, 5), .n_in = 1, .in = {x}});
    add_case(OP_TRANSPOSE, (struct sample){.attr = permuted(mixed, 5), .n_in = 1, .in = {x}});
    add_case(OP_SLICE, (struct sample){.attr = boxed(start, size, 5), .n_in = 1, .in = {x}});
    add_case(OP_PAD, (struct sample){.attr = boxed(start, grown, 5), .n_in = 1, .in = {x}});
    add_case(OP_CONCAT,
             (struct sample){.attr = axes(AXIS(4)), .n_in = 3, .in = {x, DIMS5(2, 11, 12, 30, 7), x}});
    add_case(OP_CONCAT,
             (struct sample){.attr = axes(AXIS(1)), .n_in = 2, .in = {x, DIMS5(2, 3, 12, 30, 40)}});
    for (int i = 0; i < 2; i++) {
        const union attr a = boxed(NULL, i ? down : up, 3);

        add_case(OP_NEAREST, (struct sample){.attr = a, .n_in = 1, .in = {small}});
        add_case(OP_NEAREST_BACK, (struct sample){.attr = a, .n_in = 1, .in = {small}});
    }
}

static union attr loss_attr(bool squared, bool batch)
{
    union attr a;

    memset(&a, 0, sizeof a);
    a.loss.squared = squared;
    a.loss.batch = batch;
    a.loss.ce_weight = 0.5;
    return a;
}

/* More than one chunk, with a ragged end; classes with and without a kernel of their own. */
static void test_loss(void **state)
{
    const int64_t classes[] = {2, 3, 4, 5, 7, 40};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        const struct dims x = DIMS5(2, 21, 22, 23, classes[i]), y = DIMS5(2, 21, 22, 23, 1),
                          s = DIMS3(2, classes[i], 3);

        add_case(OP_SOFTMAX, (struct sample){.n_in = 1, .in = {x}});
        add_case(OP_LOG_SOFTMAX, (struct sample){.n_in = 1, .in = {x}});
        add_case(OP_DICE_CE, (struct sample){.attr = loss_attr(i % 2, i / 2 % 2),
                                             .n_in = 2,
                                             .classes = classes[i],
                                             .in = {x, y},
                                             .fill = {FILL_REAL, FILL_CLASS}});
        add_case(OP_DICE_CE_GRAD, (struct sample){.attr = loss_attr(i % 2, i / 2 % 2),
                                                  .n_in = 4,
                                                  .classes = classes[i],
                                                  .in = {DIMS0, x, y, s},
                                                  .fill = {FILL_REAL, FILL_REAL, FILL_CLASS, FILL_POSITIVE}});
    }
}

static void test_update(void **state)
{
    const struct dims a = DIMS2(3, 20001), b = DIMS1(7);
    union attr u;

    (void)state;
    memset(&u, 0, sizeof u);
    u.update.momentum = 0.99, u.update.decay = 3e-5, u.update.count = 2;
    u.update.beta1 = 0.9, u.update.beta2 = 0.999, u.update.eps = 1e-8;
    add_case(OP_L2_NORM, (struct sample){.n_in = 2, .in = {a, b}});
    add_case(OP_SGD, (struct sample){.attr = u,
                                     .n_in = 9,
                                     .in = {DIMS0, DIMS0, DIMS0, a, b, a, b, a, b},
                                     .fill = {FILL_POSITIVE, FILL_POSITIVE, FILL_POSITIVE}});
    add_case(OP_ADAMW, (struct sample){.attr = u,
                                       .n_in = 12,
                                       .in = {DIMS0, DIMS0, DIMS0, DIMS0, a, b, a, b, a, b, a, b},
                                       .fill = {FILL_POSITIVE, FILL_POSITIVE, FILL_POSITIVE, FILL_POSITIVE, 0,
                                                0, 0, 0, 0, 0, FILL_POSITIVE, FILL_POSITIVE}});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples), cmocka_unit_test(test_broadcast), cmocka_unit_test(test_stages),
        cmocka_unit_test(test_reduce),  cmocka_unit_test(test_move),      cmocka_unit_test(test_loss),
        cmocka_unit_test(test_update),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
