#include "base/mem.h"
#include "phantom/body_view.h"
#include "phantom/scene.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct patient {
    struct texture texture;
    struct scene scene;
};

static void unit_distance(const void *ctx, const struct points *a, int n, float *d)
{
    body_liver_unit(ctx, a, n, d);
}

static struct patient *patient_new(uint64_t seed, double scale)
{
    static const struct tissue_odds odds = {0, 0};
    struct phantom_id id = {.seed = seed};
    struct body_odds body = {.oral = .25, .scale = scale};
    struct lesion_odds lesion = {.weight = {.5, .22, .08, .1, .06, .04}, .count = 4, .least = 6, .most = 60};
    struct patient *p = mem_new(1, sizeof *p);
    struct liver liver, unit;

    assert_non_null(p);
    assert_int_equal(texture_make(&p->texture, &id), ERR_OK);
    body_draw(&p->scene.body, &id, &p->texture, &body);
    tissues_draw(&p->scene.tissues, &id, &odds);
    liver = unit = liver_of_body(&p->scene.body);
    unit.distance = unit_distance;
    for (int k = 0; k < 3; k++) {
        unit.lo[k] /= scale;
        unit.hi[k] /= scale;
    }
    assert_int_equal(tree_grow(&p->scene.portal, TREE_PORTAL, &id, &unit, scale), ERR_OK);
    assert_int_equal(tree_grow(&p->scene.hepatic, TREE_HEPATIC, &id, &unit, scale), ERR_OK);
    assert_int_equal(lesions_draw(&p->scene.lesions, &id, &liver, &lesion), ERR_OK);
    return p;
}

static void patient_free(struct patient *p)
{
    tree_free(&p->scene.portal);
    tree_free(&p->scene.hepatic);
    lesions_free(&p->scene.lesions);
    texture_free(&p->texture);
    mem_free(p);
}

/* A picture of a patient: n points along each axis, `step` mm apart, in blocks of 8 x 8 x 1. */
struct image {
    int n[3];
    double step, lo[3];
    float *hu, *depth; /* depth below the skin, mm */
    uint8_t *label;
};

enum { SIDE = 8 };

static int64_t index_of(const struct image *m, int x, int y, int z)
{
    return ((int64_t)z * m->n[1] + y) * m->n[0] + x;
}

static void image_new(struct image *m, const struct patient *p, double step)
{
    static const double size[3] = {400, 330, 200}, lo[3] = {-200, -170, -110};
    size_t count = 1;

    m->step = step;
    for (int k = 0; k < 3; k++) {
        m->n[k] = (int)(size[k] * p->scene.body.scale / step / SIDE) * SIDE;
        m->lo[k] = lo[k] * p->scene.body.scale;
        count *= (size_t)m->n[k];
    }
    m->hu = mem_new(count, sizeof *m->hu);
    m->depth = mem_new(count, sizeof *m->depth);
    m->label = mem_new(count, 1);
    assert_true(m->hu && m->depth && m->label);
}

static void image_free(struct image *m)
{
    mem_free(m->hu);
    mem_free(m->depth);
    mem_free(m->label);
}

struct block {
    struct points p, q;
    struct view wall;
    float hu[BLOCK_MAX];
    uint8_t label[BLOCK_MAX];
};

/* Samples one block. The organs lie `shift` mm higher than in the wall. */
static void sample(struct image *m, const struct patient *p, int phase, const int at[3], double shift,
                   struct scene_scratch *scratch, struct block *b)
{
    int n = SIDE * SIDE;
    double scale = p->scene.body.scale;
    struct scene_points points = {&b->p, &b->q, n, (float)m->step};

    for (int i = 0; i < n; i++) {
        b->q.x[i] = (float)(m->lo[0] + m->step * (at[0] + i % SIDE));
        b->q.y[i] = (float)(m->lo[1] + m->step * (at[1] + i / SIDE));
        b->q.z[i] = (float)(m->lo[2] + m->step * at[2]);
        b->p.x[i] = b->q.x[i];
        b->p.y[i] = b->q.y[i];
        b->p.z[i] = b->q.z[i] + (float)shift;
        b->wall.at.x[i] = b->q.x[i] / (float)scale;
        b->wall.at.y[i] = b->q.y[i] / (float)scale;
        b->wall.at.z[i] = b->q.z[i] / (float)scale;
    }
    scene_sample(&p->scene, phase, &points, scratch, b->hu, b->label);
    b->wall.n = n;
    body_view_reset(&b->wall, &p->scene.body);
    for (int i = 0; i < n; i++) {
        int64_t k = index_of(m, at[0] + i % SIDE, at[1] + i / SIDE, at[2]);
        m->hu[k] = b->hu[i];
        m->label[k] = b->label[i];
        m->depth[k] = (float)scale * body_field(&b->wall, FIELD_DEPTH)[i];
    }
}

