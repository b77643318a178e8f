#include "image/morph.h"
#include "base/mem.h"
#include <stdbool.h>
#include <string.h>

/* Components are found on runs, the stretches of set voxels in a row of x: few in masks of organs, so that
 * memory is small and a volume is scanned at the speed of memory. Runs join by union-find; a root is the
 * first run of its component. */
struct run {
    int32_t from, to; /* x in [from, to) */
    int32_t parent;
};

struct runs {
    struct run *run;
    int64_t *row; /* runs of row r are row[r] .. row[r+1]-1; r = y + dims[1]*z */
    int64_t rows, count;
    const int64_t *dims;
};

static void runs_free(struct runs *r)
{
    mem_free(r->run);
    mem_free(r->row);
}

/* First x >= from whose voxel is set, or is not. */
static int64_t next(const uint8_t *row, int64_t from, int64_t n, bool set)
{
    while (from < n && (row[from] != 0) != set)
        from++;
    return from;
}

/* Runs of voxels that are set (or not) in one row, appended at `at` if there is room for them; returns how
 * many there are. */
static int64_t scan_row(const uint8_t *row, int64_t n, bool set, struct run *out, int64_t first)
{
    int64_t count = 0;

    for (int64_t x = next(row, 0, n, set); x < n; x = next(row, x, n, set)) {
        int64_t end = next(row, x, n, !set);

        if (out)
            out[first + count] =
                (struct run){.from = (int32_t)x, .to = (int32_t)end, .parent = (int32_t)(first + count)};
        count++;
        x = end;
    }
    return count;
}

static enum err runs_scan(struct runs *r, const uint8_t *mask, const int64_t dims[3], bool set)
{
    *r = (struct runs){.rows = dims[1] * dims[2], .dims = dims};
    if (dims[0] > INT32_MAX)
        return err_set(ERR_INPUT, "a row of %lld voxels is too long for finding components",
                       (long long)dims[0]);
    r->row = mem_new((size_t)r->rows + 1, sizeof *r->row);
    if (!r->row)
        return ERR_MEMORY;
    for (int64_t i = 0; i < r->rows; i++)
        r->row[i + 1] = r->row[i] + scan_row(mask + i * dims[0], dims[0], set, NULL, 0);
    r->count = r->row[r->rows];
    if (r->count > INT32_MAX)
        return err_set(ERR_INPUT, "a mask in %lld pieces is too scattered for finding components",
                       (long long)r->count);
    r->run = mem_new((size_t)r->count, sizeof *r->run);
    if (!r->run)
        return ERR_MEMORY;
    for (int64_t i = 0; i < r->rows; i++)
        scan_row(mask + i * dims[0], dims[0], set, r->run, r->row[i]);
    return ERR_OK;
}

static int32_t root_of(struct run *run, int32_t i)
{
    while (run[i].parent != i) {
        run[i].parent = run[run[i].parent].parent;
        i = run[i].parent;
    }
    return i;
}

static void join(struct run *run, int32_t a, int32_t b)
{
    a = root_of(run, a);
    b = root_of(run, b);
    if (a < b)
        run[b].parent = a;
    else
        run[a].parent = b;
}

/* Joins the runs of two rows that overlap, or meet at a corner if reach is 1. */
static void join_rows(struct runs *r, int64_t a, int64_t b, int32_t reach)
{
    int64_t i = r->row[a], j = r->row[b];

    while (i < r->row[a + 1] && j < r->row[b + 1]) {
        const struct run *p = &r->run[i], *q = &r->run[j];

        if (p->from - reach < q->to && q->from - reach < p->to)
            join(r->run, (int32_t)i, (int32_t)j);
        if (p->to < q->to)
            i++;
        else
            j++;
    }
}

/* Joins every row with the neighbours before it. */
static void runs_join(struct runs *r, enum neighbours n)
{
    int64_t ny = r->dims[1];

    for (int64_t i = 0; i < r->rows; i++) {
        int64_t y = i % ny, z = i / ny;

        if (y > 0)
            join_rows(r, i - 1, i, n == CORNERS);
        if (z > 0)
            join_rows(r, i - ny, i, n == CORNERS);
        if (n == CORNERS && z > 0 && y > 0)
            join_rows(r, i - ny - 1, i, 1);
        if (n == CORNERS && z > 0 && y + 1 < ny)
            join_rows(r, i - ny + 1, i, 1);
    }
}

static enum err runs_find(struct runs *r, const uint8_t *mask, const int64_t dims[3], bool set,
                          enum neighbours n)
{
    TRY(runs_scan(r, mask, dims, set));
    runs_join(r, n);
    return ERR_OK;
}

