/* Galleries of small data sets: where things end up in montage, animation and sheet, whatever the grids. */
#include "png_decode.h"
#include "test.h"
#include "leak.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "html_check.h"
#include "lab/gallery_parts.h"
#include "volume/nifti.h"
#include <math.h>

/* A body of 0 HU, 100 x 80 mm, with a liver ball of 60 HU around (0, 0, 0) and a bright ball in it. */
static const double bright[3] = {12, 9, -6};
enum { LIVER_MM = 30, BALL_MM = 8, BALL_HU = 1000 };

struct scan {
    int64_t dims[3];
    double spacing[3];
    int axis[3];    /* which world axis each stored one runs along */
    bool flip[3];   /* stored against it */
    double move[3]; /* of the whole patient */
};
static const struct scan scans[3] = {
    {{60, 50, 30}, {2, 2, 4}, {0, 1, 2}, {false, false, false}, {0, 0, 0}},
    {{50, 30, 60}, {2, 4, 2}, {1, 2, 0}, {true, false, true}, {14, -6, 0}},
    {{64, 56, 40}, {2, 2, 3}, {0, 1, 2}, {true, true, false}, {0, 0, 0}},
};

/* The scan's grid, around the origin. */
static struct grid grid_of(const struct scan *s)
{
    struct grid g = {.dims = {s->dims[0], s->dims[1], s->dims[2]}};

    for (int a = 0; a < 3; a++) {
        double step = s->flip[a] ? -s->spacing[a] : s->spacing[a];

        g.spacing[a] = s->spacing[a];
        g.affine[s->axis[a]][a] = step;
        g.affine[s->axis[a]][3] = -step * (double)(s->dims[a] - 1) / 2;
    }
    return g;
}

static double distance(const double a[3], const double b[3], const double move[3])
{
    double sum = 0;

    for (int i = 0; i < 3; i++)
        sum += (a[i] - b[i] - move[i]) * (a[i] - b[i] - move[i]);
    return sqrt(sum);
}

static int hu_at(const double mm[3], const double move[3])
{
    static const double middle[3] = {0, 0, 0};

    if (distance(mm, bright, move) < BALL_MM)
        return BALL_HU;
    if (distance(mm, middle, move) < LIVER_MM)
        return 60;
    return fabs(mm[0] - move[0]) < 50 && fabs(mm[1] - move[1]) < 40 ? 0 : -1000;
}

/* Numbers of a truth file, or with `drawn` those of a data set. */
static int label_at(const double mm[3], const double move[3], bool drawn)
{
    int hu = hu_at(mm, move);

    return hu == BALL_HU ? (drawn ? 2 : 16) : hu == 60 ? 1 : drawn ? 0 : 15;
}

enum what { IMAGE, DRAWN, TRUTH };

static void write_scan(const char *path, const struct scan *s, enum what what)
{
    struct grid g = grid_of(s);
    struct volume *v = NULL;
    int64_t i = 0;

    assert_ok(volume_new(&v, &g, what == IMAGE ? VOXEL_I16 : VOXEL_U8));
    for (int64_t z = 0; z < g.dims[2]; z++)
        for (int64_t y = 0; y < g.dims[1]; y++)
            for (int64_t x = 0; x < g.dims[0]; x++, i++) {
                const double index[3] = {(double)x, (double)y, (double)z};
                double mm[3];

                grid_world(&g, index, mm);
                if (what == IMAGE)
                    ((int16_t *)v->data)[i] = (int16_t)hu_at(mm, s->move);
                else
                    ((uint8_t *)v->data)[i] = (uint8_t)label_at(mm, s->move, what == DRAWN);
            }
    assert_ok(nifti_save(v, NULL, path));
    volume_free(v);
}

static void write_text(const char *path, const char *text)
{
    assert_ok(file_write(path, text, strlen(text)));
}

