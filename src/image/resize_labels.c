#include "image/resize.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <string.h>

/* The two input samples on either side of each output sample of one axis. */
struct between {
    int64_t *low, *high; /* in elements: index times the axis' step */
    double *weight;      /* of high */
};

struct label_job {
    const struct resize *r;
    const uint8_t *in;
    uint8_t *out;
    struct between axis[3];
};

static enum err between_make(struct between *b, const struct resize *r, int axis, int64_t step)
{
    int64_t n = r->from[axis], m = r->to[axis];

    b->low = mem_new((size_t)m, sizeof *b->low);
    b->high = mem_new((size_t)m, sizeof *b->high);
    b->weight = mem_new((size_t)m, sizeof *b->weight);
    if (!b->low || !b->high || !b->weight)
        return ERR_MEMORY;
    for (int64_t k = 0; k < m; k++) {
        resize_linear_tap(n, m, k, &b->low[k], &b->high[k], &b->weight[k]);
        if (r->order[axis] == RESIZE_NEAREST) {
            b->low[k] = b->high[k] = resize_nearest_tap(n, m, k);
            b->weight[k] = 0;
        }
        b->low[k] *= step;
        b->high[k] *= step;
    }
    return ERR_OK;
}

static void between_free(struct between *b)
{
    mem_free(b->low);
    mem_free(b->high);
    mem_free(b->weight);
}

static double mix(double low, double high, double weight)
{
    return (1 - weight) * low + weight * high;
}

/* Corner order: bit 0 x, bit 1 y, bit 2 z; w: weights of the high sides. */
static uint8_t label_between(const uint8_t corner[8], const double w[3])
{
    uint8_t winner = 0;
    int label = -1;

    for (;;) {
        int next = 256;
        double m[8];

        for (int i = 0; i < 8; i++)
            if (corner[i] > label && corner[i] < next)
                next = corner[i];
        if (next == 256)
            return winner;
        label = next;
        for (int i = 0; i < 8; i++)
            m[i] = corner[i] == label;
        for (int axis = 0, n = 4; axis < 3; axis++, n /= 2)
            for (int i = 0; i < n; i++)
                m[i] = mix(m[2 * i], m[2 * i + 1], w[axis]);
        if (m[0] >= 0.5)
            winner = (uint8_t)label;
    }
}

static void label_row(const struct label_job *b, const uint8_t *const row[4], const double w[2], uint8_t *out)
{
    const struct between *x = &b->axis[0];

    for (int64_t i = 0; i < b->r->to[0]; i++) {
        int64_t p = x->low[i], q = x->high[i];
        uint8_t c[8] = {row[0][p], row[0][q], row[1][p], row[1][q],
                        row[2][p], row[2][q], row[3][p], row[3][q]};
        uint64_t all;

        memcpy(&all, c, sizeof all);
        if (all == c[0] * UINT64_C(0x0101010101010101))
            out[i] = c[0];
        else
            out[i] = label_between(c, (double[3]){x->weight[i], w[0], w[1]});
    }
}

static void label_slice(void *ctx, int64_t k)
{
    const struct label_job *b = ctx;
    const struct between *y = &b->axis[1], *z = &b->axis[2];
    const int64_t *to = b->r->to;

    for (int64_t j = 0; j < to[1]; j++) {
        const uint8_t *row[4] = {b->in + z->low[k] + y->low[j], b->in + z->low[k] + y->high[j],
                                 b->in + z->high[k] + y->low[j], b->in + z->high[k] + y->high[j]};

        label_row(b, row, (double[2]){y->weight[j], z->weight[k]}, b->out + (k * to[1] + j) * to[0]);
    }
}

enum err resize_labels(const struct resize *r, const uint8_t *in, uint8_t *out)
{
    struct label_job b = {.r = r, .in = in, .out = out};
    int64_t step[3] = {1, r->from[0], r->from[0] * r->from[1]};
    enum err err = ERR_OK;

    for (int i = 0; i < 3 && !err; i++)
        err = between_make(&b.axis[i], r, i, step[i]);
    if (!err)
        par_for(r->to[2], label_slice, &b);
    for (int i = 0; i < 3; i++)
        between_free(&b.axis[i]);
    return err;
}
