/* From the header's two forms and pixdim to one grid in millimetres, by input-rules.md, "Geometry". */
#include "volume/nifti_header.h"
#include <math.h>
#include <string.h>

const char *const nifti_form_names[] = {"auto", "qform", "sform", NULL};

/* Bounds on what can be a scan, in mm: nothing outside can be meant, and everything inside is safe to compute
 * with. */
static const double spacing_least = 1e-5, spacing_most = 1e5, offset_most = 1e7;
static const double shear_most = 1e-3; /* rad */
static const double degrees = 180 / 3.14159265358979323846;

static double column_length(const struct grid *g, int j)
{
    const double(*m)[4] = g->affine;

    return sqrt(m[0][j] * m[0][j] + m[1][j] * m[1][j] + m[2][j] * m[2][j]);
}

static bool spacing_sane(double mm)
{
    return mm >= spacing_least && mm <= spacing_most;
}

/* Millimetres per unit of the file. */
static double unit_scale(const struct nifti_header *h, const struct nifti_context *c)
{
    int code = (int)(nifti_int(h, NH_UNITS, 0) & 7);

    if (code == 1)
        return 1e3;
    if (code == 3)
        return 1e-3;
    if (code > 3)
        note_add(c->notes, "units-unknown", "%s: unit code %d is not in the standard; millimetres assumed",
                 c->what, code);
    return 1;
}

/* Fills spacing; false if anything is not finite, absurd or (nearly) flat. */
static bool affine_regular(struct grid *g)
{
    double inverse[3][4];

    for (int j = 0; j < 3; j++) {
        g->spacing[j] = column_length(g, j);
        if (!spacing_sane(g->spacing[j]) || !(fabs(g->affine[j][3]) <= offset_most))
            return false;
    }
    return grid_invert(g, inverse) == ERR_OK;
}

static bool sform_read(const struct nifti_header *h, double scale, struct grid *g)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            g->affine[i][j] = scale * nifti_real(h, NH_SROW, 4 * i + j);
    return affine_regular(g);
}

/* nifti1.h, method 2: rotation from the quaternion (a, b, c, d) with a = sqrt(1 - b^2 - c^2 - d^2). */
static bool rotation_read(const struct nifti_header *h, double r[3][3])
{
    double b = nifti_real(h, NH_QUATERN, 0), c = nifti_real(h, NH_QUATERN, 1),
           d = nifti_real(h, NH_QUATERN, 2);
    double rest = 1 - (b * b + c * c + d * d), a = 0;

    if (!(rest > -0.01)) /* NaN, or no unit quaternion even allowing for coarse rounding */
        return false;
    if (rest < 1e-7) {
        double s = 1 / sqrt(b * b + c * c + d * d);
        b *= s, c *= s, d *= s;
    } else {
        a = sqrt(rest);
    }
    r[0][0] = a * a + b * b - c * c - d * d;
    r[0][1] = 2 * (b * c - a * d);
    r[0][2] = 2 * (b * d + a * c);
    r[1][0] = 2 * (b * c + a * d);
    r[1][1] = a * a + c * c - b * b - d * d;
    r[1][2] = 2 * (c * d - a * b);
    r[2][0] = 2 * (b * d - a * c);
    r[2][1] = 2 * (c * d + a * b);
    r[2][2] = a * a + d * d - b * b - c * c;
    return true;
}

/* `spacing` is pixdim in mm, made positive. */
static bool qform_read(const struct nifti_header *h, double scale, const double spacing[3], struct grid *g)
{
    double r[3][3], handed = nifti_real(h, NH_PIXDIM, 0) < 0 ? -1 : 1;

    if (!rotation_read(h, r))
        return false;
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            g->affine[i][j] = r[i][j] * spacing[j] * (j == 2 ? handed : 1);
        g->affine[i][3] = scale * nifti_real(h, NH_QOFFSET, i);
    }
    return affine_regular(g);
}

/* pixdim[1..3] in mm: signs dropped, the slice distance of a single slice invented; what is unusable stays 0.
 */
static void pixdim_read(const struct nifti_header *h, const struct nifti_context *c, double scale,
                        const int64_t dims[3], double spacing[3])
{
    bool negative = false;

    for (int i = 0; i < 3; i++) {
        double v = scale * nifti_real(h, NH_PIXDIM, i + 1);

        negative |= v < 0;
        spacing[i] = spacing_sane(fabs(v)) ? fabs(v) : 0;
        if (dims[i] == 1 && spacing[i] == 0) {
            spacing[i] = 1;
            note_add(c->notes, "no-slice-spacing",
                     "%s: one slice without thickness in pixdim[%d]; 1 mm assumed", c->what, i + 1);
        }
    }
    if (negative)
        note_add(c->notes, "pixdim-negative", "%s: pixdim has a negative voxel size; its sign is ignored",
                 c->what);
}