/* A case of three phases of four. */
static void write_case(const char *folder, const char *name, bool label, bool truth)
{
    char path[200];

    for (int k = 0; k < 3; k++) {
        snprintf(path, sizeof path, "%s/imagesTr/%s_%04d.nii.gz", folder, name, k);
        write_scan(path, &scans[k], IMAGE);
        snprintf(path, sizeof path, "%s/truth/%s_labels_%04d.nii.gz", folder, name, k);
        if (truth)
            write_scan(path, &scans[k], TRUTH);
    }
    snprintf(path, sizeof path, "%s/labelsTr/%s.nii.gz", folder, name);
    if (label)
        write_scan(path, &scans[2], DRAWN);
}

static const char *write_dataset(void)
{
    const char *folder = test_folder();

    assert_ok(folder_make(test_path(folder, "imagesTr")));
    assert_ok(folder_make(test_path(folder, "labelsTr")));
    assert_ok(folder_make(test_path(folder, "truth")));
    write_text(test_path(folder, "dataset.json"),
               "{\"channel_names\": {\"0\": \"noncontrast\", \"1\": \"arterial\", \"2\": \"portal_venous\", "
               "\"3\": \"delayed\"}, \"labels\": {\"background\": 0, \"liver\": 1, \"tumour\": 2}, "
               "\"numTraining\": 1, \"file_ending\": \".nii.gz\"}");
    return folder;
}

/* ---- pictures ---- */

static const uint8_t *pixel(cairo_surface_t *s, int x, int y) /* blue, green, red */
{
    return cairo_image_surface_get_data(s) + (ptrdiff_t)y * cairo_image_surface_get_stride(s) +
           4 * (ptrdiff_t)x;
}

typedef bool is_colour(const uint8_t *p);

static bool is_white(const uint8_t *p)
{
    return p[0] == 255 && p[1] == 255 && p[2] == 255;
}

static bool is_yellow(const uint8_t *p) /* benign */
{
    return p[2] > 200 && p[1] > 160 && p[0] < 90;
}

static bool is_red(const uint8_t *p) /* malignant */
{
    return p[2] > 200 && p[1] < 120 && p[0] < 120;
}

/* Centre of a panel's pixels of a colour, letters at its edges apart; returns their number. */
static int centre_of(cairo_surface_t *s, const struct view *v, const double at[2], is_colour *is, double c[2])
{
    int n = 0;

    c[0] = c[1] = 0;
    for (int y = 20; y < v->height - 20; y++)
        for (int x = 20; x < v->width - 20; x++)
            if (is(pixel(s, (int)at[0] + x, (int)at[1] + y))) {
                c[0] += x + 0.5;
                c[1] += y + 0.5;
                n++;
            }
    c[0] /= n;
    c[1] /= n;
    return n;
}

/* The colour's centre in the panel is where this point of the patient is, within 1.5 mm. */
static void check_place(cairo_surface_t *s, const struct gallery_scene *scene, int phase, int column,
                        is_colour *is)
{
    const struct view *v = &scene->view[column];
    double at[2], c[2], x, y, mm[3], pixels = v->width / (scene->plan.hi[0] - scene->plan.lo[0]);

    for (int a = 0; a < 3; a++)
        mm[a] = bright[a] + scans[phase].move[a];
    view_point(v, mm, &x, &y);
    gallery_montage_corner(scene, phase, column, at);
    assert_true(centre_of(s, v, at, is, c) > 20);
    assert_true(fabs(c[0] - x) < 1.5 * pixels && fabs(c[1] - y) < 1.5 * pixels);
}

static struct case_list *read_cases(const char *folder)
{
    struct case_list *l = NULL;

    assert_ok(case_list_read(&l, folder, CASES_TRAIN, NULL));
    return l;
}

