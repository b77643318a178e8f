/* Every kernel against its row's reference: guard bytes, exact integers for linear families, in place, three
 * thread counts and both instruction sets bitwise equal. */
#include "ops/cases.h"

#include "backend/backend.h"

/* ---- kernels ---- */

enum { GUARD = 64 };

/* One kernel on guarded buffers. */
struct bench_run {
    struct step s;
    const struct kernel_class *k;
    unsigned char *in[IN_MAX], *out[OUT_MAX], *work;
    size_t out_bytes[OUT_MAX];
    struct graph *g;
};

static unsigned char *guarded(size_t bytes)
{
    unsigned char *raw = mem_new(bytes + 3 * GUARD + 64, 1), *p;

    assert_non_null(raw);
    memset(raw, 0xA5, bytes + 3 * GUARD + 64);
    p = raw + GUARD + (64 - (uintptr_t)(raw + GUARD) % 64) % 64;
    p[-1] = (unsigned char)(p - raw); /* where the block begins; at most 2 * 64 */
    return p;
}

static void guard_free(unsigned char *p)
{
    if (p)
        mem_free(p - p[-1]);
}

static bool guards_intact(const unsigned char *p, size_t bytes)
{
    for (size_t i = 0; i < GUARD; i++)
        if (p[bytes + i] != 0xA5)
            return false;
    for (int i = 2; i < GUARD; i++)
        if (p[-i] != 0xA5)
            return false;
    return true;
}

static void put_number(unsigned char *to, enum dtype type, int64_t i, double v)
{
    if (type == DT_F32)
        ((float *)(void *)to)[i] = (float)v;
    else if (type == DT_F64)
        ((double *)(void *)to)[i] = v;
    else
        ((int64_t *)(void *)to)[i] = (int64_t)v;
}

static double get_number(const unsigned char *from, enum dtype type, int64_t i)
{
    return type == DT_F32   ? (double)((const float *)(const void *)from)[i]
           : type == DT_F64 ? ((const double *)(const void *)from)[i]
                            : (double)((const int64_t *)(const void *)from)[i];
}

/* False if the backend has no kernel of its own for this case. */
static bool kernel_start(struct bench_run *b, const struct trial *t, const struct backend *backend,
                         enum dtype real)
{
    val in[IN_MAX], y;

    memset(b, 0, sizeof *b);
    b->g = graph_new(real);
    y = trial_build(t, b->g, in);
    assert_false(graph_status(b->g));
    b->k = pass_kernel(backend, b->g, graph_node_of(b->g, y), &b->s);
    if (!b->k)
        return false;
    if (b->k->prepare)
        b->k->prepare(&b->s);
    for (int k = 0; k < t->c.n_in; k++) {
        b->in[k] = guarded((size_t)dims_count(&t->c.in[k]) * dtype_size(b->s.in_type[k]));
        for (int64_t i = 0; i < dims_count(&t->c.in[k]); i++)
            put_number(b->in[k], b->s.in_type[k], i, t->in[k][i]);
    }
    for (int k = 0; k < t->n_out; k++) {
        b->out_bytes[k] = (size_t)dims_count(&t->out_dims[k]) * dtype_size(b->s.out_type[k]);
        b->out[k] = guarded(b->out_bytes[k]);
    }
    b->work = guarded(b->s.work);
    return true;
}

static void kernel_call(struct bench_run *b, const struct trial *t)
{
    struct run r = {
        .step = &b->s, .in = (const void *const *)b->in, .out = (void *const *)b->out, .work = b->work};

    b->k->run(&r);
    for (int k = 0; k < t->c.n_in; k++)
        if (!guards_intact(b->in[k], (size_t)dims_count(&t->c.in[k]) * dtype_size(b->s.in_type[k])))
            fail_msg("%s, sample %d: %s wrote around input %d", t->row->name, t->number, b->k->name, k);
    for (int k = 0; k < t->n_out; k++)
        if (!guards_intact(b->out[k], b->out_bytes[k]))
            fail_msg("%s, sample %d: %s wrote around output %d", t->row->name, t->number, b->k->name, k);
    if (!guards_intact(b->work, b->s.work))
        fail_msg("%s, sample %d: %s wrote around its scratch of %zu bytes", t->row->name, t->number,
                 b->k->name, b->s.work);
}

