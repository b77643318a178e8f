#include "test.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/par.h"
#include "phantom/semi.h"
#include "volume/nifti.h"
#include <math.h>

/* A CT of 72 x 64 x 44 voxels, 3 x 3 x 4 mm, stored with axes L, A, S: an oval body of muscle with a round
 * liver, a vessel and a tumour in it, a kidney and a spleen. */
enum { NX = 72, NY = 64, NZ = 44, N = NX * NY * NZ };
enum { LIVER_HU = 105, VESSEL_HU = 165, TUMOUR_HU = 60, MUSCLE_HU = 60, KIDNEY_HU = 190, SPLEEN_HU = 120 };
static const double liver_at[3] = {30, 0, 0}, tumour_at[3] = {50, 10, 12}, kidney_at[3] = {-40, -25, -20},
                    spleen_at[3] = {-55, 20, 30};
enum { LIVER_R = 48, TUMOUR_R = 10, KIDNEY_R = 18, SPLEEN_R = 16, VESSEL_R = 7 };

struct files {
    char ct[64], mask[64], organs[64];
    struct volume *hu, *label, *organ; /* as stored */
};

/* Every `every` voxels of it. */
static struct grid stored_grid(int every)
{
    double k = every;

    return (struct grid){.dims = {NX / every, NY / every, NZ / every},
                         .spacing = {3 * k, 3 * k, 4 * k},
                         .affine = {{-3 * k, 0, 0, 106.5}, {0, 3 * k, 0, -94.5}, {0, 0, 4 * k, -86}}};
}

static double from(const double mm[3], const double c[3])
{
    return sqrt((mm[0] - c[0]) * (mm[0] - c[0]) + (mm[1] - c[1]) * (mm[1] - c[1]) +
                (mm[2] - c[2]) * (mm[2] - c[2]));
}

static bool in_body(const double mm[3])
{
    return mm[0] * mm[0] / (96 * 96) + mm[1] * mm[1] / (84 * 84) < 1;
}

static bool in_vessel(const double mm[3])
{
    return hypot(mm[0] - 20, mm[1] + 5) < VESSEL_R;
}

static void paint(struct files *f, int64_t i, const double mm[3], struct rng *r)
{
    double hu = in_body(mm) ? MUSCLE_HU : -1000;
    int label = 0, organ = 0;

    if (from(mm, kidney_at) < KIDNEY_R) {
        organ = 3;
        hu = KIDNEY_HU;
    } else if (from(mm, spleen_at) < SPLEEN_R) {
        organ = 1;
        hu = SPLEEN_HU;
    } else if (from(mm, liver_at) < LIVER_R) {
        organ = 5;
        label = from(mm, tumour_at) < TUMOUR_R ? 2 : 1;
        hu = label == 2 ? TUMOUR_HU : in_vessel(mm) ? VESSEL_HU : LIVER_HU;
    }
    ((int16_t *)f->hu->data)[i] = (int16_t)rint(hu + 15 * rng_normal(r));
    ((uint8_t *)f->label->data)[i] = (uint8_t)label;
    ((uint8_t *)f->organ->data)[i] = (uint8_t)organ;
}

static struct files *files_make(int every)
{
    struct files *f = mem_new(1, sizeof *f);
    struct grid g = stored_grid(every);
    struct rng r = rng_at(1, 1);
    const char *folder = test_folder();

    assert_ok(volume_new(&f->hu, &g, VOXEL_I16));
    assert_ok(volume_new(&f->label, &g, VOXEL_U8));
    assert_ok(volume_new(&f->organ, &g, VOXEL_U8));
    for (int64_t i = 0; i < grid_count(&g); i++) {
        double at[3] = {(double)(i % g.dims[0]), (double)(i / g.dims[0] % g.dims[1]),
                        (double)(i / (g.dims[0] * g.dims[1]))},
               mm[3];

        grid_world(&g, at, mm);
        paint(f, i, mm, &r);
    }
    snprintf(f->ct, sizeof f->ct, "%s/ct.nii.gz", folder);
    snprintf(f->mask, sizeof f->mask, "%s/mask.nii.gz", folder);
    snprintf(f->organs, sizeof f->organs, "%s/organs.nii.gz", folder);
    assert_ok(nifti_save(f->hu, NULL, f->ct));
    assert_ok(nifti_save(f->label, NULL, f->mask));
    assert_ok(nifti_save(f->organ, NULL, f->organs));
    return f;
}

