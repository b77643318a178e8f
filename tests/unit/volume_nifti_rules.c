/* One test per rule of input-rules.md, "Geometry" and "Axes": what is accepted with which note, and what is
 * refused. */
#include "test.h"

#include "base/mem.h"
#include "nifti_build.h"
#include "volume/nifti.h"
#include <math.h>

/* The outcome of reading a header of `b`. */
struct seen {
    enum err err;
    const char *reason;
    char notes[512]; /* names, each with a space behind it */
    char text[2048]; /* of the notes, and of the error */
    enum nifti_form used;
    struct grid grid;
};

static struct seen see(struct build b, struct nifti_options o)
{
    static double zero[5 * 6 * 7 * 8];
    size_t count = 1;
    struct seen s = {0};
    struct notes n = {0};
    struct volume *v = NULL;
    struct nifti_bytes bytes = {.what = "scan.nii"};
    struct built f;

    for (int i = 1; i <= b.dim[0] && i < 8; i++)
        count *= b.dim[i] > 0 && b.dim[i] < 100 ? (size_t)b.dim[i] : 1;
    f = build_values(b, zero, count < 1680 ? count : 1680);
    bytes.file = f.data;
    bytes.size = f.size;
    o.reason = &s.reason;
    s.err = nifti_parse(&v, &bytes, NIFTI_HU, &o, &n);
    for (size_t i = 0; i < n.count; i++) {
        strcat(strcat(s.notes, n.item[i].name), " ");
        strcat(strcat(s.text, n.item[i].text), "\n");
    }
    if (s.err) {
        strcat(s.text, err_text());
        assert_null(v);
    } else {
        s.grid = v->grid;
        s.used = nifti_form_used(v);
    }
    assert_int_equal(!s.err, !s.reason);
    volume_free(v);
    notes_clear(&n);
    free(f.data);
    return s;
}

#define assert_text(s, want)                                                                                 \
    do {                                                                                                     \
        if (!strstr((s).text, want))                                                                         \
            fail_msg("\"%s\" lacks \"%s\"", (s).text, want);                                                 \
    } while (0)

static void assert_accepted(struct seen s, const char *notes)
{
    if (s.err)
        fail_msg("refused: %s", s.text);
    assert_string_equal(s.notes, notes);
}

static void assert_refused(struct seen s, enum err code, const char *reason)
{
    assert_int_equal(s.err, code);
    assert_string_equal(s.reason, reason);
}

static const struct nifti_options lax = {0}, strict = {.positions_matter = true};

static void sform_before_qform(void **state)
{
    struct build b = build_default();
    struct seen s;

    (void)state;
    s = see(b, strict);
    assert_accepted(s, "");
    assert_int_equal(s.used, NIFTI_SFORM);
    b.sform = 0;
    s = see(b, strict);
    assert_accepted(s, "qform-used ");
    assert_int_equal(s.used, NIFTI_QFORM);
    assert_true(s.grid.affine[1][1] == 1.5 && s.grid.affine[1][3] == -20);
    b.qform = 0;
    b.sform = 4;
    s = see(b, strict);
    assert_accepted(s, "");
    assert_int_equal(s.used, NIFTI_SFORM);
}

static void unusable_forms_are_passed_over(void **state)
{
    struct build b = build_default();
    struct seen s;

    (void)state;
    b.srow[5] = NAN;
    s = see(b, strict);
    assert_accepted(s, "sform-unusable qform-used ");
    assert_int_equal(s.used, NIFTI_QFORM);
    b.srow[5] = 0; /* flat */
    assert_accepted(see(b, strict), "sform-unusable qform-used ");
    b.srow[5] = 1e30;
    assert_accepted(see(b, strict), "sform-unusable qform-used ");
    b.srow[5] = 1.5;
    b.srow[3] = INFINITY;
    assert_accepted(see(b, strict), "sform-unusable qform-used ");
    b = build_default();
    b.quatern[0] = 2; /* no unit quaternion */
    assert_accepted(see(b, strict), "qform-unusable ");
    b.quatern[0] = NAN;
    s = see(b, strict);
    assert_accepted(s, "qform-unusable ");
    assert_int_equal(s.used, NIFTI_SFORM);
}

/* Rounded quaternions a little longer than 1 are normalised; half a turn about x flips y and z. */
static void quaternions(void **state)
{
    struct build b = build_default();
    struct seen s;

    (void)state;
    b.sform = 0;
    b.quatern[0] = 1.001;
    s = see(b, strict);
    assert_accepted(s, "qform-used ");
    assert_true(fabs(s.grid.affine[1][1] + 1.5) < 1e-6 && fabs(s.grid.affine[2][2] + 3) < 1e-6);
    b.pixdim[0] = -1; /* left-handed: the third column again the other way round */
    s = see(b, strict);
    assert_true(fabs(s.grid.affine[2][2] - 3) < 1e-6);
    b.pixdim[0] = 0; /* counts as 1 */
    s = see(b, strict);
    assert_true(fabs(s.grid.affine[2][2] + 3) < 1e-6);
    b.quatern[0] = 0;
    b.quatern[2] = sqrt(0.5); /* a quarter turn about z: x goes to y */
    b.pixdim[0] = 1;
    s = see(b, strict);
    assert_true(fabs(s.grid.affine[1][0] - 2) < 1e-6 && fabs(s.grid.affine[0][1] + 1.5) < 1e-6);
}