static void kernel_end(struct bench_run *b)
{
    for (int k = 0; k < IN_MAX; k++)
        guard_free(b->in[k]);
    for (int k = 0; k < OUT_MAX; k++)
        guard_free(b->out[k]);
    guard_free(b->work);
    pass_step_clear(&b->s);
    graph_free(b->g);
}

static double tolerance_of(const struct trial *t, const struct bench_run *b, int k)
{
    double eps = b->s.out_type[k] == DT_F32 || b->s.type == DT_F32 ? 0x1p-23 : 0x1p-52;

    return eps * 64 * (1 + t->scale[k]);
}

/* What makes a trial's numbers exact: small integers. */
static void make_integers(struct trial *t)
{
    for (int k = 0; k < t->c.n_in; k++)
        for (int64_t i = 0; t->c.fill[k] < FILL_CLASS && i < dims_count(&t->c.in[k]); i++)
            t->in[k][i] = (double)((i * 7 + k * 3) % 7) - 3;
    trial_run(t);
}

static void round_inputs(struct trial *t)
{
    for (int k = 0; k < t->c.n_in; k++)
        for (int64_t i = 0; i < dims_count(&t->c.in[k]); i++)
            t->in[k][i] = (double)(float)t->in[k][i];
    trial_run(t);
}

static void compare(const struct trial *t, const struct bench_run *b, bool exact)
{
    for (int k = 0; k < t->n_out; k++)
        for (int64_t i = 0; i < dims_count(&t->out_dims[k]); i++)
            trial_near(t, b->k->name, get_number(b->out[k], b->s.out_type[k], i), t->out[k][i],
                       exact && k == 0 ? 0 : tolerance_of(t, b, k)); /* a hook's means are no sums */
}

static bool same_bytes(const struct trial *t, const struct bench_run *a, const struct bench_run *b)
{
    for (int k = 0; k < t->n_out; k++)
        if (memcmp(a->out[k], b->out[k], a->out_bytes[k]))
            return false;
    return true;
}

/* A pointwise kernel may be given an operand's buffer as its output. */
static void in_place(struct bench_run *first, const struct trial *t, const struct backend *backend,
                     enum dtype real)
{
    for (int k = 0; k < t->c.n_in; k++) {
        struct bench_run b;
        struct run r;
        void *out[OUT_MAX];
        if (!(t->row->flags & OP_INPLACE) || !dims_equal(&t->c.in[k], &t->out_dims[0]))
            continue;
        assert_true(kernel_start(&b, t, backend, real));
        memcpy(out, b.out, sizeof out);
        out[0] = b.in[k];
        r = (struct run){.step = &b.s, .in = (const void *const *)b.in, .out = out, .work = b.work};
        b.k->run(&r);
        if (memcmp(b.in[k], first->out[0], first->out_bytes[0]))
            fail_msg("%s, sample %d: %s differs when it writes over input %d", t->row->name, t->number,
                     b.k->name, k);
        kernel_end(&b);
    }
}

/* ---- windows of the last axis ---- */

enum { BEFORE = 3, AFTER = 5 };

static int64_t row_length(const struct dims *d)
{
    return d->rank ? d->n[d->rank - 1] : 1;
}

/* A buffer whose rows lie between foreign numbers, guarded; *start is its first element. */
static unsigned char *window_make(const struct dims *d, size_t size, size_t *bytes, unsigned char **start)
{
    unsigned char *whole;

    *bytes = (size_t)(dims_count(d) / row_length(d) * (row_length(d) + BEFORE + AFTER)) * size;
    whole = guarded(*bytes);
    memset(whole, 0x5A, *bytes);
    *start = whole + BEFORE * size;
    return whole;
}

static void window_rows(unsigned char *start, unsigned char *dense, const struct dims *d, size_t size,
                        bool in)
{
    const size_t row = (size_t)row_length(d) * size, pitch = row + (BEFORE + AFTER) * size;

    for (size_t i = 0; i < (size_t)(dims_count(d) / row_length(d)); i++)
        memcpy(in ? start + i * pitch : dense + i * row, in ? dense + i * row : start + i * pitch, row);
}

/* Whether the bytes between the rows are as window_make left them. */
static bool window_intact(const unsigned char *whole, const struct dims *d, size_t size)
{
    const size_t row = (size_t)row_length(d) * size, pitch = row + (BEFORE + AFTER) * size;

    for (size_t i = 0; i < (size_t)(dims_count(d) / row_length(d)) * pitch; i++)
        if ((i % pitch < BEFORE * size || i % pitch >= BEFORE * size + row) && whole[i] != 0x5A)
            return false;
    return true;
}

