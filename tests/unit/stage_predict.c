/* Prediction from files to masks with a network whose answer is known: every orientation, every subset of
 * phases, folders with bad cases, and what is refused. */
#include "test.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "stage/predict.h"
#include <math.h>

enum { PHASES = 4, CLASSES = 3, PATCH = 8 };

/* A network that thresholds one channel: liver above 0.5 HU, tumour above 100.5 HU. */
struct threshold {
    struct segmenter net;
    int channel;
    const double *mean, *sd; /* of the phase that the channel shows; NULL: 0 and 1 */
    int64_t calls;
    atomic_int *stop;
    struct arena *arena;
};

static enum err threshold_forward(void *ctx, const float *patch, float *logits)
{
    struct threshold *t = ctx;
    double mean = t->mean ? *t->mean : 0, sd = t->sd ? *t->sd : 1;
    float low = (float)((0.5 - mean) / sd), high = (float)((100.5 - mean) / sd);

    if (++t->calls == 3 && t->stop)
        atomic_store(t->stop, 1);
    for (int64_t i = 0; i < t->net.batch * PATCH * PATCH * PATCH; i++) {
        float v = patch[i * PHASES + t->channel];
        logits[i * CLASSES] = 0;
        logits[i * CLASSES + 1] = v - low;
        logits[i * CLASSES + 2] = 2 * v - low - high;
    }
    return ERR_OK;
}

static void threshold_make(struct threshold *t)
{
    *t = (struct threshold){.channel = 2, .arena = arena_new()};
    assert_ok(plan_preset(&t->net.plan, t->arena, "demo"));
    t->net.plan.normalisation = NORM_VOLUME; /* nothing was trained that could have been measured */
    for (int a = 0; a < 3; a++) {
        t->net.plan.spacing[a] = 2;
        t->net.plan.patch[a] = PATCH;
    }
    t->net.plan.phases = PHASES;
    t->net.plan.classes = CLASSES;
    t->net.plan.phase_names = "noncontrast,arterial,portal_venous,delayed";
    t->net.plan.reference = "portal_venous";
    t->net.batch = 2;
    t->net.forward = threshold_forward;
    t->net.ctx = t;
    t->net.bytes = 12345;
}

/* The command opens its model through this. */
static struct threshold command_net;

enum err segmenter_open(struct segmenter **out, const char *path, int precision, const struct cli *cli)
{
    (void)cli, (void)precision;
    if (!strcmp(path, "missing"))
        return err_set(ERR_USAGE, "no model at %s", path);
    *out = &command_net.net;
    return ERR_OK;
}

void segmenter_close(struct segmenter *s)
{
    (void)s;
}

static const int64_t shape[3] = {17, 14, 12}; /* along R, A, S */

/* HU at a place in RAS voxels: a liver of 60 with a tumour of 150 at one end, air around; no symmetry. */
static int16_t hu_at(const int64_t p[3])
{
    double x = (double)p[0] - 7, y = (double)p[1] - 6, z = (double)p[2] - 5;
    double liver = x * x / 30 + y * y / 20 + z * z / 12,
           tumour = (x - 2) * (x - 2) + (y - 1) * (y - 1) + z * z;

    return tumour < 5 ? 150 : liver < 1 ? 60 : -15;
}

static uint8_t label_of(int16_t hu)
{
    return hu > 100 ? 2 : hu > 0 ? 1 : 0;
}

/* The scene stored with voxel axis j along RAS axis axis[j], backwards where flip[j]; 2 mm. */
static struct volume *scene(const int axis[3], const bool flip[3])
{
    struct grid g = {.spacing = {2, 2, 2}};
    struct volume *v = NULL;
    int64_t at = 0;

