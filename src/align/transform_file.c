/* Our own transform file, and the way from any file to a transform. */
#include "align/transform_text.h"
#include "align/transform_field.h"
#include "base/file.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "transform files are written as they lie in memory: little-endian machines only"
#endif

static const char magic[8] = "d4m-xfm1";
enum { ELEMENTS_MOST = 64, SQUARINGS_MOST = 20, AXIS_MOST = 1 << 20, NODES_MOST = 1 << 30 };
static const double nodes_most = 1e6, mm_most = 1e7; /* |v| in nodes; offsets as in nifti_grid.c */

struct writer {
    struct file_out out;
    uint64_t sum;
};

/* A failed fwrite is latched in the stream and reported by file_out_commit. */
static void put(struct writer *w, const void *p, size_t n)
{
    fwrite(p, 1, n, w->out.f);
    w->sum = bytes_hash(p, n, w->sum);
}

static void put_grid(struct writer *w, const struct grid *g)
{
    uint64_t hash = grid_known(g) ? grid_hash(g) : 0;

    put(w, g->dims, sizeof g->dims);
    put(w, g->affine, sizeof g->affine);
    put(w, &hash, sizeof hash);
}

static void put_element(struct writer *w, const struct element *e)
{
    uint32_t head[2] = {(uint32_t)e->kind, e->inverse};
    bool lattice = e->kind != ELEMENT_AFFINE;
    int64_t squarings = e->lattice.squarings;

    put(w, head, sizeof head);
    put(w, lattice ? &e->lattice.to_world : &e->affine, sizeof e->affine);
    if (!lattice)
        return;
    put(w, e->lattice.size, sizeof e->lattice.size);
    put(w, &squarings, sizeof squarings);
    put(w, e->lattice.v, 3 * (size_t)velocity_nodes(&e->lattice) * sizeof *e->lattice.v);
}

enum err transform_write(const struct transform *t, const char *path)
{
    struct writer w = {0};
    uint64_t count = t->count, sum;

    TRY(file_out_open(&w.out, path));
    put(&w, magic, sizeof magic);
    put(&w, &count, sizeof count);
    put_grid(&w, &t->fixed);
    put_grid(&w, &t->moving);
    for (size_t i = 0; i < t->count; i++)
        put_element(&w, &t->item[i]);
    sum = w.sum;
    put(&w, &sum, sizeof sum);
    return file_out_commit(&w.out);
}

struct reader {
    const uint8_t *p;
    size_t left;
    uint64_t sum;
    const char *what;
};

static enum err damaged(const struct reader *r, const char *how)
{
    return err_set(ERR_CORRUPT, "%s: a damaged transform file (%s); copy it again or register again", r->what,
                   how);
}

static enum err take(struct reader *r, void *out, size_t n)
{
    if (n > r->left)
        return damaged(r, "it ends too early");
    memcpy(out, r->p, n);
    r->sum = bytes_hash(r->p, n, r->sum);
    r->p += n;
    r->left -= n;
    return ERR_OK;
}

static bool sane(double m[3][4])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            if (!(fabs(m[i][j]) <= mm_most))
                return false;
    return true;
}

static enum err take_grid(struct reader *r, struct grid *g)
{
    double inverse[3][4];
    uint64_t hash = 0;

    TRY(take(r, g->dims, sizeof g->dims));
    TRY(take(r, g->affine, sizeof g->affine));
    TRY(take(r, &hash, sizeof hash));
    if (!g->dims[0]) {
        *g = (struct grid){0};
        return ERR_OK;
    }
    for (int c = 0; c < 3; c++) {
        if (g->dims[c] < 1 || g->dims[c] > AXIS_MOST)
            return damaged(r, "the size of an image");
        g->spacing[c] = sqrt(g->affine[0][c] * g->affine[0][c] + g->affine[1][c] * g->affine[1][c] +
                             g->affine[2][c] * g->affine[2][c]);
    }
    if (!sane(g->affine) || grid_invert(g, inverse) || hash != grid_hash(g))
        return damaged(r, "the geometry of an image");
    return ERR_OK;
}

/* The nodes are there in full before anything is allocated for them. */
static enum err take_lattice(struct reader *r, struct velocity *v)
{
    int64_t squarings = 0, count = 1;
    struct affine inverse;
    size_t n;

