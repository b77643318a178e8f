/* Any bytes as a transform: our own file, ITK's text, four rows of numbers. What is accepted maps points to
 * numbers, and so does its inverse. (Fields in NIfTI are fuzz_nifti's.) */
#include "align/mapper.h"
#include "align/transform_file.h"
#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

enum { INPUT_MOST = 1 << 14 };

/* A transform is no larger than its file and needs a few copies; the fuzzer itself takes 20 MB. */
const char *__asan_default_options(void)
{
    return "max_allocation_size_mb=32:allocator_may_return_null=0:detect_leaks=1";
}

static void use(const struct transform *t)
{
    struct mapper_tally tally = {0};
    struct mapper *m = NULL;
    double y[3];

    if (mapper_new(&m, t, NULL, NULL))
        return;
    for (int i = 0; i < 4; i++) {
        mapper_point(m, (double[3]){10.0 * i, -7.0 * i, 100.0 * i}, y, &tally);
        for (int c = 0; c < 3; c++)
            if (isnan(y[c]))
                abort();
    }
    mapper_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct transform *t = NULL, *back = NULL;

    if (size > INPUT_MOST || transform_parse(&t, data, size, "input"))
        return 0;
    use(t);
    if (!transform_inverse(&back, t))
        use(back);
    transform_free(back);
    transform_free(t);
    return 0;
}
