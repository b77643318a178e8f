#include "test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/par.h"
#include "data/prepare.h"
#include <math.h>

/* A smooth scene in millimetres: liver-like ball with a darker one inside, brighter with the phase. */
static double scene(const double mm[3], int phase)
{
    double r = sqrt(mm[0] * mm[0] + mm[1] * mm[1] + mm[2] * mm[2]);

    return r > 40 ? -100 : 60 + 20 * phase - 10 * r / 40;
}

static uint8_t truth(const double mm[3])
{
    double r = sqrt(mm[0] * mm[0] + mm[1] * mm[1] + mm[2] * mm[2]),
           s = hypot(hypot(mm[0] - 10, mm[1]), mm[2]);

    return s < 12 ? 2 : r < 40 ? 1 : 0;
}

/* A grid around the origin, axes signed and permuted by `order` (RAS: 1, 2, 3), shifted by `offset` mm along
 * x. */
static struct grid around(const int64_t dims[3], const double spacing[3], const int order[3], double offset)
{
    struct grid g = {.dims = {dims[0], dims[1], dims[2]}, .spacing = {spacing[0], spacing[1], spacing[2]}};

    for (int j = 0; j < 3; j++) {
        int i = abs(order[j]) - 1;

        g.affine[i][j] = order[j] < 0 ? -spacing[j] : spacing[j];
        g.affine[i][3] = -g.affine[i][j] * (double)(dims[j] - 1) / 2;
    }
    g.affine[0][3] += offset;
    return g;
}

static void write_scene(const char *path, const struct grid *g, int phase, bool label)
{
    struct volume *v = NULL;
    int64_t p = 0;

    assert_ok(volume_new(&v, g, label ? VOXEL_U8 : VOXEL_I16));
    for (int64_t k = 0; k < g->dims[2]; k++)
        for (int64_t j = 0; j < g->dims[1]; j++)
            for (int64_t i = 0; i < g->dims[0]; i++, p++) {
                double mm[3];

                grid_world(g, (double[3]){(double)i, (double)j, (double)k}, mm);
                if (label)
                    ((uint8_t *)v->data)[p] = truth(mm);
                else
                    ((int16_t *)v->data)[p] = (int16_t)lrint(scene(mm, phase));
            }
    assert_ok(nifti_save(v, NULL, path));
    volume_free(v);
}

static const int64_t pv_dims[3] = {60, 56, 30}, art_dims[3] = {50, 64, 40};
static const double pv_mm[3] = {1.8, 1.8, 3.2}, art_mm[3] = {2.2, 1.6, 2.5};
static const int las[3] = {-1, 2, 3}, ras[3] = {1, 2, 3}, odd[3] = {3, -1, -2};

struct world {
    const char *folder;
    struct arena *arena;
    struct plan plan;
    struct case_files files;
    struct prepare_options options;
};

/* One case of two phases (portal venous: LAS, arterial: RAS on its own grid) and a label. */
static struct world world_make(void)
{
    struct world w = {.folder = test_folder(), .arena = arena_new()};
    struct grid pv = around(pv_dims, pv_mm, las, 0), art = around(art_dims, art_mm, ras, 5);

    assert_ok(plan_preset(&w.plan, w.arena, "demo"));
    assert_ok(cfg_set(plan_table, &w.plan, w.arena, "spacing", "2.5"));
    w.plan.phases = 3;
    w.plan.classes = 3;
    w.files = (struct case_files){.name = "c", .folder = w.folder, .reference = 2};
    w.files.phase[1] = test_path(w.folder, "c_0001.nii");
    w.files.phase[2] = test_path(w.folder, "c_0002.nii.gz");
    w.files.label = test_path(w.folder, "c.nii");
    write_scene(w.files.phase[1], &art, 1, false);
    write_scene(w.files.phase[2], &pv, 2, false);
    write_scene(w.files.label, &pv, 0, true);
    return w;
}

static bool noted(const struct notes *n, const char *name)
{
    for (size_t i = 0; i < n->count; i++)
        if (!strcmp(n->item[i].name, name))
            return true;
    return false;
}