static void neither_form(void **state)
{
    struct build b = build_default();
    struct nifti_options scanner = {.positions_matter = true, .assume_scanner = true};
    struct seen s;

    (void)state;
    b.sform = b.qform = 0;
    s = see(b, lax);
    assert_accepted(s, "no-orientation ");
    assert_int_equal(s.used, NIFTI_AUTO);
    assert_true(s.grid.spacing[2] == 3 && s.grid.affine[2][2] == 3 && s.grid.affine[0][3] == 0);
    s = see(b, strict);
    assert_refused(s, ERR_INPUT, "no-orientation");
    assert_text(s, "scan.nii: ");
    assert_text(s, "--assume-scanner");
    assert_accepted(see(b, scanner), "no-orientation ");
    b.sform = -1;
    b.qform = -3;
    assert_accepted(see(b, lax), "no-orientation ");
    b.pixdim[2] = 0;
    assert_refused(see(b, lax), ERR_INPUT, "no-spacing");
    b.pixdim[2] = NAN;
    assert_refused(see(b, lax), ERR_INPUT, "no-spacing");
    b.pixdim[2] = 1e30;
    assert_refused(see(b, scanner), ERR_INPUT, "no-spacing");
    b.pixdim[2] = -1.5;
    s = see(b, lax);
    assert_accepted(s, "pixdim-negative no-orientation ");
    assert_true(s.grid.spacing[1] == 1.5);
}

static void small_conflict_is_a_warning(void **state)
{
    struct build b = build_default();
    struct nifti_options q = {.prefer = NIFTI_QFORM}, p = {.prefer = NIFTI_SFORM};
    struct seen s;

    (void)state;
    b.qoffset[0] += 0.19; /* 0.095 voxels */
    assert_accepted(see(b, strict), "");
    b.qoffset[0] = -10 + 5;
    s = see(b, strict);
    assert_accepted(s, "form-conflict ");
    assert_text(s, "differ by up to 5 mm; the sform is used here, ITK-based tools");
    assert_text(s, "take the sform too");
    b.sform = 2; /* ITK takes the sform for code 1 only */
    s = see(b, strict);
    assert_text(s, "take the qform and show it in that other place");
    s = see(b, p);
    assert_accepted(s, "form-conflict ");
    assert_int_equal(s.used, NIFTI_SFORM);
    s = see(b, q);
    assert_accepted(s, "form-conflict ");
    assert_text(s, "take the qform too");
    assert_int_equal(s.used, NIFTI_QFORM);
    assert_true(s.grid.affine[0][3] == -5);
}

static void gross_conflict_needs_a_choice(void **state)
{
    struct build b = build_default();
    struct nifti_options q = {.prefer = NIFTI_QFORM}, p = {.prefer = NIFTI_SFORM};
    struct seen s;

    (void)state;
    b.qoffset[1] += 10.5;
    s = see(b, lax);
    assert_refused(s, ERR_INPUT, "form-conflict");
    assert_text(s, "--prefer sform or --prefer qform");
    assert_text(s, "up to 10.5 mm");
    assert_accepted(see(b, q), "form-conflict ");
    assert_accepted(see(b, p), "form-conflict ");
    b = build_default();
    b.pixdim[3] = 3.04; /* 1.3 %, and only 0.24 mm at the far corner */
    assert_refused(see(b, strict), ERR_INPUT, "form-conflict");
    s = see(b, p);
    assert_accepted(s, "pixdim-differs ");
    assert_true(s.grid.spacing[2] == 3);
    s = see(b, q);
    assert_true(fabs(s.grid.spacing[2] - 3.04) < 1e-6);
    b.pixdim[3] = 3.02;
    assert_accepted(see(b, strict), "pixdim-differs ");
}

static void pixdim_gives_way_to_the_affine(void **state)
{
    struct build b = build_default();
    struct seen s;

    (void)state;
    b.qform = 0;
    b.pixdim[1] = 7;
    s = see(b, strict);
    assert_accepted(s, "pixdim-differs ");
    assert_text(s, "7 x 1.5 x 3");
    assert_true(s.grid.spacing[0] == 2);
    b.pixdim[1] = 2.0001;
    assert_accepted(see(b, strict), "");
    b.pixdim[1] = NAN;
    assert_accepted(see(b, strict), "pixdim-differs ");
}

static void a_missing_preference_is_told(void **state)
{
    struct build b = build_default();
    struct nifti_options q = {.prefer = NIFTI_QFORM}, p = {.prefer = NIFTI_SFORM};

    (void)state;
    b.qform = 0;
    assert_accepted(see(b, q), "sform-used ");
    b.qform = 1;
    assert_accepted(see(b, q), ""); /* equal forms */
    b.sform = 0;
    assert_accepted(see(b, q), "");
    assert_accepted(see(b, p), "qform-used ");
}