/* The level through the largest lesion shows the ball in every phase where the patient had it. */
static void the_ball_is_where_the_patient_had_it(void **state)
{
    const char *folder = write_dataset();
    const struct gallery_look look = {.levels = 3};
    struct gallery_scene *scene = mem_new(1, sizeof *scene);
    struct case_list *l;
    struct str png = {0};
    cairo_surface_t *s;
    (void)state;

    write_case(folder, "a", true, false);
    l = read_cases(folder);
    assert_ok(gallery_scene_open(scene, l, 0, &look, NULL));
    assert_true(scene->plan.lesion_level >= 0);
    /* the label's slices are 3 mm thick */
    assert_true(fabs(scene->plan.level[scene->plan.lesion_level] - bright[2]) <= 1.5);
    for (int i = 1; i < 3; i++)
        assert_true(scene->plan.level[i] < scene->plan.level[i - 1]);
    /* the body and its margin, not the whole field of view */
    assert_true(scene->plan.lo[0] > -63 && scene->plan.lo[0] < -50 && scene->plan.hi[0] < 63);
    assert_ok(gallery_montage(&png, scene));
    s = png_decode(&png);
    for (int k = 0; k < 3; k++)
        check_place(s, scene, k, scene->plan.lesion_level, is_white);
    for (int k = 0; k < 3; k += 2) /* the coronal plane passes beside the ball that moved */
        check_place(s, scene, k, 3, is_white);
    assert_string_equal(scene->facts.phase[2], "portal venous");
    assert_int_equal(scene->facts.lesions, 1);
    assert_true(fabs(scene->facts.lesion_ml - 4. / 3 * 3.14159 * 0.512) < 0.15);
    cairo_surface_destroy(s);
    str_free(&png);
    gallery_scene_close(scene);
    mem_free(scene);
    case_list_free(l);
}

/* A missing phase is an empty panel with a word on it. */
static void a_missing_phase_says_so(void **state)
{
    const char *folder = write_dataset();
    const struct gallery_look look = {.levels = 2};
    struct gallery_scene *scene = mem_new(1, sizeof *scene);
    struct case_list *l;
    struct str png = {0};
    cairo_surface_t *s;
    double at[2];
    int light = 0, other = 0;
    (void)state;

    write_case(folder, "a", false, false);
    l = read_cases(folder);
    assert_ok(gallery_scene_open(scene, l, 0, &look, NULL));
    assert_false(scene->facts.present[3]);
    assert_int_equal(scene->plan.lesion_level, -1);
    assert_ok(gallery_montage(&png, scene));
    s = png_decode(&png);
    gallery_montage_corner(scene, 3, 0, at);
    for (int y = 2; y < scene->view[0].height - 2; y++)
        for (int x = 2; x < scene->view[0].width - 2; x++) {
            int green = pixel(s, (int)at[0] + x, (int)at[1] + y)[1];
            bool word = abs(y - scene->view[0].height / 2) < 14;

            light += word && green > 120;
            other += !word && green != pixel(s, 1, 1)[1];
        }
    assert_true(light > 30);
    assert_int_equal(other, 0);
    cairo_surface_destroy(s);
    str_free(&png);
    gallery_scene_close(scene);
    mem_free(scene);
    case_list_free(l);
}

/* With truth every phase has its own outline, in the colour of its kind; without, the label stays. */
static void outlines_follow_their_phase(void **state)
{
    const struct gallery_look look = {.levels = 3, .lesions = true, .window = {-1000, 5000}};
    (void)state;

    for (int truth = 0; truth < 2; truth++) {
        const char *folder = write_dataset();
        struct gallery_scene *scene = mem_new(1, sizeof *scene);
        struct case_list *l;
        struct str png = {0};
        cairo_surface_t *s;
        double at[2], first[2], moved[2];
        is_colour *is = truth ? is_yellow : is_red;
        int level;

        write_case(folder, "a", true, truth);
        l = read_cases(folder);
        assert_ok(gallery_scene_open(scene, l, 0, &look, NULL));
        level = scene->plan.lesion_level;
        assert_true(scene->outlined && scene->facts.truth == truth);
        assert_ok(gallery_montage(&png, scene));
        s = png_decode(&png);
        check_place(s, scene, 2, level, is);
        gallery_montage_corner(scene, 1, level, at);
        assert_true(centre_of(s, &scene->view[level], at, is, moved) > 20);
        gallery_montage_corner(scene, 2, level, at);
        assert_true(centre_of(s, &scene->view[level], at, is, first) > 20);
        if (truth)
            check_place(s, scene, 1, level, is);
        else
            assert_true(fabs(moved[0] - first[0]) < 1 && fabs(moved[1] - first[1]) < 1);
        cairo_surface_destroy(s);
        str_free(&png);
        gallery_scene_close(scene);
        mem_free(scene);
        case_list_free(l);
    }
}

