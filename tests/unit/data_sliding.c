/* Sliding windows: the vectors of seg-nnunet.md section 12, the laws, and a whole-volume computation in
 * double. */
#include "ball_case.h"

#include "base/par.h"
#include "data/sliding.h"

enum { K = 3, MOST = 40 * 36 * 30 };

static void positions(void **state)
{
    static const struct {
        int64_t n, patch, count, at[5];
    } row[] = {{110, 64, 3, {0, 23, 46}},
               {250, 96, 5, {0, 38, 77, 116, 154}},
               {333, 128, 5, {0, 51, 102, 154, 205}},
               {512, 192, 5, {0, 80, 160, 240, 320}},
               {96, 96, 1, {0}},
               {97, 96, 2, {0, 1}},
               {10, 7, 2, {0, 3}},
               {11, 7, 3, {0, 2, 4}}};

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        int64_t at[8];
        assert_int_equal(sliding_positions(row[i].n, row[i].patch, at), row[i].count);
        assert_memory_equal(at, row[i].at, sizeof *at * (size_t)row[i].count);
    }
}

static void importance(void **state)
{
    const int64_t patch[3] = {96, 96, 96};
    int64_t n = 96 * 96 * 96, least = 0;
    float *map = mem_new((size_t)n, sizeof *map), low = 1;

    (void)state;
    assert_non_null(map);
    sliding_importance(patch, map);
    for (int64_t i = 0; i < n; i++)
        low = map[i] < low ? map[i] : low;
    assert_true(low == 0x1p-24f); /* 6e-8, the smallest half */
    for (int64_t i = 0; i < n; i++) {
        int64_t z = i / 9216 - 48, y = i / 96 % 96 - 48, x = i % 96 - 48;
        least += 10 * exp(-(double)(x * x + y * y + z * z) / 288) <= 0x1p-25; /* what rounds to zero */
        assert_true(map[i] > 0);
    }
    assert_int_equal(least, 3831);
    assert_true(map[0] == 0x1p-24f);
    assert_true(fabs((double)map[(48 * 96 + 48) * 96] - 0.003354626) < 2e-6); /* half precision */
    assert_true(fabs((double)map[(48 * 96 + 48) * 96 + 95] - 0.004665530) < 2e-6);
    assert_true(fabs((double)map[(48 * 96 + 48) * 96 + 24] - 1.353352833) < 5e-4);
    assert_true(map[(48 * 96 + 48) * 96 + 48] == 10);
    mem_free(map);
}

/* A case, a network and where its slices go. */
struct fixture {
    struct prepared *item;
    struct plan plan;
    struct source source;
    struct sliding o;
    float *out; /* (D, H, W, K) */
    int64_t next, calls, progress;
    int64_t fail_at; /* this call of the network gives an error, 0: none */
};

static enum err keep_slice(void *ctx, int64_t z, const float *logits)
{
    struct fixture *f = ctx;
    int64_t n = f->source.size[1] * f->source.size[2] * f->o.classes;

    assert_int_equal(z, f->next++);
    memcpy(f->out + z * n, logits, sizeof *logits * (size_t)n);
    return ERR_OK;
}

static void count_progress(void *ctx, int64_t done, int64_t total)
{
    struct fixture *f = ctx;

    assert_true(done > f->progress && done <= total);
    assert_int_equal(total, sliding_patches(f->source.size, &f->o));
    f->progress = done;
}

static enum err constant_network(void *ctx, const float *patch, float *logits)
{
    struct fixture *f = ctx;
    const int64_t *p = f->o.patch;

    (void)patch;
    f->calls++;
    if (f->calls == f->fail_at)
        return err_set(ERR_STOPPED, "stopped here");
    for (int64_t i = 0; i < f->o.batch * p[0] * p[1] * p[2] * K; i++)
        logits[i] = 1.5f - (float)(i % K);
    return ERR_OK;
}

/* K = channels: what it sees */
static enum err identity_network(void *ctx, const float *patch, float *logits)
{
    struct fixture *f = ctx;
    const int64_t *p = f->o.patch;

    memcpy(logits, patch, sizeof *logits * (size_t)(f->o.batch * p[0] * p[1] * p[2] * K));
    return ERR_OK;
}

/* Depends on the place in the window, so it sees the blending and is not symmetric. */
static enum err crooked_network(void *ctx, const float *patch, float *logits)
{
    struct fixture *f = ctx;
    const int64_t *p = f->o.patch, n = p[0] * p[1] * p[2];

