#include "data/sliding.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>

int64_t sliding_positions(int64_t n, int64_t patch, int64_t *position)
{
    int64_t rest = n - patch, count = (2 * rest + patch - 1) / patch + 1; /* ceil(rest / (patch / 2)) + 1 */

    for (int64_t i = 0; position && i < count; i++)
        position[i] = count > 1 ? (int64_t)rint((double)i * ((double)rest / (double)(count - 1))) : 0;
    return count;
}

/* The nearest half-precision number, subnormal ones too; ties to even. */
static double to_half(double v)
{
    int e;

    if (v <= 0)
        return 0;
    frexp(v, &e); /* v = f 2^e, f in [1/2, 1): 11 bits of precision, the last worth 2^(e - 11) */
    double unit = ldexp(1, e - 11 < -24 ? -24 : e - 11);
    return rint(v / unit) * unit;
}

/* A Gaussian of sigma = patch / 8 around patch / 2, cut at radius floor(4 sigma + 1/2). */
static double bell(int64_t i, int64_t patch)
{
    double sigma = (double)patch / 8, d = (double)(i - patch / 2);

    return fabs(d) > floor(4 * sigma + 0.5) ? 0 : exp(-d * d / (2 * sigma * sigma));
}

void sliding_importance(const int64_t patch[3], float *map)
{
    int64_t n = patch[0] * patch[1] * patch[2];
    float least = INFINITY;

    for (int64_t i = 0; i < n; i++) {
        int64_t z = i / (patch[1] * patch[2]), y = i / patch[2] % patch[1], x = i % patch[2];
        map[i] = (float)to_half(10 * bell(z, patch[0]) * bell(y, patch[1]) * bell(x, patch[2]));
        if (map[i] > 0 && map[i] < least)
            least = map[i];
    }
    for (int64_t i = 0; i < n; i++)
        map[i] = map[i] > 0 ? map[i] : least;
}

/* Sizes are of the case padded to the patch; slices lie in a ring of patch[0]. */
struct run {
    const struct source *source;
    const struct sliding *o;
    int64_t size[3], before[3]; /* padded; padding before the first voxel */
    int64_t *position[3], count[3];
    float *map;            /* (D, H, W) of a patch */
    float *sum;            /* ring of slices (H, W, K) */
    float *weight;         /* ring of slices (H, W) */
    float *window;         /* one patch (D, H, W, C), not flipped */
    float *patch, *logits; /* B of them */
    float *cropped;        /* a slice without padding, NULL if there is none */
    int64_t done;
    atomic_bool broken; /* a logit was not finite */
};

/* What waits in one place of a batch. */
struct job {
    int64_t at[3]; /* window, in padded voxels */
    int flips;     /* bit a: axis a */
};

static int64_t patch_voxels_of(const struct sliding *o)
{
    return o->patch[0] * o->patch[1] * o->patch[2];
}

static void sizes(struct run *r, const int64_t size[3], const struct sliding *o)
{
    r->o = o;
    for (int a = 0; a < 3; a++) {
        r->size[a] = size[a] > o->patch[a] ? size[a] : o->patch[a];
        r->before[a] = (r->size[a] - size[a]) / 2;
        r->count[a] = sliding_positions(r->size[a], o->patch[a], NULL);
    }
}

int64_t sliding_patches(const int64_t size[3], const struct sliding *o)
{
    struct run r = {0};

    sizes(&r, size, o);
    return r.count[0] * r.count[1] * r.count[2] * (o->mirror ? 8 : 1);
}

uint64_t sliding_bytes(const int64_t size[3], int64_t channels, const struct sliding *o)
{
    struct run r = {0};

    sizes(&r, size, o);
    int64_t plane = r.size[1] * r.size[2], voxels = patch_voxels_of(o);
    int64_t floats = o->patch[0] * plane * (o->classes + 1) + voxels * (1 + channels) +
                     o->batch * voxels * (channels + o->classes) + size[1] * size[2] * o->classes;
    return (uint64_t)floats * sizeof(float);
}

struct fill {
    struct run *r;
    struct job job;
    float *to;
};

static void read_plane(void *ctx, int64_t z)
{
    struct fill *f = ctx;
    const struct run *r = f->r;
    const int64_t *size = r->o->patch;
    struct patch p = {{size[0], size[1], size[2]}, r->source->channels, r->window, NULL};
    int64_t at[3] = {f->job.at[0] - r->before[0], f->job.at[1] - r->before[1], f->job.at[2] - r->before[2]};

    source_read_plane(r->source, at, z, &p);
}