/* As in LiTS: a mask with the image's dims and no geometry. */
static void a_label_without_geometry_lies_on_its_image(void **state)
{
    static const double one[3] = {1, 1, 1}, zero[3] = {0, 0, 0};
    const char *folder = write_dataset(), *path = test_path(folder, "labelsTr/a.nii.gz");
    const struct gallery_look look = {.levels = 3, .panel = 60};
    struct gallery_scene *scene = mem_new(1, sizeof *scene);
    struct volume *label = NULL;
    struct case_list *l;
    (void)state;

    write_case(folder, "a", true, false);
    assert_ok(nifti_load_labels(&label, path, &(struct nifti_options){0}, NULL));
    label->grid = grid_make(scans[2].dims, one, zero);
    assert_ok(nifti_save(label, NULL, path));
    volume_free(label);
    l = read_cases(folder);
    assert_ok(gallery_scene_open(scene, l, 0, &look, NULL));
    assert_true(fabs(scene->plan.level[scene->plan.lesion_level] - bright[2]) <= 1.5);
    gallery_scene_close(scene);
    mem_free(scene);
    case_list_free(l);
}

/* What a phantom's record says is told; a damaged record is no obstacle. */
static void the_record_of_a_phantom(void **state)
{
    const struct gallery_look look = {.levels = 1, .panel = 60};
    (void)state;

    for (int damaged = 0; damaged < 2; damaged++) {
        const char *folder = write_dataset();
        struct gallery_pictures p = {0};
        struct notes notes = {0};
        struct case_list *l;

        write_case(folder, "a", true, true);
        write_text(
            test_path(folder, "truth/a.json"),
            damaged ? "{"
                    : "{\"lesions\": [{\"kind\": \"hcc\", \"label\": 2, \"diameter_mm\": 30.7, \"drawn\": "
                      "false}, {\"kind\": \"cyst\", \"label\": 16, \"diameter_mm\": 9, \"drawn\": false}], "
                      "\"misalignment\": {\"mean_mm\": [1.25, 4, 0, null]}, \"noise_hu\": 12}");
        l = read_cases(folder);
        assert_ok(gallery_case(&p, l, 0, &look, &notes));
        if (damaged) {
            assert_int_equal(p.facts.kinds.len, 0);
            assert_string_equal(notes.item[notes.count - 1].name, "truth-unreadable");
        } else {
            assert_string_equal(p.facts.kinds.s, "hcc 31 mm (not drawn), cyst 9 mm");
            assert_string_equal(p.facts.moved.s, "noncontrast 1.2 mm, arterial 4.0 mm; noise 12 HU");
        }
        notes_clear(&notes);
        gallery_pictures_free(&p);
        case_list_free(l);
    }
}

static uint32_t u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Frames and the seconds of each, from the bytes. */
static int frames_of(const struct str *png, double *seconds)
{
    int frames = 0, stated = 0;

    for (size_t at = 8; at + 12 <= png->len; at += u32(png->s + at) + 12) {
        const char *type = png->s + at + 4;

        if (!memcmp(type, "acTL", 4))
            stated = (int)u32(type + 4);
        if (!memcmp(type, "fcTL", 4)) {
            uint32_t delay = u32(type + 24);

            *seconds = (double)(delay >> 16) / (delay & 0xFFFF);
            frames++;
        }
    }
    assert_int_equal(stated, frames);
    return frames;
}

/* One frame a phase that is there; the first is a picture by itself. */
static void the_animation_has_a_frame_a_phase(void **state)
{
    const char *folder = write_dataset();
    const struct gallery_look look = {0};
    struct gallery_pictures p = {0};
    struct case_list *l;
    double seconds = 0;
    cairo_surface_t *s;
    (void)state;

    write_case(folder, "a", true, false);
    l = read_cases(folder);
    assert_ok(gallery_case(&p, l, 0, &look, NULL));
    assert_int_equal(frames_of(&p.motion, &seconds), 3);
    assert_true(fabs(seconds - 0.6) < 1e-9);
    s = png_decode(&p.motion);
    assert_true(cairo_image_surface_get_width(s) > 3 * 250);
    cairo_surface_destroy(s);
    gallery_pictures_free(&p);
    case_list_free(l);
}