/* Largest |sin| of the angles by which columns miss being perpendicular. */
static double shear_angle(const struct grid *g)
{
    double worst = 0;

    for (int j = 0; j < 3; j++) {
        int k = (j + 1) % 3;
        double dot = 0;

        for (int i = 0; i < 3; i++)
            dot += g->affine[i][j] * g->affine[i][k];
        worst = fmax(worst, asin(fmin(1, fabs(dot) / (g->spacing[j] * g->spacing[k]))));
    }
    return worst;
}

struct forms {
    struct grid s, q;
    bool has_s, has_q;
};

/* Both forms usable and different: tell, with what others will show; or refuse a gross difference. */
static enum err check_conflict(const struct nifti_header *h, const struct nifti_context *c,
                               const struct forms *f)
{
    double mm = grid_corner_distance(&f->s, &f->q), size = 0;
    bool itk_takes_s = nifti_int(h, NH_SFORM, 0) == 1, we_take_s = c->options.prefer != NIFTI_QFORM;

    for (int j = 0; j < 3; j++)
        size = fmax(size, fabs(f->s.spacing[j] / f->q.spacing[j] - 1));
    if (c->options.prefer == NIFTI_AUTO && (size > 0.01 || mm > 10))
        return nifti_refuse(
            c, ERR_INPUT, "form-conflict",
            "its sform and qform disagree (positions by up to %.4g mm, voxel size by %.3g %%); say which "
            "is right with --prefer sform or --prefer qform",
            mm, 100 * size);
    if (grid_corner_shift(&f->s, &f->q) > 0.1)
        note_add(
            c->notes, "form-conflict",
            "%s: sform and qform differ by up to %.3g mm; the %s is used here, ITK-based tools (ITK-SNAP, 3D "
            "Slicer, SimpleITK) take the %s%s",
            c->what, mm, we_take_s ? "sform" : "qform", itk_takes_s ? "sform" : "qform",
            itk_takes_s == we_take_s ? " too" : " and show it in that other place");
    return ERR_OK;
}

static enum err check_shear(const struct nifti_context *c, const struct forms *f, double angle)
{
    if (c->options.positions_matter)
        return nifti_refuse(
            c, ERR_INPUT, "shear",
            "its axes are not perpendicular (by %.3g degrees; gantry tilt?), which is not handled where "
            "positions matter; %s",
            angle * degrees, f->has_q ? "resample it, or go on with --prefer qform" : "resample it first");
    note_add(c->notes, "shear",
             "%s: its axes are not perpendicular (by %.3g degrees; gantry tilt?); only the voxel size "
             "is used",
             c->what, angle * degrees);
    return ERR_OK;
}

static void check_pixdim(const struct nifti_context *c, const struct grid *g, const double spacing[3])
{
    for (int j = 0; j < 3; j++) {
        if (fabs(spacing[j] / g->spacing[j] - 1) > 1e-3) {
            note_add(c->notes, "pixdim-differs",
                     "%s: pixdim says voxels of %.5g x %.5g x %.5g mm, the orientation %.5g x %.5g x %.5g; "
                     "the latter are used",
                     c->what, spacing[0], spacing[1], spacing[2], g->spacing[0], g->spacing[1],
                     g->spacing[2]);
            return;
        }
    }
}

static enum err take_neither(const struct nifti_context *c, const int64_t dims[3], const double spacing[3],
                             struct grid *out)
{
    bool sized = spacing[0] > 0 && spacing[1] > 0 && spacing[2] > 0;

    if (!sized)
        return nifti_refuse(c, ERR_INPUT, "no-spacing",
                            "neither sform, qform nor pixdim give a usable voxel size; correct the header");
    if (c->options.positions_matter && !c->options.assume_scanner)
        return nifti_refuse(
            c, ERR_INPUT, "no-orientation",
            "has no usable sform or qform, so its position is unknown; go on with --assume-scanner to "
            "take its axes as right, anterior, superior");
    *out = grid_make(dims, spacing, (double[3]){0, 0, 0});
    note_add(c->notes, "no-orientation",
             "%s: no usable sform or qform; voxel size from pixdim, axes taken as right, "
             "anterior, superior",
             c->what);
    return ERR_OK;
}

static void read_forms(const struct nifti_header *h, const struct nifti_context *c, const double spacing[3],
                       double scale, struct forms *f)
{
    int64_t s = nifti_int(h, NH_SFORM, 0), q = nifti_int(h, NH_QFORM, 0);

    f->has_s = s > 0 && sform_read(h, scale, &f->s);
    f->has_q = q > 0 && qform_read(h, scale, spacing, &f->q);
    if (s > 0 && !f->has_s)
        note_add(c->notes, "sform-unusable", "%s: its sform is not finite or not regular, and is ignored",
                 c->what);
    if (q > 0 && !f->has_q)
        note_add(c->notes, "qform-unusable", "%s: its qform is not finite or not regular, and is ignored",
                 c->what);
}