static void image_sample(struct image *m, const struct patient *p, int phase, double shift, bool thorough)
{
    struct scene_scratch *scratch;
    struct block *b = mem_new(1, sizeof *b);

    assert_non_null(b);
    assert_int_equal(scene_scratch_new(&scratch), ERR_OK);
    scene_scratch_thorough(scratch, thorough);
    for (int z = 0; z < m->n[2]; z++)
        for (int y = 0; y < m->n[1]; y += SIDE)
            for (int x = 0; x < m->n[0]; x += SIDE)
                sample(m, p, phase, (int[3]){x, y, z}, shift, scratch, b);
    scene_scratch_free(scratch);
    mem_free(b);
}

/* Whether all voxels within `reach` have the label of this one. */
static bool eroded(const struct image *m, int x, int y, int z, int reach)
{
    uint8_t own = m->label[index_of(m, x, y, z)];

    if (x < reach || y < reach || z < reach || x + reach >= m->n[0] || y + reach >= m->n[1] ||
        z + reach >= m->n[2])
        return false;
    for (int k = z - reach; k <= z + reach; k++)
        for (int j = y - reach; j <= y + reach; j++)
            for (int i = x - reach; i <= x + reach; i++)
                if (m->label[index_of(m, i, j, k)] != own)
                    return false;
    return true;
}

static double mean_of(const struct image *m, int label, int reach)
{
    double sum = 0;
    int64_t count = 0;

    for (int z = 0; z < m->n[2]; z++)
        for (int y = 0; y < m->n[1]; y++)
            for (int x = 0; x < m->n[0]; x++)
                if (m->label[index_of(m, x, y, z)] == label && eroded(m, x, y, z, reach)) {
                    sum += (double)m->hu[index_of(m, x, y, z)];
                    count++;
                }
    assert_true(count > 20);
    return sum / (double)count;
}

/* Section 15: clean means of eroded labels against what was drawn. */
static void test_hu(void **state)
{
    static const struct {
        int label, erode;
        enum tissue tissue;
    } organ[] = {{PHANTOM_LIVER, 2, TISSUE_LIVER},
                 {PHANTOM_SPLEEN, 2, TISSUE_SPLEEN},
                 {PHANTOM_AORTA, 1, TISSUE_AORTA},
                 {PHANTOM_PORTAL, 1, TISSUE_PORTAL}};

    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct patient *p = patient_new(seed, 1);
        struct image m;
        image_new(&m, p, 2.5);
        for (int phase = (int)(2 * seed) - 2; phase < (int)(2 * seed); phase++) {
            image_sample(&m, p, phase, 0, false);
            for (size_t k = 0; k < sizeof organ / sizeof *organ; k++) {
                double mean = mean_of(&m, organ[k].label, organ[k].erode);
                double drawn = p->scene.tissues.hu[organ[k].tissue][phase];
                if (!(fabs(mean - drawn) < 4))
                    fail_msg("seed %d phase %d label %d: %.1f HU, drawn %.1f", (int)seed, phase,
                             organ[k].label, mean, drawn);
            }
        }
        image_free(&m);
        patient_free(p);
    }
}

/* What each label holds, ml; the liver with its vessels and lesions. */
static void volumes(const struct image *m, double ml[256])
{
    memset(ml, 0, 256 * sizeof *ml);
    for (int64_t i = 0; i < (int64_t)m->n[0] * m->n[1] * m->n[2]; i++)
        ml[m->label[i] >= PHANTOM_LESION ? PHANTOM_TUMOUR : m->label[i]] += pow(m->step, 3) / 1000;
}

