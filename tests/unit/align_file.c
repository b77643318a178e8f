#include "transform_case.h"

#include "align/mapper.h"
#include "align/transform_file.h"
#include "base/file.h"
#include "volume/nifti.h"

static void write_text(const char *path, const char *text)
{
    assert_ok(file_write(path, text, strlen(text)));
}

static enum err parse(struct transform **t, const char *text)
{
    return transform_parse(t, (const uint8_t *)text, strlen(text), "input");
}

static void map(const struct transform *t, const double x[3], double y[3])
{
    struct mapper_tally tally = {0};
    struct mapper *m = NULL;

    assert_ok(mapper_new(&m, t, NULL, NULL));
    mapper_point(m, x, y, &tally);
    mapper_free(m);
}

static void same_map(const struct transform *a, const struct transform *b, double most)
{
    struct rng r = rng_at(1, 9);

    for (int i = 0; i < 20; i++) {
        double x[3], y[3], z[3];

        for (int c = 0; c < 3; c++)
            x[c] = rng_between(&r, -20, 40);
        map(a, x, y);
        map(b, x, z);
        for (int c = 0; c < 3; c++)
            assert_float_equal(y[c], z[c], most);
    }
}

static void native_files_are_exact(void **state)
{
    const char *path = test_path(test_folder(), "t.d4m");
    struct transform *t = case_transform(1.1), *field = case_field(0.5), *back = NULL, *inverse = NULL;

    (void)state;
    assert_ok(transform_append(t, field));
    assert_ok(transform_inverse(&inverse, t));
    for (int k = 0; k < 2; k++) {
        const struct transform *want = k ? inverse : t;
        uint8_t *first, *second;
        size_t n, m;

        assert_ok(transform_write(want, path));
        assert_ok(transform_read(&back, path, CONVENTION_AUTO, NULL));
        assert_int_equal(back->count, 3);
        assert_memory_equal(&back->fixed, &want->fixed, sizeof back->fixed);
        assert_memory_equal(&back->moving, &want->moving, sizeof back->moving);
        same_map(want, back, 0);
        assert_ok(file_read(path, &first, &n));
        assert_ok(transform_write(back, path));
        assert_ok(file_read(path, &second, &m));
        assert_int_equal(n, m);
        assert_memory_equal(first, second, n);
        mem_free(first), mem_free(second);
        transform_free(back);
    }
    transform_free(t), transform_free(field), transform_free(inverse);
}

/* No bit of a file can flip unnoticed, and no prefix passes. */
static void damage_is_noticed(void **state)
{
    const char *path = test_path(test_folder(), "t.d4m");
    struct transform *t = NULL;
    struct affine a = case_affine();
    struct grid g = case_grid(5, 6, 7);
    float v[3 * 8] = {0.5f};
    struct velocity lattice = {.size = {2, 2, 2}, .to_world = affine_identity(), .v = v, .squarings = 4};
    uint8_t *bytes;
    size_t n;

    (void)state;
    assert_ok(transform_new(&t, &g, NULL));
    assert_ok(transform_add_lattice(t, ELEMENT_VELOCITY, &lattice, false));
    assert_ok(transform_add_affine(t, &a));
    assert_ok(transform_write(t, path));
    transform_free(t);
    assert_ok(file_read(path, &bytes, &n));
    for (size_t i = 0; i < n; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            bytes[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(transform_parse(&t, bytes, n, "input"), ERR_CORRUPT);
            bytes[i] ^= (uint8_t)(1 << bit);
        }
        assert_int_equal(transform_parse(&t, bytes, i, "input"), ERR_CORRUPT);
    }
    assert_ok(transform_parse(&t, bytes, n, "input"));
    transform_free(t);
    mem_free(bytes);
}

static void itk_text(void **state)
{
    static const char *const text = "#Insight Transform File V1.0\n#Transform 0\n"
                                    "Transform: AffineTransform_double_3_3\n"
                                    "Parameters: 0 -1 0 1 0 0 0 0 2 10 20 30\nFixedParameters: 1 2 3\n";
    const char *path = test_path(test_folder(), "a.tfm");
    struct transform *t = NULL, *back = NULL;
    struct affine a;
    double y[3];

    (void)state;
    assert_ok(parse(&t, text));
    /* LPS (-4, -5, 6): x - c = (-5, -7, 3), turned (7, -5, 6), + c + t = (18, 17, 39) */
    map(t, (double[3]){4, 5, 6}, y);
    assert_float_equal(y[0], -18, 1e-12);
    assert_float_equal(y[1], -17, 1e-12);
    assert_float_equal(y[2], 39, 1e-12);
    assert_ok(transform_affine(&a, t, false));
    assert_ok(affine_write_itk(&a, path));
    assert_ok(transform_read(&back, path, CONVENTION_AUTO, NULL));
    same_map(t, back, 1e-12);
    transform_free(t), transform_free(back);
}