/* Writes `value` into the voxels of a run in row i. */
static void fill_run(uint8_t *mask, const struct runs *r, int64_t row, const struct run *run, uint8_t value)
{
    memset(mask + row * r->dims[0] + run->from, value, (size_t)(run->to - run->from));
}

/* Numbers the roots 1, 2, ... in order; number[i] belongs to root i. */
static int32_t number_roots(const struct runs *r, int32_t *number)
{
    int32_t count = 0;

    for (int32_t i = 0; i < r->count; i++)
        if (r->run[i].parent == i)
            number[i] = ++count;
    return count;
}

static void components_fill(struct components *c, struct runs *r, const int32_t *number,
                            const int64_t dims[3])
{
    c->size[0] = dims[0] * dims[1] * dims[2];
    for (int64_t row = 0; row < r->rows; row++) {
        for (int64_t i = r->row[row]; i < r->row[row + 1]; i++) {
            int32_t label = number[root_of(r->run, (int32_t)i)];
            int32_t *at = c->label + row * dims[0];

            for (int32_t x = r->run[i].from; x < r->run[i].to; x++)
                at[x] = label;
            c->size[label] += r->run[i].to - r->run[i].from;
            c->size[0] -= r->run[i].to - r->run[i].from;
        }
    }
}

enum err components_find(struct components *out, const uint8_t *mask, const int64_t dims[3],
                         enum neighbours n)
{
    struct components c = {0};
    struct runs r = {0};
    int32_t *number = NULL;
    enum err err;

    TRY_OR(done, runs_find(&r, mask, dims, true, n));
    err = ERR_MEMORY;
    number = mem_new((size_t)r.count, sizeof *number);
    if (!number)
        goto done;
    c.count = number_roots(&r, number);
    c.size = mem_new((size_t)c.count + 1, sizeof *c.size);
    c.label = mem_new((size_t)(dims[0] * dims[1] * dims[2]), sizeof *c.label);
    if (!c.size || !c.label)
        goto done;
    components_fill(&c, &r, number, dims);
    *out = c;
    c = (struct components){0};
    err = ERR_OK;
done:
    components_free(&c);
    mem_free(number);
    runs_free(&r);
    return err;
}

void components_free(struct components *c)
{
    mem_free(c->label);
    mem_free(c->size);
    *c = (struct components){0};
}

enum err morph_keep_largest(uint8_t *mask, const int64_t dims[3], enum neighbours n)
{
    struct runs r = {0};
    int64_t *size = NULL;
    int32_t best = 0;
    enum err err;

    TRY_OR(done, runs_find(&r, mask, dims, true, n));
    size = mem_new((size_t)r.count, sizeof *size);
    if (!size) {
        err = ERR_MEMORY;
        goto done;
    }
    for (int32_t i = 0; i < r.count; i++)
        size[root_of(r.run, i)] += r.run[i].to - r.run[i].from;
    for (int32_t i = 1; i < r.count; i++)
        best = size[i] > size[best] ? i : best;
    for (int64_t row = 0; row < r.rows; row++)
        for (int64_t i = r.row[row]; i < r.row[row + 1]; i++)
            if (root_of(r.run, (int32_t)i) != best)
                fill_run(mask, &r, row, &r.run[i], 0);
done:
    mem_free(size);
    runs_free(&r);
    return err;
}

static bool at_border(const struct runs *r, int64_t row, const struct run *run)
{
    const int64_t *n = r->dims;
    int64_t y = row % n[1], z = row / n[1];

    return (n[0] > 1 && (run->from == 0 || run->to == n[0])) || (n[1] > 1 && (y == 0 || y == n[1] - 1)) ||
           (n[2] > 1 && (z == 0 || z == n[2] - 1));
}

enum err morph_fill_holes(uint8_t *mask, const int64_t dims[3])
{
    struct runs r = {0};
    bool *open = NULL;
    enum err err;

    TRY_OR(done, runs_find(&r, mask, dims, false, FACES));
    open = mem_new((size_t)r.count, sizeof *open);
    if (!open) {
        err = ERR_MEMORY;
        goto done;
    }
    for (int64_t row = 0; row < r.rows; row++)
        for (int64_t i = r.row[row]; i < r.row[row + 1]; i++)
            if (at_border(&r, row, &r.run[i]))
                open[root_of(r.run, (int32_t)i)] = true;
    for (int64_t row = 0; row < r.rows; row++)
        for (int64_t i = r.row[row]; i < r.row[row + 1]; i++)
            if (!open[root_of(r.run, (int32_t)i)])
                fill_run(mask, &r, row, &r.run[i], 1);
done:
    mem_free(open);
    runs_free(&r);
    return err;
}
