#include "stage/register_plane.h"
#include "align/mapper.h"
#include "base/mem.h"
#include "image/resample.h"
#include <math.h>
#include <string.h>

enum { BODY_HU = -200 };

/* mm -> index of an image. */
static enum err index_map(struct affine *out, const struct volume *v)
{
    struct affine forward = affine_of_grid(&v->grid);

    return affine_invert(out, &forward);
}

/* Which of the fixed image's voxels the centre is of: the liver's, or the body's where the moving image shows
 * it too (all of it if `map` is NULL). */
struct counting {
    const struct register_picture *p;
    const struct mapper *map; /* fixed mm -> moving index */
    int64_t step;
};

static bool counts(const struct counting *k, const struct volume *v, const int64_t at[3])
{
    const int64_t *n = v->grid.dims, i = (at[2] * n[1] + at[1]) * n[0] + at[0];
    const double index[3] = {(double)at[0], (double)at[1], (double)at[2]};
    double mm[3], to[3];
    struct mapper_tally tally = {0};
    bool inside = true;

    if (k->p->liver)
        return ((const uint8_t *)v->data)[i] != 0;
    if (((const int16_t *)v->data)[i] <= BODY_HU)
        return false;
    if (k->map) {
        grid_world(&v->grid, index, mm);
        mapper_point(k->map, mm, to, &tally);
        for (int a = 0; a < 3; a++)
            inside = inside && to[a] >= 0 && to[a] <= (double)(k->p->moving->grid.dims[a] - 1);
    }
    return inside;
}

/* Mean index of those, every `step` voxels. False if there is none. */
static bool mean_index(const struct counting *k, const struct volume *v, double mean[3])
{
    const int64_t *n = v->grid.dims;
    double sum[3] = {0}, count = 0;
    int64_t at[3];

    for (at[2] = 0; at[2] < n[2]; at[2] += k->step)
        for (at[1] = 0; at[1] < n[1]; at[1] += k->step)
            for (at[0] = 0; at[0] < n[0]; at[0] += k->step)
                if (counts(k, v, at)) {
                    for (int a = 0; a < 3; a++)
                        sum[a] += (double)at[a];
                    count++;
                }
    for (int a = 0; a < 3; a++)
        mean[a] = sum[a] / count;
    return count > 0;
}

static enum err find_mean(double mean[3], bool *found, const struct register_picture *p)
{
    struct counting k = {.p = p, .step = p->liver ? 1 : 6};
    struct mapper *map = NULL;
    struct affine to_index;

    if (!p->liver) {
        TRY(index_map(&to_index, p->moving));
        TRY(mapper_new(&map, p->t, NULL, &to_index));
    }
    k.map = map;
    *found = mean_index(&k, p->liver ? p->liver : p->fixed, mean);
    mapper_free(map);
    k.map = NULL;
    if (!*found)
        *found = mean_index(&k, p->liver ? p->liver : p->fixed, mean);
    return ERR_OK;
}

/* The centre of the three planes (of the liver, else of the body that both images show): index on the fixed
 * image's grid in RAS order. */
static enum err find_centre(const struct register_picture *p, const struct grid *ras, double index[3])
{
    double mean[3], mm[3], inverse[3][4];
    bool found;

    for (int a = 0; a < 3; a++)
        index[a] = floor((double)(ras->dims[a] - 1) / 2);
    TRY(grid_invert(ras, inverse));
    TRY(find_mean(mean, &found, p));
    if (!found)
        return ERR_OK;
    grid_world(p->liver ? &p->liver->grid : &p->fixed->grid, mean, mm);
    for (int a = 0; a < 3; a++) {
        double at = inverse[a][0] * mm[0] + inverse[a][1] * mm[1] + inverse[a][2] * mm[2] + inverse[a][3];

        index[a] = round(fmin(fmax(at, 0), (double)(ras->dims[a] - 1)));
    }
    return ERR_OK;
}

static void plane_free(struct register_plane *s)
{
    mem_free(s->fixed);
    mem_free(s->before);
    mem_free(s->after);
    mem_free(s->det);
    mem_free(s->moved);
    mem_free(s->to);
    mem_free(s->liver);
    *s = (struct register_plane){0};
}

/* Pixels of a plane in mm: the patient's right, front or head at the picture's left and top. */
struct view {
    struct affine to_mm; /* pixel (x, y, 0) -> mm */
    double unit[2][3];   /* along across and down, mm -> mm */
};

static struct view view_make(struct register_plane *s, const struct grid *ras, const double centre[3],
                             int plane)
{
    static const int axes[REGISTER_PLANES][3] = {{0, 1, 2}, {0, 2, 1}, {1, 2, 0}};
    struct view v = {.to_mm = affine_of_grid(ras)};
    double size[2], step[2];
    struct affine index = {0};

    for (int i = 0; i < 2; i++)
        size[i] = (double)ras->dims[axes[plane][i]] * ras->spacing[axes[plane][i]];
    s->mm = fmax(size[0], size[1]) / PLANE_SIDE;
    s->width = (int)fmax(1, floor(size[0] / s->mm + 1e-9));
    s->height = (int)fmax(1, floor(size[1] / s->mm + 1e-9));
    for (int i = 0; i < 2; i++)
        step[i] = s->mm / ras->spacing[axes[plane][i]];
    for (int i = 0; i < 2; i++) { /* from the far end, pixel centres */
        index.m[axes[plane][i]][i] = -step[i];
        index.m[axes[plane][i]][3] = (double)ras->dims[axes[plane][i]] - 0.5 - step[i] / 2;
    }
    index.m[axes[plane][2]][3] = centre[axes[plane][2]];
    for (int i = 0; i < 2; i++)
        for (int a = 0; a < 3; a++)
            v.unit[i][a] = v.to_mm.m[a][axes[plane][i]] / ras->spacing[axes[plane][i]];
    v.to_mm = affine_then(&index, &v.to_mm);
    return v;
}