    for (int64_t i = 0; i < f->o.batch * n * K; i++) {
        int64_t v = i / K % n, z = v / (p[1] * p[2]), y = v / p[2] % p[1], x = v % p[2];
        logits[i] =
            patch[i] * (1 + 0.1f * (float)(z % 3)) + 0.01f * (float)(x * x) - 0.03f * (float)(y * (i % K));
    }
    return ERR_OK;
}

static enum err broken_network(void *ctx, const float *patch, float *logits)
{
    enum err err = identity_network(ctx, patch, logits);

    logits[77] = INFINITY;
    return err;
}

static void fixture_make(struct fixture *f, const int64_t dims[3])
{
    *f = (struct fixture){.plan = {.phases = K, .window = {-21, 189}}};
    f->item = ball_case(dims, K, 7);
    assert_ok(source_make(&f->source, f->item, &f->plan));
    f->o = (struct sliding){.patch = {12, 14, 16},
                            .classes = K,
                            .batch = 1,
                            .forward_ctx = f,
                            .slice = keep_slice,
                            .slice_ctx = f,
                            .progress = count_progress,
                            .progress_ctx = f};
    f->out = mem_new((size_t)grid_count(&f->item->grid) * K, sizeof *f->out);
    assert_non_null(f->out);
}

static void fixture_free(struct fixture *f)
{
    ball_free(f->item);
    mem_free(f->out);
}

static enum err run(struct fixture *f, enum err (*network)(void *, const float *, float *), int64_t batch,
                    bool mirror)
{
    f->o.forward = network;
    f->o.batch = batch;
    f->o.mirror = mirror;
    f->next = f->calls = f->progress = 0;
    enum err err = sliding_run(&f->source, &f->o);
    if (!err) {
        assert_int_equal(f->next, f->source.size[0]);
        assert_int_equal(f->progress, sliding_patches(f->source.size, &f->o));
    }
    return err;
}

static const int64_t shapes[][3] = {{40, 36, 30}, {16, 14, 12}, {7, 50, 5}, {33, 9, 41}, {1, 1, 1}};

enum { SHAPES = sizeof shapes / sizeof *shapes };

static void constant_and_identity(void **state)
{
    struct fixture f;

    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        fixture_make(&f, shapes[i]);
        int64_t n = grid_count(&f.item->grid) * K;
        for (int mirror = 0; mirror < 2; mirror++) {
            assert_ok(run(&f, constant_network, 1, mirror));
            for (int64_t k = 0; k < n; k++)
                assert_true(fabs((double)f.out[k] - 1.5 + (double)(k % K)) < 1e-5);
            assert_ok(run(&f, identity_network, 1, mirror));
            for (int64_t k = 0; k < n; k++) {
                int c = (int)(k % K);
                double v = fmax(-21, fmin(189, ((int16_t *)f.item->phase[c]->data)[k / K]));
                double want = (v - f.item->stats[c].mean) / f.item->stats[c].sd;
                assert_true(fabs((double)f.out[k] - want) < 1e-5);
            }
        }
        fixture_free(&f);
    }
}