    for (int j = 0; j < 3; j++) {
        g.dims[j] = shape[axis[j]];
        g.affine[axis[j]][j] = flip[j] ? -2 : 2;
        g.affine[axis[j]][3] = flip[j] ? 2 * (double)(shape[axis[j]] - 1) - 30 : -30;
    }
    assert_ok(volume_new(&v, &g, VOXEL_I16));
    for (int64_t k = 0; k < g.dims[2]; k++)
        for (int64_t j = 0; j < g.dims[1]; j++)
            for (int64_t i = 0; i < g.dims[0]; i++, at++) {
                const int64_t index[3] = {i, j, k};
                int64_t p[3];
                for (int a = 0; a < 3; a++)
                    p[axis[a]] = flip[a] ? g.dims[a] - 1 - index[a] : index[a];
                ((int16_t *)v->data)[at] = hu_at(p);
            }
    return v;
}

static void write_scene(const char *path)
{
    struct volume *v = scene((const int[3]){0, 1, 2}, (const bool[3]){true, false, false});

    assert_ok(nifti_save(v, NULL, path));
    volume_free(v);
}

/* Window statistics of the scene, as the preparation finds them. */
static void scene_stats(double *mean, double *sd)
{
    double n = 0, sum = 0, square = 0;
    int64_t p[3];

    for (p[2] = 0; p[2] < shape[2]; p[2]++)
        for (p[1] = 0; p[1] < shape[1]; p[1]++)
            for (p[0] = 0; p[0] < shape[0]; p[0]++) {
                double v = hu_at(p);
                n++;
                sum += v;
                square += v * v;
            }
    *mean = sum / n;
    *sd = sqrt(square / n - *mean * *mean);
}

static void every_orientation(void **state)
{
    static const int order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const char *folder = test_folder();
    const char *image = test_path(folder, "a_0002.nii.gz"), *mask = test_path(folder, "out.nii.gz");
    struct case_files files = {
        .name = "a", .folder = folder, .phase = {NULL, NULL, image, NULL}, .reference = 2};
    struct threshold t;
    double mean, sd;

    (void)state;
    threshold_make(&t);
    scene_stats(&mean, &sd);
    t.mean = &mean;
    t.sd = &sd;
    for (int k = 0; k < 48; k++) {
        const bool flip[3] = {k & 1, k & 2, k & 4};
        struct predict_options o = {.net = &t.net, .mirror = k % 5 == 0};
        struct volume *v = scene(order[k / 8], flip), *m = NULL;
        json_t *record = NULL;
        assert_ok(nifti_save(v, NULL, image));
        assert_ok(predict_case(&record, &files, &o, mask));
        assert_ok(nifti_load_labels(&m, mask, &(struct nifti_options){.positions_matter = true}, NULL));
        assert_true(grid_same(&v->grid, &m->grid));
        for (int64_t i = 0; i < grid_count(&v->grid); i++)
            assert_int_equal(((uint8_t *)m->data)[i], label_of(((int16_t *)v->data)[i]));
        json_decref(record);
        volume_free(v);
        volume_free(m);
    }
    arena_free(t.arena);
}

/* Channel c of a case with these phases, by the rule of seg-backbones.md section 11. */
static int shown(unsigned present, int channel)
{
    while (!(present >> channel & 1))
        channel = (channel + 3) % 4;
    return channel;
}

