/* Reading, placing and batching: rules, borders, reproducibility for any number of threads, shutdown at any
 * moment. */
#include "ball_case.h"

#include "data/loader.h"
#include "base/par.h"
#include <time.h>

enum { CASES = 3 };

static const int64_t dims[CASES][3] = {{40, 36, 30}, {22, 41, 17}, {35, 30, 52}};

static struct plan small_plan(void)
{
    return (struct plan){.window = {-21, 189},
                         .patch = {16, 20, 24},
                         .batch = 3,
                         .phases = 4,
                         .classes = 3,
                         .sampling = SAMPLING_NNUNET,
                         .foreground = 0.33,
                         .tumour = 0.6,
                         .augment = AUGMENT_NNUNET,
                         .rotation = 30,
                         .scale = {0.7, 1.4},
                         .spatial_p = 0.2};
}

struct fixture {
    struct prepared *item[CASES];
    struct plan plan;
};

static void fixture_make(struct fixture *f)
{
    f->plan = small_plan();
    for (int i = 0; i < CASES; i++)
        f->item[i] = ball_case(dims[i], 4, i == 0 ? 0xf : i == 1 ? 0x4 : 0xc);
}

static void fixture_free(struct fixture *f)
{
    for (int i = 0; i < CASES; i++)
        ball_free(f->item[i]);
}

static struct loader_options options(const struct fixture *f, int threads)
{
    return (struct loader_options){
        .plan = &f->plan, .item = f->item, .count = CASES, .threads = threads, .seed = 42};
}

static void replication(void **state)
{
    /* {2, 3} present: 0 and 1 get 3 (seg-backbones.md section 11) */
    static const struct {
        bool present[4];
        int from[4];
    } row[] = {{{1, 1, 1, 1}, {0, 1, 2, 3}}, {{0, 0, 1, 1}, {3, 3, 2, 3}}, {{0, 0, 1, 0}, {2, 2, 2, 2}},
               {{1, 0, 1, 0}, {0, 0, 2, 2}}, {{0, 1, 0, 1}, {3, 1, 1, 3}}, {{1, 0, 0, 0}, {0, 0, 0, 0}}};
    int from[4];

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        assert_true(source_replicate(row[i].present, 4, from));
        assert_memory_equal(from, row[i].from, sizeof from);
    }
    assert_false(source_replicate((const bool[4]){0}, 4, from));
}

static void reading_boxes(void **state)
{
    struct fixture f;
    struct source s;
    static float image[8 * 9 * 60 * 4];
    static int8_t label[8 * 9 * 60];
    struct patch p = {{8, 9, 60}, 4, image, label};

    (void)state;
    fixture_make(&f);
    assert_ok(source_make(&s, f.item[2], &f.plan));
    for (int k = 0; k < 200; k++) {
        int64_t at[3] = {k % 61 - 8, k * 7 % 41 - 10, k * 13 % 100 - 62};
        source_read(&s, at, &p);
        for (int64_t i = 0; i < patch_voxels(&p); i++) {
            int64_t z = at[0] + i / (9 * 60), y = at[1] + i / 60 % 9, x = at[2] + i % 60;
            bool in = z >= 0 && z < dims[2][2] && y >= 0 && y < dims[2][1] && x >= 0 && x < dims[2][0];
            int64_t voxel = (z * dims[2][1] + y) * dims[2][0] + x;
            assert_int_equal(label[i], in ? ball_label(dims[2], x, y, z) : LABEL_OUTSIDE);
            for (int c = 0; c < 4; c++) {
                int from = c < 2 ? 3 : c;
                double hu = in ? fmax(-21, fmin(189, ((int16_t *)f.item[2]->phase[from]->data)[voxel])) : 0;
                double want = in ? (hu - f.item[2]->stats[from].mean) / f.item[2]->stats[from].sd : 0;
                assert_true(fabs((double)image[i * 4 + c] - want) < 1e-6);
            }
        }
    }
    f.plan.phases = 3;
    assert_err(source_make(&s, f.item[2], &f.plan), ERR_INPUT, "channels");
    fixture_free(&f);
}

static void places_are_of_their_class(void **state)
{
    static const int64_t big[3] = {64, 64, 64};
    struct prepared *c = ball_case(big, 1, 1);
    struct plan plan = {.phases = 1, .window = {-21, 189}};
    struct places p, q;
    struct source s;
    double mean = 0;

    (void)state;
    assert_ok(source_make(&s, c, &plan));
    assert_ok(places_find(&p, &s, 3, 5));
    assert_ok(places_find(&q, &s, 3, 5));
    assert_int_equal(p.count[0], 0);
    assert_true(c->class_voxels[1] > PLACES_MAX);
    assert_int_equal(p.count[1], PLACES_MAX);
    assert_int_equal(p.count[2], c->class_voxels[2]);
    for (int64_t k = 1; k < 3; k++)
        for (int64_t i = 0; i < p.count[k]; i++) {
            assert_int_equal(((uint8_t *)c->label->data)[p.voxel[k][i]], k);
            assert_int_equal(p.voxel[k][i], q.voxel[k][i]);
            mean += k == 1 ? (double)(p.voxel[k][i] / 4096) / PLACES_MAX : 0;
        }
    assert_true(fabs(mean - 32) < 0.5); /* the whole ball is represented: z 32 +- 10/sqrt(10000) */
    places_free(&p);
    places_free(&q);
    assert_err(places_find(&p, &s, 2, 5), ERR_INPUT, "label 2");
    assert_survives_exhaustion(places_find(&p, &s, 3, 5), places_free(&p));
    ball_free(c);
}

