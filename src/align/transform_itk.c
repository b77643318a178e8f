#include "align/transform_itk.h"
#include "base/str.h"
#include <math.h>
#include <string.h>

static const double mm_most = 1e7;

static enum err damaged(const char *what, const char *how)
{
    return err_set(ERR_CORRUPT, "%s: %s; write it again", what, how);
}

enum itk_kind { ITK_AFFINE, ITK_OFFSET, ITK_SHIFT, ITK_EULER, ITK_VERSOR, ITK_SIMILARITY, ITK_KINDS };
static const struct {
    const char *name;
    int values, shift; /* parameters, and which of them is the first of the translation */
} itk_kinds[ITK_KINDS] = {
    [ITK_AFFINE] = {"AffineTransform_", 12, 9},       [ITK_OFFSET] = {"MatrixOffsetTransformBase_", 12, 9},
    [ITK_SHIFT] = {"TranslationTransform_", 3, 0},    [ITK_EULER] = {"Euler3DTransform_", 6, 3},
    [ITK_VERSOR] = {"VersorRigid3DTransform_", 6, 3}, [ITK_SIMILARITY] = {"Similarity3DTransform_", 7, 3},
};

/* The product Rz Rx Ry of turns about the axes, Rz Ry Rx where the fixed parameters say "ZYX". */
static void euler_matrix(const struct itk *k, double m[3][3])
{
    static const int orders[2][3] = {{2, 0, 1}, {2, 1, 0}};
    const int *order = orders[k->fixeds > 3 && k->fixed[3] != 0];
    struct affine product = affine_identity();

    for (int i = 2; i >= 0; i--) {
        int axis = order[i], p = (axis + 1) % 3, q = (axis + 2) % 3;
        double c = cos(k->value[axis]), s = sin(k->value[axis]);
        struct affine turn = affine_identity();

        turn.m[p][p] = turn.m[q][q] = c;
        turn.m[p][q] = -s;
        turn.m[q][p] = s;
        product = affine_then(&product, &turn);
    }
    for (int i = 0; i < 3; i++)
        memcpy(m[i], product.m[i], sizeof m[i]);
}

/* A unit quaternion by its vector part, times a scale. */
static void versor_matrix(const double v[3], double scale, double m[3][3])
{
    double square = v[0] * v[0] + v[1] * v[1] + v[2] * v[2], w = sqrt(fmax(0, 1 - square));

    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, l = (i + 2) % 3;

        m[i][i] = scale * (1 - 2 * (v[j] * v[j] + v[l] * v[l]));
        m[i][j] = scale * 2 * (v[i] * v[j] - v[l] * w);
        m[j][i] = scale * 2 * (v[i] * v[j] + v[l] * w);
    }
}

static void itk_matrix(const struct itk *k, enum itk_kind kind, double m[3][3])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            m[i][j] = kind <= ITK_OFFSET ? k->value[3 * i + j] : i == j;
    if (kind == ITK_EULER)
        euler_matrix(k, m);
    if (kind == ITK_VERSOR || kind == ITK_SIMILARITY)
        versor_matrix(k->value, kind == ITK_SIMILARITY ? k->value[6] : 1, m);
}

/* y = M (x - c) + c + t in LPS; S M S, S (c + t - M c) in RAS, S = diag(-1, -1, 1). */
static enum err itk_affine(struct affine *out, const struct itk *k, const char *what)
{
    static const double sign[3] = {-1, -1, 1};
    double m[3][3], centre[3] = {0};
    int kind = 0;

    while (kind < ITK_KINDS && !str_starts(k->name, itk_kinds[kind].name))
        kind++;
    if (kind == ITK_KINDS || !str_ends(k->name, "_3_3"))
        return err_set(ERR_INPUT,
                       "%s: an ITK transform of kind %s is not read here; make an AffineTransform or a "
                       "displacement field of it",
                       what, k->name);
    if (k->values != itk_kinds[kind].values ||
        (kind == ITK_SHIFT ? k->fixeds : k->fixeds != 3 && k->fixeds != 4))
        return damaged(what,
                       "the numbers of Parameters and FixedParameters do not fit its kind of ITK transform");
    itk_matrix(k, (enum itk_kind)kind, m);
    if (kind != ITK_SHIFT)
        memcpy(centre, k->fixed, sizeof centre);
    for (int i = 0; i < 3; i++) {
        double t = centre[i] + k->value[itk_kinds[kind].shift + i];

        for (int j = 0; j < 3; j++) {
            t -= m[i][j] * centre[j];
            out->m[i][j] = sign[i] * m[i][j] * sign[j];
        }
        out->m[i][3] = sign[i] * t;
    }
    return ERR_OK;
}