/* ITK applies a composite's transforms last to first. */
static void itk_composite(void **state)
{
    static const char *const text =
        "#Insight Transform File V1.0\n#Transform 0\n"
        "Transform: CompositeTransform_double_3_3\n#Transform 1\n"
        "Transform: MatrixOffsetTransformBase_double_3_3\n"
        "Parameters: 2 0 0 0 2 0 0 0 2 0 0 0\nFixedParameters: 0 0 0\n#Transform 2\n"
        "Transform: TranslationTransform_double_3_3\nParameters: 1 2 3\n"
        "FixedParameters:\n";
    struct transform *t = NULL;
    double y[3];

    (void)state;
    assert_ok(parse(&t, text));
    map(t, (double[3]){0, 0, 0}, y);
    assert_float_equal(y[0], -2, 1e-12);
    assert_float_equal(y[1], -4, 1e-12);
    assert_float_equal(y[2], 6, 1e-12);
    transform_free(t);
}

static void niftyreg_text(void **state)
{
    const char *path = test_path(test_folder(), "a.txt");
    struct transform *t = NULL, *back = NULL;
    struct affine a = case_affine();

    (void)state;
    assert_ok(transform_new(&t, NULL, NULL));
    assert_ok(transform_add_affine(t, &a));
    assert_ok(affine_write_niftyreg(&a, path));
    assert_ok(transform_read(&back, path, CONVENTION_AUTO, NULL));
    same_map(t, back, 0);
    transform_free(t), transform_free(back);
}

static void bad_text_is_refused(void **state)
{
    static const struct {
        const char *text;
        enum err code;
        const char *says;
    } bad[] = {
        {"", ERR_CORRUPT, "empty"},
        {"hello", ERR_CORRUPT, "neither"},
        {"1 0 0 0\n0 1 0 0\n0 0 1 0\n", ERR_CORRUPT, "neither"},
        {"1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 2\n", ERR_CORRUPT, "0 0 0 1"},
        {"1 0 0 0\n0 1 0 0\n0 0 nan 0\n0 0 0 1\n", ERR_CORRUPT, "neither"},
        {"1 0 0 0\n1 0 0 0\n0 0 1 0\n0 0 0 1\n", ERR_INPUT, "singular"},
        {"1 0 0 1e300\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", ERR_CORRUPT, "neither"},
        {"#Insight Transform File V1.0\n", ERR_CORRUPT, "without a transform"},
        {"#Insight Transform File V1.0\nTransform: BSplineTransform_double_3_3\nParameters: 1 2 3 4 5 6 7 8 "
         "9 "
         "10 11 12 13 14 15 16 17\n",
         ERR_INPUT, "BSplineTransform_double_3_3"},
        {"#Insight Transform File V1.0\nTransform: AffineTransform_double_2_2\nParameters: 1 0 0 1 0 0\n",
         ERR_INPUT, "AffineTransform_double_2_2"},
        {"#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\nParameters: 1 2 3\n",
         ERR_CORRUPT, "numbers of Parameters"},
        {"#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\nParameters: 1 0 0 0 1 0 0 0 1 "
         "0 0 "
         "0\nTransform: AffineTransform_double_3_3\nParameters: 1 0 0 0 1 0 0 0 1 0 0 0\n",
         ERR_INPUT, "order is unknown"},
        {"#Insight Transform File V1.0\nTransform: AffineTransform_double_3_3\nParameters: 1 0 0 0 1 0 0 0 1 "
         "0 0 "
         "0\n",
         ERR_CORRUPT, "FixedParameters"},
        {"#Insight Transform File V1.0\nWhat: ever\n", ERR_CORRUPT, "not part of"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct transform *t = NULL;

        assert_err(parse(&t, bad[i].text), bad[i].code, bad[i].says);
        assert_null(t);
    }
}

/* A binary affine of ITK: every prefix and every broken head is refused. */
static void damaged_mat_is_refused(void **state)
{
    struct transform *t = NULL;
    uint8_t *p;
    size_t n;

    (void)state;
    assert_ok(file_read(D4M_SOURCE_DIR "/tests/data/transform/0GenericAffine.mat", &p, &n));
    assert_ok(transform_parse(&t, p, n, "input"));
    transform_free(t);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(transform_parse(&t, p, i, "input"), ERR_CORRUPT);
    for (size_t i = 0; i < 20; i++) {
        p[i] ^= 0x40;
        assert_int_equal(transform_parse(&t, p, n, "input"), ERR_CORRUPT);
        p[i] ^= 0x40;
    }
    mem_free(p);
}

/* Fields of every kind, written and read again, are the transform at the nodes. */
static void fields_come_back(void **state)
{
    static const struct {
        enum field_kind kind;
        enum convention write, read;
    } ways[] = {{FIELD_ITK, CONVENTION_AUTO, CONVENTION_AUTO},
                {FIELD_NIFTYREG, CONVENTION_AUTO, CONVENTION_AUTO},
                {FIELD_PLAIN, CONVENTION_AUTO, CONVENTION_AUTO},
                {FIELD_PLAIN, CONVENTION_LPS, CONVENTION_AUTO}};
    const char *folder = test_folder();
    struct transform *t = case_transform(1);

    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *path = test_path(folder, i % 2 ? "f.nii" : "f.nii.gz");
        struct field_file f = {t, &t->fixed, ways[i].kind, ways[i].write};
        struct transform *back = NULL;

        assert_ok(field_write(&f, path));
        assert_ok(transform_read(&back, path, ways[i].read, NULL));
        assert_int_equal(back->count, 1);
        for (int64_t k = 0; k < 40; k++) {
            double x[3] = {(double)(k % 40), (double)(k * 7 % 44), (double)(k % 21)}, y[3], z[3];

            grid_world(&t->fixed, x, x);
            map(t, x, y);
            map(back, x, z);
            for (int c = 0; c < 3; c++)
                assert_float_equal(y[c], z[c], 2e-4);
        }
        transform_free(back);
    }
    transform_free(t);
}