static void files_free(struct files *f)
{
    volume_free(f->hu);
    volume_free(f->label);
    volume_free(f->organ);
    mem_free(f);
}

static int make(void **state)
{
    *state = files_make(1);
    return 0;
}

static int unmake(void **state)
{
    files_free(*state);
    return 0;
}

static struct semi_options options_of(const struct files *f, bool organs)
{
    return (struct semi_options){
        .ct = f->ct, .liver = f->mask, .organs = organs ? f->organs : NULL, .phase = PHANTOM_PVP};
}

static void a_case_knows_its_liver(void **state)
{
    struct semi_options o = options_of(*state, false);
    struct semi *s;
    double ball = 4.18879;

    (void)state;
    assert_ok(semi_open(&s, &o));
    assert_float_equal(s->liver_ml, ball * pow(LIVER_R, 3) / 1000, 6);
    assert_float_equal(s->liver_hu, LIVER_HU, 1.5);
    assert_int_equal(s->unknowns, 1);
    assert_float_equal(s->unknown[0].volume_ml, ball * pow(TUMOUR_R, 3) / 1000, 0.5);
    for (int a = 0; a < 3; a++) {
        assert_float_equal(s->unknown[0].centre[a], tumour_at[a], 1);
        assert_float_equal(s->liver.lo[a], liver_at[a] - LIVER_R, 4);
        assert_float_equal(s->liver.hi[a], liver_at[a] + LIVER_R, 4);
        assert_float_equal(s->origin[a], liver_at[a] - (a == 0 ? 40 : 0), 4);
    }
    assert_float_equal(s->axis[0], 0, 2);
    assert_float_equal(s->axis[1], 0, 2);
    for (int i = 0; i < 200; i++) { /* the distance is the ball's, to a voxel */
        struct points p = {.x[0] = (float)(liver_at[0] + i % 10 * 8 - 36), .y[0] = (float)(i / 10 * 8 - 76)};
        double mm[3] = {(double)p.x[0], (double)p.y[0], 0};
        float d, skin;

        s->liver.distance(s->liver.ctx, &p, 1, &d);
        assert_float_equal(d, from(mm, liver_at) - LIVER_R, 3);
        semi_skin(s, &p, 1, &skin);
        if (fabs(hypot(mm[0] / 96, mm[1] / 84) - 1) > 0.1)
            assert_int_equal(skin < 0, in_body(mm));
    }
    semi_free(s);
}

static void save_mask(const struct files *f, const struct grid *g, const uint8_t *set, const char *path)
{
    struct volume v = {.grid = *g, .type = VOXEL_U8, .data = (void *)(uintptr_t)set};

    (void)f;
    assert_ok(nifti_save(&v, NULL, path));
}

static void what_is_no_case_is_refused(void **state)
{
    const struct files *f = *state;
    struct semi_options o = options_of(f, false);
    struct grid g = stored_grid(1), moved = g;
    static uint8_t mask[N];
    char path[80];
    struct semi *s;

    snprintf(path, sizeof path, "%s.mask.nii", f->ct);
    o.liver = path;
    save_mask(f, &g, mask, path);
    assert_err(semi_open(&s, &o), ERR_INPUT, "is empty");
    for (int i = 0; i < N; i++) /* 20 ml */
        mask[i] = i / (NX * NY) == 20 && abs(i % NX - 36) < 12 && abs(i / NX % NY - 32) < 12;
    save_mask(f, &g, mask, path);
    assert_err(semi_open(&s, &o), ERR_INPUT, "19 ml of liver inside");
    for (int i = 0; i < N; i++) /* large, in air */
        mask[i] = i % NX < 4;
    save_mask(f, &g, mask, path);
    assert_err(semi_open(&s, &o), ERR_INPUT, "ml of liver inside");
    moved.affine[2][3] += 4;
    save_mask(f, &moved, f->label->data, path);
    assert_err(semi_open(&s, &o), ERR_INPUT, "another grid");
    o = options_of(f, false);
    o.organs = path;
    assert_err(semi_open(&s, &o), ERR_INPUT, "another grid");
    o = options_of(f, false);
    o.liver = f->organs; /* 1, 3 and 5 */
    assert_err(semi_open(&s, &o), ERR_INPUT, "--labels");
    o.liver = "nowhere.nii.gz";
    assert_err(semi_open(&s, &o), ERR_USAGE, "nowhere");
}