/* nnU-Net's rule: bounds of free corners, forced samples show their class, the last third of a batch is
 * forced. */
static void picking_places(void **state)
{
    struct fixture f;
    struct source s;
    struct places p;
    const int64_t size[3] = {24, 30, 36}, last[3] = {30 + 4 - 24, 36 + 5 - 30, 40 + 6 - 36};
    int64_t low[3] = {99, 99, 99}, high[3] = {-99, -99, -99};

    (void)state;
    fixture_make(&f);
    f.plan.batch = 12;
    assert_ok(source_make(&s, f.item[0], &f.plan)); /* 30 x 36 x 40 */
    assert_ok(places_find(&p, &s, 3, 1));
    for (int64_t i = 0; i < 20000; i++) {
        struct rng r = rng_at(9, (uint64_t)i);
        int64_t corner[3], j = i % 12;
        places_pick(&p, &s, &f.plan, size, j, &r, corner);
        for (int a = 0; a < 3 && j < 8; a++) {
            low[a] = corner[a] < low[a] ? corner[a] : low[a];
            high[a] = corner[a] > high[a] ? corner[a] : high[a];
        }
        if (j >= 8) {
            int64_t v[3];
            for (int a = 0; a < 3; a++)
                v[a] = corner[a] + size[a] / 2;
            if (corner[0] > -4 && corner[1] > -5 && corner[2] > -6) /* not clamped */
                assert_true(ball_label(dims[0], v[2], v[1], v[0]) > 0);
        }
    }
    /* need 8, 10, 12: low -4, -5, -6; high shape + need/2 - size */
    for (int a = 0; a < 3; a++) {
        assert_int_equal(low[a], -4 - a);
        assert_int_equal(high[a], last[a]);
    }
    places_free(&p);
    fixture_free(&f);
}

/* The demo's rule keeps samples inside and shows tumour as often as it says. */
static void picking_by_probability(void **state)
{
    struct fixture f;
    struct source s;
    struct places p;
    const int64_t size[3] = {16, 20, 24};
    int tumour = 0, liver = 0;

    (void)state;
    fixture_make(&f);
    f.plan.sampling = SAMPLING_FOREGROUND;
    f.plan.foreground = 1;
    assert_ok(source_make(&s, f.item[0], &f.plan));
    assert_ok(places_find(&p, &s, 3, 1));
    for (int64_t i = 0; i < 4000; i++) {
        struct rng r = rng_at(3, (uint64_t)i);
        int64_t c[3];
        places_pick(&p, &s, &f.plan, size, 0, &r, c);
        for (int a = 0; a < 3; a++)
            assert_true(c[a] >= 0 && c[a] + size[a] <= s.size[a]);
        uint8_t l = ball_label(dims[0], c[2] + 12, c[1] + 10, c[0] + 8);
        tumour += l == 2;
        liver += l == 1;
    }
    assert_true(tumour > 2100 && liver > 700);
    f.plan.foreground = 0; /* a patch larger than the case is centred on it */
    for (int64_t i = 0; i < 100; i++) {
        struct rng r = rng_at(4, (uint64_t)i);
        int64_t c[3];
        f.plan.patch[0] = f.plan.patch[1] = f.plan.patch[2] = 50;
        places_pick(&p, &s, &f.plan, f.plan.patch, 0, &r, c);
        assert_true(c[0] == -10 && c[1] == -7 && c[2] == -5);
    }
    places_free(&p);
    fixture_free(&f);
}

