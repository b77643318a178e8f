/* Registrations of a small patient on a 4 mm working grid: laws that hold whatever the constants. */
#include "align_case.h"

#include "align/align.h"
#include "align/body.h"
#include "base/par.h"

static const struct align_options quick = {.spacing = 4};

static struct alignment aligned(const struct volume *fixed, const struct volume *moving)
{
    struct alignment a = {0};

    assert_ok(align_run(&a, fixed, moving, &quick));
    assert_true(a.refine.det_least > 0);
    return a;
}

static float *displacement(const struct alignment *a)
{
    size_t n = 3 * (size_t)velocity_nodes(&a->velocity);
    float *phi = mem_new(n, sizeof *phi), *work = mem_new(n, sizeof *work);

    velocity_exp(&a->velocity, 1, phi, work);
    mem_free(work);
    return phi;
}

/* T(x) of node i of the velocity's lattice, and x, in mm. */
static void map_node(const struct alignment *a, const float *phi, int64_t i, double x[3], double t[3])
{
    const int64_t *n = a->velocity.size;
    double p[3] = {(double)(i % n[0]), (double)(i / n[0] % n[1]), (double)(i / (n[0] * n[1]))};

    affine_apply(&a->velocity.to_world, p, x);
    for (int k = 0; k < 3; k++)
        p[k] += (double)phi[3 * i + k];
    affine_apply(&a->velocity.to_world, p, t);
    affine_apply(&a->affine, t, t);
}

/* Mean distance over the body of T(x) from `wanted`(x). */
static double mean_error(const struct alignment *a, const struct affine *wanted)
{
    float *phi = displacement(a);
    uint8_t *body;
    double sum = 0;
    int64_t n = 0;

    assert_ok(align_coarse_mask(&body, a->fixed.body, a->fixed.size, 1));
    for (int64_t i = 0; i < velocity_nodes(&a->velocity); i++) {
        double x[3], t[3], w[3];

        if (!body[i])
            continue;
        map_node(a, phi, i, x, t);
        affine_apply(wanted, x, w);
        sum += sqrt(pow(t[0] - w[0], 2) + pow(t[1] - w[1], 2) + pow(t[2] - w[2], 2));
        n++;
    }
    mem_free(phi);
    mem_free(body);
    return sum / (double)n;
}

static void an_image_stays_on_itself(void **state)
{
    struct case_patient p = case_patient(1);
    struct grid g = case_ct_grid();
    struct affine identity = affine_identity();
    struct volume *v = case_volume(&p, &g, &identity);
    struct alignment a = aligned(v, v);

    (void)state;
    assert_true(a.search.kept);
    assert_true(mean_error(&a, &identity) < 0.05);
    alignment_free(&a);
    volume_free(v);
}

/* The moving image shows the patient shifted: fixed x is found at x + shift. */
static void a_shifted_copy_gives_the_shift(void **state)
{
    struct case_patient p = case_patient(1);
    struct grid g = case_ct_grid(), h = g;
    struct affine identity = affine_identity(), back = identity, shift = identity;
    struct volume *fixed = case_volume(&p, &g, &identity), *moving;
    struct alignment a;

    (void)state;
    back.m[0][3] = -6.5;
    back.m[2][3] = 3.2;
    shift.m[0][3] = 6.5;
    shift.m[2][3] = -3.2;
    moving = case_volume(&p, &g, &back);
    a = aligned(fixed, moving);
    assert_true(mean_error(&a, &shift) < 0.6); /* nodes are 8 mm apart */
    alignment_free(&a);
    volume_free(moving);

    /* the same picture with a header that is 120 mm and 15 mm off */
    h.affine[0][3] -= 15;
    h.affine[2][3] += 120;
    shift = identity;
    shift.m[0][3] = -15;
    shift.m[2][3] = 120;
    moving = case_volume(&p, &g, &identity);
    moving->grid = h;
    a = aligned(fixed, moving);
    assert_false(a.search.kept);
    assert_true(mean_error(&a, &shift) < 0.6);
    alignment_free(&a);
    volume_free(moving);
    volume_free(fixed);
}