/* Binary masks come as 255 as well; a body is no liver; numbers that are no HU say so. */
static void what_looks_like_a_case(void **state)
{
    const struct files *f = *state;
    struct semi_options o = options_of(f, false);
    struct grid g = stored_grid(1);
    static uint8_t mask[N];
    static int16_t hu[N];
    struct volume shifted = {.grid = g, .type = VOXEL_I16, .data = hu};
    char path[80];
    struct semi *s;

    for (int i = 0; i < N; i++) {
        mask[i] = ((const uint8_t *)f->label->data)[i] ? 255 : 0;
        hu[i] = (int16_t)(((const int16_t *)f->hu->data)[i] + 1024);
    }
    snprintf(path, sizeof path, "%s.255.nii", f->ct);
    o.liver = path;
    save_mask(f, &g, mask, path);
    assert_ok(semi_open(&s, &o));
    assert_float_equal(s->liver_hu, LIVER_HU, 3);
    semi_free(s);
    o = options_of(f, false);
    snprintf(path, sizeof path, "%s.shifted.nii", f->ct);
    o.ct = path;
    assert_ok(nifti_save(&shifted, NULL, path));
    assert_err(semi_open(&s, &o), ERR_INPUT, "no liver in HU");
}

static void a_body_is_no_liver(void **state)
{
    const struct grid g = {.dims = {24, 22, 24}, /* 12 l of water */
                           .spacing = {10, 10, 10},
                           .affine = {{10, 0, 0, -115}, {0, 10, 0, -105}, {0, 0, 10, -115}}};
    static int16_t hu[24 * 22 * 24];
    static uint8_t mask[24 * 22 * 24];
    struct volume water = {.grid = g, .type = VOXEL_I16, .data = hu};
    const char *folder = test_folder();
    char ct[64], liver[64];
    struct semi_options o = {.ct = ct, .liver = liver, .phase = PHANTOM_PVP};
    struct semi *s;

    (void)state;
    snprintf(ct, sizeof ct, "%s/ct.nii.gz", folder);
    snprintf(liver, sizeof liver, "%s/liver.nii.gz", folder);
    memset(mask, 1, sizeof mask);
    assert_ok(nifti_save(&water, NULL, ct));
    save_mask(NULL, &g, mask, liver);
    assert_err(semi_open(&s, &o), ERR_INPUT, "no liver is so large");
}

/* All that a phase needs, around one semi-real patient. */
struct patient {
    struct phantom_id id;
    struct semi *semi;
    struct texture texture;
    struct tissues tissues;
    struct lesions lesions;
    float grow[PHANTOM_LESIONS][PHANTOM_PHASES];
    struct motion motion;
    struct scan scan;
};

static void patient_make(struct patient *p, const struct files *f, bool organs, int lesions)
{
    struct semi_options o = options_of(f, organs);
    struct lesion_odds odds = {.weight = {1},
                               .count = lesions,
                               .median = 2.6,
                               .spread = 0.9,
                               .least = 8,
                               .most = 16,
                               .taken = semi_taken,
                               .apart = SEMI_APART};
    struct motion_options still = {.scale = 1};

    *p = (struct patient){.id = {2, 0}};
    assert_ok(semi_open(&p->semi, &o));
    odds.ctx = p->semi;
    assert_ok(texture_make(&p->texture, &p->id));
    tissues_draw(&p->tissues, &p->id, &(struct tissue_odds){0});
    semi_tissues(p->semi, &p->tissues);
    assert_ok(lesions_draw(&p->lesions, &p->id, &p->semi->liver, &odds));
    p->scan = (struct scan){.grid = p->semi->grid, .thickness = 4, .fpeak = 0.18, .half = {165, 112}};
    still.liver = p->semi->liver;
    assert_ok(motion_make(&p->motion, &p->id, PHANTOM_ART, &still, &p->scan.grid));
}