static uint64_t batch_sum(const struct batch *b)
{
    int64_t voxels = b->n * b->patch[0] * b->patch[1] * b->patch[2];
    uint64_t h = 1469598103934665603u;
    const unsigned char *p = (const unsigned char *)b->image;

    for (int64_t i = 0; i < voxels * (b->channels + 1) * 4; i++) /* labels lie behind the image */
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

enum { STEPS = 24 };

static void steps_from(const struct loader_options *o, uint64_t sum[STEPS])
{
    struct loader *l = NULL;
    struct batch *b = NULL;

    assert_ok(loader_new(&l, o));
    for (int64_t step = o->first; step < STEPS; step++) {
        assert_ok(loader_take(l, step, &b));
        assert_int_equal(b->step, step);
        sum[step] = batch_sum(b);
        loader_give(l, b);
    }
    loader_free(l);
}

static void same_batches_for_any_threads(void **state)
{
    static const int threads[] = {2, 5, 0};
    struct fixture f;
    uint64_t want[STEPS], got[STEPS];

    (void)state;
    fixture_make(&f);
    struct loader_options o = options(&f, 1);
    steps_from(&o, want);
    for (int i = 1; i < STEPS; i++)
        assert_true(want[i] != want[i - 1]);
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        o.threads = threads[i];
        o.bytes = i == 1 ? 1 : 0; /* no room: the least it can do */
        steps_from(&o, got);
        assert_memory_equal(got, want, sizeof got);
    }
    o = options(&f, 2);
    o.first = 11; /* resumed */
    steps_from(&o, got);
    assert_memory_equal(got + 11, want + 11, sizeof *got * (STEPS - 11));
    o.seed++;
    steps_from(&o, got);
    for (int i = 11; i < STEPS; i++)
        assert_true(got[i] != want[i]);
    fixture_free(&f);
}

static void skipping_and_misuse(void **state)
{
    struct fixture f;
    struct loader *l = NULL;
    struct batch *b = NULL, *held[300];
    uint64_t want[STEPS];
    int n = 0;
    enum err err = ERR_OK;

    (void)state;
    fixture_make(&f);
    struct loader_options o = options(&f, 2);
    steps_from(&o, want);
    assert_ok(loader_new(&l, &o));
    for (int64_t step = 1; step < STEPS; step += 5) {
        assert_ok(loader_take(l, step, &b));
        assert_true(batch_sum(b) == want[step]);
        loader_give(l, b);
    }
    assert_err(loader_take(l, 3, &b), ERR_INTERNAL, "asked for after");
    while (n < 300 && !(err = loader_take(l, 100 + n, &held[n])))
        n++;
    assert_int_equal(err, ERR_INTERNAL);
    assert_true(n >= 2 && n < 300);
    loader_free(l); /* batches still out */
    loader_free(NULL);
    o.count = 0;
    assert_err(loader_new(&l, &o), ERR_INPUT, "no case");
    o = options(&f, 2);
    f.plan.classes = 2;
    assert_err(loader_new(&l, &o), ERR_INPUT, "case ball");
    f.plan = small_plan();
    f.plan.patch[1] = 4000;
    assert_err(loader_new(&l, &o), ERR_INPUT, "patch[1]");
    fixture_free(&f);
}

static void validation_is_plain(void **state)
{
    struct fixture f;
    struct loader *l = NULL;
    struct batch *b = NULL;
    int forced = 0;

    (void)state;
    fixture_make(&f);
    struct loader_options o = options(&f, 2);
    o.validation = true;
    assert_ok(loader_new(&l, &o));
    for (int64_t step = 0; step < 30; step++) {
        assert_ok(loader_take(l, step, &b));
        int64_t voxels = 16 * 20 * 24, centre = (8 * 20 + 10) * 24 + 12;
        for (int64_t i = 0; i < b->n * voxels; i++)
            assert_true(b->label[i] == 0 || b->label[i] == 1 || b->label[i] == 2);
        forced += b->label[2 * voxels + centre] > 0;
        assert_true(b->seconds_load >= 0 && b->seconds_augment >= 0);
        loader_give(l, b);
    }
    assert_true(forced > 20); /* the last of three is forced; corners are clamped at the near side only */
    loader_free(l);
    fixture_free(&f);
}

static void stops_at_any_moment(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f);
    for (int i = 0; i < 40; i++) {
        struct loader_options o = options(&f, 1 + i % 5);
        struct loader *l = NULL;
        struct batch *b = NULL;
        assert_ok(loader_new(&l, &o));
        for (int64_t k = 0; k < i % 7; k++) {
            assert_ok(loader_take(l, k, &b));
            if (k % 2)
                loader_give(l, b);
            else if (k >= 2)
                break;
        }
        nanosleep(&(struct timespec){.tv_nsec = i * 200000}, NULL);
        loader_free(l);
    }
    fixture_free(&f);
}

static void exhaustion_is_an_error(void **state)
{
    struct fixture f;
    struct loader *l = NULL;

    (void)state;
    fixture_make(&f);
    par_set_threads(1); /* failures are injected on this thread */
    struct loader_options o = options(&f, 2);
    assert_survives_exhaustion(loader_new(&l, &o), loader_free(l));
    par_set_threads(0);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replication),
        cmocka_unit_test(reading_boxes),
        cmocka_unit_test(places_are_of_their_class),
        cmocka_unit_test(picking_places),
        cmocka_unit_test(picking_by_probability),
        cmocka_unit_test(same_batches_for_any_threads),
        cmocka_unit_test(skipping_and_misuse),
        cmocka_unit_test(validation_is_plain),
        cmocka_unit_test(stops_at_any_moment),
        cmocka_unit_test(exhaustion_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
