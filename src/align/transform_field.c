#include "align/transform_field.h"
#include "align/mapper.h"
#include "base/mem.h"
#include "base/par.h"
#include "volume/nifti.h"
#include <math.h>
#include <string.h>

/* nifti1.h: vectors of displacements, vectors of anything. NiftyReg's kinds are its Maths.hpp's: 0 absolute
 * positions, 1 displacements; the others are velocities and splines. */
enum { INTENT_DISPLACEMENT = 1006, INTENT_VECTOR = 1007, NIFTYREG_POSITION = 0, NIFTYREG_DISPLACEMENT = 1 };
static const char niftyreg_name[] = "NREG_TRANS";
static const double mm_most = 1e5; /* displacement; positions as in nifti_grid.c */

const char *const convention_names[] = {"auto", "lps", "ras", NULL};

struct meaning {
    bool lps, positions;
};

static enum err meaning_of(struct meaning *m, const struct nifti_intent *i, enum convention how,
                           const char *path)
{
    bool niftyreg = !strcmp(i->name, niftyreg_name);

    if (niftyreg && i->p1 != NIFTYREG_POSITION && i->p1 != NIFTYREG_DISPLACEMENT)
        return err_set(ERR_INPUT,
                       "%s: a velocity or spline grid of NiftyReg (intent_p1 %g); make a displacement field "
                       "of it with reg_transform -disp",
                       path, i->p1);
    m->positions = niftyreg && i->p1 == NIFTYREG_POSITION;
    m->lps = how == CONVENTION_LPS || (how == CONVENTION_AUTO && !niftyreg && i->code != INTENT_DISPLACEMENT);
    return ERR_OK;
}

/* One slice of stored vectors into nodes. */
struct convert {
    const struct volume *v;
    struct meaning meaning;
    struct affine to_node;
    float *out;
    bool bad;
};

static void convert_slice(struct convert *k, int64_t z)
{
    const int64_t *n = k->v->grid.dims;
    const float *in = k->v->data;
    int64_t plane = n[0] * n[1] * n[2], at = z * n[0] * n[1];
    double sign = k->meaning.lps ? -1 : 1;

    for (int64_t y = 0; y < n[1]; y++)
        for (int64_t x = 0; x < n[0]; x++, at++) {
            double u[3] = {sign * (double)in[at], sign * (double)in[plane + at], (double)in[2 * plane + at]};
            double here[3] = {(double)x, (double)y, (double)z};

            if (k->meaning.positions) {
                grid_world(&k->v->grid, here, here);
                for (int c = 0; c < 3; c++)
                    u[c] -= here[c];
            }
            for (int c = 0; c < 3; c++)
                k->bad |= !(fabs(u[c]) <= mm_most);
            affine_turn(&k->to_node, u, u);
            for (int c = 0; c < 3; c++)
                k->out[3 * at + c] = (float)u[c];
        }
}

static enum err convert(struct transform *t, const struct volume *v, const struct meaning *m,
                        const char *path)
{
    struct velocity lattice = {.to_world = affine_of_grid(&v->grid)};
    struct convert k = {.v = v, .meaning = *m};
    enum err err = ERR_OK;

    memcpy(lattice.size, v->grid.dims, sizeof lattice.size);
    TRY(affine_invert(&k.to_node, &lattice.to_world));
    k.out = lattice.v = mem_new(3 * (size_t)velocity_nodes(&lattice), sizeof *lattice.v);
    if (!lattice.v)
        return ERR_MEMORY;
    for (int64_t z = 0; z < v->grid.dims[2]; z++)
        convert_slice(&k, z);
    if (k.bad)
        err = err_set(ERR_INPUT, "%s: holds displacements that are not finite or over %g m; write it again",
                      path, mm_most / 1000);
    if (!err)
        err = transform_take_lattice(t, ELEMENT_FIELD, &lattice, false);
    if (err)
        mem_free(lattice.v);
    return err;
}

enum err field_read(struct transform **out, const char *path, enum convention how, struct notes *notes)
{
    struct nifti_options o = {.positions_matter = true};
    struct volume *v = NULL;
    struct transform *t = NULL;
    struct nifti_intent intent;
    struct meaning m;
    enum err err;

    TRY(nifti_load_vectors(&v, path, &o, notes));
    intent = nifti_intent_of(v);
    TRY_OR(done, meaning_of(&m, &intent, how, path));
    TRY_OR(done, transform_new(&t, NULL, NULL));
    TRY_OR(done, convert(t, v, &m, path));
    *out = t;
    t = NULL;
done:
    volume_free(v);
    transform_free(t);
    return err;
}

struct fill {
    const struct field_file *f;
    struct mapper *map; /* voxel -> mm */
    float *out;
    int component;
    int64_t first; /* slice */
    double sign;
};

static void fill_row(void *ctx, int64_t row)
{
    const struct fill *k = ctx;
    const struct grid *g = k->f->to;
    int64_t y = row % g->dims[1], z = k->first + row / g->dims[1];
    struct mapper_tally unused = {0};
    double p[3][MAPPER_ROW];

    for (int64_t x = 0; x < g->dims[0]; x += MAPPER_ROW) {
        int n = g->dims[0] - x < MAPPER_ROW ? (int)(g->dims[0] - x) : MAPPER_ROW;
        const double *a = g->affine[k->component];
        float *out = k->out + row * g->dims[0] + x;

        mapper_row(k->map, (double[3]){(double)x, (double)y, (double)z}, (double[3]){1, 0, 0}, n, p, &unused);
        for (int i = 0; i < n; i++) {
            double here = a[0] * (double)(x + i) + a[1] * (double)y + a[2] * (double)z + a[3];

            out[i] = (float)(k->sign * (p[k->component][i] - here));
        }
    }
}

static enum err fill_slices(void *ctx, int c, int64_t z, int64_t count, float *out)
{
    struct fill *k = ctx;
    bool lps = k->f->kind == FIELD_ITK || (k->f->kind == FIELD_PLAIN && k->f->how == CONVENTION_LPS);

    k->out = out;
    k->component = c;
    k->first = z;
    k->sign = lps && c < 2 ? -1 : 1;
    par_for(count * k->f->to->dims[1], fill_row, k);
    return ERR_OK;
}

enum err field_write(const struct field_file *f, const char *path)
{
    struct affine pre = affine_of_grid(f->to);
    struct fill k = {.f = f};
    struct nifti_vectors v = {.grid = f->to, .fill = fill_slices, .ctx = &k};
    enum err err;

    v.intent.code = f->kind == FIELD_PLAIN && f->how != CONVENTION_LPS ? INTENT_DISPLACEMENT : INTENT_VECTOR;
    if (f->kind == FIELD_NIFTYREG) {
        v.intent.p1 = NIFTYREG_DISPLACEMENT;
        memcpy(v.intent.name, niftyreg_name, sizeof niftyreg_name);
    }
    TRY(mapper_new(&k.map, f->t, &pre, NULL));
    err = nifti_save_vectors(&v, path);
    mapper_free(k.map);
    return err;
}