static void every_subset_of_phases(void **state)
{
    static const char *const name[4] = {"noncontrast", "arterial", "portal_venous", "delayed"};
    static const int reference[16] = {-1, 0, 1, 1, 2, 2, 2, 2, 3, 3, 1, 1, 2, 2, 2, 2};
    const char *folder = test_folder(), *mask = test_path(folder, "mask.nii");
    const char *path[4];
    struct threshold t;
    double mean, sd;

    (void)state;
    threshold_make(&t);
    scene_stats(&mean, &sd);
    t.mean = &mean;
    t.sd = &sd;
    for (int k = 0; k < 4; k++) {
        char file[32];
        snprintf(file, sizeof file, "a_000%d.nii.gz", k);
        path[k] = test_path(folder, file);
        write_scene(path[k]);
    }
    for (unsigned present = 1; present < 16; present++) {
        struct case_files files = {.name = "a", .folder = folder, .reference = reference[present]};
        struct predict_options o = {.net = &t.net};
        json_t *record = NULL;
        size_t used = 0;
        for (int k = 0; k < 4; k++)
            files.phase[k] = present >> k & 1 ? path[k] : NULL;
        assert_ok(predict_case(&record, &files, &o, mask));
        assert_string_equal(json_string_value(json_object_get(record, "reference")),
                            name[reference[present]]);
        for (int k = 0; k < 4; k++) {
            const char *from =
                json_string_value(json_object_get(json_object_get(record, "channels"), name[k]));
            assert_string_equal(from, name[shown(present, k)]);
            used += present >> k & 1;
        }
        assert_int_equal(json_array_size(json_object_get(record, "phases_used")), used);
        assert_int_equal(json_integer_value(json_object_get(record, "lesions")), 1);
        double liver = json_real_value(json_object_get(json_object_get(record, "volumes_ml"), "liver"));
        double tumour = json_real_value(json_object_get(json_object_get(record, "volumes_ml"), "tumour"));
        assert_true(liver > 3 * tumour && tumour > 0.1);
        json_decref(record);
    }
    arena_free(t.arena);
}

static void memory_is_known_before(void **state)
{
    const char *folder = test_folder(), *image = test_path(folder, "a_0002.nii.gz"),
               *mask = test_path(folder, "m.nii.gz");
    struct case_files files = {
        .name = "a", .folder = folder, .phase = {NULL, NULL, image, NULL}, .reference = 2};
    struct threshold t;
    struct predict_bytes b;
    json_t *record = NULL;

    (void)state;
    threshold_make(&t);
    write_scene(image);
    struct predict_options o = {.net = &t.net};
    assert_ok(predict_memory(&b, &files, &o));
    assert_true(b.peak > b.windows && b.windows > t.net.bytes && b.peak < 100000000);
    o.limit = b.peak - 1;
    assert_err(predict_case(&record, &files, &o, mask), ERR_MEMORY,
               "needs 0.03 GB of memory, 0.03 GB may be used");
    assert_false(file_exists(mask));
    o.limit = b.peak;
    assert_ok(predict_case(&record, &files, &o, mask));
    json_decref(record);
    arena_free(t.arena);
}

/* The verb, by its table. */
struct world {
    const char *folder;
    struct arena *arena;
    struct notes notes;
    atomic_int stop;
    struct cli_common common;
    struct cli cli;
    double mean, sd;
};

static void world_make(struct world *w)
{
    *w = (struct world){
        .folder = test_folder(), .arena = arena_new(), .common = {.mem = (int64_t)4 << 30, .threads = 1}};
    w->cli = (struct cli){.common = &w->common,
                          .command_line = "d4m predict ...",
                          .arena = w->arena,
                          .notes = &w->notes,
                          .stop = &w->stop};
    threshold_make(&command_net);
    scene_stats(&w->mean, &w->sd);
    command_net.mean = &w->mean;
    command_net.sd = &w->sd;
}

static void world_free(struct world *w)
{
    notes_clear(&w->notes);
    arena_free(w->arena);
    arena_free(command_net.arena);
}

static enum err predict(struct world *w, int argc, const char *const *words)
{
    void *cfg = arena_alloc(w->arena, 1, cmd_predict.cfg_size);
    char *argv[16];

    assert_true(cfg && argc <= 16);
    for (int i = 0; i < argc; i++)
        argv[i] = arena_str(w->arena, words[i]);
    TRY(cfg_defaults(cmd_predict.table, cfg, w->arena));
    TRY(cfg_parse(cmd_predict.table, cfg, w->arena, argc, argv));
    return cmd_predict.run(&w->cli, cfg);
}

#define WORDS(...)                                                                                           \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }
#define PREDICT(...) predict(&w, sizeof(WORDS(__VA_ARGS__)) / sizeof(char *), WORDS(__VA_ARGS__))

static char *at(const struct world *w, const char *name)
{
    return arena_str(w->arena, test_path(w->folder, name));
}