enum err nifti_check_grid(struct nifti_header *h, const struct nifti_context *c, const int64_t dims[3],
                          struct grid *out)
{
    struct forms f = {0};
    double spacing[3], scale = unit_scale(h, c), angle = 0;
    bool take_s;

    memcpy(f.s.dims, dims, sizeof f.s.dims);
    memcpy(f.q.dims, dims, sizeof f.q.dims);
    pixdim_read(h, c, scale, dims, spacing);
    read_forms(h, c, spacing, scale, &f);
    if (!f.has_s && !f.has_q) {
        h->used = NIFTI_AUTO;
        return take_neither(c, dims, spacing, out);
    }
    take_s = f.has_s && !(f.has_q && c->options.prefer == NIFTI_QFORM);
    h->used = take_s ? NIFTI_SFORM : NIFTI_QFORM;
    if (f.has_s)
        angle = shear_angle(&f.s);
    if (take_s && angle > shear_most)
        TRY(check_shear(c, &f, angle));
    else if (f.has_s && f.has_q)
        TRY(check_conflict(h, c, &f));
    if (!take_s && c->options.prefer != NIFTI_QFORM)
        note_add(c->notes, "qform-used", "%s: no usable sform; the qform is used", c->what);
    if (take_s && c->options.prefer == NIFTI_QFORM)
        note_add(c->notes, "sform-used", "%s: no usable qform in spite of --prefer qform; the sform is used",
                 c->what);
    *out = take_s ? f.s : f.q;
    if (take_s)
        check_pixdim(c, out, spacing);
    return ERR_OK;
}

/* Nearest rotation to the directions of g, by Newton's iteration for the polar factor (Higham 1986):
 * X <- (X + X^-T)/2. */
static void nearest_rotation(const struct grid *g, double r[3][3])
{
    struct grid x = *g;
    double inverse[3][4];

    for (int j = 0; j < 3; j++)
        for (int i = 0; i < 3; i++)
            x.affine[i][j] /= column_length(g, j);
    for (int round = 0; round < 60 && grid_invert(&x, inverse) == ERR_OK; round++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                x.affine[i][j] = 0.5 * (x.affine[i][j] + inverse[j][i]);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            r[i][j] = x.affine[i][j];
}

static double determinant(double r[3][3])
{
    return r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1]) -
           r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0]) +
           r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
}

/* Unit quaternion (a, b, c, d), a >= 0, of a proper rotation: the largest of the four is computed first
 * (Shepperd 1978). */
static void quaternion_of(double r[3][3], double q[4])
{
    double square[4] = {1 + r[0][0] + r[1][1] + r[2][2], 1 + r[0][0] - r[1][1] - r[2][2],
                        1 - r[0][0] + r[1][1] - r[2][2], 1 - r[0][0] - r[1][1] + r[2][2]};
    double m[4][4] = {{0, r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]},
                      {0, 0, r[0][1] + r[1][0], r[0][2] + r[2][0]},
                      {0, 0, 0, r[1][2] + r[2][1]},
                      {0}};
    int big = 0;

    for (int k = 1; k < 4; k++)
        if (square[k] > square[big])
            big = k;
    q[big] = 0.5 * sqrt(square[big]);
    for (int k = 0; k < 4; k++)
        if (k != big)
            q[k] = (k < big ? m[k][big] : m[big][k]) / (4 * q[big]);
    if (q[0] < 0)
        for (int k = 0; k < 4; k++)
            q[k] = -q[k];
}

void nifti_describe_grid(struct nifti_header *h, const struct grid *g)
{
    double r[3][3], q[4];
    bool left;

    nearest_rotation(g, r);
    left = determinant(r) < 0;
    for (int i = 0; left && i < 3; i++)
        r[i][2] = -r[i][2];
    quaternion_of(r, q);
    nifti_set_int(h, NH_DIM, 0, 3);
    nifti_set_real(h, NH_PIXDIM, 0, left ? -1 : 1);
    for (int i = 0; i < 3; i++) {
        nifti_set_int(h, NH_DIM, i + 1, g->dims[i]);
        nifti_set_real(h, NH_PIXDIM, i + 1, g->spacing[i]);
        nifti_set_real(h, NH_QUATERN, i, q[i + 1]);
        nifti_set_real(h, NH_QOFFSET, i, g->affine[i][3]);
        for (int j = 0; j < 4; j++)
            nifti_set_real(h, NH_SROW, 4 * i + j, g->affine[i][j]);
    }
    for (int i = 4; i < 8; i++)
        nifti_set_int(h, NH_DIM, i, 1);
    nifti_set_int(h, NH_UNITS, 0, 2);
    nifti_set_int(h, NH_QFORM, 0, 1);
    nifti_set_int(h, NH_SFORM, 0, 1);
}