static void patient_free(struct patient *p)
{
    motion_free(&p->motion);
    lesions_free(&p->lesions);
    texture_free(&p->texture);
    semi_free(p->semi);
}

static enum err render(struct rendered *out, const struct patient *p, int phase)
{
    struct semi_scene scene = {.semi = p->semi,
                               .lesions = &p->lesions,
                               .grow = p->grow,
                               .texture = &p->texture,
                               .tissues = &p->tissues,
                               .motion = &p->motion,
                               .pixel = 3};
    struct semi_phase open;
    struct render r = {.scan = &p->scan, .id = &p->id, .phase = phase};
    enum err err = semi_phase_open(&open, &scene, phase);

    if (err)
        return err;
    r.subject = semi_subject(&open);
    err = render_phase(out, &r);
    semi_phase_close(&open);
    return err;
}

/* Mean of a volume where `in` says so; sd, if not NULL, the standard deviation. */
static double mean(const struct volume *v, bool (*in)(const double mm[3]), double *sd)
{
    double sum = 0, square = 0;
    int n = 0;

    for (int64_t i = 0; i < grid_count(&v->grid); i++) {
        double at[3] = {(double)(i % NX), (double)(i / NX % NY), (double)(i / (NX * NY))}, mm[3];

        grid_world(&v->grid, at, mm);
        if (in(mm)) {
            double x = ((int16_t *)v->data)[i];

            sum += x;
            square += x * x;
            n++;
        }
    }
    assert_true(n > 20);
    if (sd)
        *sd = sqrt(square / n - sum / n * sum / n);
    return sum / n;
}

static bool plain_liver(const double mm[3])
{
    return from(mm, liver_at) < LIVER_R - 6 && hypot(mm[0] - 20, mm[1] + 5) > VESSEL_R + 6 &&
           from(mm, tumour_at) > TUMOUR_R + 6;
}

static bool vessel(const double mm[3])
{
    return from(mm, liver_at) < LIVER_R - 8 && hypot(mm[0] - 20, mm[1] + 5) < 3.5;
}

static bool medulla(const double mm[3])
{
    return from(mm, kidney_at) < KIDNEY_R - 10;
}

static bool cortex(const double mm[3])
{
    double r = from(mm, kidney_at);

    return r < KIDNEY_R - 3 && r > KIDNEY_R - 5;
}

static bool spleen(const double mm[3])
{
    return from(mm, spleen_at) < SPLEEN_R - 6;
}

static bool muscle(const double mm[3])
{
    return in_body(mm) && mm[1] > 55 && mm[1] < 70 && fabs(mm[0]) < 30;
}

static void its_own_phase_is_the_ct_without_noise(void **state)
{
    struct patient p;
    struct rendered r;
    double sd;

    patient_make(&p, *state, false, 0);
    assert_ok(render(&r, &p, PHANTOM_PVP));
    assert_memory_equal(r.clean->data, p.semi->base, N * sizeof(int16_t));
    assert_float_equal(mean(r.hu, plain_liver, &sd), LIVER_HU, 1.5);
    assert_true(sd < 15 / 3.0);
    for (int64_t i = 0; i < N; i++) { /* the labels are the mask's */
        int64_t stored = NX - 1 - i % NX + i / NX * NX;
        static const uint8_t to[3] = {PHANTOM_OUTSIDE, PHANTOM_LIVER, PHANTOM_TUMOUR};

        assert_int_equal(((uint8_t *)r.label->data)[i],
                         to[((uint8_t *)((struct files *)*state)->label->data)[stored]]);
    }
    rendered_free(&r);
    patient_free(&p);
}

