#include "phantom/semi_map.h"
#include "base/mem.h"
#include "image/distance.h"
#include <math.h>

static const float far_away = 1e4f; /* mm */

static bool is_set(const struct semi_mask *m, int64_t i)
{
    return m->value ? m->set[i] == m->value : m->set[i] != 0;
}

/* The nodes that are set, and `margin` mm around them as far as the lattice goes; false if none is. */
static bool find_box(struct semi_map *out, const struct semi_mask *m, double margin)
{
    const int64_t *n = m->grid->dims;
    int64_t low[3] = {n[0], n[1], n[2]}, high[3] = {-1, -1, -1}, i = 0;

    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++)
            for (int64_t x = 0; x < n[0]; x++, i++) {
                int64_t p[3] = {x, y, z};

                for (int c = 0; c < 3 && is_set(m, i); c++) {
                    low[c] = p[c] < low[c] ? p[c] : low[c];
                    high[c] = p[c] > high[c] ? p[c] : high[c];
                }
            }
    for (int c = 0; c < 3; c++) {
        int64_t more = (int64_t)ceil(margin / m->grid->spacing[c]) + 1;

        out->lo[c] = low[c];
        out->hi[c] = high[c];
        out->from[c] = low[c] > more ? low[c] - more : 0;
        out->size[c] = (high[c] + more < n[c] ? high[c] + more : n[c] - 1) - out->from[c] + 1;
    }
    return high[0] >= 0;
}

static enum err measure(struct semi_map *out, const struct semi_mask *m)
{
    const int64_t *n = m->grid->dims, *size = out->size;
    int64_t count = size[0] * size[1] * size[2], i = 0;
    uint8_t *box = mem_new((size_t)count, 1);
    enum err err = ERR_MEMORY;

    out->mm = mem_new((size_t)count, sizeof *out->mm);
    if (!box || !out->mm)
        goto done;
    for (int64_t z = 0; z < size[2]; z++)
        for (int64_t y = 0; y < size[1]; y++)
            for (int64_t x = 0; x < size[0]; x++, i++)
                box[i] = is_set(m, out->from[0] + x + n[0] * (out->from[1] + y + n[1] * (out->from[2] + z)));
    TRY_OR(done, distance_signed(out->mm, box, size, m->grid->spacing));
    for (i = 0; i < count; i++)
        out->mm[i] = fmaxf(-far_away, fminf(out->mm[i], far_away));
done:
    mem_free(box);
    return err;
}

enum err semi_map_make(struct semi_map *out, const struct semi_mask *m, double margin)
{
    double inverse[3][4];
    enum err err = ERR_OK;

    *out = (struct semi_map){0};
    TRY(grid_invert(m->grid, inverse));
    for (int a = 0; a < 3; a++) {
        out->last[a] = (float)(m->grid->dims[a] - 1);
        out->spacing[a] = (float)m->grid->spacing[a];
        for (int b = 0; b < 4; b++)
            out->index[a][b] = (float)inverse[a][b];
    }
    if (find_box(out, m, margin))
        err = measure(out, m);
    if (err)
        semi_map_free(out);
    return err;
}

void semi_map_free(struct semi_map *m)
{
    mem_free(m->mm);
    *m = (struct semi_map){0};
}

static float clamp(float x, float hi)
{
    return x > 0 ? (x < hi ? x : hi) : 0;
}

/* The node below x of `size` along an axis, and where x lies between it and the next. */
static int64_t below(float x, int64_t size, float *f, int64_t *next)
{
    int64_t i = (int64_t)x;

    *f = x - (float)i;
    *next = i + 1 < size;
    return i;
}

void semi_map_read(const struct semi_map *m, const struct points *p, int n, float *d)
{
    const int64_t *size = m->size, row = size[0], plane = size[0] * size[1];

    for (int i = 0; i < n; i++) {
        float at[3], f[3], beyond = 0, v[4];
        int64_t node[3], next[3];
        const float *c;

        if (!m->mm) {
            d[i] = far_away;
            continue;
        }
        for (int a = 0; a < 3; a++) {
            const float *q = m->index[a];
            float x = clamp(q[0] * p->x[i] + q[1] * p->y[i] + q[2] * p->z[i] + q[3], m->last[a]);
            float out;

            x -= (float)m->from[a];
            at[a] = clamp(x, (float)(size[a] - 1));
            out = (x - at[a]) * m->spacing[a];
            beyond += out * out;
            node[a] = below(at[a], size[a], &f[a], &next[a]);
        }
        c = m->mm + node[0] + row * node[1] + plane * node[2];
        for (int k = 0; k < 4; k++) {
            const float *e = c + (k & 1) * next[1] * row + (k >> 1) * next[2] * plane;

            v[k] = e[0] + f[0] * (e[next[0]] - e[0]);
        }
        v[0] += f[1] * (v[1] - v[0]);
        v[2] += f[1] * (v[3] - v[2]);
        d[i] = v[0] + f[2] * (v[2] - v[0]) + (beyond > 0 ? sqrtf(beyond) : 0);
    }
}

float semi_map_node(const struct semi_map *m, int64_t x, int64_t y, int64_t z)
{
    int64_t at[3] = {x - m->from[0], y - m->from[1], z - m->from[2]};

    for (int a = 0; a < 3; a++)
        if (!m->mm || at[a] < 0 || at[a] >= m->size[a])
            return far_away;
    return m->mm[at[0] + m->size[0] * (at[1] + m->size[1] * at[2])];
}