/* A composite's transforms act last to first. */
enum err itk_append(struct transform *t, const struct itk *list, int count, const char *what)
{
    int first = count && str_starts(list[0].name, "CompositeTransform_");

    if (count == first)
        return damaged(what, "an ITK transform file without a transform");
    if (count > 1 && !first)
        return err_set(ERR_INPUT,
                       "%s: several ITK transforms without a CompositeTransform, so their order is "
                       "unknown; write one file per transform",
                       what);
    for (int i = count - 1; i >= first; i--) {
        struct affine a, inverse;

        TRY(itk_affine(&a, &list[i], what));
        if (affine_invert(&inverse, &a))
            return err_set(ERR_INPUT, "%s: its matrix is singular: no spatial transform; write it again",
                           what);
        TRY(transform_add_affine(t, &a));
    }
    return ERR_OK;
}

/* The head of one matrix of a MATLAB level 4 file: little-endian doubles (0) or floats (10), no imaginary
 * part. */
struct mat {
    uint32_t type, rows, columns, imaginary, name_length; /* with its NUL */
};
enum { MAT_DOUBLE = 0, MAT_FLOAT = 10, NAME_MOST = 64 };

static bool mat_head(struct mat *m, const uint8_t *p, size_t n)
{
    if (n < sizeof *m)
        return false;
    memcpy(m, p, sizeof *m);
    return (m->type == MAT_DOUBLE || m->type == MAT_FLOAT) && m->rows > 0 && m->columns == 1 &&
           !m->imaginary && m->name_length > 1 && m->name_length <= NAME_MOST;
}

bool itk_mat_is(const uint8_t *p, size_t n)
{
    struct mat m;

    return mat_head(&m, p, n);
}

/* Copies up to ITK_NUMBERS finite numbers; -1 if there are more, or others. */
static int mat_numbers(const struct mat *m, const uint8_t *p, double out[ITK_NUMBERS])
{
    if (m->rows > ITK_NUMBERS)
        return -1;
    for (uint32_t i = 0; i < m->rows; i++) {
        float single;

        if (m->type == MAT_DOUBLE) {
            memcpy(&out[i], p + 8 * i, 8);
        } else {
            memcpy(&single, p + 4 * i, 4);
            out[i] = (double)single;
        }
        if (!(fabs(out[i]) <= mm_most))
            return -1;
    }
    return (int)m->rows;
}

enum err itk_mat_parse(struct transform *t, const uint8_t *p, size_t n, const char *what)
{
    struct itk list[ITK_LIST];
    int count = 0;

    while (n) {
        char name[NAME_MOST] = "";
        struct mat m;
        size_t size;

        if (!mat_head(&m, p, n))
            return damaged(what, "a damaged MATLAB file");
        size = (size_t)m.rows * (m.type == MAT_DOUBLE ? 8 : 4);
        if (n - sizeof m < m.name_length || n - sizeof m - m.name_length < size)
            return damaged(what, "the MATLAB file ends too early");
        memcpy(name, p + sizeof m, m.name_length - 1);
        p += sizeof m + m.name_length;
        if (strcmp(name, "fixed") != 0) {
            if (count == ITK_LIST)
                return err_set(ERR_INPUT, "%s: more than %d transforms in one file; split it", what,
                               ITK_LIST);
            list[count] = (struct itk){0};
            list[count].values = mat_numbers(&m, p, list[count].value);
            memcpy(list[count++].name, name, sizeof name);
        } else if (count) {
            list[count - 1].fixeds = mat_numbers(&m, p, list[count - 1].fixed);
        }
        p += size;
        n -= sizeof m + m.name_length + size;
    }
    return itk_append(t, list, count, what);
}
