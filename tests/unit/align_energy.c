#include "align_case.h"

#include "align/blur.h"
#include "align/energy.h"
#include "align/fold.h"
#include "align/velocity.h"

enum { N = 18, COUNT = N * N * N };

static const int64_t size[3] = {N, N, N};
static const double lambda = 0.8, epsilon = 0.15;

/* The patient's middle at `spacing` mm, seen through t. */
static struct features features_of(const struct case_patient *p, double spacing, int64_t n,
                                   const struct affine *t)
{
    struct lattice at = {{n, n, n}, {{{spacing, 0, 0, -30}, {0, spacing, 0, -25}, {0, 0, spacing, -20}}}};
    float *hu = mem_new((size_t)(n * n * n), sizeof *hu);
    struct features f;

    for (int64_t i = 0; i < n * n * n; i++) {
        double x[3] = {(double)(i % n), (double)(i / n % n), (double)(i / (n * n))};
        affine_apply(&at.to_world, x, x);
        affine_apply(t, x, x);
        hu[i] = (float)case_hu(p, x);
    }
    assert_ok(features_make(&f, &at, hu, NULL, 5));
    mem_free(hu);
    return f;
}

struct fixture {
    struct features fixed, moving;
    uint8_t weight[COUNT];
    float v[3 * COUNT], phi[3 * COUNT], gradient[3 * COUNT];
    double partial[N];
    struct data_term data;
    struct smoothness smooth;
};

/* fine: 1 or 2 (data_term). The moving image is turned and moved by a few mm. */
static struct fixture *fixture(int fine)
{
    static const struct affine moved = {{{0.99, -0.05, 0, 3}, {0.05, 0.99, 0.02, -2}, {0, -0.02, 1, 2.5}}};
    struct fixture *f = mem_new(1, sizeof *f);
    struct case_patient p = case_patient(4);
    struct affine identity = affine_identity();
    struct rng r = rng_at(6, 0);

    f->fixed = features_of(&p, 4.0 / fine, fine == 2 ? 2 * N - 1 : N, &identity);
    f->moving = features_of(&p, 4.0 / fine, fine == 2 ? 2 * N - 1 : N, &moved);
    memset(f->weight, 1, sizeof f->weight);
    for (int i = 0; i < 3 * COUNT; i++) {
        f->v[i] = (float)rng_between(&r, -0.3, 0.3);
        f->phi[i] = (float)rng_between(&r, -0.4, 0.4);
    }
    f->data = (struct data_term){&f->fixed, &f->moving, size, f->weight, fine, f->partial};
    f->smooth = (struct smoothness){lambda, epsilon, f->partial};
    return f;
}

static void fixture_free(struct fixture *f)
{
    features_free(&f->fixed);
    features_free(&f->moving);
    mem_free(f);
}

/* Within a cell the data term is quadratic along each axis, so central differences are exact for any step. */
static void data_gradient_is_the_derivative(void **state)
{
    struct rng r = rng_at(7, 0);
    float *other = mem_new(3 * COUNT, sizeof *other);

    (void)state;
    for (int fine = 1; fine <= 2; fine++) {
        struct fixture *f = fixture(fine);

        /* the same phi everywhere keeps interpolated positions at one place of their cells */
        for (int i = 0; i < 3 * COUNT; i++)
            f->phi[i] = fine == 1 ? f->phi[i] : 0.23f;
        for (int i = 0; fine == 1 && i < 3 * COUNT; i++)
            f->phi[i] = floorf(2 * f->phi[i]) + 0.5f; /* in a cell's middle */
        for (int k = 0; k < 40; k++) {
            int64_t x = 3 + (int64_t)rng_below(&r, N - 7), y = 3 + (int64_t)rng_below(&r, N - 7);
            int64_t i = lattice_index(size, x, y, 3 + (int64_t)rng_below(&r, N - 7));
            int a = k % 3;
            float step = fine == 1 ? 0.3f : 0.1f, here = f->phi[3 * i + a];
            double low, high, slope;

            memset(f->weight, 0, sizeof f->weight);
            f->weight[i] = 1;
            if (fine == 2) /* all corners of the cell move alike */
                for (int64_t j = 0; j < COUNT; j++)
                    f->phi[3 * j + a] = here + step;
            f->phi[3 * i + a] = here + step;
            high = energy_data(&f->data, f->phi, other);
            for (int64_t j = 0; fine == 2 && j < COUNT; j++)
                f->phi[3 * j + a] = here - step;
            f->phi[3 * i + a] = here - step;
            low = energy_data(&f->data, f->phi, other);
            for (int64_t j = 0; fine == 2 && j < COUNT; j++)
                f->phi[3 * j + a] = here;
            f->phi[3 * i + a] = here;
            energy_data(&f->data, f->phi, f->gradient);
            slope = COUNT * (high - low) / (2 * (double)step);
            assert_float_equal((double)f->gradient[a * COUNT + i], slope, 1e-3 * fabs(slope) + 1e-4);
        }
        fixture_free(f);
    }
    mem_free(other);
}