struct constant {
    float value[3];
    const struct grid *grid;
};

static enum err fill_constant(void *ctx, int c, int64_t z, int64_t count, float *out)
{
    const struct constant *k = ctx;

    (void)z;
    for (int64_t i = 0; i < count * k->grid->dims[0] * k->grid->dims[1]; i++)
        out[i] = k->value[c];
    return ERR_OK;
}

/* What the intent says about the numbers; one voxel at (-28, -20, 14). */
static void intents_have_meanings(void **state)
{
    static const struct {
        struct nifti_intent intent;
        enum convention how;
        double moved[3];
    } kinds[] = {{{1007, 0, ""}, CONVENTION_AUTO, {-1, -2, 3}},
                 {{1006, 0, ""}, CONVENTION_AUTO, {1, 2, 3}},
                 {{1007, 1, "NREG_TRANS"}, CONVENTION_AUTO, {1, 2, 3}},
                 {{1007, 0, "NREG_TRANS"}, CONVENTION_AUTO, {29, 22, -11}},
                 {{1007, 0, ""}, CONVENTION_RAS, {1, 2, 3}},
                 {{1006, 0, ""}, CONVENTION_LPS, {-1, -2, 3}}};
    const char *path = test_path(test_folder(), "f.nii");
    struct grid g = case_grid(1, 1, 1);
    struct constant k = {{1, 2, 3}, &g};
    struct nifti_vectors v = {&g, {0}, fill_constant, &k};
    struct transform *t = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        double x[3] = {-28, -20, 14}, y[3];

        v.intent = kinds[i].intent;
        assert_ok(nifti_save_vectors(&v, path));
        assert_ok(transform_read(&t, path, kinds[i].how, NULL));
        map(t, x, y);
        for (int c = 0; c < 3; c++)
            assert_float_equal(y[c] - x[c], kinds[i].moved[c], 1e-4);
        transform_free(t);
    }
    v.intent = (struct nifti_intent){1007, 5, "NREG_TRANS"};
    assert_ok(nifti_save_vectors(&v, path));
    assert_err(transform_read(&t, path, CONVENTION_AUTO, NULL), ERR_INPUT, "spline grid");
    v.intent.p1 = 1;
    k.value[1] = NAN;
    assert_ok(nifti_save_vectors(&v, path));
    assert_err(transform_read(&t, path, CONVENTION_AUTO, NULL), ERR_INPUT, "not finite");
}