static void test_volumes(void **state)
{
    /* least and most; spec: liver 1548 ml, spleen 166, kidneys 170 and 144 in one patient */
    static const double range[PHANTOM_BENIGN + 1][2] = {
        [PHANTOM_LIVER] = {900, 2400},    [PHANTOM_PORTAL] = {15, 90},    [PHANTOM_HEPATIC] = {8, 70},
        [PHANTOM_AORTA] = {50, 110},      [PHANTOM_CAVA] = {50, 110},     [PHANTOM_SPLEEN] = {80, 330},
        [PHANTOM_KIDNEY_R] = {90, 240},   [PHANTOM_KIDNEY_L] = {90, 240}, [PHANTOM_PANCREAS] = {15, 110},
        [PHANTOM_GALLBLADDER] = {10, 70}, [PHANTOM_STOMACH] = {200, 700}, [PHANTOM_BONE] = {300, 1200},
        [PHANTOM_LUNG] = {400, 4500},     [PHANTOM_BODY] = {3500, 14000},
    };

    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct patient *p = patient_new(seed, 1);
        struct image m;
        double ml[256];
        image_new(&m, p, 5);
        image_sample(&m, p, PHANTOM_PVP, 0, false);
        volumes(&m, ml);
        for (int k = 1; k <= PHANTOM_BENIGN; k++)
            if (range[k][1] > 0 && !(ml[k] > range[k][0] && ml[k] < range[k][1]))
                fail_msg("seed %d: label %d has %.0f ml", (int)seed, k, ml[k]);
        ml[PHANTOM_LIVER] += ml[PHANTOM_TUMOUR] + ml[PHANTOM_HEPATIC];
        assert_true(ml[PHANTOM_LIVER] > 1000 && ml[PHANTOM_LIVER] < 2400);
        image_free(&m);
        patient_free(p);
    }
}

/* No label in air, none missing inside, no NaN, HU that a scanner could store: at three scales, with organs
 * that breathing has moved. */
static void test_air(void **state)
{
    static const double scale[] = {.56, 1, 1.2}, shift[] = {0, 15, -15};

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct patient *p = patient_new(k + 3, scale[k]);
        struct image m;
        image_new(&m, p, 5 * scale[k]);
        for (int phase = 0; phase < PHANTOM_PHASES; phase++) {
            image_sample(&m, p, phase, shift[(k + (size_t)phase) % 3], false);
            for (int64_t i = 0; i < (int64_t)m.n[0] * m.n[1] * m.n[2]; i++) {
                assert_true(m.hu[i] > -1100 && m.hu[i] < 2000);
                assert_true(m.depth[i] > 0 ? m.label[i] != PHANTOM_OUTSIDE
                                           : m.label[i] == PHANTOM_OUTSIDE || m.depth[i] > -1e-3f);
            }
        }
        image_free(&m);
        patient_free(p);
    }
}

/* The spine, narrow and close to the skin: nothing of it sticks out. */
static void test_back(void **state)
{
    (void)state;
    for (uint64_t seed = 30; seed < 36; seed++) {
        struct patient *p = patient_new(seed, 1);
        struct image m = {.n = {8, 64, 40}, .step = 1.5, .lo = {-5, -140, -60}};
        int bone = 0;
        m.hu = mem_new(8 * 64 * 40, sizeof *m.hu);
        m.depth = mem_new(8 * 64 * 40, sizeof *m.depth);
        m.label = mem_new(8 * 64 * 40, 1);
        assert_true(m.hu && m.depth && m.label);
        image_sample(&m, p, PHANTOM_NC, 0, false);
        for (int i = 0; i < 8 * 64 * 40; i++) {
            assert_true(m.depth[i] > -1e-3f || m.label[i] == PHANTOM_OUTSIDE);
            bone += m.label[i] == PHANTOM_BONE;
        }
        assert_true(bone > 1000);
        image_free(&m);
        patient_free(p);
    }
}

/* Skipping what is far changes no bit. */
static void test_culling(void **state)
{
    static const double scale[] = {.56, 1, 1.2};

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct patient *p = patient_new(11 + k, scale[k]);
        struct image fast, slow;
        int64_t count;
        image_new(&fast, p, 8 * scale[k]);
        image_new(&slow, p, 8 * scale[k]);
        count = (int64_t)fast.n[0] * fast.n[1] * fast.n[2];
        for (int phase = PHANTOM_ART; phase <= PHANTOM_PVP; phase++) {
            image_sample(&fast, p, phase, phase == PHANTOM_ART ? 9 : 0, false);
            image_sample(&slow, p, phase, phase == PHANTOM_ART ? 9 : 0, true);
            assert_memory_equal(fast.hu, slow.hu, (size_t)count * sizeof *fast.hu);
            assert_memory_equal(fast.label, slow.label, (size_t)count);
        }
        image_free(&fast);
        image_free(&slow);
        patient_free(p);
    }
}

