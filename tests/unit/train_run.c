/* The training loop on small made-up cases: stopping and resuming anywhere, thread counts and instruction
 * sets leave the same bytes; a value that is not finite ends the run with the last good state kept and the op
 * named; foreign folders are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/backend.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "leak.h"
#include "train/checkpoint.h"
#include "train/network.h"
#include "train/trainer.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 24, CASES = 2 };

struct bench {
    struct arena *arena;
    struct plan plan;
    struct prepared *item[CASES];
    char folder[64];
};

/* A ball of liver with a brighter ball of tumour in it, and noise. */
static void fill_case(struct prepared *c, uint64_t seed)
{
    const int64_t dims[3] = {SIDE, SIDE, SIDE};
    const double spacing[3] = {2, 2, 2}, origin[3] = {0, 0, 0};
    struct rng r = rng_at(5, seed);

    c->grid = grid_make(dims, spacing, origin);
    assert_int_equal(volume_new(&c->label, &c->grid, VOXEL_U8), ERR_OK);
    c->phases = 2;
    for (int k = 0; k < 2; k++) {
        assert_int_equal(volume_new(&c->phase[k], &c->grid, VOXEL_I16), ERR_OK);
        c->stats[k].mean = 40;
        c->stats[k].sd = 50;
        c->stats[k].inside = 1;
    }
    for (int64_t i = 0; i < SIDE * SIDE * SIDE; i++) {
        double x = (double)(i % SIDE) - 11, y = (double)(i / SIDE % SIDE) - 12,
               z = (double)(i / (SIDE * SIDE)) - 10;
        double d = x * x + y * y + z * z;
        uint8_t label = d < 12 ? 2 : d < 70;
        ((uint8_t *)c->label->data)[i] = label;
        c->class_voxels[label]++;
        for (int k = 0; k < 2; k++)
            ((int16_t *)c->phase[k]->data)[i] = (int16_t)(60 * label + 20 * rng_normal(&r));
    }
}

static const char *const tiny[] = {"patch=16",
                                   "batch=2",
                                   "stages=3",
                                   "features=8",
                                   "features_max=16",
                                   "convs=1",
                                   "convs_decoder=1",
                                   "augment=flips",
                                   "optimiser=adamw",
                                   "schedule=cosine",
                                   "warmup=0",
                                   "epochs=3",
                                   "iterations=4",
                                   "val_iterations=1",
                                   "lr=1e-3",
                                   "phases=2",
                                   "classes=3",
                                   "phase_names=arterial,portal venous",
                                   "reference=portal venous"};

static int set_up(void **state)
{
    struct bench *b = mem_new(1, sizeof *b);

    assert_non_null(b);
    b->arena = arena_new();
    assert_int_equal(plan_preset(&b->plan, b->arena, "demo"), ERR_OK);
    b->plan.normalisation = NORM_VOLUME;
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++)
        assert_int_equal(cfg_override(plan_table, &b->plan, b->arena, tiny[i]), ERR_OK);
    for (int i = 0; i < CASES; i++) {
        b->item[i] = mem_new(1, sizeof **b->item);
        b->item[i]->name = mem_str(i ? "two" : "one");
        fill_case(b->item[i], (uint64_t)i);
    }
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;

    for (int i = 0; i < CASES; i++)
        prepared_free(b->item[i]);
    arena_free(b->arena);
    mem_free(b);
    return 0;
}

/* ---- runs ---- */

struct watch {
    int updates, stop_at;
    atomic_int stop;
};

static void watch_update(void *ctx, const char *what, int64_t done, int64_t total, const char *text)
{
    struct watch *w = ctx;

    (void)what, (void)done, (void)total, (void)text;
    if (++w->updates == w->stop_at)
        atomic_store(&w->stop, 1);
}

static void watch_line(void *ctx, const char *text)
{
    (void)ctx, (void)text;
}

static enum err train_once(struct bench *b, const char *isa, int threads, int stop_at)
{
    static const char *const names[] = {"background", "liver", "tumour"};
    struct watch w = {.stop_at = stop_at};
    struct progress p = {watch_update, watch_line, &w};
    struct backend backend;
    struct trainer_options o = {.plan = &b->plan,
                                .train = b->item,
                                .val = b->item,
                                .trains = CASES,
                                .vals = CASES,
                                .class_name = names,
                                .folder = b->folder,
                                .backend = &backend,
                                .memory_max = 1 << 30,
                                .progress = &p,
                                .stop = &w.stop};

    assert_int_equal(backend_cpu(&backend, isa, threads), ERR_OK);
    return trainer_run(&o);
}

static void fresh_folder(struct bench *b)
{
    snprintf(b->folder, sizeof b->folder, "train_run.XXXXXX");
    assert_non_null(mkdtemp(b->folder));
}

static void drop_folder(const struct bench *b)
{
    char command[160];

    snprintf(command, sizeof command, "rm -rf ./%s", b->folder);
    assert_int_equal(system(command), 0);
}

static uint64_t model_hash(const struct bench *b)
{
    char path[128];
    uint64_t h = 0;

    snprintf(path, sizeof path, "%s/model.safetensors", b->folder);
    assert_int_equal(file_hash(path, &h), ERR_OK);
    return h;
}

static uint64_t unbroken(struct bench *b, const char *isa, int threads)
{
    uint64_t h;

    fresh_folder(b);
    assert_int_equal(train_once(b, isa, threads, 0), ERR_OK);
    h = model_hash(b);
    drop_folder(b);
    return h;
}