static void other_phases_enhance_as_the_tables_say(void **state)
{
    for (int organs = 0; organs < 2; organs++)
        for (int phase = 0; phase < PHANTOM_PHASES; phase++) {
            static const double keep[PHANTOM_PHASES] = {0.15, 0.35, 1, 0.6};
            struct patient p;
            struct rendered r;
            double liver, gain[3] = {0};
            static const enum tissue tissue[3] = {TISSUE_CORTEX, TISSUE_MEDULLA, TISSUE_SPLEEN};

            patient_make(&p, *state, organs, 0);
            assert_ok(render(&r, &p, phase));
            liver = mean(r.clean, plain_liver, NULL);
            for (int k = 0; k < 3 && organs; k++)
                gain[k] = tissue_gain(&p.tissues, tissue[k], phase) -
                          tissue_gain(&p.tissues, tissue[k], PHANTOM_PVP);
            assert_float_equal(liver, p.tissues.hu[TISSUE_LIVER][phase], 1.5);
            assert_float_equal(mean(r.clean, vessel, NULL) - liver, keep[phase] * (VESSEL_HU - LIVER_HU), 4);
            assert_float_equal(mean(r.clean, cortex, NULL), KIDNEY_HU + gain[0], 8);
            assert_float_equal(mean(r.clean, medulla, NULL), KIDNEY_HU + gain[1], 8);
            assert_float_equal(mean(r.clean, spleen, NULL), SPLEEN_HU + gain[2], 4);
            assert_float_equal(mean(r.clean, muscle, NULL), MUSCLE_HU, 3);
            for (int64_t i = 0; i < N; i++) {
                int label = ((uint8_t *)r.label->data)[i];

                assert_true(label <= 2 || (organs && (label == PHANTOM_KIDNEY_L || label == PHANTOM_SPLEEN)));
            }
            rendered_free(&r);
            patient_free(&p);
        }
}

static void lesions_keep_away_from_what_is_there(void **state)
{
    int count[PHANTOM_LESIONS] = {0};
    struct patient p;
    struct rendered r;

    patient_make(&p, *state, false, 4);
    assert_true(p.lesions.count >= 2);
    assert_ok(render(&r, &p, PHANTOM_PVP));
    for (int64_t i = 0; i < N; i++) {
        int k = ((uint8_t *)r.label->data)[i] - PHANTOM_LESION;

        if (k >= 0)
            count[k]++;
    }
    for (int k = 0; k < p.lesions.count; k++) {
        const struct lesion *l = &p.lesions.item[k];

        assert_true(from(l->centre, tumour_at) > TUMOUR_R + SEMI_APART + l->diameter / 2 - 4);
        assert_true(from(l->centre, liver_at) < LIVER_R);
        assert_float_equal(count[k] * 0.036, 0.5236 * pow(l->diameter, 3) / 1000,
                           0.35 * 0.5236 * pow(l->diameter, 3) / 1000 + 0.1);
    }
    rendered_free(&r);
    patient_free(&p);
}

static void breathing_moves_the_inside_and_not_the_skin(void **state)
{
    struct motion_options o = {.breath = 9, .scale = 1};
    struct patient p;
    struct rendered r;
    struct points y, q;
    int wrong = 0, all = 0;

    patient_make(&p, *state, false, 0);
    motion_free(&p.motion);
    o.liver = p.semi->liver;
    memcpy(o.origin, p.semi->origin, sizeof o.origin);
    o.skin = semi_skin;
    o.skin_ctx = p.semi;
    assert_ok(motion_make(&p.motion, &p.id, PHANTOM_DEL, &o, &p.scan.grid));
    for (int i = 0; i < 64; i++) { /* around the body */
        y.x[i] = (float)(104 * cos(i * 0.0981));
        y.y[i] = (float)(91 * sin(i * 0.0981));
        y.z[i] = 4;
    }
    motion_visceral(&p.motion, &y, 64, &q);
    for (int i = 0; i < 64; i++)
        assert_float_equal(q.z[i], y.z[i], 0.01);
    assert_ok(render(&r, &p, PHANTOM_DEL));
    for (int64_t i = 0; i < N; i++) { /* a voxel shows what lies where it looks */
        double at[3] = {(double)(i % NX), (double)(i / NX % NY), (double)(i / (NX * NY))}, mm[3];
        float d;

        grid_world(&p.scan.grid, at, mm);
        for (int a = 0; a < 3; a++)
            *(a == 0 ? y.x : a == 1 ? y.y : y.z) = (float)mm[a];
        motion_visceral(&p.motion, &y, 1, &q);
        p.semi->liver.distance(p.semi, &q, 1, &d);
        wrong += (d < 0) != (((uint8_t *)r.label->data)[i] != 0);
        all += d < 0;
    }
    assert_int_equal(wrong, 0);
    assert_true(all > 5000);
    rendered_free(&r);
    patient_free(&p);
}

