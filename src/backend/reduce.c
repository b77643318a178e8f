/* Sums and maxima over any set of axes. Neighbouring axes that are both kept or both reduced count as one, so
 * that the shape is a list of kept and reduced extents in turn. Two drivers: the last one kept (rows of
 * `cols` numbers are added up), or the last one reduced (runs). Long reductions are cut into chunks by shape
 * and the chunks' results combined in order, in double. */
#include "backend/classes.h"

#include <math.h>
#include <string.h>

enum {
    COLS = 512,  /* columns of one piece of work */
    NARROW = 64, /* fewer columns are folded, */
    MANY = 256,  /* if there are so many rows */
    FOLDED = 16 * NARROW,
    BLOCK = 64,         /* rows that sum_rows adds up before it goes on in double */
    FOLDED_APART = 128, /* most numbers of rows that are not one behind the other */
    RUN = 4096,         /* elements of one run */
    CHUNK = 32 * 1024,  /* elements of a chunk, about */
};

struct reduction {
    int kept_axes, reduced_axes; /* outer ones, the last extent not counted */
    int64_t kept[DIMS_MAX], kept_stride[DIMS_MAX], reduced[DIMS_MAX], reduced_stride[DIMS_MAX];
    int64_t outputs, rows; /* products of the above */
    bool last_reduced;
    int64_t last; /* the last extent */
    /* the cut */
    int64_t cols, col_blocks, pieces; /* of a kept last extent; runs of a reduced one */
    int64_t chunk, chunks;            /* of rows * pieces */
    bool max;
};

static void axis_push(int64_t extent[], int64_t stride[], int *axes, int64_t n, int64_t step)
{
    extent[*axes] = n;
    stride[(*axes)++] = step;
}

static void reduction_cut(struct reduction *d)
{
    int64_t steps;

    if (d->last_reduced) {
        d->pieces = int64_ceil_div(d->last, RUN);
        steps = d->rows * d->pieces;
        d->chunk = CHUNK / (d->last < RUN ? (d->last ? d->last : 1) : RUN);
    } else {
        d->cols = int64_min(d->last, COLS);
        d->col_blocks = d->cols ? int64_ceil_div(d->last, d->cols) : 0;
        steps = d->rows;
        d->chunk = CHUNK / (d->cols ? d->cols : 1);
    }
    d->chunks = steps > 0 ? int64_ceil_div(steps, d->chunk) : 1;
}

/* Rows of the last axis `pitch` elements apart. */
static void reduction_make(struct reduction *d, const struct step *s, int64_t pitch)
{
    const struct dims *in = &s->in_dims[0];
    const unsigned axes = s->node->attr.axes;
    int64_t step = 1;
    bool first = true, reduced = false;

    *d = (struct reduction){.outputs = 1, .rows = 1, .last = 1, .max = s->node->id == OP_MAX_OVER};
    for (int a = in->rank - 1; a >= 0; a--) {
        const bool now = (axes & AXIS(a)) != 0;
        int64_t *joined = NULL;

        if (in->n[a] == 1)
            continue;
        if (!first && now == reduced)
            joined = now == d->last_reduced && d->kept_axes + d->reduced_axes == 0 ? &d->last
                     : now ? &d->reduced[d->reduced_axes - 1]
                           : &d->kept[d->kept_axes - 1];
        if (joined)
            *joined *= in->n[a];
        else if (first)
            d->last = in->n[a], d->last_reduced = now;
        else if (now)
            axis_push(d->reduced, d->reduced_stride, &d->reduced_axes, in->n[a], step);
        else
            axis_push(d->kept, d->kept_stride, &d->kept_axes, in->n[a], step);
        first = false;
        reduced = now;
        step *= a == in->rank - 1 ? pitch : in->n[a];
    }
    for (int i = 0; i < d->kept_axes; i++)
        d->outputs *= d->kept[i];
    for (int i = 0; i < d->reduced_axes; i++)
        d->rows *= d->reduced[i];
    reduction_cut(d);
}

/* Offset of combination `index` of the axes from first on (axis 0 is the innermost). */
static int64_t offset_of(const int64_t extent[], const int64_t stride[], int first, int axes, int64_t index)
{
    int64_t at = 0;

    for (int a = first; a < axes; a++) {
        at += index % extent[a] * stride[a];
        index /= extent[a];
    }
    return at;
}

struct job {
    const struct reduction *d;
    const struct fused_table *table;
    const char *in;
    char *out;
    double *parts; /* (outputs, chunks, last kept extent or 1) */
    size_t size;
};