/* A patient turned by 6 degrees and grown by 4 %. */
static struct affine turned(void)
{
    double c = 1.04 * cos(0.1), s = 1.04 * sin(0.1);

    return (struct affine){{{c, -s, 0, 5}, {s, c, 0, -4}, {0, 0, 1.04, 3}}};
}

static void bytes_do_not_depend_on_threads(void **state)
{
    struct case_patient p = case_patient(2);
    struct grid g = case_ct_grid();
    struct affine identity = affine_identity(), t = turned();
    struct volume *fixed = case_volume(&p, &g, &identity), *moving = case_volume(&p, &g, &t);
    struct alignment first = {0};
    int threads = par_threads();

    (void)state;
    for (int n = 1; n <= 8; n *= 2) {
        struct alignment a;
        size_t bytes;

        if (n == 4)
            continue;
        par_set_threads(n);
        a = aligned(fixed, moving);
        bytes = 3 * sizeof(float) * (size_t)velocity_nodes(&a.velocity);
        if (n == 1) {
            first = a;
            continue;
        }
        assert_memory_equal(&a.affine, &first.affine, sizeof a.affine);
        assert_memory_equal(a.velocity.v, first.velocity.v, bytes);
        alignment_free(&a);
    }
    par_set_threads(threads);
    alignment_free(&first);
    volume_free(fixed);
    volume_free(moving);
}

/* The same voxels stored along other axes. */
static struct volume *reordered(const struct volume *v, const int axis[3], int flips)
{
    struct grid g = v->grid;
    const int16_t *in = v->data;
    struct volume *out = NULL;

    for (int i = 0; i < 3; i++)
        g.affine[i][3] = v->grid.affine[i][3];
    for (int j = 0; j < 3; j++) {
        bool flip = flips >> j & 1;

        g.dims[j] = v->grid.dims[axis[j]];
        g.spacing[j] = v->grid.spacing[axis[j]];
        for (int i = 0; i < 3; i++) {
            g.affine[i][j] = (flip ? -1 : 1) * v->grid.affine[i][axis[j]];
            if (flip)
                g.affine[i][3] += v->grid.affine[i][axis[j]] * (double)(g.dims[j] - 1);
        }
    }
    assert_ok(volume_new(&out, &g, VOXEL_I16));
    for (int64_t i = 0; i < grid_count(&g); i++) {
        int64_t at[3] = {i % g.dims[0], i / g.dims[0] % g.dims[1], i / (g.dims[0] * g.dims[1])}, from[3];

        for (int j = 0; j < 3; j++)
            from[axis[j]] = flips >> j & 1 ? g.dims[j] - 1 - at[j] : at[j];
        ((int16_t *)out->data)[i] = in[lattice_index(v->grid.dims, from[0], from[1], from[2])];
    }
    return out;
}

/* Ten of the 48 orders and flips of the moving file, with every order and every flip, and two of the fixed
 * one. */
static void storage_order_does_not_matter(void **state)
{
    static const int orders[6][3] = {{0, 1, 2}, {1, 0, 2}, {2, 1, 0}, {0, 2, 1}, {1, 2, 0}, {2, 0, 1}};
    struct case_patient p = case_patient(3);
    struct grid g = case_ct_grid(), h = grid_make((int64_t[3]){52, 44, 36}, (double[3]){4.4, 4.4, 5},
                                                  (double[3]){-112, -97, -86});
    struct affine identity = affine_identity(), t = turned();
    struct volume *fixed = case_volume(&p, &g, &identity), *moving = case_volume(&p, &h, &t);
    struct alignment first = aligned(fixed, moving);
    float *phi = displacement(&first);

    (void)state;
    for (int k = 2; k < 48; k += 5) {
        struct volume *m = reordered(moving, orders[k / 8], k % 8),
                      *f = k % 7 ? NULL : reordered(fixed, orders[(k / 8 + 2) % 6], 7 - k % 8);
        struct alignment a = aligned(f ? f : fixed, m);
        float *other = displacement(&a);
        double worst = 0;

        for (int64_t i = 0; i < velocity_nodes(&first.velocity); i++) {
            double x[3], u[3], y[3], w[3];

            map_node(&first, phi, i, x, u);
            map_node(&a, other, i, y, w);
            for (int c = 0; c < 3; c++)
                worst = fmax(worst, fabs(u[c] - w[c]) + fabs(x[c] - y[c]));
        }
        assert_true(worst < (f ? 0.1 : 0.02));
        mem_free(other);
        alignment_free(&a);
        volume_free(m);
        volume_free(f);
    }
    mem_free(phi);
    alignment_free(&first);
    volume_free(fixed);
    volume_free(moving);
}

