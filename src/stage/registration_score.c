#include "stage/registration_score.h"
#include "align/warp.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/str.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS = 256 };

/* Everything on the grid that is scored. */
struct field {
    const struct registration_query *q;
    const struct grid *grid;
    int64_t stride[3], count;
    struct mapper *map, *truth;
    struct affine to_moving;                   /* mm -> voxel of the moving image */
    float *error[REGISTRATION_STATES], *moved; /* mm */
    uint8_t *scored;             /* bits: 1 the true target is inside the moving image, 2 T's is */
    uint8_t *fixed_label, *body; /* picked from the query's volumes; NULL without them */
    float *list;                 /* scratch for order statistics */
};

static void field_free(struct field *f)
{
    for (int i = 0; i < REGISTRATION_STATES; i++)
        mem_free(f->error[i]);
    mem_free(f->moved);
    mem_free(f->scored);
    mem_free(f->fixed_label);
    mem_free(f->body);
    mem_free(f->list);
    mapper_free(f->map);
    mapper_free(f->truth);
}

/* Every stride-th voxel of g. */
static struct grid thin_grid(const struct grid *g, double step, int64_t stride[3])
{
    struct grid t = *g;

    for (int c = 0; c < 3; c++) {
        stride[c] = (int64_t)floor(step / g->spacing[c] + 0.5);
        stride[c] = stride[c] < 1 ? 1 : stride[c];
        t.dims[c] = (g->dims[c] + stride[c] - 1) / stride[c];
        t.spacing[c] = g->spacing[c] * (double)stride[c];
        for (int r = 0; r < 3; r++)
            t.affine[r][c] *= (double)stride[c];
    }
    return t;
}

static enum err pick_voxels(uint8_t **out, const struct field *f, const struct volume *v)
{
    const int64_t *n = f->grid->dims, *from = v->grid.dims;
    const uint8_t *in = v->data;
    uint8_t *p = mem_new((size_t)f->count, 1);
    int64_t at = 0;

    if (!p)
        return ERR_MEMORY;
    for (int64_t z = 0; z < n[2]; z++)
        for (int64_t y = 0; y < n[1]; y++)
            for (int64_t x = 0; x < n[0]; x++)
                p[at++] = in[(z * f->stride[2] * from[1] + y * f->stride[1]) * from[0] + x * f->stride[0]];
    *out = p;
    return ERR_OK;
}

static bool in_moving(const struct field *f, const double mm[3])
{
    double p[3];

    if (!f->q->moving)
        return true;
    affine_apply(&f->to_moving, mm, p);
    for (int c = 0; c < 3; c++)
        if (!(p[c] >= -0.5 && p[c] <= (double)f->q->moving->dims[c] - 0.5))
            return false;
    return true;
}

static double apart(const double a[3], const double b[3])
{
    double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];

    return sqrt(x * x + y * y + z * z);
}

static void measure_row(void *ctx, int64_t row)
{
    struct field *f = ctx;
    const int64_t *n = f->grid->dims;
    double p[3][MAPPER_ROW], q[3][MAPPER_ROW], step[3] = {1, 0, 0};
    struct mapper_tally unused = {0};

    for (int64_t x = 0; x < n[0]; x += MAPPER_ROW) {
        int count = n[0] - x < MAPPER_ROW ? (int)(n[0] - x) : MAPPER_ROW;
        double start[3] = {(double)x, (double)(row % n[1]), (double)(row / n[1])};

        mapper_row(f->map, start, step, count, p, &unused);
        if (f->truth)
            mapper_row(f->truth, start, step, count, q, &unused);
        for (int i = 0; i < count; i++) {
            int64_t at = row * n[0] + x + i;
            double here[3] = {(double)(x + i), start[1], start[2]}, there[3] = {p[0][i], p[1][i], p[2][i]};
            double right[3] = {q[0][i], q[1][i], q[2][i]};

            grid_world(f->grid, here, here);
            f->moved[at] = (float)apart(there, here);
            f->scored[at] = in_moving(f, there) ? 3 : 1;
            if (!f->truth)
                continue;
            f->scored[at] = (uint8_t)((f->scored[at] & 2) | in_moving(f, right));
            f->error[REGISTRATION_BEFORE][at] = (float)apart(here, right);
            f->error[REGISTRATION_AFTER][at] = (float)apart(there, right);
        }
    }
}