/* Well inside the ball, both phases show the scene at the right place; labels sit on the truth. */
static void check_scene(const struct prepared *r)
{
    int64_t p = 0, checked = 0, wrong = 0;

    for (int64_t k = 0; k < r->grid.dims[2]; k++)
        for (int64_t j = 0; j < r->grid.dims[1]; j++)
            for (int64_t i = 0; i < r->grid.dims[0]; i++, p++) {
                double mm[3], d;

                grid_world(&r->grid, (double[3]){(double)i, (double)j, (double)k}, mm);
                d = sqrt(mm[0] * mm[0] + mm[1] * mm[1] + mm[2] * mm[2]);
                if (d > 4 && d < 30) {
                    checked++;
                    assert_true(fabs(((int16_t *)r->phase[1]->data)[p] - scene(mm, 1)) < 2);
                    assert_true(fabs(((int16_t *)r->phase[2]->data)[p] - scene(mm, 2)) < 2);
                }
                wrong += r->label && ((uint8_t *)r->label->data)[p] != truth(mm);
            }
    assert_true(checked > 1000);
    assert_true(wrong < p / 50);
}

static void a_case_comes_onto_one_grid(void **state)
{
    struct world w = world_make();
    struct prepared *r = NULL;
    struct notes n = {0};

    (void)state;
    assert_ok(prepare_case(&r, &w.files, &w.plan, &w.options, &n));
    assert_int_equal(n.count, 0);
    assert_true(!r->phase[0] && r->phase[1] && r->phase[2] && r->label && r->reference == 2);
    assert_true(r->grid.dims[0] == 43 && r->grid.dims[1] == 40 && r->grid.dims[2] == 38);
    for (int i = 0; i < 3; i++) /* RAS */
        assert_true(r->grid.affine[i][i] > 0 && r->ras.affine[i][i] > 0);
    assert_true(r->orient.flip[0] && !r->orient.flip[1]);
    assert_true(r->stats[2].inside == 1 && r->stats[1].inside > 0.9 && r->stats[1].inside < 1);
    assert_true(r->stats[2].mean > -21 && r->stats[2].mean < 100 && r->stats[2].sd > 10);
    assert_int_equal(r->class_voxels[0] + r->class_voxels[1] + r->class_voxels[2], grid_count(&r->grid));
    check_scene(r);
    prepared_free(r);
    arena_free(w.arena);
}

static uint64_t case_hash(const char *folder)
{
    static const char *const names[] = {"c_0001.nii", "c_0002.nii", "c_seg.nii", "c.json"};
    uint64_t all = 0, h;

    for (size_t i = 0; i < 4; i++) {
        assert_ok(file_hash(test_path(folder, names[i]), &h));
        all = bytes_hash(&h, sizeof h, all);
    }
    return all;
}

struct seen {
    int fresh, kept;
};

static void count(void *ctx, size_t i, size_t n, const char *name, bool fresh)
{
    struct seen *s = ctx;

    (void)i, (void)n, (void)name;
    *(fresh ? &s->fresh : &s->kept) += 1;
}

static void a_dataset_is_prepared_once(void **state)
{
    struct world w = world_make();
    struct case_list l = {.arena = w.arena, .item = &w.files, .count = 1};
    struct seen s = {0};
    struct prepare_watch watch = {.done = count, .ctx = &s};
    struct prepared *r = NULL, *m = NULL;
    const char *out = test_path(w.folder, "work/prepared");
    uint64_t first;

    (void)state;
    w.options.training = true;
    assert_ok(prepare_dataset(&l, &w.plan, out, &w.options, &watch, NULL));
    assert_null(w.files.bad);
    first = case_hash(out);
    assert_ok(prepare_dataset(&l, &w.plan, out, &w.options, &watch, NULL));
    assert_true(s.fresh == 1 && s.kept == 1);
    /* what is mapped is what prediction gets in memory */
    assert_ok(prepared_open(&m, out, "c"));
    assert_ok(prepare_case(&r, &w.files, &w.plan, &w.options, NULL));
    for (int i = 1; i < 3; i++)
        assert_memory_equal(m->phase[i]->data, r->phase[i]->data, (size_t)grid_count(&r->grid) * 2);
    assert_memory_equal(m->label->data, r->label->data, (size_t)grid_count(&r->grid));
    assert_memory_equal(m->class_voxels, r->class_voxels, 3 * sizeof *r->class_voxels);
    assert_true(!m->phase[0] && m->reference == 2 && m->phases == 3);
    assert_memory_equal(m->stats, r->stats, sizeof m->stats);
    assert_true(!memcmp(&m->orient.axis, &r->orient.axis, sizeof m->orient.axis) &&
                grid_corner_shift(&m->ras, &r->ras) < 1e-4);
    prepared_free(m);
    prepared_free(r);
    /* other numbers of threads, forced: the same bytes */
    w.options.force = true;
    for (int t = 1; t < 4; t += 2) {
        par_set_threads(t);
        assert_ok(prepare_dataset(&l, &w.plan, out, &w.options, &watch, NULL));
        assert_true(case_hash(out) == first);
    }
    par_set_threads(0);
    assert_int_equal(s.fresh, 3);
    /* a changed plan or input is seen; a vanished phase leaves no file behind */
    w.options.force = false;
    w.plan.window[1] = 200;
    assert_ok(prepare_dataset(&l, &w.plan, out, &w.options, &watch, NULL));
    w.files.phase[1] = NULL;
    assert_ok(prepare_dataset(&l, &w.plan, out, &w.options, &watch, NULL));
    assert_int_equal(s.fresh, 5);
    assert_false(file_exists(test_path(out, "c_0001.nii")));
    /* damage is seen */
    assert_ok(file_write(test_path(out, "c_0002.nii"), "x", 1));
    assert_ok(prepare_dataset(&l, &w.plan, out, &w.options, &watch, NULL));
    assert_int_equal(s.fresh, 6);
    arena_free(w.arena);
}