/* Input or output k as a window: the same bytes, none between the rows touched. */
static void in_window(struct bench_run *first, const struct trial *t, int k, bool input)
{
    const struct dims *d = input ? &t->c.in[k] : &t->out_dims[k];
    const size_t size = dtype_size(input ? first->s.in_type[k] : first->s.out_type[k]);
    int64_t pitch[IN_MAX + OUT_MAX] = {0};
    unsigned char *in[IN_MAX], *out[OUT_MAX], *whole, *start, *dense;
    size_t bytes;
    struct run r = {.step = &first->s,
                    .in = (const void *const *)in,
                    .out = (void *const *)out,
                    .work = first->work,
                    .in_pitch = pitch,
                    .out_pitch = pitch + IN_MAX};

    if (!dims_count(d))
        return;
    memcpy(in, first->in, sizeof in);
    whole = window_make(d, size, &bytes, &start);
    for (int i = 0; i < t->n_out; i++)
        out[i] = guarded(first->out_bytes[i]);
    if (input)
        window_rows(start, first->in[k], d, size, true);
    dense = input ? NULL : out[k];
    *(input ? &in[k] : &out[k]) = start;
    pitch[input ? k : IN_MAX + k] = row_length(d) + BEFORE + AFTER;
    first->k->run(&r);
    if (!window_intact(whole, d, size) || !guards_intact(whole, bytes))
        fail_msg("%s, sample %d: %s writes between the rows of %s %d", t->row->name, t->number,
                 first->k->name, input ? "input" : "output", k);
    if (!input)
        window_rows(start, dense, d, size, false), out[k] = dense;
    for (int i = 0; i < t->n_out; i++) {
        if (memcmp(out[i], first->out[i], first->out_bytes[i]))
            fail_msg("%s, sample %d: %s: other bytes with %s %d in a wider buffer", t->row->name, t->number,
                     first->k->name, input ? "input" : "output", k);
        guard_free(out[i]);
    }
    guard_free(whole);
}

static void in_windows(struct bench_run *first, const struct trial *t)
{
    for (int k = 0; k < t->c.n_in && k < 32; k++)
        if (first->s.pitch_in >> k & 1)
            in_window(first, t, k, true);
    for (int k = 0; k < t->n_out && k < 32; k++)
        if (first->s.pitch_out >> k & 1)
            in_window(first, t, k, false);
}

/* Every thread count and instruction set against the first result. */
static void same_everywhere(const struct bench_run *first, const struct trial *t, enum dtype real)
{
    static const char *const isa[] = {"avx2", "avx512"};

    for (int i = 0; i < 2; i++)
        for (int threads = 1; threads <= 3; threads++) {
            struct backend backend;
            struct bench_run b;
            if (backend_cpu(&backend, isa[i], threads))
                continue;
            if (!kernel_start(&b, t, &backend, real))
                fail_msg("%s, sample %d: no kernel on %s", t->row->name, t->number, isa[i]);
            kernel_call(&b, t);
            kernel_call(&b, t);
            if (!same_bytes(t, first, &b))
                fail_msg("%s, sample %d: %s: other bytes with %d threads on %s", t->row->name, t->number,
                         b.k->name, threads, isa[i]);
            kernel_end(&b);
        }
}

static void kernel_checks(struct trial *t, enum dtype real, bool exact)
{
    struct backend backend;
    struct bench_run b;

    assert_int_equal(backend_cpu(&backend, NULL, 2), ERR_OK);
    if (real == DT_F32)
        round_inputs(t);
    if (!kernel_start(&b, t, &backend, real)) {
        kernel_end(&b);
        return;
    }
    kernel_call(&b, t);
    compare(t, &b, exact);
    in_place(&b, t, &backend, real);
    in_windows(&b, t);
    same_everywhere(&b, t, real);
    kernel_end(&b);
}

static void kernels_agree(struct trial *t)
{
    if (t->row->flags & OP_OPAQUE) /* seen through the convolutions that read it: backend_wino, graph_pack */
        return;
    kernel_checks(t, DT_F64, false);
    kernel_checks(t, DT_F32, false);
    if (t->row->flags & (OP_LINEAR | OP_BILINEAR)) {
        make_integers(t);
        kernel_checks(t, DT_F64, true);
        kernel_checks(t, DT_F32, true);
    }
}

static void kernels(void **state)
{
    (void)state;
    each_trial(kernels_agree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