static enum err measure(struct field *f)
{
    const struct registration_query *q = f->q;
    struct affine pre = affine_of_grid(f->grid);
    size_t n = (size_t)f->count;

    for (int i = 0; q->truth && i < REGISTRATION_STATES; i++)
        if (!(f->error[i] = mem_new(n, sizeof **f->error)))
            return ERR_MEMORY;
    f->moved = mem_new(n, sizeof *f->moved);
    f->scored = mem_new(n, 1);
    f->list = mem_new(n, sizeof *f->list);
    if (!f->moved || !f->scored || !f->list)
        return ERR_MEMORY;
    if (q->moving) {
        struct affine a = affine_of_grid(q->moving);

        TRY(affine_invert(&f->to_moving, &a));
    }
    TRY(mapper_new(&f->map, q->t, &pre, NULL));
    if (q->truth)
        TRY(mapper_new(&f->truth, q->truth, &pre, NULL));
    if (q->fixed_labels)
        TRY(pick_voxels(&f->fixed_label, f, q->fixed_labels));
    if (q->body)
        TRY(pick_voxels(&f->body, f, q->body));
    par_for(f->grid->dims[1] * f->grid->dims[2], measure_row, f);
    return ERR_OK;
}

static bool in_region(const struct field *f, int64_t i, int label)
{
    if (label)
        return f->fixed_label[i] == label;
    return !f->body || f->body[i];
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* Type 7 of Hyndman and Fan, as NumPy's percentile. */
static double quantile(const float *sorted, int64_t n, double share)
{
    double rank = share * (double)(n - 1);
    int64_t at = (int64_t)rank, next = at + 1 < n ? at + 1 : at;

    return (double)sorted[at] + (rank - (double)at) * (double)(sorted[next] - sorted[at]);
}

static void region_errors(const struct field *f, struct registration_region *r)
{
    for (int s = 0; s < REGISTRATION_STATES; s++) {
        struct registration_errors *e = &r->error[s];
        int64_t n = 0;
        double sum = 0;

        *e = (struct registration_errors){NAN, NAN, NAN, NAN};
        for (int64_t i = 0; i < f->count; i++)
            if ((f->scored[i] & 1) && in_region(f, i, r->label)) {
                if (f->truth) {
                    f->list[n] = f->error[s][i];
                    sum += (double)f->list[n];
                }
                n++;
            }
        r->nodes = n;
        if (!n || !f->truth)
            continue;
        qsort(f->list, (size_t)n, sizeof *f->list, by_value);
        *e = (struct registration_errors){sum / (double)n, quantile(f->list, n, 0.5),
                                          quantile(f->list, n, 0.95), (double)f->list[n - 1]};
    }
}

/* Moving labels on the scored grid, by the header position and by T; nodes whose (true, else found) target is
 * outside the moving image count for neither map. */
static enum err label_overlap(struct field *f, struct registration_score *s)
{
    struct transform *identity = NULL;
    uint8_t *mask[2] = {mem_new((size_t)f->count, 1), mem_new((size_t)f->count, 1)};
    struct volume *moved = NULL;
    uint8_t bit = f->truth ? 1 : 2;
    enum err err = mask[0] && mask[1] ? transform_new(&identity, NULL, NULL) : ERR_MEMORY;

    for (int state = 0; !err && state < REGISTRATION_STATES; state++) {
        struct warp w = {state ? f->q->t : identity, f->q->moving_labels, f->grid, WARP_NEAREST};
        struct mapper_tally unused = {0};

        err = warp_volume(&moved, NULL, &w, &unused);
        for (size_t k = 1; !err && k < s->regions; k++) {
            const uint8_t *m = moved->data;
            int label = s->region[k].label;

            for (int64_t i = 0; i < f->count; i++) {
                bool on = (f->scored[i] & bit) != 0;

                mask[0][i] = on && f->fixed_label[i] == label;
                mask[1][i] = on && m[i] == label;
            }
            err = surface_compare(&s->region[k].overlap[state], mask[0], mask[1], f->grid->dims,
                                  f->grid->spacing);
        }
        volume_free(moved);
        moved = NULL;
    }
    transform_free(identity);
    mem_free(mask[0]);
    mem_free(mask[1]);
    return err;
}

/* Determinants and movements over region 0. */
static enum err volume_figures(const struct field *f, struct registration_score *s)
{
    struct mapper_tally unused = {0};
    double sum = 0, logs = 0, squares = 0, moved = 0;
    int64_t inside = 0, positive;
    struct volume *v = NULL;

    TRY(warp_jacobian(&v, f->q->t, f->grid, &unused));
    s->det_least = INFINITY;
    s->det_most = -INFINITY;
    for (int64_t i = 0; i < f->count; i++) {
        double det = (double)((float *)v->data)[i];

        if (!in_region(f, i, 0))
            continue;
        s->det_nodes++;
        s->det_least = fmin(s->det_least, det);
        s->det_most = fmax(s->det_most, det);
        s->det_folded += det <= 0;
        sum += det;
        logs += det > 0 ? log(det) : 0;
        squares += det > 0 ? log(det) * log(det) : 0;
        inside += f->scored[i] >> 1;
        moved += (double)f->moved[i];
        s->moved_most = fmax(s->moved_most, (double)f->moved[i]);
    }
    volume_free(v);
    if (!s->det_nodes)
        return err_set(ERR_INPUT, "there is nothing to score: the body mask is empty");
    positive = s->det_nodes - s->det_folded;
    s->det_mean = sum / (double)s->det_nodes;
    s->sd_log_det =
        positive ? sqrt(fmax(0, squares / (double)positive - pow(logs / (double)positive, 2))) : NAN;
    s->moved_mean = moved / (double)s->det_nodes;
    s->inside = f->q->moving ? (double)inside / (double)s->det_nodes : NAN;
    return ERR_OK;
}

static void count_labels(int64_t n[LABELS], const struct volume *v)
{
    const uint8_t *p = v->data;

    for (int64_t i = 0; i < grid_count(&v->grid); i++)
        n[p[i]]++;
}

/* "5=liver,1=spleen": the name of a label, "label 5" without one. */
static enum err label_name(char name[64], const char *names, int label)
{
    snprintf(name, 64, "label %d", label);
    for (const char *at = names; at && *at;) {
        const char *stop = strchr(at, ',');
        size_t length = stop ? (size_t)(stop - at) : strlen(at);
        char *end;
        long value = strtol(at, &end, 10);
        size_t begin = (size_t)(end - at) + 1; /* of the name, behind '=' */

        if (end == at || *end != '=' || begin >= length || value < 1 || value >= LABELS)
            return err_set(ERR_USAGE, "--names %s: expected LABEL=NAME,LABEL=NAME with labels 1 to 255",
                           names);
        if (value == label)
            snprintf(name, 64, "%.*s", (int)(length - begin), at + begin);
        at = stop ? stop + 1 : NULL;
    }
    return ERR_OK;
}

static enum err list_regions(struct registration_score *s, const struct registration_query *q)
{
    int64_t fixed[LABELS] = {0}, moving[LABELS] = {0};
    double voxel[2] = {0};

    s->region = mem_new(LABELS, sizeof *s->region);
    if (!s->region)
        return ERR_MEMORY;
    s->region[s->regions++] = (struct registration_region){.volume_ratio = NAN};
    snprintf(s->region[0].name, sizeof s->region[0].name, "%s", q->body ? "body" : "everything");
    if (!q->fixed_labels)
        return ERR_OK;
    count_labels(fixed, q->fixed_labels);
    count_labels(moving, q->moving_labels);
    for (int i = 0; i < 2; i++) {
        struct affine a = affine_of_grid(i ? &q->moving_labels->grid : &q->fixed_labels->grid);

        voxel[i] = fabs(affine_det(&a));
    }
    for (int label = 1; label < LABELS; label++) {
        struct registration_region r = {.label = label};

        if (!fixed[label])
            continue;
        TRY(label_name(r.name, q->names, label));
        r.volume_ratio = (double)moving[label] * voxel[1] / ((double)fixed[label] * voxel[0]);
        s->region[s->regions++] = r;
    }
    return ERR_OK;
}

enum err registration_score(struct registration_score *out, const struct registration_query *q,
                            struct notes *notes)
{
    struct registration_score s = {.truth = q->truth != NULL, .labels = q->fixed_labels != NULL};
    struct field f = {.q = q, .grid = &s.grid};
    enum err err;

    s.grid = thin_grid(q->fixed, q->step, f.stride);
    f.count = grid_count(&s.grid);
    TRY_OR(done, list_regions(&s, q));
    TRY_OR(done, measure(&f));
    for (size_t k = 0; k < s.regions; k++)
        region_errors(&f, &s.region[k]);
    if (s.truth && !s.region[0].nodes)
        note_add(notes, "nothing-inside", "no true target lies inside the moving image: no error is known");
    if (s.labels)
        TRY_OR(done, label_overlap(&f, &s));
    TRY_OR(done, volume_figures(&f, &s));
    *out = s;
    s = (struct registration_score){0};
done:
    registration_score_free(&s);
    field_free(&f);
    return err;
}

void registration_score_free(struct registration_score *s)
{
    mem_free(s->region);
    *s = (struct registration_score){0};
}

static json_t *json_errors(const struct registration_errors *e)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "mean", json_number(e->mean), "median", json_number(e->median),
                     "p95", json_number(e->p95), "max", json_number(e->most));
}

