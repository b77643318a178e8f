#include "backend/classes.h"

bool class_all_real(const struct step *s)
{
    if (s->type != DT_F32 && s->type != DT_F64)
        return false;
    for (int i = 0; i < s->node->n_in; i++)
        if (s->in_type[i] != s->type)
            return false;
    for (int i = 0; i < s->node->n_out; i++)
        if (s->out_type[i] != s->type)
            return false;
    return true;
}

int class_threads(const struct step *s, int64_t items)
{
    return items < 1 ? 1 : items < s->threads ? (int)items : s->threads;
}

size_t class_align(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

void class_strides(const struct dims *d, int64_t pitch, int64_t stride[DIMS_MAX])
{
    int64_t step = 1;

    for (int a = (int)d->rank - 1; a >= 0; a--) {
        stride[a] = step;
        step *= a == d->rank - 1 ? pitch : d->n[a];
    }
}

void class_put(void *p, int64_t at, double value, enum dtype real)
{
    if (real == DT_F32)
        ((float *)p)[at] = (float)value;
    else
        ((double *)p)[at] = value;
}

double class_get(const void *p, int64_t at, enum dtype real)
{
    return real == DT_F32 ? (double)((const float *)p)[at] : ((const double *)p)[at];
}