static void threads_change_nothing(void **state)
{
    struct rendered r[2];
    struct patient p;

    for (int k = 0; k < 2; k++) {
        par_set_threads(k ? 8 : 1);
        patient_make(&p, *state, true, 2);
        p.scan.noise = 10;
        assert_ok(render(&r[k], &p, PHANTOM_NC));
        patient_free(&p);
    }
    par_set_threads(0);
    assert_memory_equal(r[0].hu->data, r[1].hu->data, N * sizeof(int16_t));
    assert_memory_equal(r[0].label->data, r[1].label->data, N);
    rendered_free(&r[0]);
    rendered_free(&r[1]);
}

static void exhaustion_is_reported(void **state)
{
    struct files *f = files_make(4);
    struct semi_options o = options_of(f, true);
    struct rendered r;
    struct patient p;
    struct semi *s;

    (void)state;
    par_set_threads(1);
    assert_survives_exhaustion(semi_open(&s, &o), semi_free(s));
    patient_make(&p, f, true, 0);
    p.scan.grid.dims[2] = 1;
    assert_survives_exhaustion(render(&r, &p, PHANTOM_NC), rendered_free(&r));
    patient_free(&p);
    par_set_threads(0);
    files_free(f);
}

/* hcc-005's README says what its masks hold. */
static void a_real_case_opens(void **state)
{
    static const char ct[] = D4M_SOURCE_DIR "/../shared/data/hcc-005-small/imagesTr/hcc005_0002.nii.gz";
    static const char mask[] = D4M_SOURCE_DIR "/../shared/data/hcc-005-small/labelsTr/hcc005.nii.gz";
    static const double ml[3] = {14.4, 139.7, 31.3};
    struct semi_options o = {.ct = ct, .liver = mask, .phase = PHANTOM_PVP};
    struct lesion_odds odds = {.weight = {1},
                               .count = 5,
                               .median = 2.6,
                               .spread = 0.9,
                               .least = 8,
                               .most = 30,
                               .taken = semi_taken,
                               .apart = SEMI_APART};
    struct lesions l;
    struct semi *s;

    (void)state;
    if (!file_exists(ct)) {
        print_message("skipped: %s is not there\n", ct);
        skip();
    }
    assert_ok(semi_open(&s, &o));
    assert_float_equal(s->liver_ml, 2276, 3);
    assert_float_equal(s->liver_hu, 98, 8);
    assert_int_equal(s->unknowns, 3);
    for (int k = 0; k < 3; k++)
        assert_float_equal(s->unknown[k].volume_ml, ml[k], 0.5);
    odds.ctx = s;
    assert_ok(lesions_draw(&l, &(struct phantom_id){1, 1}, &s->liver, &odds));
    assert_int_equal(l.count, 5);
    for (int k = 0; k < l.count; k++) {
        struct points p = {.x[0] = (float)l.item[k].centre[0],
                           .y[0] = (float)l.item[k].centre[1],
                           .z[0] = (float)l.item[k].centre[2]};
        float d;

        semi_taken(s, &p, 1, &d);
        assert_true((double)d >= SEMI_APART + l.item[k].diameter / 2 - 0.01);
        s->liver.distance(s->liver.ctx, &p, 1, &d);
        assert_true((double)d < -0.4 * fmin(l.item[k].diameter, 50));
    }
    lesions_free(&l);
    semi_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_case_knows_its_liver),
        cmocka_unit_test(what_is_no_case_is_refused),
        cmocka_unit_test(what_looks_like_a_case),
        cmocka_unit_test(a_body_is_no_liver),
        cmocka_unit_test(its_own_phase_is_the_ct_without_noise),
        cmocka_unit_test(other_phases_enhance_as_the_tables_say),
        cmocka_unit_test(lesions_keep_away_from_what_is_there),
        cmocka_unit_test(breathing_moves_the_inside_and_not_the_skin),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(a_real_case_opens),
        cmocka_unit_test(exhaustion_is_reported),
    };

    return cmocka_run_group_tests(tests, make, unmake);
}