/* Fixed axes turned against the moving ones by 14 degrees about two axes. */
static void oblique_images_fit(void **state)
{
    struct case_patient p = case_patient(2);
    struct grid g = case_ct_grid(), oblique = g;
    struct affine identity = affine_identity();
    double c = cos(0.2), s = sin(0.2);
    struct volume *fixed, *moving;
    struct alignment a;

    (void)state;
    memcpy(oblique.affine,
           (double[3][4]){{4 * c, -4 * s, 0, -90},
                          {4 * s * c, 4 * c * c, -4 * s, -110},
                          {4 * s * s, 4 * c * s, 4 * c, -95}},
           sizeof oblique.affine);
    fixed = case_volume(&p, &g, &identity);
    moving = case_volume(&p, &oblique, &identity);
    a = aligned(fixed, moving);
    assert_true(mean_error(&a, &identity) < 1.5); /* of 4 mm voxels that were turned by 16 degrees */
    alignment_free(&a);
    a = aligned(moving, fixed);
    assert_true(mean_error(&a, &identity) < 1.5);
    alignment_free(&a);
    volume_free(fixed);
    volume_free(moving);
}

static void there_and_back_is_the_identity(void **state)
{
    struct case_patient p = case_patient(2);
    struct grid g = case_ct_grid();
    struct affine identity = affine_identity(), t = turned(), back;
    struct volume *fixed = case_volume(&p, &g, &identity), *moving = case_volume(&p, &g, &t);
    struct alignment a = aligned(fixed, moving), b = aligned(moving, fixed);

    (void)state;
    assert_ok(affine_invert(&back, &t));
    assert_true(mean_error(&a, &back) < 1);
    assert_true(mean_error(&b, &t) < 1);
    alignment_free(&a);
    alignment_free(&b);
    volume_free(fixed);
    volume_free(moving);
}

static void what_cannot_be_registered_is_refused(void **state)
{
    struct case_patient p = case_patient(1);
    struct grid g = case_ct_grid(), thin = g;
    struct affine identity = affine_identity();
    struct volume *v = case_volume(&p, &g, &identity), *air, *slice;
    struct alignment a;
    atomic_int stop = 1;
    struct align_options stopped = {.spacing = 4, .stop = &stop};

    (void)state;
    thin.dims[2] = 7;
    slice = case_volume(&p, &thin, &identity);
    assert_err(align_run(&a, v, slice, &quick), ERR_INPUT, "at least 8 slices");
    assert_err(align_run(&a, slice, v, &quick), ERR_INPUT, "fixed image");
    assert_ok(volume_new(&air, &g, VOXEL_I16));
    for (int64_t i = 0; i < grid_count(&g); i++)
        ((int16_t *)air->data)[i] = -1000;
    assert_err(align_run(&a, v, air, &quick), ERR_INPUT, "no body");
    air->grid.spacing[1] = 500; /* micrometres taken for millimetres, say */
    assert_err(align_run(&a, v, air, &quick), ERR_INPUT, "voxels of 4 x 500 x 4 mm");
    assert_err(align_run(&a, v, v, &stopped), ERR_STOPPED, "interrupted");
    volume_free(v);
    volume_free(air);
    volume_free(slice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_stays_on_itself),
        cmocka_unit_test(a_shifted_copy_gives_the_shift),
        cmocka_unit_test(bytes_do_not_depend_on_threads),
        cmocka_unit_test(storage_order_does_not_matter),
        cmocka_unit_test(oblique_images_fit),
        cmocka_unit_test(there_and_back_is_the_identity),
        cmocka_unit_test(what_cannot_be_registered_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