/* Rows of few numbers, `pitch` apart. */
struct narrow {
    int64_t cols, pitch;
    int64_t wide, rows; /* numbers of several rows together; how many of these */
    void (*reduce)(double *acc, const void *x, int64_t pitch, int64_t rows, int64_t cols);
};

static void out_put(const struct job *j, int64_t at, const double *value, int64_t n)
{
    if (j->size == sizeof(float))
        for (int64_t i = 0; i < n; i++)
            ((float *)j->out)[at + i] = (float)value[i];
    else
        memcpy(j->out + (size_t)at * sizeof(double), value, (size_t)n * sizeof(double));
}

/* Adds up rows of `wide` numbers in the order of sum_rows, each made of rows of `cols` that are `pitch`
 * apart: a block at a time is brought together first. */
static void gather_rows(const struct job *j, double *sums, const char *x, const struct narrow *w)
{
    _Alignas(64) char block[BLOCK * FOLDED_APART * sizeof(double)];
    const size_t row = (size_t)w->cols * j->size, pitch = (size_t)w->pitch * j->size;
    const int64_t fold = w->wide / w->cols;

    for (int64_t r = 0; r < w->rows; r += BLOCK) {
        const int64_t some = int64_min(BLOCK, w->rows - r);
        for (int64_t i = 0; i < some * fold; i++)
            memcpy(block + (size_t)i * row, x + (size_t)(r * fold + i) * pitch, row);
        w->reduce(sums, block, w->wide, some, w->wide);
    }
}

/* Adds `rows` rows of few columns: several at a time, so that they fill registers. */
static void narrow_rows(const struct job *j, double *acc, const char *x, int64_t rows, struct narrow w)
{
    const int64_t cols = w.cols, fold = j->table->norm_fold(cols);
    double sums[FOLDED];

    w.wide = fold * cols;
    w.rows = rows / fold;
    if (w.rows) {
        for (int64_t k = 0; k < w.wide; k++)
            sums[k] = k < cols ? acc[k] : j->d->max ? -INFINITY : 0;
        if (w.pitch == cols)
            w.reduce(sums, x, w.wide, w.rows, w.wide);
        else
            gather_rows(j, sums, x, &w);
        for (int64_t k = cols; k < w.wide; k++) {
            double *to = &sums[k % cols];
            *to = !j->d->max ? *to + sums[k] : fmax(*to, sums[k]);
        }
        memcpy(acc, sums, (size_t)cols * sizeof *acc);
    }
    w.reduce(acc, x + (size_t)(w.rows * fold * w.pitch) * j->size, w.pitch, rows % fold, cols);
}

/* Rows of one chunk, the columns of one block. */
static void chunk_rows(const struct job *j, int64_t output, int64_t chunk, int64_t block)
{
    const struct reduction *d = j->d;
    const int64_t c0 = block * d->cols, cols = int64_min(d->cols, d->last - c0);
    const int64_t end = int64_min(d->rows, (chunk + 1) * d->chunk),
                  inner = d->reduced_axes ? d->reduced[0] : 1;
    const int64_t base = c0 + offset_of(d->kept, d->kept_stride, 0, d->kept_axes, output);
    void (*const reduce)(double *, const void *, int64_t, int64_t, int64_t) =
        d->max ? j->table->max_rows : j->table->sum_rows;
    double acc[COLS];

    for (int64_t k = 0; k < cols; k++)
        acc[k] = d->max ? -INFINITY : 0;
    for (int64_t q = chunk * d->chunk; q < end;) {
        const int64_t in_run = q % inner, run = int64_min(inner - in_run, end - q);
        const int64_t pitch = d->reduced_axes ? d->reduced_stride[0] : 0;
        const int64_t at =
            base + in_run * pitch + offset_of(d->reduced, d->reduced_stride, 1, d->reduced_axes, q / inner);

        if (cols < NARROW && cols == d->last && run >= MANY)
            narrow_rows(j, acc, j->in + (size_t)at * j->size, run,
                        (struct narrow){.cols = cols, .pitch = pitch, .reduce = reduce});
        else
            reduce(acc, j->in + (size_t)at * j->size, pitch, run, cols);
        q += run;
    }
    if (d->chunks == 1)
        out_put(j, output * d->last + c0, acc, cols);
    else
        memcpy(j->parts + (output * d->chunks + chunk) * d->last + c0, acc, (size_t)cols * sizeof(double));
}

