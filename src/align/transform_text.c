#include "align/transform_text.h"
#include "align/transform_itk.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MOST = 1 << 16 };
static const double mm_most = 1e7;

static enum err damaged(const char *what, const char *how)
{
    return err_set(ERR_CORRUPT, "%s: %s; write it again", what, how);
}

/* Numbers of one line (to the first newline or the end), at most ITK_NUMBERS. -1: something else is there,
 * or a number is not finite. */
static int read_numbers(const char *s, double out[ITK_NUMBERS])
{
    int count = 0;

    for (;;) {
        char *end;

        while (*s == ' ' || *s == '\t' || *s == '\r')
            s++;
        if (!*s || *s == '\n')
            return count;
        if (count == ITK_NUMBERS)
            return -1;
        out[count] = strtod(s, &end);
        if (end == s || !(fabs(out[count++]) <= mm_most) || (*end && !isspace((unsigned char)*end)))
            return -1;
        s = end;
    }
}

static const char *next_line(const char *s)
{
    s = strchr(s, '\n');
    return s ? s + 1 : NULL;
}

/* Checked and appended. */
static enum err add(struct transform *t, const struct affine *a, const char *what)
{
    struct affine inverse;

    if (affine_invert(&inverse, a))
        return err_set(ERR_INPUT, "%s: its matrix is singular: no spatial transform; write it again", what);
    return transform_add_affine(t, a);
}

static enum err matrix_parse(struct transform *t, const char *s, const char *what)
{
    double v[ITK_NUMBERS];
    struct affine a;
    int rows = 0;

    for (; s; s = next_line(s)) {
        int n = read_numbers(s, v);

        if (n == 0)
            continue;
        if (n != 4 || rows == 4)
            return damaged(what, "neither a transform of d4m or ITK nor four rows of four numbers");
        if (rows < 3)
            memcpy(a.m[rows], v, sizeof a.m[rows]);
        else if (v[0] != 0 || v[1] != 0 || v[2] != 0 || v[3] != 1)
            return damaged(what, "the last row of a matrix must be 0 0 0 1");
        rows++;
    }
    if (rows != 4)
        return damaged(what, "neither a transform of d4m or ITK nor four rows of four numbers");
    return add(t, &a, what);
}

/* The text behind `key` if the line begins with it. */
static const char *value_of(const char *line, const char *key)
{
    return str_starts(line, key) ? line + strlen(key) : NULL;
}

static bool read_name(const char *s, char name[64])
{
    int n = 0;

    while (*s == ' ' || *s == '\t')
        s++;
    for (; isalnum((unsigned char)*s) || *s == '_'; s++) {
        if (n == 63)
            return false;
        name[n++] = *s;
    }
    name[n] = 0;
    return n > 0;
}

/* The transforms of the text in its order; ERR_CORRUPT for a line that is none of theirs. */
static enum err itk_list(struct itk list[ITK_LIST], int *count, const char *s, const char *what)
{
    *count = 0;
    for (; s; s = next_line(s)) {
        struct itk *k = *count ? &list[*count - 1] : NULL;
        const char *v;

        if (*s == '#' || *s == '\n' || *s == '\r' || !*s)
            continue;
        v = value_of(s, "Transform:");
        if (v) {
            if (*count == ITK_LIST)
                return err_set(ERR_INPUT, "%s: more than %d transforms in one file; split it", what,
                               ITK_LIST);
            list[*count] = (struct itk){0};
            if (!read_name(v, list[(*count)++].name))
                return damaged(what, "an ITK transform without a name");
        } else if (k && (v = value_of(s, "Parameters:"))) {
            k->values = read_numbers(v, k->value);
        } else if (k && (v = value_of(s, "FixedParameters:"))) {
            k->fixeds = read_numbers(v, k->fixed);
        } else {
            return damaged(what, "a line that is not part of an ITK transform");
        }
    }
    return ERR_OK;
}

static enum err itk_parse(struct transform *t, const char *s, const char *what)
{
    struct itk list[ITK_LIST];
    int count;

    TRY(itk_list(list, &count, s, what));
    return itk_append(t, list, count, what);
}

enum err text_parse(struct transform *t, const uint8_t *p, size_t n, const char *what)
{
    char *s;
    enum err err;

    if (!n)
        return damaged(what, "the file is empty");
    if (itk_mat_is(p, n))
        return itk_mat_parse(t, p, n, what);
    if (n > TEXT_MOST || memchr(p, 0, n))
        return err_set(ERR_CORRUPT,
                       "%s: not a transform: expected a file of d4m (.d4m), ITK text, four rows of four "
                       "numbers, or a displacement field in NIfTI",
                       what);
    s = mem_new(n + 1, 1);
    if (!s)
        return ERR_MEMORY;
    memcpy(s, p, n);
    if (str_starts(s, "#Insight Transform File"))
        err = itk_parse(t, s, what);
    else
        err = matrix_parse(t, s, what);
    mem_free(s);
    return err;
}

static enum err write_text(struct str *b, const char *path)
{
    enum err err = str_status(b);

    if (!err)
        err = file_write(path, b->s, b->len);
    str_free(b);
    return err;
}

enum err affine_write_itk(const struct affine *a, const char *path)
{
    static const double sign[3] = {-1, -1, 1};
    struct str b = {0};

    str_add(&b,
            "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\nParameters:");
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            str_addf(&b, " %.17g", sign[i] * a->m[i][j] * sign[j] + 0.0);
    for (int i = 0; i < 3; i++)
        str_addf(&b, " %.17g", sign[i] * a->m[i][3] + 0.0);
    str_add(&b, "\nFixedParameters: 0 0 0\n");
    return write_text(&b, path);
}

enum err affine_write_niftyreg(const struct affine *a, const char *path)
{
    struct str b = {0};

    for (int i = 0; i < 3; i++)
        str_addf(&b, "%.17g %.17g %.17g %.17g\n", a->m[i][0] + 0.0, a->m[i][1] + 0.0, a->m[i][2] + 0.0,
                 a->m[i][3] + 0.0);
    str_add(&b, "0 0 0 1\n");
    return write_text(&b, path);
}

enum err transform_affine(struct affine *out, const struct transform *t, bool part)
{
    *out = affine_identity();
    for (size_t i = 0; i < t->count; i++) {
        if (t->item[i].kind == ELEMENT_AFFINE)
            *out = affine_then(out, &t->item[i].affine);
        else if (!part)
            return err_set(ERR_INPUT, "the transform deforms, so that it is no affine alone");
    }
    return ERR_OK;
}