static void one_bad_case_does_not_stop_the_others(void **state)
{
    struct world w = world_make();
    struct case_files both[2] = {w.files, w.files};
    struct case_list l = {.arena = w.arena, .item = both, .count = 2};
    const char *out = test_path(w.folder, "prepared");
    struct prepared *m = NULL;
    atomic_int stop = 1;
    char **names = NULL;
    size_t count = 0;

    (void)state;
    both[0].name = "a";
    both[0].phase[1] = test_path(w.folder, "cut_0001.nii");
    assert_ok(file_write(both[0].phase[1], "not an image", 12));
    assert_err(prepare_dataset(&l, &w.plan, out, &w.options, &(struct prepare_watch){.stop = &stop}, NULL),
               ERR_STOPPED, "goes on");
    assert_ok(prepare_dataset(&l, &w.plan, out, &w.options, NULL, NULL));
    assert_non_null(strstr(both[0].bad, "cut_0001.nii"));
    assert_null(both[1].bad);
    assert_ok(prepared_open(&m, out, "c"));
    prepared_free(m);
    assert_err(prepared_open(&m, out, "a"), ERR_INPUT, "prepare");
    assert_err(case_list_require(&l, false, NULL), ERR_INPUT, "cut_0001.nii");
    /* no part of a case is left whose label, which comes last, is bad */
    both[0].label = both[0].phase[1];
    both[0].phase[1] = w.files.phase[1];
    both[0].bad = NULL;
    assert_ok(prepare_dataset(&l, &w.plan, out, &w.options, NULL, NULL));
    assert_non_null(both[0].bad);
    assert_ok(folder_list(out, &names, &count));
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(names[i][0], 'c');
    names_free(names, count);
    arena_free(w.arena);
}

static void a_phase_given_twice_is_noted(void **state)
{
    struct world w = world_make();
    struct case_list l = {.arena = w.arena, .item = &w.files, .count = 1};
    struct notes n = {0};
    const char *out = test_path(w.folder, "prepared");
    struct grid pv = around(pv_dims, pv_mm, las, 0);

    (void)state;
    assert_ok(prepare_dataset(&l, &w.plan, out, &w.options, NULL, &n));
    assert_int_equal(n.count, 0);
    w.files.phase[0] = w.files.phase[1];
    assert_ok(prepare_dataset(&l, &w.plan, out, &w.options, NULL, &n));
    assert_true(noted(&n, "phase-copy") && noted(&n, "phase-alike"));
    notes_clear(&n);
    w.files.phase[0] = test_path(w.folder, "again_0000.nii"); /* other bytes, the same voxels */
    write_scene(w.files.phase[0], &pv, 2, false);
    assert_ok(prepare_dataset(&l, &w.plan, out, &w.options, NULL, &n));
    assert_true(!noted(&n, "phase-copy") && noted(&n, "phase-alike"));
    notes_clear(&n);
    arena_free(w.arena);
}

/* Rewrites the label on another grid and expects the case to fail or pass. */
static enum err with_label(struct world *w, const struct grid *g, struct notes *n, struct prepared **r)
{
    write_scene(w->files.label, g, 0, true);
    prepared_free(*r);
    *r = NULL;
    return prepare_case(r, &w->files, &w->plan, &w->options, n);
}

