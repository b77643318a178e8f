#include "transform_case.h"

#include "align/mapper.h"
#include "base/par.h"

static struct mapper *mapper_of(const struct transform *t)
{
    struct mapper *m = NULL;

    assert_ok(mapper_new(&m, t, NULL, NULL));
    return m;
}

static void draw_point(struct rng *r, double x[3])
{
    for (int c = 0; c < 3; c++)
        x[c] = rng_between(r, -10, 30);
}

static double distance(const double a[3], const double b[3])
{
    return sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) +
                (a[2] - b[2]) * (a[2] - b[2]));
}

static void affine_inverse_undoes(void **state)
{
    struct affine a = case_affine(), b, i;

    (void)state;
    assert_ok(affine_invert(&b, &a));
    i = affine_then(&a, &b);
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 4; c++)
            assert_float_equal(i.m[r][c], r == c, 1e-12);
    assert_float_equal(affine_det(&a) * affine_det(&b), 1, 1e-12);
    a.m[2][0] = a.m[2][1] = a.m[2][2] = 0;
    assert_err(affine_invert(&b, &a), ERR_INPUT, "singular");
}

/* registration.md section 14: within 0.02 cell for |grad v| <= 0.3. */
static void exponential_of_minus_v_is_its_inverse(void **state)
{
    struct velocity v = case_velocity(0.6);
    size_t n = 3 * (size_t)velocity_nodes(&v);
    float *plus = mem_new(n, sizeof *plus), *minus = mem_new(n, sizeof *minus),
          *work = mem_new(n, sizeof *work);
    double worst = 0;

    (void)state;
    velocity_exp(&v, 1, plus, work);
    velocity_exp(&v, -1, minus, work);
    for (int64_t z = 3; z < v.size[2] - 3; z++)
        for (int64_t y = 3; y < v.size[1] - 3; y++)
            for (int64_t x = 3; x < v.size[0] - 3; x++) {
                const float *u = minus + 3 * ((z * v.size[1] + y) * v.size[0] + x);
                float p[3] = {(float)x + u[0], (float)y + u[1], (float)z + u[2]}, w[3];

                lattice_at(plus, v.size, p, w);
                for (int c = 0; c < 3; c++)
                    worst = fmax(worst, fabs((double)(u[c] + w[c])));
            }
    assert_true(worst > 1e-5 && worst < 0.02);
    mem_free(v.v);
    mem_free(plus);
    mem_free(minus);
    mem_free(work);
}

/* exp of a velocity that is constant is a shift; of a linear one, the matrix exponential. */
static void exponential_of_a_scaling(void **state)
{
    struct velocity v = {.size = {33, 5, 1}, .squarings = 10};
    float phi[3 * 165], work[3 * 165], velocity[3 * 165] = {0};

    (void)state;
    v.v = velocity;
    for (int64_t i = 0; i < 165; i++) {
        velocity[3 * i] = 0.05f * (float)(i % 33 - 16);
        velocity[3 * i + 1] = 0.25f;
    }
    velocity_exp(&v, 1, phi, work);
    for (int64_t x = 5; x < 28; x++) {
        assert_float_equal(phi[3 * x], (exp(0.05) - 1) * (double)(x - 16), 1e-3);
        assert_float_equal(phi[3 * x + 1], 0.25, 1e-5);
    }
    assert_int_equal(velocity_squarings(&v, 0), 1);
    assert_int_equal(velocity_squarings(&v, 4), 4);
}

static void inverse_undoes(struct transform *t, double most)
{
    struct transform *back = NULL;
    struct mapper_tally tally = {0};
    struct mapper *m, *b;
    struct rng r = rng_at(1, 2);

    assert_ok(transform_inverse(&back, t));
    m = mapper_of(t);
    b = mapper_of(back);
    for (int i = 0; i < 2000; i++) {
        double x[3], y[3], z[3];

        draw_point(&r, x);
        mapper_point(m, x, y, &tally);
        mapper_point(b, y, z, &tally);
        assert_true(distance(x, z) < most);
        mapper_point(b, x, y, &tally);
        mapper_point(m, y, z, &tally);
        assert_true(distance(x, z) < most);
    }
    assert_int_equal(tally.unsolved, 0);
    mapper_free(m);
    mapper_free(b);
    transform_free(back);
    transform_free(t);
}

static void inverse_undoes_a_registration(void **state)
{
    (void)state;
    inverse_undoes(case_transform(1.2), 0.01);
}

static void inverse_undoes_a_field(void **state)
{
    (void)state;
    inverse_undoes(case_field(1.2), 0.01);
}

