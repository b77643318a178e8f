/* Whole phantom cases for tests, made in memory, and the laws that they keep (phantom.md section 15). */
#ifndef D4M_TEST_PHANTOM_MADE_H
#define D4M_TEST_PHANTOM_MADE_H

#include "test.h"

#include "base/mem.h"
#include "phantom/case.h"
#include "phantom/record.h"
#include <math.h>

struct made {
    struct arena *arena;
    struct phantom_params params;
    struct phantom_case *c;
    struct phantom_phase phase[PHANTOM_PHASES];
    struct volume *annotation;
};

/* set: "key=value" texts, ended by NULL. Renders the phases of `want` (one bit each) that are not missing. */
static inline void made_case(struct made *m, int preset, struct phantom_id id, const char *const *set,
                             unsigned want)
{
    struct phantom_watch w = {0};
    struct phantom_source source = {.preset = preset, .params = &m->params};

    *m = (struct made){.arena = arena_new(), .c = mem_new(1, sizeof *m->c)};
    assert_non_null(m->arena);
    assert_non_null(m->c);
    assert_ok(cfg_defaults(phantom_table, &m->params, m->arena));
    assert_ok(cfg_set(phantom_table, &m->params, m->arena, "missing", "0,0,0"));
    for (int i = 0; set && set[i]; i++)
        assert_ok(cfg_override(phantom_table, &m->params, m->arena, set[i]));
    assert_ok(phantom_case_make(m->c, &id, &source));
    for (int p = 0; p < PHANTOM_PHASES; p++)
        if (want >> p & 1 && m->c->facts[p].present)
            assert_ok(phantom_case_render(&m->phase[p], m->c, p, &w));
    if (want >> PHANTOM_PVP & 1)
        assert_ok(phantom_case_annotate(&m->annotation, m->c, &m->phase[PHANTOM_PVP]));
}

static inline void made_free(struct made *m)
{
    for (int p = 0; p < PHANTOM_PHASES; p++)
        phantom_phase_free(&m->phase[p]);
    volume_free(m->annotation);
    phantom_case_free(m->c);
    mem_free(m->c);
    arena_free(m->arena);
}

static inline bool made_same(const struct volume *a, const struct volume *b)
{
    return !memcmp(a->grid.dims, b->grid.dims, sizeof a->grid.dims) &&
           !memcmp(a->grid.affine, b->grid.affine, sizeof a->grid.affine) &&
           !memcmp(a->data, b->data, (size_t)grid_count(&a->grid) * voxel_size(a->type));
}

/* Whether all voxels within `r` steps along the axes have the label of voxel i; outside counts as other. */
static inline bool made_inside(const struct volume *label, int64_t i, int r)
{
    const int64_t *n = label->grid.dims;
    const uint8_t *v = label->data;
    int64_t at[3] = {i % n[0], i / n[0] % n[1], i / (n[0] * n[1])}, step[3] = {1, n[0], n[0] * n[1]};

    for (int k = 0; k < 3; k++)
        for (int s = -r; s <= r; s++)
            if (at[k] + s < 0 || at[k] + s >= n[k] || v[i + s * step[k]] != v[i])
                return false;
    return true;
}

/* Clean mean of a label's voxels that have only their own kind within `r` steps; NAN below 20 of them. */
static inline double made_mean(const struct phantom_phase *p, int label, int r)
{
    const uint8_t *l = p->image.label->data;
    const int16_t *hu = p->image.clean->data;
    double sum = 0;
    int64_t n = 0;

    for (int64_t i = 0; i < grid_count(&p->image.label->grid); i++)
        if (l[i] == label && made_inside(p->image.label, i, r)) {
            sum += hu[i];
            n++;
        }
    return n < 20 ? NAN : sum / (double)n;
}

/* Dice of a label set between the portal venous labels and those of phase p, pulled through T. */
static inline double made_dice(const struct made *m, int p, bool (*counts)(int label))
{
    const struct volume *fixed = m->phase[PHANTOM_PVP].image.label, *moving = m->phase[p].image.label;
    const uint8_t *f = fixed->data, *g = moving->data;
    const int64_t *n = fixed->grid.dims, *k = moving->grid.dims;
    double inverse[3][4];
    int64_t a = 0, b = 0, both = 0;
    struct points x, y;

    assert_ok(grid_invert(&moving->grid, inverse));
    for (int64_t first = 0; first < grid_count(&fixed->grid); first += BLOCK_MAX) {
        int count = (int)(grid_count(&fixed->grid) - first < BLOCK_MAX ? grid_count(&fixed->grid) - first
                                                                       : BLOCK_MAX);

        for (int i = 0; i < count; i++) {
            int64_t v = first + i;
            double index[3] = {(double)(v % n[0]), (double)(v / n[0] % n[1]), (double)(v / (n[0] * n[1]))},
                   mm[3];

            grid_world(&fixed->grid, index, mm);
            x.x[i] = (float)mm[0];
            x.y[i] = (float)mm[1];
            x.z[i] = (float)mm[2];
        }
        motion_truth(&m->phase[p].motion, &x, count, &y);
        for (int i = 0; i < count; i++) {
            double mm[3] = {(double)y.x[i], (double)y.y[i], (double)y.z[i]}, w = 0, inside = 0;
            int64_t lo[3];
            double t[3];
            bool out = false;

            for (int c = 0; c < 3; c++) {
                double at =
                    inverse[c][0] * mm[0] + inverse[c][1] * mm[1] + inverse[c][2] * mm[2] + inverse[c][3];

                out |= at < 0 || at > (double)(k[c] - 1);
                lo[c] = (int64_t)floor(at);
                if (lo[c] > k[c] - 2)
                    lo[c] = k[c] - 2;
                t[c] = at - (double)lo[c];
            }
            if (out)
                continue;
            for (int corner = 0; corner < 8; corner++) {
                int64_t at = 0, stride = 1;
                double weight = 1;

                for (int c = 0; c < 3; c++) {
                    at += (lo[c] + (corner >> c & 1)) * stride;
                    stride *= k[c];
                    weight *= corner >> c & 1 ? t[c] : 1 - t[c];
                }
                w += weight;
                inside += counts(g[at]) ? weight : 0;
            }
            bool in_fixed = counts(f[first + i]), in_moving = inside > 0.5 * w;
            a += in_fixed;
            b += in_moving;
            both += in_fixed && in_moving;
        }
    }
    return 2.0 * (double)both / (double)(a + b);
}

/* The liver with what lies in it. */
static inline bool made_is_liver(int l)
{
    return l == PHANTOM_LIVER || l == PHANTOM_PORTAL || l == PHANTOM_HEPATIC || l >= PHANTOM_LESION;
}
static inline bool made_is_spleen(int l)
{
    return l == PHANTOM_SPLEEN;
}
static inline bool made_is_kidney(int l)
{
    return l == PHANTOM_KIDNEY_L || l == PHANTOM_KIDNEY_R;
}

#endif
