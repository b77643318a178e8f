#include "phantom/measure.h"
#include "base/mem.h"
#include <math.h>

struct sums {
    double hu[PHANTOM_LESIONS];
    int64_t n[PHANTOM_LESIONS];
};

/* Adds a block's voxels that lie deeper than 1 mm in lesion `i`. at: voxel positions in the phase; hu: clean.
 */
static void add_inner(struct sums *s, const struct phantom_case *c, const struct motion *m, int i,
                      const struct points *at, const int16_t *hu, int n)
{
    struct points p;
    float d[BLOCK_MAX];

    motion_visceral(m, at, n, &p);
    lesion_distance(&c->scene.lesions.item[i], &c->texture, &p, n, d);
    for (int k = 0; k < n; k++)
        if (d[k] < -1) {
            s->hu[i] += hu[k];
            s->n[i]++;
        }
}

struct gather { /* voxels of one lesion waiting to be measured */
    struct points at;
    int16_t hu[BLOCK_MAX];
    int n;
};

static void measure_labels(struct phase_facts *f, const struct phantom_case *c, const struct phantom_phase *p,
                           struct gather *wait, struct sums *sums)
{
    const struct volume *v = p->image.label;
    const uint8_t *label = v->data;
    const int16_t *clean = p->image.clean->data;
    const int64_t *dims = v->grid.dims;

    for (int64_t i = 0; i < grid_count(&v->grid); i++) {
        int lesion = label[i] - PHANTOM_LESION;
        struct gather *g;
        double index[3] = {(double)(i % dims[0]), (double)(i / dims[0] % dims[1]),
                           (double)(i / (dims[0] * dims[1]))},
               mm[3];

        if (lesion < 0) {
            f->voxels[label[i]]++;
            continue;
        }
        f->voxels[lesion_malignant(c->scene.lesions.item[lesion].kind) ? PHANTOM_TUMOUR : PHANTOM_BENIGN]++;
        f->lesion[lesion].voxels++;
        grid_world(&v->grid, index, mm);
        g = &wait[lesion];
        g->at.x[g->n] = (float)mm[0];
        g->at.y[g->n] = (float)mm[1];
        g->at.z[g->n] = (float)mm[2];
        g->hu[g->n++] = clean[i];
        if (g->n == BLOCK_MAX) {
            add_inner(sums, c, &p->motion, lesion, &g->at, g->hu, g->n);
            g->n = 0;
        }
    }
    for (int k = 0; k < c->scene.lesions.count; k++)
        if (wait[k].n)
            add_inner(sums, c, &p->motion, k, &wait[k].at, wait[k].hu, wait[k].n);
}

static void measure_centres(struct phase_facts *f, const struct phantom_case *c, const struct motion *m)
{
    struct points x = {0}, y;
    int n = c->scene.lesions.count;

    for (int i = 0; i < n; i++) {
        x.x[i] = (float)c->scene.lesions.item[i].centre[0];
        x.y[i] = (float)c->scene.lesions.item[i].centre[1];
        x.z[i] = (float)c->scene.lesions.item[i].centre[2];
    }
    motion_truth(m, &x, n, &y);
    for (int i = 0; i < n; i++) {
        double d[3] = {(double)(y.x[i] - x.x[i]), (double)(y.y[i] - x.y[i]), (double)(y.z[i] - x.z[i])};

        f->lesion[i].centre[0] = (double)y.x[i];
        f->lesion[i].centre[1] = (double)y.y[i];
        f->lesion[i].centre[2] = (double)y.z[i];
        f->lesion[i].shift = sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    }
}

enum err phantom_measure(struct phantom_case *c, int phase, const struct phantom_phase *p)
{
    struct phase_facts *f = &c->facts[phase];
    const struct scan *s = &c->scan[phase];
    struct gather *wait = mem_new(PHANTOM_LESIONS, sizeof *wait);
    struct sums sums = {0};

    if (!wait)
        return ERR_MEMORY;
    *f = (struct phase_facts){.present = f->present};
    f->amplitude = p->motion.amplitude;
    for (int i = 0; i < 3; i++) {
        f->rotation[i] = p->motion.rotation[i] * 180 / 3.14159265358979323846;
        f->shift[i] = p->motion.shift[i];
    }
    f->voxel_ml = s->grid.spacing[0] * s->grid.spacing[1] * s->grid.spacing[2] / 1000;
    measure_labels(f, c, p, wait, &sums);
    mem_free(wait);
    measure_centres(f, c, &p->motion);
    for (int i = 0; i < c->scene.lesions.count; i++)
        f->lesion[i].contrast =
            sums.n[i] ? sums.hu[i] / (double)sums.n[i] - c->scene.tissues.hu[TISSUE_LIVER][phase] : NAN;
    return motion_in_liver(&p->motion, &f->moved_mean, &f->moved_p95);
}