static void labels_follow_the_rules(void **state)
{
    struct world w = world_make();
    struct grid pv = around(pv_dims, pv_mm, las, 0), g;
    struct prepared *r = NULL, *want = NULL;
    struct notes n = {0};
    const char *reason = NULL;
    size_t bytes;

    (void)state;
    w.options.reason = &reason;
    assert_ok(prepare_case(&want, &w.files, &w.plan, &w.options, NULL));
    bytes = (size_t)grid_count(&want->grid);
    /* another storage order: exactly the same */
    g = around((int64_t[3]){30, 60, 56}, (double[3]){3.2, 1.8, 1.8}, odd, 0);
    assert_ok(with_label(&w, &g, &n, &r));
    assert_memory_equal(r->label->data, want->label->data, bytes);
    assert_int_equal(n.count, 0);
    /* elsewhere: refused with the distance, or carried over */
    g = around(pv_dims, pv_mm, las, 7);
    assert_err(with_label(&w, &g, &n, &r), ERR_INPUT, "7 mm");
    assert_string_equal(reason, "label-grid");
    w.options.resample_labels = true;
    assert_ok(with_label(&w, &g, &n, &r));
    assert_true(noted(&n, "label-resampled"));
    check_scene(r);
    w.options.resample_labels = false;
    g = around(art_dims, art_mm, ras, 0);
    assert_err(with_label(&w, &g, &n, &r), ERR_INPUT, "50 x 64 x 40");
    /* LiTS: voxels in place, an identity for a geometry */
    assert_ok(with_label(&w, &pv, &n, &r));
    {
        struct volume *v = NULL;
        struct nifti_options read = {0};

        assert_ok(nifti_load_labels(&v, w.files.label, &read, NULL));
        v->grid = grid_make(pv_dims, (double[3]){1, 1, 1}, (double[3]){0, 0, 0});
        assert_ok(nifti_save(v, NULL, w.files.label));
        volume_free(v);
    }
    prepared_free(r);
    r = NULL;
    assert_ok(prepare_case(&r, &w.files, &w.plan, &w.options, &n));
    assert_true(noted(&n, "label-no-geometry"));
    assert_memory_equal(r->label->data, want->label->data, bytes);
    /* values that the data set does not name */
    w.plan.classes = 2;
    assert_err(prepare_case(&r, &w.files, &w.plan, &w.options, &n), ERR_INPUT, "0, 1, 2");
    assert_string_equal(reason, "label-values");
    w.options.map = "2=1";
    prepared_free(r);
    r = NULL;
    assert_ok(prepare_case(&r, &w.files, &w.plan, &w.options, &n));
    assert_int_equal(r->class_voxels[2], 0);
    prepared_free(r);
    prepared_free(want);
    notes_clear(&n);
    arena_free(w.arena);
}

static void a_phase_elsewhere_counts_as_missing(void **state)
{
    struct world w = world_make();
    struct grid far = around(art_dims, art_mm, ras, 100);
    struct prepared *r = NULL;
    struct notes n = {0};

    (void)state;
    write_scene(w.files.phase[1], &far, 1, false);
    assert_ok(prepare_case(&r, &w.files, &w.plan, &w.options, &n));
    assert_true(!r->phase[1] && r->phase[2] && noted(&n, "phase-overlap"));
    prepared_free(r);
    w.options.training = true;
    assert_err(prepare_case(&r, &w.files, &w.plan, &w.options, &n), ERR_INPUT, "field of view");
    notes_clear(&n);
    arena_free(w.arena);
}

/* A mask made on ras and carried back has the file's own grid. */
static void results_go_home(void **state)
{
    struct world w = world_make();
    struct prepared *r = NULL;
    struct volume *mask = NULL, *home = NULL, *back = NULL;
    const char *path = test_path(w.folder, "mask.nii.gz");
    struct nifti_options read = {0};
    int64_t p = 0;

    (void)state;
    assert_ok(prepare_case(&r, &w.files, &w.plan, &w.options, NULL));
    assert_ok(volume_new(&mask, &r->ras, VOXEL_U8));
    for (int64_t k = 0; k < r->ras.dims[2]; k++)
        for (int64_t j = 0; j < r->ras.dims[1]; j++)
            for (int64_t i = 0; i < r->ras.dims[0]; i++, p++) {
                double mm[3];

                grid_world(&r->ras, (double[3]){(double)i, (double)j, (double)k}, mm);
                ((uint8_t *)mask->data)[p] = truth(mm);
            }
    assert_ok(volume_from_ras(&home, mask, r->orient));
    assert_ok(nifti_save(home, r->source, path));
    assert_ok(nifti_load_labels(&back, path, &read, NULL));
    assert_true(grid_same(&back->grid, &r->source->grid));
    volume_free(mask);
    mask = NULL;
    assert_ok(nifti_load_labels(&mask, w.files.label, &read, NULL));
    assert_memory_equal(mask->data, back->data, (size_t)p);
    volume_free(mask);
    volume_free(home);
    volume_free(back);
    prepared_free(r);
    arena_free(w.arena);
}