static void flip_plane(void *ctx, int64_t z)
{
    struct fill *f = ctx;
    const int64_t *n = f->r->o->patch, c = f->r->source->channels, row = n[2] * c;
    int flips = f->job.flips;

    for (int64_t y = 0; y < n[1]; y++) {
        int64_t zs = flips & 1 ? n[0] - 1 - z : z, ys = flips & 2 ? n[1] - 1 - y : y;
        const float *in = f->r->window + (zs * n[1] + ys) * row;
        float *out = f->to + (z * n[1] + y) * row;
        if (!(flips & 4)) {
            memcpy(out, in, (size_t)row * sizeof *out);
            continue;
        }
        for (int64_t x = 0; x < n[2]; x++)
            for (int64_t i = 0; i < c; i++)
                out[x * c + i] = in[(n[2] - 1 - x) * c + i];
    }
}

/* sum += logits * map * share along a row; the logits lie backwards if `back`. K is small, so x is walked one
 * voxel at a time. */
static void add_row(float *restrict sum, const float *restrict logits, const float *restrict map,
                    const int64_t dims[2], bool back, float share)
{
    int64_t n = dims[0], k = dims[1];

    for (int64_t x = 0; x < n; x++) {
        const float *in = logits + (back ? n - 1 - x : x) * k;
        float w = map[x] * share;
        for (int64_t i = 0; i < k; i++)
            sum[x * k + i] += w * in[i];
    }
}

/* Adds plane z of a window (its place in the case, not flipped) to the ring. */
static void add_plane(void *ctx, int64_t z)
{
    struct fill *f = ctx;
    struct run *r = f->r;
    const int64_t *n = r->o->patch, k = r->o->classes, *at = f->job.at;
    int flips = f->job.flips;
    float share = r->o->mirror ? 0.125f : 1;

    for (int64_t y = 0; y < n[1]; y++) {
        int64_t zs = flips & 1 ? n[0] - 1 - z : z, ys = flips & 2 ? n[1] - 1 - y : y;
        int64_t to = ((at[0] + z) % n[0] * r->size[1] + at[1] + y) * r->size[2] + at[2];
        const float *map = r->map + (z * n[1] + y) * n[2];
        add_row(r->sum + to * k, f->to + (zs * n[1] + ys) * n[2] * k, map, (const int64_t[2]){n[2], k},
                flips & 4, share);
        for (int64_t x = 0; flips == 0 && x < n[2]; x++)
            r->weight[to + x] += map[x];
    }
}

/* Runs the network on the first `count` places of the batch and adds what comes back in their order. */
static enum err flush(struct run *r, const struct job *job, int64_t count)
{
    const struct sliding *o = r->o;
    int64_t voxels = patch_voxels_of(o);

    if (!count)
        return ERR_OK;
    memset(r->patch + count * voxels * r->source->channels, 0,
           (size_t)((o->batch - count) * voxels * r->source->channels) * sizeof *r->patch);
    TRY(o->forward(o->forward_ctx, r->patch, r->logits));
    for (int64_t i = 0; i < count; i++) {
        struct fill f = {r, job[i], r->logits + i * voxels * o->classes};
        par_for(o->patch[0], add_plane, &f);
    }
    r->done += count;
    if (o->progress)
        o->progress(o->progress_ctx, r->done, r->count[0] * r->count[1] * r->count[2] * (o->mirror ? 8 : 1));
    return ERR_OK;
}

/* All windows that start at slice position iz. */
static enum err run_layer(struct run *r, int64_t iz, struct job *job)
{
    const struct sliding *o = r->o;
    int64_t in = patch_voxels_of(o) * r->source->channels, count = 0;

    for (int64_t i = 0; i < r->count[1] * r->count[2]; i++) {
        struct fill f = {.r = r};
        f.job.at[0] = r->position[0][iz];
        f.job.at[1] = r->position[1][i / r->count[2]];
        f.job.at[2] = r->position[2][i % r->count[2]];
        par_for(o->patch[0], read_plane, &f);
        for (int flips = 0; flips < (o->mirror ? 8 : 1); flips++) {
            f.job.flips = flips;
            f.to = r->patch + count * in;
            par_for(o->patch[0], flip_plane, &f);
            job[count++] = f.job;
            if (count < o->batch)
                continue;
            TRY(flush(r, job, count));
            count = 0;
        }
    }
    return flush(r, job, count);
}

struct finish {
    struct run *r;
    int64_t slot;
};