static json_t *json_overlap(const struct surface_distance *d)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "dice", json_number(d->dice), "hd95_mm", json_number(d->p95),
                     "mean_surface_mm", json_number(d->mean), "hausdorff_mm", json_number(d->most));
}

static json_t *json_region(const struct registration_score *s, const struct registration_region *r)
{
    static const char *const states[] = {"before", "after"};
    json_t *j = json_pack("{s:o, s:I}", "name", json_str(r->name), "nodes", (json_int_t)r->nodes);
    bool good = j != NULL;

    if (r->label) {
        good = good && !json_object_set_new(j, "label", json_integer(r->label));
        good = good && !json_object_set_new(j, "volume_ratio", json_number(r->volume_ratio));
    }
    for (int i = 0; i < REGISTRATION_STATES; i++) {
        json_t *state = json_object();

        if (s->truth)
            good = good && !json_object_set_new(state, "error_mm", json_errors(&r->error[i]));
        if (r->label)
            good = good && !json_object_update_new(state, json_overlap(&r->overlap[i]));
        good = good && !json_object_set_new(j, states[i], state);
    }
    return good ? j : (json_decref(j), (json_t *)NULL);
}

json_t *registration_score_json(const struct registration_score *s)
{
    json_t *regions = json_array(), *grid;

    for (size_t k = 0; regions && k < s->regions; k++)
        if (json_array_append_new(regions, json_region(s, &s->region[k]))) {
            json_decref(regions);
            regions = NULL;
        }
    if (!regions)
        return NULL;
    grid = json_pack("{s:[I, I, I], s:[f, f, f]}", "dims", (json_int_t)s->grid.dims[0],
                     (json_int_t)s->grid.dims[1], (json_int_t)s->grid.dims[2], "spacing_mm",
                     s->grid.spacing[0], s->grid.spacing[1], s->grid.spacing[2]);
    return json_pack("{s:o, s:o, s:{s:o, s:o, s:o, s:I, s:I, s:o}, s:o, s:o, s:o}", "regions", regions,
                     "grid", grid, "determinant", "min", json_number(s->det_least), "max",
                     json_number(s->det_most), "mean", json_number(s->det_mean), "not_positive",
                     (json_int_t)s->det_folded, "nodes", (json_int_t)s->det_nodes, "sd_log_det",
                     json_number(s->sd_log_det), "moved_mean_mm", json_number(s->moved_mean), "moved_max_mm",
                     json_number(s->moved_most), "inside", json_number(s->inside));
}
