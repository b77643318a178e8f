/* Convolutions that reflect or replicate their padding against PyTorch's: results and all gradients of small
 * layers (scripts/make-fixtures.py); and what is refused. */
#include "net_run.h"

#include "base/json.h"
#include "nn/layers.h"
#include "tensor/safetensors.h"

#define DATA D4M_SOURCE_DIR "/tests/data/conv_padding"

enum { LAYERS_MAX = 8 };

static const char *const parameter[] = {"weight", "bias"};

struct fixture {
    json_t *json, *layers;
    struct safetensors *file;
};

static void three(int64_t to[3], const json_t *layer, const char *key)
{
    const json_t *list = json_object_get(layer, key);

    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < 3; i++)
        to[i] = json_integer_value(json_array_get(list, i));
}

static struct conv conv_of(const json_t *layer)
{
    const char *mode = json_string_value(json_object_get(layer, "mode"));
    struct conv c = {.out = json_integer_value(json_object_get(layer, "out")),
                     .groups = json_integer_value(json_object_get(layer, "groups")),
                     .pad_mode = strcmp(mode, "reflect") ? PAD_REPLICATE : PAD_REFLECT};

    three(c.kernel, layer, "kernel");
    three(c.stride, layer, "stride");
    three(c.pad, layer, "pad");
    three(c.dilation, layer, "dilation");
    return c;
}

/* Element i of t in the file's order: activations have the channels first there. */
static int64_t file_index(const struct tensor *t, bool image, int64_t i)
{
    return image ? golden_torch_index(&t->dims, i) : i;
}

static double *entry(const struct fixture *f, const char *name, int64_t count)
{
    const struct st_entry *e = safetensors_find(f->file, name);
    double *v = malloc((size_t)count * sizeof *v);

    if (!e || e->count != count)
        fail_msg("the fixture has no %s of %lld", name, (long long)count);
    assert_non_null(v);
    safetensors_get_f64(e, v);
    return v;
}

static void fill(const struct fixture *f, struct tensor *t, const char *name, bool image)
{
    const int64_t n = dims_count(&t->dims);
    double *v = entry(f, name, n);

    for (int64_t i = 0; i < n; i++)
        tensor_set(t, i, v[file_index(t, image, i)]);
    free(v);
}

static void near(const struct net_run *r, const struct fixture *f, const char *name, struct dims d,
                 double bar)
{
    const struct tensor t = net_output(r, name, d);
    const int64_t n = dims_count(&d);
    double *v = entry(f, name, n), worst = 0, range = 0;

    for (int64_t i = 0; i < n; i++) {
        const double want = v[file_index(&t, strstr(name, "put") != NULL, i)];
        worst = fmax(worst, fabs(tensor_get(&t, i) - want));
        range = fmax(range, fabs(want));
    }
    free(v);
    if (!(worst <= bar * range))
        fail_msg("%s: off by %.3g of %.3g, bar %.1e", name, worst, range, bar);
}

/* Layer i with its gradients; the dims of what it outputs: result, input, then parameters. */
static void layer_build(struct net_run *r, const struct fixture *f, int i, struct dims out[4])
{
    const json_t *layer = json_array_get(f->layers, (size_t)i);
    const size_t first = r->m->count;
    int64_t size[3];
    char name[32];
    val x, y, sum, wrt[3], grad[3];

    three(size, layer, "size");
    snprintf(name, sizeof name, "%d.input", i);
    x = net_input(r, name,
                  DIMS5(2, size[0], size[1], size[2], json_integer_value(json_object_get(layer, "in"))));
    snprintf(name, sizeof name, "%d", i);
    y = nn_conv(r->m, x, name, conv_of(layer));
    snprintf(name, sizeof name, "%d.output", i);
    graph_output(r->g, name, y);
    snprintf(name, sizeof name, "%d.direction", i);
    sum = op_sum(r->g, op_mul(r->g, y, net_input(r, name, graph_dims(r->g, y))), ALL_AXES);
    wrt[0] = x;
    wrt[1] = r->m->param[first].v;
    wrt[2] = r->m->param[first + 1].v;
    graph_grad(r->g, sum, 3, wrt, grad);
    out[0] = graph_dims(r->g, y);
    for (int k = 0; k < 3; k++) {
        snprintf(name, sizeof name, "grad.%d.%s", i, k ? parameter[k - 1] : "input");
        graph_output(r->g, name, grad[k]);
        out[1 + k] = graph_dims(r->g, wrt[k]);
    }
}

