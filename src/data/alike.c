#include "data/alike.h"
#include "base/mem.h"
#include "image/resample.h"
#include <math.h>

enum { SAMPLES = 1 << 18 };

enum err alike_take(struct alike_sample *s, const struct volume *v)
{
    int64_t n = grid_count(&v->grid), step = (n + SAMPLES - 1) / SAMPLES;

    s->count = (n + step - 1) / step;
    s->v = mem_new((size_t)s->count, sizeof *s->v);
    if (!s->v)
        return ERR_MEMORY;
    for (int64_t i = 0; i < s->count; i++)
        s->v[i] = ((const int16_t *)v->data)[i * step];
    return ERR_OK;
}

void alike_free(struct alike_sample *s)
{
    mem_free(s->v);
    *s = (struct alike_sample){0};
}

double alike_correlation(const struct alike_sample *a, const struct alike_sample *b)
{
    double n = 0, sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0, va, vb;

    if (!a->v || !b->v || a->count != b->count)
        return 0;
    for (int64_t i = 0; i < a->count; i++) {
        double x = a->v[i], y = b->v[i];

        if (x <= RESAMPLE_FILL_HU || y <= RESAMPLE_FILL_HU)
            continue;
        n++;
        sa += x;
        sb += y;
        saa += x * x;
        sbb += y * y;
        sab += x * y;
    }
    va = n * saa - sa * sa;
    vb = n * sbb - sb * sb;
    return va > 0 && vb > 0 ? (n * sab - sa * sb) / sqrt(va * vb) : 0;
}