    TRY(take(r, v->size, sizeof v->size));
    TRY(take(r, &squarings, sizeof squarings));
    for (int c = 0; c < 3; c++) {
        if (v->size[c] < 1 || v->size[c] > NODES_MOST / count)
            return damaged(r, "the size of a lattice");
        count *= v->size[c];
    }
    n = 3 * (size_t)count;
    if (squarings < 0 || squarings > SQUARINGS_MOST || affine_invert(&inverse, &v->to_world))
        return damaged(r, "the geometry of a lattice");
    if (n > r->left / sizeof *v->v)
        return damaged(r, "it ends inside a lattice");
    v->squarings = (int)squarings;
    v->v = mem_new(n, sizeof *v->v);
    if (!v->v)
        return ERR_MEMORY;
    TRY(take(r, v->v, n * sizeof *v->v));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)v->v[i]) <= nodes_most))
            return damaged(r, "a displacement that is no number");
    return ERR_OK;
}

static enum err take_element(struct reader *r, struct transform *t)
{
    struct element e = {0};
    struct affine inverse;
    uint32_t head[2] = {0};
    enum err err;

    TRY(take(r, head, sizeof head));
    TRY(take(r, &e.affine, sizeof e.affine));
    if (head[0] > ELEMENT_FIELD || head[1] > (head[0] != ELEMENT_AFFINE))
        return damaged(r, "an element of no known kind");
    if (!sane(e.affine.m) || affine_invert(&inverse, &e.affine))
        return damaged(r, "a matrix that is singular");
    if (head[0] == ELEMENT_AFFINE)
        return transform_add_affine(t, &e.affine);
    e.lattice.to_world = e.affine;
    err = take_lattice(r, &e.lattice);
    if (!err)
        err = transform_take_lattice(t, (enum element_kind)head[0], &e.lattice, head[1]);
    if (err)
        mem_free(e.lattice.v);
    return err;
}

static enum err take_all(struct reader *r, struct transform *t)
{
    char begin[sizeof magic];
    uint64_t count = 0, sum = 0, want;

    TRY(take(r, begin, sizeof begin));
    TRY(take(r, &count, sizeof count));
    if (count > ELEMENTS_MOST)
        return damaged(r, "too many elements");
    TRY(take_grid(r, &t->fixed));
    TRY(take_grid(r, &t->moving));
    for (uint64_t i = 0; i < count; i++)
        TRY(take_element(r, t));
    want = r->sum;
    TRY(take(r, &sum, sizeof sum));
    if (r->left || sum != want)
        return damaged(r, r->left ? "bytes behind its end" : "its checksum is wrong");
    return ERR_OK;
}

enum err transform_parse(struct transform **out, const uint8_t *p, size_t n, const char *what)
{
    struct reader r = {.p = p, .left = n, .what = what};
    struct transform *t = NULL;
    enum err err;

    TRY(transform_new(&t, NULL, NULL));
    if (n >= sizeof magic && !memcmp(p, magic, sizeof magic))
        err = take_all(&r, t);
    else
        err = text_parse(t, p, n, what);
    if (err) {
        transform_free(t);
        return err;
    }
    *out = t;
    return ERR_OK;
}

/* gzip, or the size field that a NIfTI header begins with, in either byte order. */
static bool is_nifti(const struct file_map *m)
{
    static const uint8_t begin[4][4] = {{0x5c, 1, 0, 0}, {0, 0, 1, 0x5c}, {0x1c, 2, 0, 0}, {0, 0, 2, 0x1c}};

    if (gzip_is(m->data, m->size))
        return true;
    for (int i = 0; m->size >= 4 && i < 4; i++)
        if (!memcmp(m->data, begin[i], 4))
            return true;
    return false;
}

enum err transform_read(struct transform **out, const char *path, enum convention how, struct notes *notes)
{
    struct file_map m = {0};
    enum err err;

    TRY(file_map(&m, path));
    if (is_nifti(&m))
        err = field_read(out, path, how, notes);
    else
        err = transform_parse(out, m.data, m.size, path);
    file_unmap(&m);
    return err;
}
