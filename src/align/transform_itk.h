/* What ITK's affine transforms mean, whatever file they come from. Inside of transform_file.h. */
#ifndef D4M_ALIGN_TRANSFORM_ITK_H
#define D4M_ALIGN_TRANSFORM_ITK_H

#include "align/transform_file.h"

enum { ITK_NUMBERS = 16, ITK_LIST = 16 };

/* One transform of a file. A count of -1: its numbers are none, or too many. */
struct itk {
    char name[64];
    double value[ITK_NUMBERS], fixed[ITK_NUMBERS];
    int values, fixeds;
};

/* Appends the transforms of a file, in its order, to t: one alone, or a composite and its parts, which act
 * last to first. ERR_INPUT for a kind that is no affine. */
MUST_USE enum err itk_append(struct transform *t, const struct itk *list, int count, const char *what);

/* ITK's binary affine (.mat, as ANTs writes them): MATLAB level 4, a matrix with the parameters under the
 * transform's name and one called "fixed". */
bool itk_mat_is(const uint8_t *p, size_t n);
MUST_USE enum err itk_mat_parse(struct transform *t, const uint8_t *p, size_t n, const char *what);

#endif