static void too_little_memory_is_refused_at_once(void **state)
{
    struct world w = world_make();
    struct prepare_memory m;
    struct prepared *r = NULL;

    (void)state;
    assert_ok(prepare_memory(&m, &w.files, &w.plan, &w.options));
    assert_true(m.kept == 5 * 43 * 40 * 38 && m.peak > m.kept);
    w.options.memory = m.peak - 1;
    assert_err(prepare_case(&r, &w.files, &w.plan, &w.options, NULL), ERR_MEMORY, "--mem");
    w.options.memory = m.peak;
    assert_ok(prepare_case(&r, &w.files, &w.plan, &w.options, NULL));
    prepared_free(r);
    arena_free(w.arena);
}

static enum err prepare_once(const struct world *w)
{
    struct prepared *r = NULL;
    enum err err = prepare_case(&r, &w->files, &w->plan, &w->options, NULL);

    prepared_free(r);
    return err;
}

static void exhaustion_is_an_error(void **state)
{
    struct world w = world_make();
    struct grid pv = around((int64_t[3]){9, 8, 7}, pv_mm, las, 0),
                art = around((int64_t[3]){8, 9, 6}, art_mm, ras, 1);

    (void)state;
    write_scene(w.files.phase[1], &art, 1, false);
    write_scene(w.files.phase[2], &pv, 2, false);
    write_scene(w.files.label, &pv, 0, true);
    par_set_threads(1);
    assert_survives_exhaustion(prepare_once(&w), (void)0);
    par_set_threads(0);
    arena_free(w.arena);
}

/* The real patient: three unregistered phases on three grids. */
static void the_real_patient(void **state)
{
    const char *data = D4M_SOURCE_DIR "/../shared/data/hcc-005-small";
    struct arena *a = arena_new();
    struct case_list *l = NULL;
    struct prepared *r = NULL;
    struct prepare_options o = {.training = true};
    struct plan p = {0};
    struct notes n = {0};

    (void)state;
    if (!folder_exists(data)) {
        print_message("skipped: %s is not there\n", data);
        arena_free(a);
        skip();
    }
    assert_ok(plan_preset(&p, a, "demo"));
    assert_ok(cfg_set(plan_table, &p, a, "spacing", "2.5"));
    assert_ok(case_list_read(&l, data, CASES_TRAIN, &n));
    assert_ok(case_list_require(l, false, &n));
    assert_ok(case_list_plan(l, &p, a));
    assert_true(l->count == 1 && p.phases == 4 && p.classes == 3);
    assert_ok(prepare_case(&r, &l->item[0], &p, &o, &n));
    for (size_t i = 0; i < n.count; i++)
        print_message("%s: %s\n", n.item[i].name, n.item[i].text);
    assert_true(r->phase[0] && r->phase[1] && r->phase[2] && !r->phase[3]);
    assert_true(r->grid.dims[0] == 110 && r->grid.dims[1] == 99 && r->grid.dims[2] == 89);
    /* 185.5 ml of tumour, 2276 ml of liver with it, by the data's own README */
    assert_float_equal((double)r->class_voxels[2] * 2.5 * 2.5 * 2.5 / 1000, 185.5, 4);
    assert_float_equal((double)(r->class_voxels[1] + r->class_voxels[2]) * 2.5 * 2.5 * 2.5 / 1000, 2276, 25);
    for (int i = 0; i < 3; i++)
        assert_true(r->stats[i].inside > 0.8 && r->stats[i].mean > 10 && r->stats[i].mean < 60);
    prepared_free(r);
    case_list_free(l);
    notes_clear(&n);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_case_comes_onto_one_grid),
        cmocka_unit_test(a_dataset_is_prepared_once),
        cmocka_unit_test(one_bad_case_does_not_stop_the_others),
        cmocka_unit_test(a_phase_given_twice_is_noted),
        cmocka_unit_test(labels_follow_the_rules),
        cmocka_unit_test(a_phase_elsewhere_counts_as_missing),
        cmocka_unit_test(results_go_home),
        cmocka_unit_test(too_little_memory_is_refused_at_once),
        cmocka_unit_test(exhaustion_is_an_error),
        cmocka_unit_test(the_real_patient),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
