/* Ten training steps against PyTorch's: losses and gradient norms from the same generated weights, images and
 * labels. */
#include "net_run.h"

#include "base/json.h"
#include "train/step.h"

#define DATA D4M_SOURCE_DIR "/tests/data/"

struct fixture {
    json_t *j;
    struct nnunet net;
    int64_t patch;
};

static void fixture_open(struct fixture *f)
{
    OK(json_read(&f->j, DATA "ten_steps.json"));
    OK(json_get_int(f->j, "ten_steps.json", "patch", &f->patch));
    OK(nnunet_read_json(&f->net, DATA "ten_steps.net.json"));
}

static void fill_labels(const struct net_run *r, int step, int64_t classes)
{
    struct tensor *t = store_find(r->inputs, "labels");
    int64_t n = dims_count(&t->dims);
    char name[32];

    snprintf(name, sizeof(name), "label%d", step);
    for (int64_t i = 0; i < n; i++)
        tensor_set(t, i, floor((double)classes * (golden_at(golden_hash(name), i) + 0.5)));
}

static void build(struct net_run *r, const struct fixture *f, double clip)
{
    int64_t p = f->patch;
    struct step_options o = {
        .net = &f->net,
        .batch = 2,
        .patch = {p, p, p},
        .loss = {.ce_weight = 1},
        .optim = {.kind = OPTIM_SGD, .momentum = 0.99, .decay = 3e-5, .clip = clip},
    };

    net_input(r, "image", DIMS5(2, p, p, p, f->net.channels));
    net_input(r, "labels", DIMS5(2, p, p, p, 1));
    net_input(r, "lr", DIMS0);
    step_build(r->m, &o);
    net_fill_params(r);
    net_compile(r);
}

static double at(const json_t *j, const char *run, const char *list, size_t step)
{
    return json_number_value(json_array_get(json_object_get(json_object_get(j, run), list), step));
}

static void follow(const char *run, enum dtype real, double clip, int steps, double loss_bar)
{
    struct fixture f;
    struct net_run r;

    fixture_open(&f);
    net_open(&r, real);
    build(&r, &f, clip);
    tensor_set(store_find(r.inputs, "lr"), 0, 0.01);
    for (int step = 0; step < steps; step++) {
        double loss, norm, want;
        char image[32];

        snprintf(image, sizeof(image), "image%d", step);
        net_fill_golden(&r, "image", image, 4);
        fill_labels(&r, step, f.net.classes);
        OK(program_run(r.p));
        loss = program_scalar(r.p, "loss");
        norm = program_scalar(r.p, "norm");
        want = at(f.j, run, "losses", (size_t)step);
        if (!(fabs(loss - want) <= loss_bar))
            fail_msg("step %d: loss %.12g, PyTorch %.12g", step, loss, want);
        want = at(f.j, run, "norms", (size_t)step);
        if (!(fabs(norm - want) <= 10 * loss_bar * want))
            fail_msg("step %d: gradient norm %.12g, PyTorch %.12g", step, norm, want);
        assert_true(program_scalar(r.p, "finite") == 1);
    }
    net_close(&r);
    json_decref(f.j);
}

static void test_single(void **state)
{
    (void)state;
    follow("float32", DT_F32, 12, 10, 1e-3);
}

static void test_double(void **state)
{
    (void)state;
    follow("float64", DT_F64, 12, 5, 1e-9);
}

static void test_clipped(void **state)
{
    (void)state;
    follow("float64_clip_0.2", DT_F64, 0.2, 3, 1e-9);
}

/* An infinite image makes the loss not finite: the step says so and changes nothing. */
static void test_not_finite(void **state)
{
    struct fixture f;
    struct net_run r;
    struct tensor *w;
    double before, momentum;

    (void)state;
    fixture_open(&f);
    net_open(&r, DT_F32);
    build(&r, &f, 12);
    tensor_set(store_find(r.inputs, "lr"), 0, 0.01);
    net_fill_golden(&r, "image", "image0", 4);
    fill_labels(&r, 0, f.net.classes);
    OK(program_run(r.p));
    w = store_find(r.store, "decoder.seg_layers.2.weight");
    assert_non_null(w);
    before = tensor_get(w, 0);
    momentum = tensor_get(store_find(r.store, "optim.decoder.seg_layers.2.weight.m"), 0);
    assert_true(momentum != 0);
    tensor_set(store_find(r.inputs, "image"), 5, INFINITY);
    OK(program_run(r.p));
    assert_true(program_scalar(r.p, "finite") == 0);
    assert_true(tensor_get(w, 0) == before);
    assert_true(tensor_get(store_find(r.store, "optim.decoder.seg_layers.2.weight.m"), 0) == momentum);
    net_close(&r);
    json_decref(f.j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_double),
        cmocka_unit_test(test_clipped),
        cmocka_unit_test(test_not_finite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