/* The same sums over the whole padded volume in double. */
static void whole_volume(struct fixture *f, bool mirror, double *out)
{
    const int64_t *n = f->source.size, *p = f->o.patch;
    int64_t voxels = p[0] * p[1] * p[2], size[3], before[3], at[3][64], count[3], i[3];
    float *map = mem_new((size_t)voxels, sizeof *map), *in = mem_new((size_t)voxels * K, sizeof *in),
          *flipped = mem_new((size_t)voxels * K, sizeof *in),
          *logits = mem_new((size_t)voxels * K, sizeof *in);
    double *weight = mem_new((size_t)(n[0] * n[1] * n[2]), sizeof *weight);
    struct patch patch = {{p[0], p[1], p[2]}, K, in, NULL};

    sliding_importance(p, map);
    memset(out, 0, sizeof *out * (size_t)(n[0] * n[1] * n[2] * K));
    for (int a = 0; a < 3; a++) {
        size[a] = n[a] > p[a] ? n[a] : p[a];
        before[a] = (size[a] - n[a]) / 2;
        count[a] = sliding_positions(size[a], p[a], at[a]);
    }
    f->o.batch = 1;
    for (i[0] = 0; i[0] < count[0]; i[0]++)
        for (i[1] = 0; i[1] < count[1]; i[1]++)
            for (i[2] = 0; i[2] < count[2]; i[2]++) {
                int64_t from[3] = {at[0][i[0]] - before[0], at[1][i[1]] - before[1], at[2][i[2]] - before[2]};
                source_read(&f->source, from, &patch);
                for (int flips = 0; flips < (mirror ? 8 : 1); flips++) {
                    for (int pass = 0; pass < 2; pass++) { /* 0: flip the input; 1: use the output */
                        for (int64_t v = 0; v < voxels; v++) {
                            int64_t z = v / (p[1] * p[2]), y = v / p[2] % p[1], x = v % p[2];
                            int64_t o =
                                ((flips & 1 ? p[0] - 1 - z : z) * p[1] + (flips & 2 ? p[1] - 1 - y : y)) *
                                    p[2] +
                                (flips & 4 ? p[2] - 1 - x : x);
                            int64_t c[3] = {from[0] + z, from[1] + y, from[2] + x};
                            int64_t to = (c[0] * n[1] + c[1]) * n[2] + c[2];
                            bool inside = c[0] >= 0 && c[0] < n[0] && c[1] >= 0 && c[1] < n[1] && c[2] >= 0 &&
                                          c[2] < n[2];
                            for (int k = 0; k < K; k++) {
                                if (pass == 0)
                                    flipped[v * K + k] = in[o * K + k];
                                else if (inside)
                                    out[to * K + k] += (double)map[v] * (double)logits[o * K + k];
                            }
                            if (pass && inside)
                                weight[to] += (double)map[v];
                        }
                        if (pass == 0)
                            assert_ok(f->o.forward(f, flipped, logits));
                    }
                }
            }
    for (int64_t v = 0; v < n[0] * n[1] * n[2] * K; v++)
        out[v] /= weight[v / K];
    mem_free(map);
    mem_free(in);
    mem_free(flipped);
    mem_free(logits);
    mem_free(weight);
}

static void equals_the_whole_volume(void **state)
{
    static double want[MOST * K];
    struct fixture f;

    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (int mirror = 0; mirror < 2; mirror++) {
            fixture_make(&f, shapes[i]);
            int64_t n = grid_count(&f.item->grid) * K;
            assert_true(n <= MOST * K);
            f.o.forward = crooked_network;
            whole_volume(&f, mirror, want);
            assert_ok(run(&f, crooked_network, 1, mirror));
            for (int64_t k = 0; k < n; k++)
                assert_true(fabs((double)f.out[k] - want[k]) < 2e-5 * fmax(1, fabs(want[k])));
            fixture_free(&f);
        }
}

static void same_bits_for_any_batch_and_threads(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, shapes[0]);
    size_t bytes = (size_t)grid_count(&f.item->grid) * K * sizeof(float);
    float *want = mem_new(bytes, 1);
    assert_non_null(want);
    for (int mirror = 0; mirror < 2; mirror++) {
        assert_ok(run(&f, crooked_network, 1, mirror));
        memcpy(want, f.out, bytes);
        for (int threads = 1; threads < 6; threads += 2) {
            par_set_threads(threads);
            assert_ok(run(&f, crooked_network, 2 * threads + 1, mirror));
            assert_memory_equal(f.out, want, bytes);
        }
        par_set_threads(0);
    }
    mem_free(want);
    fixture_free(&f);
}

static void errors(void **state)
{
    struct fixture f;

    (void)state;
    fixture_make(&f, shapes[0]);
    assert_err(run(&f, broken_network, 2, false), ERR_MODEL, "not finite");
    f.fail_at = 5;
    assert_err(run(&f, constant_network, 1, true), ERR_STOPPED, "stopped here");
    fixture_free(&f);
    fixture_make(&f, shapes[1]); /* one window */
    assert_survives_exhaustion(run(&f, constant_network, 3, false), (void)0);
    assert_true(sliding_bytes(f.source.size, K, &f.o) > 12 * 14 * 16 * (K + 1) * sizeof(float));
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions),
        cmocka_unit_test(importance),
        cmocka_unit_test(constant_and_identity),
        cmocka_unit_test(equals_the_whole_volume),
        cmocka_unit_test(same_bits_for_any_batch_and_threads),
        cmocka_unit_test(errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