static void a_folder_goes_on_after_a_bad_case(void **state)
{
    struct world w;
    json_t *j = NULL;

    (void)state;
    world_make(&w);
    assert_ok(folder_make(at(&w, "in")));
    assert_ok(folder_make(at(&w, "out")));
    write_scene(at(&w, "in/a_0002.nii.gz"));
    write_scene(at(&w, "in/c_0001.nii.gz"));
    assert_ok(file_write(at(&w, "in/b_0002.nii.gz"), "this is no image", 16));
    assert_ok(file_write(at(&w, "out/b.nii.gz"), "stale", 5));
    assert_ok(file_write(at(&w, "out/a.nii.gz"), "stale", 5));
    assert_err(PREDICT("--model", "m", "-i", at(&w, "in"), "-o", at(&w, "out")), ERR_CASES,
               "1 of 3 cases failed: b:");
    assert_true(file_exists(at(&w, "out/a.nii.gz")) && file_exists(at(&w, "out/c.nii.gz")));
    assert_false(file_exists(at(&w, "out/b.nii.gz")));
    assert_ok(json_read(&j, at(&w, "out/result.json")));
    assert_int_equal(json_array_size(json_object_get(j, "cases")), 2);
    assert_int_equal(json_array_size(json_object_get(j, "failed")), 1);
    assert_true(json_is_true(json_object_get(j, "complete")));
    json_decref(j);
    /* alone, a bad case fails with its own code */
    assert_ok(file_write(at(&w, "out/b.nii.gz"), "stale", 5));
    assert_err(PREDICT("--model", "m", "-i", at(&w, "in/b_0002.nii.gz"), "-o", at(&w, "out")), ERR_CORRUPT,
               "b_0002");
    assert_false(file_exists(at(&w, "out/b.nii.gz")));
    world_free(&w);
}

static void output_names(void **state)
{
    struct world w;

    (void)state;
    world_make(&w);
    write_scene(at(&w, "a_0002.nii.gz"));
    write_scene(at(&w, "b.nii.gz"));
    char *a = at(&w, "a_0002.nii.gz"), *b = at(&w, "b.nii.gz");
    assert_ok(PREDICT("--model", "m", a, "-o", at(&w, "m.nii")));
    assert_true(file_exists(at(&w, "m.nii")) && file_exists(at(&w, "m.json")));
    assert_ok(PREDICT("--model", "m", "-i", a, "-o", at(&w, "new/deep")));
    assert_true(file_exists(at(&w, "new/deep/a.nii.gz")) && file_exists(at(&w, "new/deep/result.json")));
    assert_err(PREDICT("--model", "m", a, "-o", at(&w, "m.mha")), ERR_USAGE, ".mha");
    assert_err(PREDICT("--model", "m", a, "-o", at(&w, "m.NRRD")), ERR_USAGE, ".nrrd");
    assert_err(PREDICT("--model", "m", a, "-o", a), ERR_USAGE, "would replace");
    /* CASE.nii.gz in the folder of its image, which has the same name */
    assert_err(PREDICT("--model", "m", b, "--phase", "portal_venous", "-o", arena_str(w.arena, w.folder)),
               ERR_USAGE, "would replace");
    assert_err(PREDICT("--model", "m", b, "-o", at(&w, "x")), ERR_USAGE, "phase");
    assert_err(PREDICT("--model", "m", a, b, "--phase", "delayed", "-o", at(&w, "x.nii.gz")), ERR_USAGE,
               "2 cases");
    assert_err(PREDICT("--model", "missing", a, "-o", at(&w, "x")), ERR_USAGE, "no model");
    assert_err(PREDICT("--model", "m", "-o", at(&w, "x")), ERR_USAGE, "missing");
    assert_err(PREDICT("--model", "m", a, "-o", at(&w, "b.nii.gz/x")), ERR_OUTPUT, "b.nii.gz");
    assert_true(file_exists(a) && file_exists(b) && !folder_exists(at(&w, "x")));
    world_free(&w);
}

