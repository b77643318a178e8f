/* What the files of the convolution family share. Internal to src/ops. */
#ifndef D4M_OPS_CONV_H
#define D4M_OPS_CONV_H

#include "ops/row.h"

void ops_conv_resolve(struct conv *c); /* spells the defaults out */
/* Extent of y along axis i of an x of extent `in`; 0 if the kernel does not fit. */
int64_t ops_conv_size(int64_t in, const struct conv *c, int i);

/* n numbers per sample and channel of an image. */
static inline struct dims conv_rows(const struct dims *image, int64_t n)
{
    return DIMS3(image->n[0], n, image->n[4]);
}

void ops_conv_sample(struct sampler *s);
void ops_conv_dx_sample(struct sampler *s);
void ops_conv_dw_sample(struct sampler *s);

#endif