static void layer_check(const struct net_run *r, const struct fixture *f, int i, const struct dims d[4],
                        double bar)
{
    char name[32];

    snprintf(name, sizeof name, "%d.output", i);
    near(r, f, name, d[0], bar);
    for (int k = 0; k < 3; k++) {
        snprintf(name, sizeof name, "grad.%d.%s", i, k ? parameter[k - 1] : "input");
        near(r, f, name, d[1 + k], bar);
    }
}

static void run_fixture(enum dtype real, double bar)
{
    struct fixture f = {0};
    struct net_run r;
    struct dims d[LAYERS_MAX][4];
    int n;

    OK(json_read(&f.json, DATA ".json"));
    f.layers = json_object_get(f.json, "layers");
    n = (int)json_array_size(f.layers);
    assert_in_range(n, 1, LAYERS_MAX);
    OK(safetensors_open(&f.file, DATA ".safetensors"));
    net_open(&r, real);
    for (int i = 0; i < n; i++)
        layer_build(&r, &f, i, d[i]);
    net_fill_params(&r);
    for (size_t i = 0; i < store_count(r.store); i++)
        fill(&f, store_find(r.store, store_at(r.store, i)->name), store_at(r.store, i)->name, false);
    for (size_t i = 0; i < store_count(r.inputs); i++)
        fill(&f, store_find(r.inputs, store_at(r.inputs, i)->name), store_at(r.inputs, i)->name, true);
    net_compile(&r);
    OK(program_run(r.p));
    for (int i = 0; i < n; i++)
        layer_check(&r, &f, i, d[i], bar);
    net_close(&r);
    safetensors_close(f.file);
    json_decref(f.json);
}

static void layers_equal_torch(void **state)
{
    (void)state;
    run_fixture(DT_F64, 1e-13);
    run_fixture(DT_F32, 2e-6);
}

/* ---- what is refused ---- */

enum { AS_CONV, AS_DX, AS_DW, AS_LAYER_UP };

static void refused(int what, struct conv c, const char *message)
{
    struct net_run r;
    val x, y;

    net_open(&r, DT_F32);
    x = net_input(&r, "x", DIMS5(1, 3, 4, 3, 2));
    y = net_input(&r, "y", DIMS5(1, 3, 4, 3, 2));
    if (what == AS_CONV)
        op_conv(r.g, x, net_input(&r, "w", DIMS5(2, 2, 3, 3, 7)), (val){0}, &c);
    else if (what == AS_DX)
        op_conv_dx(r.g, y, net_input(&r, "w", DIMS5(2, 2, 3, 3, 7)), (val){0}, &c);
    else if (what == AS_DW)
        op_conv_dw(r.g, y, x, &c);
    else
        nn_conv_up(r.m, x, "up", c);
    assert_int_equal(graph_status(r.g), ERR_SHAPE);
    if (!strstr(err_text(), message))
        fail_msg("'%s' does not say '%s'", err_text(), message);
    net_close(&r);
}

static void wrong_padding_is_refused(void **state)
{
    struct conv c = {.kernel = {3, 3, 7}, .pad = {1, 1, 3}, .size = {3, 4, 3}, .pad_mode = PAD_REFLECT};

    (void)state;
    for (int what = AS_CONV; what <= AS_DW; what++)
        refused(what, c, "an axis of 3 cannot reflect a padding of 3");
    c.pad_mode = 3;
    for (int what = AS_CONV; what <= AS_DW; what++)
        refused(what, c, "there is no padding mode 3");
    c = (struct conv){.out = 2, .kernel = CUBE(2), .stride = CUBE(2), .pad_mode = PAD_REFLECT};
    refused(AS_LAYER_UP, c, "layer up: a transposed convolution has zero padding only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_equal_torch),
        cmocka_unit_test(wrong_padding_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