/* The scene's liver is body_liver's, and that is body_liver_unit's, scaled. */
static void test_liver(void **state)
{
    struct patient *p = patient_new(21, .8);
    struct liver liver = liver_of_body(&p->scene.body);
    struct image m;
    static struct points at, a;
    static float d[BLOCK_MAX], unit[BLOCK_MAX];
    int inside = 0;

    (void)state;
    image_new(&m, p, 5);
    image_sample(&m, p, PHANTOM_PVP, 0, false);
    for (int z = 0; z < m.n[2]; z++)
        for (int y = 0; y < m.n[1]; y++)
            for (int x = 0; x < m.n[0]; x++) {
                at.x[0] = (float)(m.lo[0] + 5 * x);
                at.y[0] = (float)(m.lo[1] + 5 * y);
                at.z[0] = (float)(m.lo[2] + 5 * z);
                liver.distance(liver.ctx, &at, 1, d);
                if (m.label[index_of(&m, x, y, z)] == PHANTOM_LIVER ||
                    m.label[index_of(&m, x, y, z)] >= PHANTOM_LESION)
                    assert_true(d[0] < 0);
                if (d[0] < 0) {
                    inside++;
                    for (int k = 0; k < 3; k++)
                        assert_true((double)(k == 0   ? at.x[0]
                                             : k == 1 ? at.y[0]
                                                      : at.z[0]) > liver.lo[k] &&
                                    (double)(k == 0   ? at.x[0]
                                             : k == 1 ? at.y[0]
                                                      : at.z[0]) < liver.hi[k]);
                }
            }
    assert_true(inside > 3000);
    for (int k = 0; k < 3; k++)
        (k == 0 ? at.x : k == 1 ? at.y : at.z)[0] /= .8f;
    noise3_read(&p->texture.warp, &at, 1, &a);
    a.x[0] = at.x[0] + 3.2f * a.x[0];
    a.y[0] = at.y[0] + 3.2f * a.y[0];
    a.z[0] = at.z[0] + 3.2f * a.z[0];
    body_liver_unit(&p->scene.body, &a, 1, unit);
    assert_true(fabsf(.8f * unit[0] - d[0]) < .02f);
    image_free(&m);
    patient_free(p);
}

/* Contrast in the gut changes nothing else that is drawn. */
static void test_odds(void **state)
{
    struct phantom_id id = {.seed = 4};
    struct body a, b;

    (void)state;
    body_draw(&a, &id, NULL, &(struct body_odds){.oral = 0, .scale = 1});
    body_draw(&b, &id, NULL, &(struct body_odds){.oral = 1, .scale = 1});
    assert_false(a.oral);
    assert_true(b.oral);
    b.oral = false;
    assert_true(a.half_width == b.half_width && a.half_depth == b.half_depth && a.fat == b.fat &&
                a.stomach == b.stomach);
    assert_memory_equal(a.liver, b.liver, sizeof a.liver);
    assert_memory_equal(a.shift, b.shift, sizeof a.shift);
    assert_memory_equal(a.bowel, b.bowel, sizeof a.bowel);
    assert_memory_equal(a.mesenteric, b.mesenteric, sizeof a.mesenteric);
}

static void test_memory(void **state)
{
    struct phantom_id id = {.seed = 1};
    struct texture t;
    struct scene_scratch *s = NULL;

    (void)state;
    for (long n = 1; n <= 5; n++) {
        mem_fail_at(n);
        assert_int_equal(texture_make(&t, &id), ERR_MEMORY);
    }
    mem_fail_at(1);
    assert_int_equal(scene_scratch_new(&s), ERR_MEMORY);
    assert_null(s);
    mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hu),   cmocka_unit_test(test_volumes), cmocka_unit_test(test_air),
        cmocka_unit_test(test_back), cmocka_unit_test(test_culling), cmocka_unit_test(test_liver),
        cmocka_unit_test(test_odds), cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