static void smoothness_gradient_is_the_derivative(void **state)
{
    struct fixture *f = fixture(1);
    struct rng r = rng_at(8, 0);
    float *other = mem_new(3 * COUNT, sizeof *other);

    (void)state;
    energy_smooth(&f->smooth, size, f->v, f->gradient);
    for (int k = 0; k < 60; k++) {
        size_t i = (size_t)rng_below(&r, 3 * COUNT);
        float here = f->v[i], step = 0.01f;
        double low, high, slope;

        f->v[i] = here + step;
        high = energy_smooth(&f->smooth, size, f->v, other);
        f->v[i] = here - step;
        low = energy_smooth(&f->smooth, size, f->v, other);
        f->v[i] = here;
        slope = COUNT * (high - low) / (2 * (double)step);
        assert_float_equal((double)f->gradient[i], slope, 5e-3 * fabs(slope) + 5e-3);
    }
    mem_free(other);
    fixture_free(f);
}

struct whole {
    struct fixture *f;
    struct blur blur;
    struct velocity v;
    float *q, *planar, *phi, *work;
};

/* L of the parameters q; the gradient goes to f->gradient before B. */
static double energy_of(struct whole *w)
{
    double data;

    blur_run(&w->blur, w->q, w->planar);
    for (int i = 0; i < COUNT; i++)
        for (int a = 0; a < 3; a++)
            w->v.v[3 * i + a] = w->planar[a * COUNT + i];
    velocity_exp(&w->v, 1, w->phi, w->work);
    data = energy_data(&w->f->data, w->phi, w->f->gradient);
    return data + energy_smooth(&w->f->smooth, size, w->planar, w->f->gradient);
}

/* The log-demons gradient leaves out how exp bends: its direction must stay close to the true one's. */
static void log_demons_direction_is_close(void **state)
{
    struct whole w = {.f = fixture(1)};
    struct rng r = rng_at(9, 0);
    float *direction = mem_new(3 * COUNT, sizeof *direction);
    double dot = 0, a2 = 0, b2 = 0;

    (void)state;
    assert_ok(blur_make(&w.blur, size));
    w.v = (struct velocity){{N, N, N}, affine_identity(), NULL, 4};
    w.v.v = mem_new(3 * COUNT, sizeof(float));
    w.q = mem_new(3 * COUNT, sizeof(float));
    w.planar = mem_new(3 * COUNT, sizeof(float));
    w.phi = mem_new(3 * COUNT, sizeof(float));
    w.work = mem_new(3 * COUNT, sizeof(float));
    for (int i = 0; i < 3 * COUNT; i++)
        w.q[i] = (float)(0.8 * sin(0.5 * (i % N) + 0.3 * (i / N % N) + i / COUNT));
    energy_of(&w);
    blur_run(&w.blur, w.f->gradient, direction);
    for (int k = 0; k < 20; k++) {
        int64_t i = lattice_index(size, 4 + (int64_t)rng_below(&r, N - 8), 4 + (int64_t)rng_below(&r, N - 8),
                                  4 + (int64_t)rng_below(&r, N - 8));
        for (int a = 0; a < 3; a++) {
            float here = w.q[a * COUNT + i], step = 0.05f;
            double high, low, slope;

            w.q[a * COUNT + i] = here + step;
            high = energy_of(&w);
            w.q[a * COUNT + i] = here - step;
            low = energy_of(&w);
            w.q[a * COUNT + i] = here;
            slope = COUNT * (high - low) / (2 * (double)step);
            dot += slope * (double)direction[a * COUNT + i];
            a2 += slope * slope;
            b2 += (double)(direction[a * COUNT + i] * direction[a * COUNT + i]);
        }
    }
    assert_true(a2 > 0);
    assert_true(dot / sqrt(a2 * b2) > 0.9);
    blur_free(&w.blur);
    mem_free(w.v.v);
    mem_free(w.q);
    mem_free(w.planar);
    mem_free(w.phi);
    mem_free(w.work);
    mem_free(direction);
    fixture_free(w.f);
}

