/* Small networks against PyTorch: weights files as PyTorch saves them, outputs, all gradients, and the state
 * dict's names. */
#include "net_run.h"

#include "base/json.h"
#include "tensor/safetensors.h"
#include <unistd.h>

#define DATA D4M_SOURCE_DIR "/tests/data/"

static const char *const fixtures[] = {"nnunet_plain", "nnunet_residual"};

static void path_of(char out[256], const char *name, const char *end)
{
    snprintf(out, 256, "%s%s%s", DATA, name, end);
}

/* t as PyTorch orders it: activations have the channels first in files. */
static int64_t file_index(const struct tensor *t, bool activation, int64_t i)
{
    return activation ? golden_torch_index(&t->dims, i) : i;
}

static void fill_from(const struct net_run *r, const char *input, const struct safetensors *file,
                      const char *name)
{
    struct tensor *t = store_find(r->inputs, input);
    const struct st_entry *e = safetensors_find(file, name);
    int64_t n = dims_count(&t->dims);
    double *v;

    assert_non_null(e);
    assert_int_equal(e->count, n);
    v = malloc((size_t)n * sizeof(*v));
    assert_non_null(v);
    safetensors_get_f64(e, v);
    for (int64_t i = 0; i < n; i++)
        tensor_set(t, i, v[file_index(t, true, i)]);
    free(v);
}

/* Largest difference over the largest value of the reference. */
static void compare(const struct net_run *r, const char *name, struct dims d, const struct safetensors *file,
                    double bar)
{
    struct tensor t = net_output(r, name, d);
    const struct st_entry *e = safetensors_find(file, name);
    bool activation = !strncmp(name, "output", 6) || !strcmp(name, "grad.input");
    int64_t n = dims_count(&d);
    double worst = 0, range = 0;
    double *v;

    if (!e)
        fail_msg("the fixture has no %s", name);
    assert_int_equal(e->count, n);
    v = malloc((size_t)n * sizeof(*v));
    assert_non_null(v);
    safetensors_get_f64(e, v);
    for (int64_t i = 0; i < n; i++) {
        double want = v[file_index(&t, activation, i)];

        worst = fmax(worst, fabs(tensor_get(&t, i) - want));
        range = fmax(range, fabs(want));
    }
    free(v);
    if (!(worst <= bar * range))
        fail_msg("%s: off by %.3g of %.3g, bar %.1e", name, worst, range, bar);
}

static val objective(struct net_run *r, int n, const val out[])
{
    val sum = {0};

    for (int i = 0; i < n; i++) {
        char name[32];
        val part;

        snprintf(name, sizeof(name), "output.%d", i);
        graph_output(r->g, name, out[i]);
        snprintf(name, sizeof(name), "direction.%d", i);
        part = op_sum(r->g, op_mul(r->g, out[i], net_input(r, name, graph_dims(r->g, out[i]))), ALL_AXES);
        sum = i ? op_add(r->g, sum, part) : part;
    }
    return sum;
}

static void add_gradients(struct net_run *r, val sum, val image)
{
    size_t n = r->m->count;
    val *wrt = malloc(2 * (n + 1) * sizeof(*wrt)), *grad = wrt + n + 1;

    assert_non_null(wrt);
    for (size_t i = 0; i < n; i++)
        wrt[i] = r->m->param[i].v;
    wrt[n] = image;
    graph_grad(r->g, sum, (int)n + 1, wrt, grad);
    for (size_t i = 0; i < n; i++) {
        char name[256];

        snprintf(name, sizeof(name), "grad.%s", r->m->param[i].name);
        graph_output(r->g, name, grad[i]);
    }
    graph_output(r->g, "grad.input", grad[n]);
    free(wrt);
}

/* The fixture's network with its input; leaves *image. */
static int open_net(struct net_run *r, const char *name, enum dtype real, val out[], val *image)
{
    char path[256];
    struct nnunet o;
    struct safetensors *file = NULL;
    const struct st_entry *e;
    int n = 0;

    path_of(path, name, ".json");
    OK(nnunet_read_json(&o, path));
    path_of(path, name, ".vectors.safetensors");
    OK(safetensors_open(&file, path));
    e = safetensors_find(file, "input");
    assert_non_null(e);
    net_open(r, real);
    *image =
        net_input(r, "input", DIMS5(e->dims.n[0], e->dims.n[2], e->dims.n[3], e->dims.n[4], e->dims.n[1]));
    fill_from(r, "input", file, "input");
    nnunet(r->m, *image, &o, out, &n);
    safetensors_close(file);
    return n;
}

static void load_weights(struct net_run *r, const char *name)
{
    struct weight_keys keys = {0};
    char path[256];

    path_of(path, name, ".weights.safetensors");
    OK(nnunet_keys(&keys, r->m));
    OK(weights_load(r->m, &keys, r->store, path));
    weight_keys_free(&keys);
}