/* A case that fails alone leaves nothing, takes its own stale result away, and nothing else. */
static void failure_leaves_and_loses_nothing(void **state)
{
    struct world w;

    (void)state;
    world_make(&w);
    write_scene(at(&w, "a_0002.nii.gz"));
    assert_ok(file_write(at(&w, "b_0002.nii.gz"), "this is no image", 16));
    char *a = at(&w, "a_0002.nii.gz"), *b = at(&w, "b_0002.nii.gz");
    assert_err(PREDICT("--model", "m", b, "-o", at(&w, "out")), ERR_CORRUPT, "b_0002");
    assert_false(file_exists(at(&w, "out/result.json")));
    assert_ok(file_write(at(&w, "m.nii"), "precious", 8));
    assert_err(PREDICT("--model", "m", b, "-o", at(&w, "m.nii")), ERR_CORRUPT, "b_0002");
    assert_true(file_exists(at(&w, "m.nii")));
    assert_false(file_exists(at(&w, "m.json")));
    assert_ok(PREDICT("--model", "m", a, "-o", at(&w, "m.nii")));
    assert_true(file_exists(at(&w, "m.json")));
    assert_err(PREDICT("--model", "m", b, "-o", at(&w, "m.nii")), ERR_CORRUPT, "b_0002");
    assert_false(file_exists(at(&w, "m.nii")) || file_exists(at(&w, "m.json")));
    assert_ok(file_write(at(&w, "s.json"), "{\"Modality\": \"CT\"}", 18));
    assert_err(PREDICT("--model", "m", a, "-o", at(&w, "s.nii.gz")), ERR_USAGE, "s.json is there");
    assert_false(file_exists(at(&w, "s.nii.gz")));
    assert_err(PREDICT("--model", "m", a, "-o", at(&w, "s.NII.GZ")), ERR_USAGE, "small letters");
    assert_err(PREDICT("--model", "m", a, "-o", ""), ERR_USAGE, "empty");
    /* the reference of a data set */
    assert_ok(folder_make(at(&w, "d/labelsTr")));
    assert_ok(file_write(at(&w, "d/dataset.json"), "{}", 2));
    assert_ok(file_write(at(&w, "d/labelsTr/a.nii.gz"), "precious", 8));
    assert_err(PREDICT("--model", "m", a, "-o", at(&w, "d/labelsTr/")), ERR_USAGE, "labels");
    assert_err(PREDICT("--model", "m", a, "-o", at(&w, "d/labelsTr/a.nii.gz")), ERR_USAGE, "labels");
    assert_ok(PREDICT("--model", "m", a, "-o", at(&w, "d/predictions")));
    world_free(&w);
}

static void names_need_not_be_utf8(void **state)
{
    struct world w;

    (void)state;
    world_make(&w);
    w.cli.command_line = "d4m predict \xff";
    write_scene(at(&w, "\xff\xfe.nii.gz"));
    assert_ok(PREDICT("--model", "\xff", at(&w, "\xff\xfe.nii.gz"), "--phase", "portal_venous", "-o",
                      at(&w, "o\xfe")));
    assert_true(file_exists(at(&w, "o\xfe/\xff\xfe.nii.gz")));
    world_free(&w);
}

static void stopping_leaves_no_mask(void **state)
{
    struct world w;

    (void)state;
    world_make(&w);
    write_scene(at(&w, "a_0002.nii.gz"));
    command_net.stop = &w.stop;
    command_net.net.batch = 1;
    assert_err(PREDICT("--model", "m", at(&w, "a_0002.nii.gz"), "-o", at(&w, "out")), ERR_STOPPED, "case a");
    assert_int_equal(command_net.calls, 3);
    assert_false(file_exists(at(&w, "out/a.nii.gz")) || file_exists(at(&w, "out/result.json")));
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_orientation),      cmocka_unit_test(every_subset_of_phases),
        cmocka_unit_test(memory_is_known_before), cmocka_unit_test(a_folder_goes_on_after_a_bad_case),
        cmocka_unit_test(output_names),           cmocka_unit_test(stopping_leaves_no_mask),
        cmocka_unit_test(names_need_not_be_utf8), cmocka_unit_test(failure_leaves_and_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