static void threads_and_isa_leave_the_same_bytes(void **state)
{
    struct bench *b = *state;
    uint64_t one = unbroken(b, "avx2", 1);

    assert_true(unbroken(b, "avx2", 2) == one);
    assert_true(unbroken(b, "avx2", 3) == one);
    if (cpu_best() == CPU_AVX512)
        assert_true(unbroken(b, "avx512", 2) == one);
    else
        print_message("no AVX-512 here: the comparison with it is skipped\n");
}

static void stopping_anywhere_changes_nothing(void **state)
{
    struct bench *b = *state;
    uint64_t want = unbroken(b, NULL, 2);

    for (int stop = 1; stop < 16; stop += 3) {
        enum err err = ERR_STOPPED;
        fresh_folder(b);
        for (int run = 0; run < 20 && err == ERR_STOPPED; run++)
            err = train_once(b, NULL, 1 + run % 3, stop);
        assert_int_equal(err, ERR_OK);
        assert_true(model_hash(b) == want);
        drop_folder(b);
    }
}

/* Another plan in the same folder is refused, and what is there stays. */
static void a_foreign_run_is_refused(void **state)
{
    struct bench *b = *state;
    uint64_t have;

    fresh_folder(b);
    assert_int_equal(train_once(b, NULL, 2, 0), ERR_OK);
    have = model_hash(b);
    b->plan.lr *= 2;
    assert_int_equal(train_once(b, NULL, 2, 0), ERR_MODEL);
    b->plan.lr /= 2;
    assert_true(model_hash(b) == have);
    drop_folder(b);
}

/* bf16 is another numeric mode: it resumes to its own bytes, and neither mode goes on with the other's run.
 */
static void another_precision_is_refused(void **state)
{
    struct bench *b = *state;
    const uint64_t f32 = unbroken(b, NULL, 2);
    uint64_t bf16;

    b->plan.precision = CPU_BF16;
    bf16 = unbroken(b, NULL, 2);
    assert_true(bf16 != f32);
    fresh_folder(b);
    assert_int_equal(train_once(b, NULL, 1, 7), ERR_STOPPED);
    b->plan.precision = CPU_F32;
    assert_int_equal(train_once(b, NULL, 2, 0), ERR_MODEL);
    assert_non_null(strstr(err_text(), "--precision bf16"));
    b->plan.precision = CPU_BF16;
    assert_int_equal(train_once(b, NULL, 2, 0), ERR_OK);
    assert_true(model_hash(b) == bf16);
    drop_folder(b);
    b->plan.precision = CPU_AUTO;
}

static void poison(struct bench *b, const char *checkpoint)
{
    struct backend backend;
    struct compile c = {.backend = &backend};
    struct network n;
    json_t *position = NULL;
    struct tensor *t;

    assert_int_equal(backend_cpu(&backend, NULL, 1), ERR_OK);
    assert_int_equal(network_for_training(&n, &b->plan, &c), ERR_OK);
    assert_int_equal(checkpoint_load(n.store, &position, checkpoint), ERR_OK);
    t = store_find(n.store, "encoder.stages.1.0.convs.0.conv.weight");
    assert_non_null(t);
    for (int64_t i = 0; i < dims_count(&t->dims); i++)
        tensor_set(t, i, 3e38);
    assert_int_equal(checkpoint_save(n.store, position, checkpoint), ERR_OK);
    json_decref(position);
    network_free(&n);
}

static void the_op_of_a_nan_is_named(void **state)
{
    struct bench *b = *state;
    char path[128];
    uint64_t before = 0, after = 0;

    fresh_folder(b);
    snprintf(path, sizeof path, "%s/checkpoint/latest.safetensors", b->folder);
    assert_int_equal(train_once(b, NULL, 2, 2), ERR_STOPPED);
    poison(b, path);
    assert_int_equal(file_hash(path, &before), ERR_OK);
    assert_int_equal(train_once(b, NULL, 2, 0), ERR_INTERNAL);
    assert_non_null(strstr(err_text(), "conv in encoder.stages.1.0.convs.0"));
    assert_int_equal(file_hash(path, &after), ERR_OK);
    assert_true(before == after);
    drop_folder(b);
}

static void a_damaged_checkpoint_is_told(void **state)
{
    struct bench *b = *state;
    uint8_t *bytes = NULL;
    size_t size = 0;
    char path[128];

    fresh_folder(b);
    snprintf(path, sizeof path, "%s/checkpoint/latest.safetensors", b->folder);
    assert_int_equal(train_once(b, NULL, 2, 2), ERR_STOPPED);
    assert_int_equal(file_read(path, &bytes, &size), ERR_OK);
    bytes[size - 5] ^= 1;
    assert_int_equal(file_write(path, bytes, size), ERR_OK);
    assert_int_equal(train_once(b, NULL, 2, 0), ERR_CORRUPT);
    assert_non_null(strstr(err_text(), "checksum"));
    mem_free(bytes);
    drop_folder(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_isa_leave_the_same_bytes),
        cmocka_unit_test(stopping_anywhere_changes_nothing),
        cmocka_unit_test(a_foreign_run_is_refused),
        cmocka_unit_test(another_precision_is_refused),
        cmocka_unit_test(the_op_of_a_nan_is_named),
        cmocka_unit_test(a_damaged_checkpoint_is_told),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
