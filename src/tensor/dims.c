#include "tensor/dims.h"

#include <inttypes.h>
#include <stdio.h>

size_t dtype_size(enum dtype t)
{
    return t == DT_BF16 ? 2 : t == DT_F32 ? 4 : 8;
}

const char *dtype_name(enum dtype t)
{
    static const char *const name[] = {"f32", "f64", "i64", "bf16"};

    return name[t];
}

int64_t dims_count(const struct dims *d)
{
    int64_t n = 1;

    for (int i = 0; i < d->rank; i++)
        n *= d->n[i];
    return n;
}

bool dims_equal(const struct dims *a, const struct dims *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->n[i] != b->n[i])
            return false;
    return true;
}

void dims_strides(const struct dims *d, int64_t stride[DIMS_MAX])
{
    int64_t step = 1;

    for (int64_t i = d->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= d->n[i];
    }
}

bool dims_broadcast(const struct dims *a, const struct dims *b, struct dims *out)
{
    if (a->rank == 0 || b->rank == 0) {
        *out = a->rank == 0 ? *b : *a;
        return true;
    }
    if (a->rank != b->rank)
        return false;
    *out = *a;
    for (int i = 0; i < a->rank; i++) {
        if (a->n[i] != b->n[i] && a->n[i] != 1 && b->n[i] != 1)
            return false;
        out->n[i] = a->n[i] == 1 ? b->n[i] : a->n[i];
    }
    return true;
}

const char *dims_text(const struct dims *d, char buf[160])
{
    int at = snprintf(buf, 160, "(");

    for (int i = 0; i < d->rank; i++)
        at += snprintf(buf + at, (size_t)(160 - at), i ? ", %" PRId64 : "%" PRId64, d->n[i]);
    snprintf(buf + at, (size_t)(160 - at), ")");
    return buf;
}