static void run_fixture(const char *name, enum dtype real, double out_bar, double grad_bar)
{
    struct net_run r;
    struct safetensors *file = NULL;
    val out[NNUNET_STAGES_MAX], image;
    char path[256], key[256];
    int n = open_net(&r, name, real, out, &image);

    add_gradients(&r, objective(&r, n, out), image);
    load_weights(&r, name);
    path_of(path, name, ".vectors.safetensors");
    OK(safetensors_open(&file, path));
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "direction.%d", i);
        fill_from(&r, key, file, key);
    }
    net_compile(&r);
    OK(program_run(r.p));
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "output.%d", i);
        compare(&r, key, graph_dims(r.g, out[i]), file, out_bar);
    }
    compare(&r, "grad.input", graph_dims(r.g, image), file, grad_bar);
    for (size_t i = 0; i < r.m->count; i++) {
        const struct param *p = &r.m->param[i];

        if (strstr(p->name, "conv.bias"))
            continue; /* exactly 0 in theory: the norm behind it takes the mean away */
        snprintf(key, sizeof(key), "grad.%s", p->name);
        compare(&r, key, p->dims, file, grad_bar);
    }
    safetensors_close(file);
    net_close(&r);
}

static void test_double(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        run_fixture(fixtures[i], DT_F64, 1e-10, 1e-9);
}

static void test_single(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        run_fixture(fixtures[i], DT_F32, 2e-5, 1e-3);
}

/* The keys are PyTorch's, in its order. */
static void test_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct net_run r;
        struct weight_keys keys = {0};
        val out[NNUNET_STAGES_MAX], image;
        char path[256];
        json_t *want = NULL;

        open_net(&r, fixtures[i], DT_F32, out, &image);
        OK(nnunet_keys(&keys, r.m));
        path_of(path, fixtures[i], ".keys.json");
        OK(json_read(&want, path));
        assert_int_equal(keys.count, json_array_size(want));
        for (size_t k = 0; k < keys.count; k++)
            assert_string_equal(keys.item[k].key, json_string_value(json_array_get(want, k)));
        json_decref(want);
        weight_keys_free(&keys);
        net_close(&r);
    }
}

static void count(bool residual, int stages, int64_t patch, int64_t parameters, size_t entries)
{
    struct net_run r;
    struct nnunet o;
    struct weight_keys keys = {0};
    val out[NNUNET_STAGES_MAX];
    int n = 0;

    net_open(&r, DT_F32);
    nnunet_make(&o, residual, stages, 32, 320);
    o.channels = 4;
    o.classes = 3;
    nnunet(r.m, graph_input(r.g, "input", DT_F32, DIMS5(1, patch, patch, patch, 4)), &o, out, &n);
    OK(graph_status(r.g));
    assert_int_equal(n, stages - 1);
    assert_int_equal(nn_size(r.m), parameters);
    OK(nnunet_keys(&keys, r.m));
    assert_int_equal(keys.count, entries);
    weight_keys_free(&keys);
    net_close(&r);
}

static void test_counts(void **state)
{
    (void)state;
    count(false, 5, 96, 16550668, 240);
    count(true, 5, 96, 62813004, 752);
    count(false, 6, 128, 31198991, 292);
    count(true, 6, 128, 102353167, 956);
}

static void same_bytes(const struct store *a, const struct store *b)
{
    assert_int_equal(store_count(a), store_count(b));
    for (size_t i = 0; i < store_count(a); i++) {
        const struct tensor *x = store_at(a, i), *y = store_find(b, x->name);

        assert_non_null(y);
        assert_memory_equal(x->data, y->data, tensor_bytes(x));
    }
}

/* Saved and loaded again: the same; the file holds every alias. */
static void test_round_trip(void **state)
{
    char path[] = "/tmp/d4m-weights-XXXXXX";
    int fd = mkstemp(path);
    struct net_run r;
    struct store *again = store_new();
    struct weight_keys keys = {0};
    struct safetensors *file = NULL;
    val out[NNUNET_STAGES_MAX], image;

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    open_net(&r, fixtures[1], DT_F32, out, &image);
    load_weights(&r, fixtures[1]);
    OK(nnunet_keys(&keys, r.m));
    OK(weights_save(&keys, r.store, NULL, path));
    OK(weights_load(r.m, &keys, again, path));
    same_bytes(r.store, again);
    OK(safetensors_open(&file, path));
    assert_int_equal(safetensors_count(file), keys.count);
    assert_string_equal(safetensors_at(file, 0)->name, "encoder.stem.convs.0.conv.weight");
    safetensors_close(file);
    unlink(path);
    weight_keys_free(&keys);
    store_free(again);
    net_close(&r);
}

/* Rewrites the plain fixture's weights with one entry changed by `change` (returns false to leave it out),
 * and loads the result. */
typedef bool (*change_fn)(struct st_tensor *t);

