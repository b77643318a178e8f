#include "base/mem.h"
#include "base/par.h"
#include "image/spline.h"
#include "phantom/scan_filter.h"
#include "phantom/semi.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* How much of the CT's structure in the liver is left in each phase of a portal venous CT: vessels fade. */
static const double keeps[PHANTOM_PHASES] = {0.15, 0.35, 1, 0.6};
static const float blend = 2;       /* mm either way of the liver's surface */
static const double organ_soft = 1; /* mm: sigma of an organ's border */

/* ---- the CT as another phase ---- */

enum { ROWS = 64 }; /* more than semi_organs has */

struct mapping {
    const struct semi *semi;
    int16_t *out;
    float keep, from, to; /* in the liver: HU = to + keep (base - from) */
    float gain[ROWS];     /* of organs */
    struct scan_taps taps[2];
    atomic_bool failed;
};

/* What the organs of slice z gain, with soft borders. work: two slices and a line. */
static void organ_gain(const struct mapping *m, int64_t z, float *work, float *out)
{
    const int64_t *n = m->semi->grid.dims;
    const uint8_t *organ = m->semi->organ + z * n[0] * n[1];
    const struct scan_columns columns = {&m->taps[1], SCAN_REPEAT, 0};
    float *rows = work, *line = work + n[0] * n[1];

    for (int64_t i = 0; i < n[0] * n[1]; i++)
        out[i] = m->gain[organ[i]];
    scan_rows(&m->taps[0], SCAN_REPEAT, n, out, line, rows);
    scan_columns(&columns, n, rows, out);
}

static int16_t rounded(float v)
{
    v = rintf(v);
    return (int16_t)(v < -1024 ? -1024 : v > 3071 ? 3071 : v);
}

static void map_slice(void *ctx, int64_t z)
{
    struct mapping *m = ctx;
    const struct semi *s = m->semi;
    const int64_t *n = s->grid.dims;
    size_t slice = (size_t)(n[0] * n[1]);
    const int16_t *base = s->base + (size_t)z * slice;
    float *gain = mem_new(slice, sizeof *gain), *work = NULL;

    if (gain && s->organ)
        work = mem_new(slice + (size_t)scan_line(n[0]), sizeof *work);
    if (!gain || (s->organ && !work)) {
        atomic_store(&m->failed, true);
        mem_free(gain);
        return;
    }
    if (s->organ)
        organ_gain(m, z, work, gain);
    for (int64_t i = 0; i < (int64_t)slice; i++) {
        float d = semi_map_node(&s->liver_map, i % n[0], i / n[0], z), v = base[i];
        float a = fmaxf(0, fminf(0.5f - d / (2 * blend), 1)), liver = m->to + m->keep * (v - m->from);

        v += gain[i];
        m->out[(size_t)z * slice + (size_t)i] = rounded(v + a * (liver - v));
    }
    mem_free(gain);
    mem_free(work);
}

static enum err map_phase(struct semi_phase *p)
{
    const struct semi *s = p->scene.semi;
    const struct tissues *t = p->scene.tissues;
    struct mapping m = {.semi = s, .out = p->hu->data};

    if (p->phase == s->phase) {
        memcpy(m.out, s->base, (size_t)grid_count(&s->grid) * sizeof *m.out);
        return ERR_OK;
    }
    m.keep = (float)fmin(1, keeps[p->phase] / keeps[s->phase]);
    m.from = (float)s->liver_hu;
    m.to = (float)t->hu[TISSUE_LIVER][p->phase];
    for (int i = 0; semi_organs[i].first >= 0; i++)
        if (semi_organs[i].tissue != SEMI_NONE)
            m.gain[i] = (float)(tissue_gain(t, (enum tissue)semi_organs[i].tissue, p->phase) -
                                tissue_gain(t, (enum tissue)semi_organs[i].tissue, s->phase));
    for (int a = 0; a < 2; a++)
        m.taps[a] = scan_gauss(organ_soft / s->grid.spacing[a]);
    par_for(s->grid.dims[2], map_slice, &m);
    if (atomic_load(&m.failed))
        return err_set(ERR_MEMORY, "out of memory while a CT was turned into another phase");
    return ERR_OK;
}

/* ---- what is sampled ---- */

struct sampling {
    struct points p;
    float liver[BLOCK_MAX], tumour[BLOCK_MAX];
    float lo[3], hi[3]; /* box of p */
};

static void find_box(struct sampling *w, int n)
{
    const float *axis[3] = {w->p.x, w->p.y, w->p.z};

    for (int a = 0; a < 3; a++) {
        w->lo[a] = INFINITY;
        w->hi[a] = -INFINITY;
        for (int i = 0; i < n; i++) {
            w->lo[a] = fminf(w->lo[a], axis[a][i]);
            w->hi[a] = fmaxf(w->hi[a], axis[a][i]);
        }
    }
}