static void composition_is_one_after_the_other(void **state)
{
    struct transform *first = case_transform(1), *second = case_field(0.7), *both = NULL;
    struct mapper_tally tally = {0};
    struct mapper *a, *b, *ab;
    struct rng r = rng_at(3, 4);

    (void)state;
    assert_ok(transform_new(&both, &first->fixed, NULL));
    assert_ok(transform_append(both, first));
    assert_ok(transform_append(both, second));
    assert_int_equal(both->count, 3);
    a = mapper_of(first), b = mapper_of(second), ab = mapper_of(both);
    for (int i = 0; i < 500; i++) {
        double x[3], y[3], z[3];

        draw_point(&r, x);
        mapper_point(a, x, y, &tally);
        mapper_point(b, y, y, &tally);
        mapper_point(ab, x, z, &tally);
        assert_true(distance(y, z) < 1e-4);
    }
    mapper_free(a), mapper_free(b), mapper_free(ab);
    transform_free(first), transform_free(second), transform_free(both);
}

/* Rows along the lattice (one blended line) and across it agree with single points. */
static void rows_are_points(void **state)
{
    struct transform *t = case_transform(1.1);
    struct affine to_world[2] = {t->item[0].lattice.to_world,
                                 {{{0, 0, 2, -5}, {1, 0, 0, -9}, {0, 1, 0, 20}}}};

    (void)state;
    for (int k = 0; k < 2; k++) {
        double out[3][MAPPER_ROW], start[3] = {-2, 3.3, 4.7}, step[3] = {0.23, 0, 0};
        struct mapper_tally tally = {0};
        struct mapper *m = NULL;

        assert_ok(mapper_new(&m, t, &to_world[k], NULL));
        mapper_row(m, start, step, MAPPER_ROW, out, &tally);
        for (int i = 0; i < MAPPER_ROW; i++) {
            double x[3] = {start[0] + i * step[0], start[1], start[2]}, y[3];

            mapper_point(m, x, y, &tally);
            for (int c = 0; c < 3; c++)
                assert_float_equal(out[c][i], y[c], 1e-4);
        }
        mapper_free(m);
    }
    transform_free(t);
}

static void a_field_ends_at_its_border(void **state)
{
    struct transform *t = case_field(1);
    struct mapper_tally tally = {0};
    struct mapper *m = mapper_of(t);
    double y[3];

    (void)state;
    mapper_point(m, (double[3]){0, 0, 30}, y, &tally);
    assert_int_equal(tally.outside, 0);
    mapper_point(m, (double[3]){0, 0, 300}, y, &tally);
    assert_int_equal(tally.outside, 1);
    assert_true(fabs(y[2] - 300) < 10);
    mapper_free(m);
    transform_free(t);
}

/* Where a field folds there are several inverses or none; the point stays finite. */
static void a_fold_stays_finite(void **state)
{
    float u[3 * 9] = {0};
    struct velocity lattice = {.size = {9, 1, 1}, .to_world = affine_identity(), .v = u};
    struct mapper_tally tally = {0};
    struct transform *t = NULL, *back = NULL;
    struct mapper *m;
    double y[3];

    (void)state;
    for (int i = 0; i < 9; i++)
        u[3 * i] = i < 5 ? 3 : -3;
    assert_ok(transform_new(&t, NULL, NULL));
    assert_ok(transform_add_lattice(t, ELEMENT_FIELD, &lattice, false));
    assert_ok(transform_inverse(&back, t));
    m = mapper_of(back);
    for (int i = -20; i < 40; i++) {
        mapper_point(m, (double[3]){0.5 * i, 0, 0}, y, &tally);
        assert_true(isfinite(y[0]));
    }
    mapper_free(m);
    transform_free(t);
    transform_free(back);
}

static void exhaustion_is_an_error(void **state)
{
    struct transform *t = case_transform(1), *back = NULL;
    struct mapper *m = NULL;

    (void)state;
    assert_survives_exhaustion(transform_inverse(&back, t), );
    assert_survives_exhaustion(mapper_new(&m, back, NULL, NULL), mapper_free(m));
    assert_survives_exhaustion(transform_append(back, t), );
    assert_int_equal(back->count, 4);
    transform_free(back);
    transform_free(t);
}

static void geometries_have_names(void **state)
{
    struct grid a = case_grid(10, 11, 12), b = a;

    (void)state;
    b.affine[0][3] += 1e-9; /* below what a file keeps */
    assert_true(grid_hash(&a) == grid_hash(&b));
    b.affine[0][3] += 0.01;
    assert_true(grid_hash(&a) != grid_hash(&b));
    b = a;
    b.affine[0][1] = -0.0;
    assert_true(grid_hash(&a) == grid_hash(&b));
    b.dims[2]++;
    assert_true(grid_hash(&a) != grid_hash(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(affine_inverse_undoes),    cmocka_unit_test(exponential_of_minus_v_is_its_inverse),
        cmocka_unit_test(exponential_of_a_scaling), cmocka_unit_test(inverse_undoes_a_registration),
        cmocka_unit_test(inverse_undoes_a_field),   cmocka_unit_test(composition_is_one_after_the_other),
        cmocka_unit_test(rows_are_points),          cmocka_unit_test(a_field_ends_at_its_border),
        cmocka_unit_test(a_fold_stays_finite),      cmocka_unit_test(exhaustion_is_an_error),
        cmocka_unit_test(geometries_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