static void exhaustion_is_an_error(void **state)
{
    const char *folder = write_dataset();
    const struct gallery_look look = {.levels = 1, .panel = 60, .lesions = true};
    struct gallery_pictures p = {0};
    struct case_list *l;
    (void)state;

    write_case(folder, "a", true, true);
    l = read_cases(folder);
    assert_survives_exhaustion(gallery_case(&p, l, 0, &look, NULL), gallery_pictures_free(&p));
    case_list_free(l);
}

static void check_page(const char *path)
{
    struct html_check c;
    uint8_t *page = NULL;
    char folder[100];
    size_t size;

    assert_ok(file_read(path, &page, &size));
    snprintf(folder, sizeof folder, "%.*s", (int)(path_base((char *)path) - path), path);
    for (char *p = (char *)page; (p = strstr(p, "src=\"")); p += 5) { /* links lead to files beside it */
        char *end = strchr(p + 5, '"'), *target = mem_str(p + 5);

        target[end - p - 5] = 0;
        if (!strchr(target, '%'))
            assert_true(file_exists(test_path(folder, target)));
        mem_free(target);
    }
    for (char *p = (char *)page; (p = strstr(p, "src=\"")); p++) /* the checker wants pages without links */
        memcpy(p, "alt", 3);
    for (char *p = (char *)page; (p = strstr(p, "href=\"")); p++)
        memcpy(p, "name", 4);
    if (!html_check(&c, (const char *)page))
        fail_msg("%s", c.error);
    mem_free(page);
}

/* More cases than a sheet holds, one of them damaged, one with an awkward name. */
static void a_whole_data_set(void **state)
{
    const char *folder = write_dataset(), *out = test_path(folder, "gallery");
    const char *const only[] = {"c7 & #1"}, *const none[] = {"nobody"};
    struct gallery_job job = {.dataset = folder, .output = out, .look = {.levels = 1, .panel = 60}};
    struct gallery_result r;
    char name[64];
    (void)state;

    for (int i = 0; i < GALLERY_SHEET_CASES + 2; i++) {
        snprintf(name, sizeof name, "imagesTr/c%d%s_0002.nii", i, i == 7 ? " & #1" : "");
        if (i == 3)
            write_text(test_path(folder, name), "this is no image");
        else
            write_scan(test_path(folder, name), &scans[2], IMAGE);
    }
    assert_ok(gallery_write(&r, &job));
    assert_int_equal(r.cases, GALLERY_SHEET_CASES + 1);
    assert_int_equal(r.failed, 1);
    assert_int_equal(r.pages, 2);
    assert_non_null(strstr(r.failures.s, "c3: "));
    assert_true(file_exists(test_path(out, "sheet_02.png")) &&
                file_exists(test_path(out, "c7 & #1_montage.png")));
    assert_false(file_exists(test_path(out, "c0_motion.png"))); /* one phase only */
    check_page(test_path(out, "index.html"));
    str_free(&r.failures);
    job.only = only;
    job.only_count = 1;
    assert_ok(gallery_write(&r, &job));
    assert_int_equal(r.cases, 1);
    job.only = none;
    assert_err(gallery_write(&r, &job), ERR_USAGE, "has no case nobody");
    job.dataset = "nowhere";
    assert_err(gallery_write(&r, &job), ERR_USAGE, "nowhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ball_is_where_the_patient_had_it),
        cmocka_unit_test(a_missing_phase_says_so),
        cmocka_unit_test(outlines_follow_their_phase),
        cmocka_unit_test(a_label_without_geometry_lies_on_its_image),
        cmocka_unit_test(the_record_of_a_phantom),
        cmocka_unit_test(the_animation_has_a_frame_a_phase),
        cmocka_unit_test(exhaustion_is_an_error),
        cmocka_unit_test(a_whole_data_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