static enum err allocate(struct register_plane *s, bool liver)
{
    size_t n = (size_t)s->width * (size_t)s->height;
    float **plane[] = {&s->fixed, &s->before, &s->after, &s->det, &s->moved};

    for (size_t i = 0; i < sizeof plane / sizeof *plane; i++)
        if (!(*plane[i] = mem_new(n, sizeof(float))))
            return ERR_MEMORY;
    s->to = mem_new(n, 2 * sizeof(float));
    s->liver = liver ? mem_new(n, 1) : NULL;
    return s->to && (s->liver || !liver) ? ERR_OK : ERR_MEMORY;
}

static double at_mm(const struct volume *v, const struct affine *to_index, const double mm[3])
{
    double index[3];

    affine_apply(to_index, mm, index);
    return resample_at(v, index);
}

static uint8_t label_at(const struct volume *v, const struct affine *to_index, const double mm[3])
{
    const int64_t *n = v->grid.dims;
    double index[3];
    int64_t i[3];

    affine_apply(to_index, mm, index);
    for (int a = 0; a < 3; a++) {
        if (!(index[a] >= -0.5 && index[a] < (double)n[a] - 0.5))
            return 0;
        i[a] = (int64_t)floor(index[a] + 0.5);
    }
    return ((const uint8_t *)v->data)[(i[2] * n[1] + i[1]) * n[0] + i[0]] != 0;
}

/* Determinant at x by central differences of 1 mm. */
static double det_at(const struct mapper *m, const double x[3])
{
    struct mapper_tally tally = {0};
    struct affine j = {0};

    for (int a = 0; a < 3; a++) {
        double lo[3] = {x[0], x[1], x[2]}, hi[3] = {x[0], x[1], x[2]}, from[3], to[3];

        lo[a] -= 1;
        hi[a] += 1;
        mapper_point(m, lo, from, &tally);
        mapper_point(m, hi, to, &tally);
        for (int i = 0; i < 3; i++)
            j.m[i][a] = (to[i] - from[i]) / 2;
    }
    return affine_det(&j);
}

struct sampler {
    const struct register_picture *p;
    const struct mapper *map;
    struct affine fixed, moving, liver; /* mm -> index */
    struct view view;
};

static void sample_pixel(const struct sampler *k, struct register_plane *s, int x, int y)
{
    size_t i = (size_t)y * (size_t)s->width + (size_t)x;
    double pixel[3] = {x, y, 0}, mm[3], to[3], far = 0;
    struct mapper_tally tally = {0};

    affine_apply(&k->view.to_mm, pixel, mm);
    mapper_point(k->map, mm, to, &tally);
    s->fixed[i] = (float)at_mm(k->p->fixed, &k->fixed, mm);
    s->before[i] = (float)at_mm(k->p->moving, &k->moving, mm);
    s->after[i] = (float)at_mm(k->p->moving, &k->moving, to);
    s->det[i] = (float)det_at(k->map, mm);
    for (int a = 0; a < 3; a++)
        far += (to[a] - mm[a]) * (to[a] - mm[a]);
    s->moved[i] = (float)sqrt(far);
    for (int j = 0; j < 2; j++)
        s->to[2 * i + (size_t)j] =
            (float)(k->view.unit[j][0] * to[0] + k->view.unit[j][1] * to[1] + k->view.unit[j][2] * to[2]);
    if (s->liver)
        s->liver[i] = label_at(k->p->liver, &k->liver, mm);
}

static enum err sample_plane(struct register_plane *s, const struct sampler *k)
{
    TRY(allocate(s, k->p->liver != NULL));
#pragma omp parallel for schedule(dynamic, 8)
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++)
            sample_pixel(k, s, x, y);
    return ERR_OK;
}

enum err register_planes_make(struct register_plane out[REGISTER_PLANES], const struct register_picture *p)
{
    struct register_plane s[REGISTER_PLANES] = {{0}};
    struct sampler k = {.p = p};
    struct grid ras = grid_to_ras(&p->fixed->grid);
    struct mapper *map = NULL;
    double centre[3];
    enum err err;

    TRY_OR(done, index_map(&k.fixed, p->fixed));
    TRY_OR(done, index_map(&k.moving, p->moving));
    if (p->liver)
        TRY_OR(done, index_map(&k.liver, p->liver));
    TRY_OR(done, find_centre(p, &ras, centre));
    TRY_OR(done, mapper_new(&map, p->t, NULL, NULL));
    k.map = map;
    for (int i = 0; i < REGISTER_PLANES; i++) {
        k.view = view_make(&s[i], &ras, centre, i);
        TRY_OR(done, sample_plane(&s[i], &k));
    }
    memcpy(out, s, sizeof s);
done:
    mapper_free(map);
    if (err)
        register_planes_free(s);
    return err;
}

void register_planes_free(struct register_plane s[REGISTER_PLANES])
{
    for (int i = 0; i < REGISTER_PLANES; i++)
        plane_free(&s[i]);
}
