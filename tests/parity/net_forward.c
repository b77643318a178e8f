/* d4m net forward on the fixtures: what PyTorch computes, and one line for everything that does not fit. */
#include "test.h"

#include "base/cpu.h"
#include "stage/net_forward.h"
#include "tensor/safetensors.h"
#include <math.h>
#include <unistd.h>

#define DATA D4M_SOURCE_DIR "/tests/data/"

static char output[64];

static enum err forward(const char *config, const char *weights, const char *input, const char *out,
                        const char *precision)
{
    struct cli_common common = {.mem = (int64_t)1 << 30, .isa = (int)cpu_best(), .threads = 1};
    struct arena *arena = arena_new();
    struct cli cli = {.common = &common, .arena = arena};
    void *cfg = arena_alloc(arena, 1, cmd_net_forward.cfg_size);
    const char *words[] = {"nnunet", "--config", config, "--weights",   weights,  "--input",
                           input,    "--output", out,    "--precision", precision};
    enum err err;

    assert_int_equal(cfg_defaults(cmd_net_forward.table, cfg, arena), ERR_OK);
    assert_int_equal(cfg_parse(cmd_net_forward.table, cfg, arena, 11, (char **)(uintptr_t)words), ERR_OK);
    err = cmd_net_forward.run(&cli, cfg);
    arena_free(arena);
    return err;
}

static double *values(const struct safetensors *s, const char *name, struct st_entry *e)
{
    const struct st_entry *found = safetensors_find(s, name);
    double *v;

    if (!found)
        fail_msg("there is no %s", name);
    *e = *found;
    v = malloc((size_t)e->count * sizeof(*v));
    assert_non_null(v);
    safetensors_get_f64(e, v);
    return v;
}

static void compare(const struct safetensors *have, const struct safetensors *want, const char *name,
                    double bar)
{
    struct st_entry a, b;
    double *x = values(have, name, &a), *y = values(want, name, &b);
    double worst = 0, low = y[0], high = y[0];

    assert_true(dims_equal(&a.dims, &b.dims));
    for (int64_t i = 0; i < a.count; i++) {
        worst = fmax(worst, fabs(x[i] - y[i]));
        low = fmin(low, y[i]);
        high = fmax(high, y[i]);
    }
    if (!(worst <= bar * (high - low)))
        fail_msg("%s is off by %.3g of its range", name, worst / (high - low));
    free(x);
    free(y);
}

static void check(const char *name, const char *precision, enum st_type type, double bar)
{
    struct safetensors *have = NULL, *want = NULL;
    char config[256], weights[256], vectors[256];

    snprintf(config, sizeof config, DATA "%s.json", name);
    snprintf(weights, sizeof weights, DATA "%s.weights.safetensors", name);
    snprintf(vectors, sizeof vectors, DATA "%s.vectors.safetensors", name);
    if (forward(config, weights, vectors, output, precision))
        fail_msg("%s", err_text());
    assert_int_equal(safetensors_open(&have, output), ERR_OK);
    assert_int_equal(safetensors_open(&want, vectors), ERR_OK);
    assert_int_equal(safetensors_count(have), 2);
    assert_int_equal(safetensors_at(have, 0)->type, type);
    compare(have, want, "output.0", bar);
    compare(have, want, "output.1", bar);
    safetensors_close(have);
    safetensors_close(want);
    unlink(output);
}

static void test_outputs(void **state)
{
    (void)state;
    check("nnunet_plain", "f32", ST_F32, 1e-5);
    check("nnunet_plain", "f64", ST_F64, 1e-12);
    check("nnunet_residual", "f32", ST_F32, 1e-5);
    check("nnunet_residual", "f64", ST_F64, 1e-12);
}

static void refused(enum err want, const char *config, const char *weights, const char *input,
                    const char *out)
{
    enum err err = forward(config, weights, input, out, "f32");

    if (err != want)
        fail_msg("error %d instead of %d: %s", (int)err, (int)want, err ? err_text() : "accepted");
    assert_true(access(output, F_OK) != 0);
}

static void save_input(const char *path, const char *name, struct dims d)
{
    static const float zeros[4096];
    struct st_tensor t = {name, ST_F32, d, zeros};

    assert_in_range(dims_count(&d), 1, 4096);
    assert_int_equal(safetensors_save(path, &t, 1, NULL), ERR_OK);
}

static void test_refusals(void **state)
{
    const char *config = DATA "nnunet_plain.json", *weights = DATA "nnunet_plain.weights.safetensors";
    const char *vectors = DATA "nnunet_plain.vectors.safetensors";
    char input[80];

    (void)state;
    snprintf(input, sizeof input, "%s.in", output);
    refused(ERR_USAGE, DATA "absent.json", weights, vectors, output);
    refused(ERR_USAGE, config, DATA "absent.safetensors", vectors, output);
    refused(ERR_CORRUPT, weights, weights, vectors, output);
    refused(ERR_MODEL, DATA "nnunet_residual.json", weights, DATA "nnunet_residual.vectors.safetensors",
            output);
    refused(ERR_OUTPUT, config, weights, vectors, "/nowhere/at/all.safetensors");
    save_input(input, "image", DIMS5(1, 2, 4, 8, 8));
    refused(ERR_INPUT, config, weights, input, output);
    save_input(input, "input", DIMS4(2, 4, 8, 8));
    refused(ERR_INPUT, config, weights, input, output);
    save_input(input, "input", DIMS5(1, 3, 4, 8, 8));
    refused(ERR_MODEL, config, weights, input, output);
    save_input(input, "input", DIMS5(1, 2, 4, 7, 8)); /* 7 cannot be halved and doubled */
    refused(ERR_INPUT, config, weights, input, output);
    unlink(input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs),
        cmocka_unit_test(test_refusals),
    };

    snprintf(output, sizeof output, "/tmp/d4m-forward-%ld", (long)getpid());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