static void finish_row(void *ctx, int64_t y)
{
    struct finish *f = ctx;
    struct run *r = f->r;
    int64_t k = r->o->classes, row = f->slot * r->size[1] + y + r->before[1], width = r->source->size[2];
    float *sum = r->sum + (row * r->size[2] + r->before[2]) * k,
          *weight = r->weight + row * r->size[2] + r->before[2];
    float *out = r->cropped ? r->cropped + y * width * k : sum;
    float check = 0;

    for (int64_t x = 0; x < width; x++)
        for (int64_t i = 0; i < k; i++) {
            float v = sum[x * k + i] / weight[x];
            out[x * k + i] = v;
            check += v * 0; /* stays 0, or becomes NaN */
        }
    if (!(check == 0))
        atomic_store(&r->broken, true);
}

/* Hands on padded slices [from, to), which no later window touches, and clears their places. */
static enum err finish(struct run *r, int64_t from, int64_t to)
{
    int64_t plane = r->size[1] * r->size[2], k = r->o->classes;

    for (int64_t z = from; z < to; z++) {
        struct finish f = {r, z % r->o->patch[0]};
        int64_t slice = z - r->before[0];
        if (slice >= 0 && slice < r->source->size[0]) {
            par_for(r->source->size[1], finish_row, &f);
            if (atomic_load(&r->broken))
                return err_set(
                    ERR_MODEL,
                    "the network's output is not finite at slice %lld: its weights are damaged or were "
                    "trained with other data",
                    (long long)slice);
            TRY(r->o->slice(r->o->slice_ctx, slice, r->cropped ? r->cropped : r->sum + f.slot * plane * k));
        }
        memset(r->sum + f.slot * plane * k, 0, (size_t)(plane * k) * sizeof *r->sum);
        memset(r->weight + f.slot * plane, 0, (size_t)plane * sizeof *r->weight);
    }
    return ERR_OK;
}

static enum err run_all(struct run *r, struct job *job)
{
    int64_t finished = 0;

    for (int64_t iz = 0; iz < r->count[0]; iz++) {
        int64_t end = iz + 1 < r->count[0] ? r->position[0][iz + 1] : r->size[0];
        TRY(run_layer(r, iz, job));
        TRY(finish(r, finished, end));
        finished = end;
    }
    return ERR_OK;
}

static float *floats(int64_t count)
{
    return mem_big_new((size_t)count * sizeof(float));
}

static void floats_free(float *p, int64_t count)
{
    if (p)
        mem_big_free(p, (size_t)count * sizeof *p);
}

/* Makes or frees all buffers. */
static enum err buffers(struct run *r, bool make)
{
    const struct sliding *o = r->o;
    int64_t plane = r->size[1] * r->size[2], voxels = patch_voxels_of(o), c = r->source->channels;
    bool padded = r->size[1] != r->source->size[1] || r->size[2] != r->source->size[2];
    struct {
        float **p;
        int64_t count;
    } all[] = {{&r->map, voxels},
               {&r->sum, o->patch[0] * plane * o->classes},
               {&r->weight, o->patch[0] * plane},
               {&r->window, voxels * c},
               {&r->patch, o->batch * voxels * c},
               {&r->logits, o->batch * voxels * o->classes},
               {&r->cropped, padded ? r->source->size[1] * r->source->size[2] * o->classes : 0}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!make)
            floats_free(*all[i].p, all[i].count);
        else if (all[i].count && !(*all[i].p = floats(all[i].count)))
            return ERR_MEMORY;
    }
    return ERR_OK;
}

enum err sliding_run(const struct source *s, const struct sliding *o)
{
    struct run r = {.source = s};
    struct job *job;
    enum err err = ERR_OK;

    sizes(&r, s->size, o);
    job = mem_new((size_t)o->batch, sizeof *job);
    if (!job)
        return ERR_MEMORY;
    for (int a = 0; a < 3 && !err; a++) {
        r.position[a] = mem_new((size_t)r.count[a], sizeof *r.position[a]);
        if (r.position[a])
            sliding_positions(r.size[a], o->patch[a], r.position[a]);
        else
            err = ERR_MEMORY;
    }
    if (!err)
        err = buffers(&r, true);
    if (!err) {
        sliding_importance(o->patch, r.map);
        err = run_all(&r, job);
    }
    (void)buffers(&r, false);
    for (int a = 0; a < 3; a++)
        mem_free(r.position[a]);
    mem_free(job);
    return err;
}