static enum err load_changed(change_fn change)
{
    char from[256], to[] = "/tmp/d4m-weights-XXXXXX";
    int fd = mkstemp(to);
    struct net_run r;
    struct safetensors *file = NULL;
    struct weight_keys keys = {0};
    struct st_tensor list[256];
    val out[NNUNET_STAGES_MAX], image;
    size_t n = 0;
    enum err err;

    assert_true(fd >= 0);
    close(fd);
    path_of(from, fixtures[0], ".weights.safetensors");
    OK(safetensors_open(&file, from));
    assert_in_range(safetensors_count(file), 1, 256);
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const struct st_entry *e = safetensors_at(file, i);

        list[n] = (struct st_tensor){e->name, e->type, e->dims, e->data};
        n += change(&list[n]);
    }
    OK(safetensors_save(to, list, n, NULL));
    open_net(&r, fixtures[0], DT_F32, out, &image);
    OK(nnunet_keys(&keys, r.m));
    err = weights_load(r.m, &keys, r.store, to);
    assert_int_equal(store_count(r.store), err ? 0 : r.m->count);
    safetensors_close(file);
    weight_keys_free(&keys);
    net_close(&r);
    unlink(to);
    return err;
}

static bool only_canonical(struct st_tensor *t)
{
    return !strstr(t->name, "all_modules") && !strstr(t->name, "decoder.encoder");
}

static bool only_aliases(struct st_tensor *t)
{
    return strstr(t->name, "all_modules") || strstr(t->name, "transpconvs") || strstr(t->name, "seg_layers");
}

static bool with_prefix(struct st_tensor *t)
{
    static char names[256][256];
    static int n;

    snprintf(names[n % 256], sizeof(names[0]), "module._orig_mod.%s", t->name);
    t->name = names[n++ % 256];
    return true;
}

static bool without_head(struct st_tensor *t)
{
    return strcmp(t->name, "decoder.seg_layers.1.weight") != 0;
}

static bool renamed(struct st_tensor *t)
{
    if (!strcmp(t->name, "decoder.seg_layers.1.weight"))
        t->name = "decoder.seg_layers.7.weight";
    return true;
}

static bool reshaped(struct st_tensor *t)
{
    if (!strcmp(t->name, "decoder.seg_layers.1.weight")) {
        int64_t first = t->dims.n[0];

        t->dims.n[0] = t->dims.n[1];
        t->dims.n[1] = first;
    }
    return true;
}

static bool unlike_alias(struct st_tensor *t)
{
    static const float other[64];

    if (!strcmp(t->name, "encoder.stages.0.0.convs.0.all_modules.1.bias"))
        t->data = other;
    return true;
}

static void refused(change_fn change, const char *name)
{
    assert_int_equal(load_changed(change), ERR_MODEL);
    if (!strstr(err_text(), name))
        fail_msg("the message does not name %s: %s", name, err_text());
}

static void test_misfits(void **state)
{
    (void)state;
    OK(load_changed(only_canonical));
    OK(load_changed(only_aliases));
    OK(load_changed(with_prefix));
    refused(without_head, "decoder.seg_layers.1.weight");
    refused(renamed, "decoder.seg_layers.7.weight");
    refused(reshaped, "decoder.seg_layers.1.weight");
    refused(unlike_alias, "encoder.stages.0.0.convs.0");
}

/* Builds the plain network and loads its weights; whatever fails says so. */
static enum err build_and_load(void)
{
    struct nnunet o;
    struct graph *g = graph_new(DT_F32);
    struct nn *m = g ? nn_new(g) : NULL;
    struct store *s = store_new();
    struct weight_keys keys = {0};
    val out[NNUNET_STAGES_MAX];
    int n = 0;
    enum err err = ERR_MEMORY;

    if (!m || !s)
        goto done;
    TRY_OR(done, nnunet_read_json(&o, DATA "nnunet_plain.json"));
    nnunet(m, graph_input(g, "input", DT_F32, DIMS5(1, 4, 8, 8, 2)), &o, out, &n);
    TRY_OR(done, graph_status(g));
    TRY_OR(done, nnunet_keys(&keys, m));
    err = weights_load(m, &keys, s, DATA "nnunet_plain.weights.safetensors");
done:
    weight_keys_free(&keys);
    store_free(s);
    nn_free(m);
    graph_free(g);
    return err;
}

/* Every single allocation on the way may fail. */
static void test_no_memory(void **state)
{
    enum err err = ERR_MEMORY;
    int n = 0;

    (void)state;
    while (err) {
        n += n < 200 ? 1 : 17;
        assert_true(n < 100000);
        mem_fail_at(n);
        err = build_and_load();
        mem_fail_at(0);
        if (err && err != ERR_MEMORY)
            fail_msg("allocation %d fails with %d: %s", n, (int)err, err_text());
    }
    assert_true(n > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),      cmocka_unit_test(test_counts),     cmocka_unit_test(test_misfits),
        cmocka_unit_test(test_double),    cmocka_unit_test(test_round_trip), cmocka_unit_test(test_single),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