/* B against three passes of the box, replicated borders, also on axes shorter than its reach. */
static void blur_is_three_box_means(void **state)
{
    static const int64_t sizes[2][3] = {{11, 9, 8}, {13, 2, 5}};

    (void)state;
    for (int s = 0; s < 2; s++) {
        const int64_t *n = sizes[s];
        int64_t count = n[0] * n[1] * n[2];
        float *in = mem_new(3 * (size_t)count, sizeof *in), *out = mem_new(3 * (size_t)count, sizeof *out);
        double *a = mem_new((size_t)count, sizeof *a), *b = mem_new((size_t)count, sizeof *b);
        struct rng r = rng_at(10, 0);
        struct blur blur;

        for (int64_t i = 0; i < 3 * count; i++)
            in[i] = (float)rng_between(&r, -1, 1);
        assert_ok(blur_make(&blur, n));
        blur_run(&blur, in, out);
        for (int64_t i = 0; i < count; i++)
            a[i] = (double)in[count + i];
        for (int pass = 0; pass < 3; pass++) {
            for (int64_t i = 0; i < count; i++) {
                int64_t x = i % n[0], y = i / n[0] % n[1], z = i / (n[0] * n[1]);
                b[i] = 0;
                for (int k = 0; k < 27; k++)
                    b[i] += a[lattice_index(n, lattice_clamp(x + k % 3 - 1, n[0]),
                                            lattice_clamp(y + k / 3 % 3 - 1, n[1]),
                                            lattice_clamp(z + k / 9 - 1, n[2]))] /
                            27;
            }
            memcpy(a, b, (size_t)count * sizeof *a);
        }
        for (int64_t i = 0; i < count; i++)
            assert_float_equal(out[count + i], a[i], 1e-6);
        blur_free(&blur);
        mem_free(in);
        mem_free(out);
        mem_free(a);
        mem_free(b);
    }
}

static void folds_are_found(void **state)
{
    int64_t fine[3] = {2 * N - 1, 2 * N, 2 * N - 1};
    float *phi = mem_new(3 * COUNT, sizeof *phi);
    struct fold_report f;

    (void)state;
    for (int i = 0; i < COUNT; i++) /* det 1.1 * 0.8 */
        for (int a = 0; a < 2; a++)
            phi[3 * i + a] = a ? -0.2f * (float)(i / N % N) : 0.1f * (float)(i % N);
    assert_ok(fold_find(&f, size, fine, phi));
    assert_float_equal(f.det[lattice_index(size, 5, 5, 5)], 0.88, 1e-5);
    assert_int_equal(f.folds, 0);
    assert_null(f.near);
    fold_free(&f);
    phi[3 * lattice_index(size, 8, 8, 8)] += 3;
    assert_ok(fold_find(&f, size, fine, phi));
    assert_true(f.least < 0 && f.folds > 0);
    assert_int_equal(f.near[lattice_index(size, 8, 8, 8)], 1);
    assert_int_equal(f.near[lattice_index(size, 8, 8, 16)], 0);
    fold_free(&f);
    mem_free(phi);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_gradient_is_the_derivative),
        cmocka_unit_test(smoothness_gradient_is_the_derivative),
        cmocka_unit_test(log_demons_direction_is_close),
        cmocka_unit_test(blur_is_three_box_means),
        cmocka_unit_test(folds_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