/* Runs of one chunk. */
static void chunk_runs(const struct job *j, int64_t output, int64_t chunk)
{
    const struct reduction *d = j->d;
    const int64_t end = int64_min(d->rows * d->pieces, (chunk + 1) * d->chunk);
    const int64_t base = offset_of(d->kept, d->kept_stride, 0, d->kept_axes, output);
    double acc = d->max ? -INFINITY : 0;

    for (int64_t q = chunk * d->chunk; q < end; q++) {
        const int64_t from = q % d->pieces * RUN, n = int64_min(RUN, d->last - from);
        const int64_t at =
            base + from + offset_of(d->reduced, d->reduced_stride, 0, d->reduced_axes, q / d->pieces);
        const char *x = j->in + (size_t)at * j->size;

        if (d->max && n > 0)
            acc = fmax(acc, j->table->max_run(x, n));
        else if (n > 0)
            acc += j->table->sum_run(x, n);
    }
    if (d->chunks == 1)
        out_put(j, output, &acc, 1);
    else
        j->parts[output * d->chunks + chunk] = acc;
}

/* Chunks of an output row, in order. */
static void combine(const struct job *j, int64_t output, int64_t width)
{
    const struct reduction *d = j->d;
    double *first = j->parts + output * d->chunks * width;

    for (int64_t k = 1; k < d->chunks; k++)
        for (int64_t i = 0; i < width; i++) {
            const double v = first[k * width + i];
            first[i] = !d->max ? first[i] + v : fmax(first[i], v);
        }
    out_put(j, output * width, first, width);
}

static void reduce_prepare(struct step *s)
{
    const struct dims *in = &s->in_dims[0];
    const int64_t row = in->rank ? in->n[in->rank - 1] : 1;
    struct reduction d;

    reduction_make(&d, s, row);
    s->work =
        d.chunks == 1 ? 0 : (size_t)(d.outputs * d.chunks * (d.last_reduced ? 1 : d.last)) * sizeof(double);
    /* rows alone: the order of additions does not depend on the pitch */
    s->pitch_in = !d.last_reduced && d.last == row &&
                  (row >= NARROW || fused_of(s)->norm_fold(row) * row <= FOLDED_APART);
}

static void reduce_run(const struct run *r)
{
    const struct step *s = r->step;
    struct reduction d;
    const struct job j = {&d, fused_of(s), r->in[0], r->out[0], r->work, dtype_size(s->type)};

    reduction_make(&d, s, run_in_pitch(r, 0));
    const int64_t blocks = d.last_reduced ? 1 : d.col_blocks, items = d.outputs * d.chunks * blocks;
    const int64_t weight =
        d.last_reduced ? d.chunk * int64_min(d.last, RUN) : int64_min(d.chunk, d.rows) * d.cols;
    const int threads = class_threads(s, items * (weight + 64) / 4096);

#pragma omp parallel num_threads(threads) if (threads > 1)
    {
#pragma omp for schedule(static)
        for (int64_t i = 0; i < items; i++) {
            const int64_t rest = i / blocks;
            if (d.last_reduced)
                chunk_runs(&j, rest / d.chunks, rest % d.chunks);
            else
                chunk_rows(&j, rest / d.chunks, rest % d.chunks, i % blocks);
        }
        if (d.chunks > 1) {
#pragma omp for schedule(static)
            for (int64_t i = 0; i < d.outputs; i++)
                combine(&j, i, d.last_reduced ? 1 : d.last);
        }
    }
}

static void argmax_run(const struct run *r)
{
    const struct step *s = r->step;
    const struct fused_table *t = fused_of(s);
    const struct dims *d = &s->in_dims[0];
    const int64_t rows = dims_count(&s->out_dims[0]), block = 1024, blocks = int64_ceil_div(rows, block);
    const int threads = class_threads(s, blocks);
    int64_t shape[2] = {1, 1};
    int axis = 0;

    while (!(s->node->attr.axes & AXIS(axis)))
        axis++;
    shape[0] = d->n[axis];
    for (int a = axis + 1; a < d->rank; a++)
        shape[1] *= d->n[a];
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t b = 0; b < blocks; b++)
        t->argmax(r->out[0], r->in[0], b * block, int64_min(block, rows - b * block), shape);
}

static bool reduce_accepts(const struct step *s)
{
    return class_all_real(s) && dims_count(&s->in_dims[0]) > 0;
}

const struct kernel_class class_sum = {"sum.rows", OP_SUM, reduce_accepts, reduce_prepare, reduce_run};
const struct kernel_class class_max_over = {"max_over.rows", OP_MAX_OVER, reduce_accepts, reduce_prepare,
                                            reduce_run};
const struct kernel_class class_argmax = {"argmax.runs", OP_ARGMAX, reduce_accepts, NULL, argmax_run};