static bool is_near(const struct sampling *w, const struct lesion *l)
{
    float reach = (float)lesion_reach(l);

    for (int a = 0; a < 3; a++)
        if (w->lo[a] > (float)l->centre[a] + reach || w->hi[a] < (float)l->centre[a] - reach)
            return false;
    return true;
}

static int64_t nearest(double x, int64_t n)
{
    int64_t i = (int64_t)rint(x);

    return i < 0 ? 0 : i < n ? i : n - 1;
}

/* HU of the CT, and what the labels say there. In plane the CT's edge is where the scanner's field of view
 * ended; along the body it goes on. */
static void sample_ct(const struct semi_phase *p, const struct sampling *w, int n, float *hu, uint8_t *label)
{
    const struct semi *s = p->scene.semi;
    const float(*q)[4] = s->liver_map.index;
    const int64_t *dims = s->grid.dims;

    for (int i = 0; i < n; i++) {
        double at[3];

        for (int a = 0; a < 3; a++)
            at[a] = (double)(q[a][0] * w->p.x[i] + q[a][1] * w->p.y[i] + q[a][2] * w->p.z[i] + q[a][3]);
        label[i] = PHANTOM_OUTSIDE;
        if (!(at[0] > -0.5 && at[0] < (double)dims[0] - 0.5 && at[1] > -0.5 &&
              at[1] < (double)dims[1] - 0.5)) {
            hu[i] = -1024;
            continue;
        }
        hu[i] = spline_at(p->spline, p->hu->data, dims, at);
        if (s->organ)
            label[i] = (uint8_t)semi_organs[s->organ[nearest(at[0], dims[0]) +
                                                     dims[0] * (nearest(at[1], dims[1]) +
                                                                dims[1] * nearest(at[2], dims[2]))]]
                           .label;
        if (w->liver[i] < 0)
            label[i] = w->tumour[i] < 0 ? PHANTOM_TUMOUR : PHANTOM_LIVER;
    }
}

static void sample(const void *ctx, const struct points *y, int n, void *scratch, float *hu, uint8_t *label)
{
    const struct semi_phase *p = ctx;
    const struct semi_scene *s = &p->scene;
    struct sampling *w = scratch;

    motion_visceral(s->motion, y, n, &w->p);
    find_box(w, n);
    semi_map_read(&s->semi->liver_map, &w->p, n, w->liver);
    semi_map_read(&s->semi->tumour_map, &w->p, n, w->tumour);
    sample_ct(p, w, n, hu, label);
    for (int i = 0; i < s->lesions->count; i++) {
        struct lesion_paint l = {.lesion = &s->lesions->item[i],
                                 .index = i,
                                 .texture = s->texture,
                                 .tissues = s->tissues,
                                 .phase = p->phase,
                                 .grow = s->grow[i][p->phase],
                                 .least = (float)(0.5 * s->pixel)};

        if (is_near(w, l.lesion))
            lesion_paint(&l, &w->p, w->liver, n, hu, label);
    }
}

static enum err open_scratch(const void *ctx, void **scratch)
{
    (void)ctx;
    *scratch = mem_new(1, sizeof(struct sampling));
    return *scratch ? ERR_OK : ERR_MEMORY;
}

struct subject semi_subject(const struct semi_phase *p)
{
    return (struct subject){.sample = sample,
                            .open = open_scratch,
                            .close = mem_free,
                            .ctx = p,
                            .slice = p->scene.semi->grid.spacing[2]};
}

enum err semi_phase_open(struct semi_phase *out, const struct semi_scene *scene, int phase)
{
    enum err err;

    *out = (struct semi_phase){.scene = *scene, .phase = phase};
    TRY_OR(failed, volume_new(&out->hu, &scene->semi->grid, VOXEL_I16));
    TRY_OR(failed, map_phase(out));
    TRY_OR(failed, spline_coefficients(&out->spline, out->hu));
    return ERR_OK;
failed:
    semi_phase_close(out);
    return err;
}

void semi_phase_close(struct semi_phase *p)
{
    volume_free(p->hu);
    mem_free(p->spline);
    *p = (struct semi_phase){0};
}

/* Opening holds the CT's and the masks' files, two filtered volumes and the liver's distances, twice while
 * they are made; a phase a volume and its coefficients beside what opening left. */
uint64_t semi_bytes(const struct grid *g, bool organs)
{
    uint64_t opening = organs ? 19 : 17, phase = organs ? 13 : 12;

    return (uint64_t)grid_count(g) * (opening > phase ? opening : phase);
}
