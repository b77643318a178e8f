/* Any bytes as a list of points: as CSV, as both kinds of 3D Slicer. What is accepted is moved and made text
 * again. */
#include "align/points.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MOST = 1 << 12 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[3] = {"a.csv", "a.fcsv", "a.mrk.json"};

    if (size > INPUT_MOST || !size)
        return 0;
    for (int kind = 0; kind < 3; kind++) {
        struct points *p = NULL;
        struct str text = {0};

        if (points_parse(&p, (const char *)data, size, names[kind], (enum convention)(data[0] % 3)))
            continue;
        for (size_t i = 0; i < points_count(p); i++)
            for (int c = 0; c < 3; c++)
                points_at(p, i)[c] += 1;
        if (points_text(p, &text))
            abort();
        str_free(&text);
        points_free(p);
    }
    return 0;
}