static void shear(void **state)
{
    struct build b = build_default();
    struct nifti_options q = {.prefer = NIFTI_QFORM, .positions_matter = true};
    struct seen s;

    (void)state;
    b.srow[6] = 3 * 0.0009; /* third axis leans by 0.9 mrad */
    assert_accepted(see(b, strict), "");
    b.srow[6] = 3 * tan(0.2);
    s = see(b, strict);
    assert_refused(s, ERR_INPUT, "shear");
    assert_text(s, "by 11.5 degrees; gantry tilt?");
    assert_text(s, "--prefer qform");
    s = see(b, lax);
    assert_accepted(s, "shear pixdim-differs ");
    assert_true(fabs(s.grid.spacing[2] - 3 / cos(0.2)) < 1e-6);
    assert_accepted(see(b, q), "form-conflict ");
    b.qform = 0;
    s = see(b, strict);
    assert_refused(s, ERR_INPUT, "shear");
    assert_text(s, "resample it first");
}

static void units_are_scaled_inside(void **state)
{
    struct build b = build_default();
    static const double scale[] = {1, 1e-3, 1, 1e3};
    struct seen s;

    (void)state;
    for (int code = 0; code < 4; code++) {
        for (int i = 0; i < 12; i++)
            b.srow[i] = build_default().srow[i] * scale[code];
        for (int i = 0; i < 3; i++) {
            b.pixdim[i + 1] = build_default().pixdim[i + 1] * scale[code];
            b.qoffset[i] = build_default().qoffset[i] * scale[code];
        }
        b.units = code | 16; /* and milliseconds */
        b.version = 1 + code % 2;
        s = see(b, strict);
        assert_accepted(s, "");
        assert_true(fabs(s.grid.spacing[0] - 2) < 1e-5 && fabs(s.grid.affine[2][3] - 30) < 1e-5);
    }
    b = build_default();
    b.units = 5;
    assert_accepted(see(b, strict), "units-unknown ");
}

static void axes(void **state)
{
    struct build b = build_default();
    struct seen s;

    (void)state;
    b.dim[0] = 4;
    assert_accepted(see(b, strict), "");
    b.dim[0] = 7;
    assert_accepted(see(b, strict), "");
    b.dim[5] = 3;
    s = see(b, strict);
    assert_refused(s, ERR_INPUT, "several-volumes");
    assert_text(s, "split it");
    b.dim[5] = 1;
    b.dim[4] = 2;
    assert_refused(see(b, strict), ERR_INPUT, "several-volumes");
    b.dim[0] = 3; /* lengths behind the last axis do not count */
    b.dim[5] = -4;
    assert_accepted(see(b, strict), "");
}

static void thin_volumes(void **state)
{
    struct build b = build_default();
    struct seen s;

    (void)state;
    b.dim[3] = 4;
    s = see(b, strict);
    assert_accepted(s, "thin-volume ");
    assert_text(s, "only 4 slices");
    b.dim[0] = 2;
    b.pixdim[3] = 0;
    b.sform = 0;
    s = see(b, strict);
    assert_accepted(s, "no-slice-spacing qform-used thin-volume ");
    assert_true(s.grid.dims[2] == 1 && s.grid.spacing[2] == 1);
    b.dim[0] = 1;
    assert_int_equal(see(b, strict).grid.dims[1], 1);
    b = build_default();
    b.dim[3] = 5;
    assert_accepted(see(b, strict), "");
}

static void voxel_types(void **state)
{
    static const int other[] = {1, 32, 128, 1536, 1792, 2048, 2304};
    struct build b = build_default();
    struct seen s;

    (void)state;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        b.type = other[i];
        s = see(b, lax);
        assert_refused(s, ERR_INPUT, "datatype");
    }
    b.type = 128;
    assert_text(see(b, lax), "voxels are RGB; convert");
    b.type = 0;
    assert_refused(see(b, lax), ERR_CORRUPT, "datatype");
    b.type = -2;
    assert_refused(see(b, lax), ERR_CORRUPT, "datatype");
    b.type = 4;
    b.bits = 8;
    assert_accepted(see(b, lax), "bitpix ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sform_before_qform),
        cmocka_unit_test(unusable_forms_are_passed_over),
        cmocka_unit_test(quaternions),
        cmocka_unit_test(neither_form),
        cmocka_unit_test(small_conflict_is_a_warning),
        cmocka_unit_test(gross_conflict_needs_a_choice),
        cmocka_unit_test(pixdim_gives_way_to_the_affine),
        cmocka_unit_test(a_missing_preference_is_told),
        cmocka_unit_test(shear),
        cmocka_unit_test(units_are_scaled_inside),
        cmocka_unit_test(axes),
        cmocka_unit_test(thin_volumes),
        cmocka_unit_test(voxel_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