/* X, Y, Z, 3 is read too; other numbers of components or volumes are not. */
static void axes_of_fields(void **state)
{
    static const struct {
        int16_t dim[6]; /* number of axes, X .. */
        bool good;
    } ways[] = {{{5, 2, 3, 4, 1, 3}, true},  {{4, 2, 3, 4, 3, 1}, true},  {{5, 2, 3, 4, 3, 1}, false},
                {{5, 2, 3, 4, 2, 3}, false}, {{5, 2, 3, 4, 1, 2}, false}, {{3, 2, 3, 4, 1, 3}, false}};
    const char *path = test_path(test_folder(), "f.nii");
    struct grid g = case_grid(2, 3, 4);
    struct constant k = {{1, 2, 3}, &g};
    struct nifti_vectors v = {&g, {1007, 0, ""}, fill_constant, &k};
    uint8_t *bytes;
    size_t n;

    (void)state;
    assert_ok(nifti_save_vectors(&v, path));
    assert_ok(file_read(path, &bytes, &n));
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct transform *t = NULL;
        double y[3];

        memcpy(bytes + 40, ways[i].dim, sizeof ways[i].dim);
        assert_ok(file_write(path, bytes, n));
        if (!ways[i].good) {
            assert_err(transform_read(&t, path, CONVENTION_AUTO, NULL), ERR_INPUT, "X, Y, Z, 1, 3");
            continue;
        }
        assert_ok(transform_read(&t, path, CONVENTION_AUTO, NULL));
        map(t, (double[3]){-28, -20, 14}, y);
        assert_float_equal(y[0], -29, 1e-5);
        assert_float_equal(y[2], 17, 1e-5);
        transform_free(t);
    }
    mem_free(bytes);
}

static void an_image_is_no_field(void **state)
{
    const char *path = test_path(test_folder(), "image.nii");
    struct grid g = case_grid(5, 6, 7);
    struct volume *v = case_noise(&g, VOXEL_I16);
    struct transform *t = NULL;

    (void)state;
    assert_ok(nifti_save(v, NULL, path));
    assert_err(transform_read(&t, path, CONVENTION_AUTO, NULL), ERR_INPUT, "X, Y, Z, 1, 3");
    volume_free(v);
}

static void affine_of_a_chain(void **state)
{
    struct transform *t = case_transform(1);
    struct affine want = case_affine(), a;

    (void)state;
    assert_err(transform_affine(&a, t, false), ERR_INPUT, "deforms");
    assert_ok(transform_affine(&a, t, true));
    assert_memory_equal(&a, &want, sizeof a);
    transform_free(t);
}

static void exhaustion_is_an_error(void **state)
{
    const char *folder = test_folder(), *native = test_path(folder, "t.d4m"),
               *nifti = test_path(folder, "f.nii"), *text = test_path(folder, "a.tfm");
    struct transform *t = case_transform(1), *back = NULL;
    struct field_file f = {t, &t->fixed, FIELD_ITK, CONVENTION_AUTO};

    (void)state;
    assert_survives_exhaustion(transform_write(t, native), );
    assert_survives_exhaustion(transform_read(&back, native, CONVENTION_AUTO, NULL), transform_free(back));
    assert_survives_exhaustion(field_write(&f, nifti), );
    assert_survives_exhaustion(transform_read(&back, nifti, CONVENTION_AUTO, NULL), transform_free(back));
    write_text(text, "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n");
    assert_survives_exhaustion(transform_read(&back, text, CONVENTION_AUTO, NULL), transform_free(back));
    transform_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_files_are_exact),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(itk_text),
        cmocka_unit_test(itk_composite),
        cmocka_unit_test(niftyreg_text),
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(damaged_mat_is_refused),
        cmocka_unit_test(fields_come_back),
        cmocka_unit_test(intents_have_meanings),
        cmocka_unit_test(axes_of_fields),
        cmocka_unit_test(an_image_is_no_field),
        cmocka_unit_test(affine_of_a_chain),
        cmocka_unit_test(exhaustion_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
