#include "data/places.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

static int64_t voxels_of(const struct source *s)
{
    return s->size[0] * s->size[1] * s->size[2];
}

/* The next voxel from `at` on that is not background; most of a label volume is skipped eight at a time. */
static int64_t next_labelled(const uint8_t *label, int64_t at, int64_t n)
{
    uint64_t eight;

    for (; at + 8 <= n; at += 8) {
        memcpy(&eight, label + at, 8);
        if (eight)
            break;
    }
    while (at < n && !label[at])
        at++;
    return at;
}

static enum err count_classes(const struct source *s, int64_t classes, int64_t count[256])
{
    int64_t n = voxels_of(s);

    for (int64_t i = next_labelled(s->label, 0, n); i < n; i = next_labelled(s->label, i + 1, n))
        count[s->label[i]]++;
    for (int64_t c = classes; c < 256; c++)
        if (count[c])
            return err_set(ERR_INPUT,
                           "label %lld in %lld voxels, but the plan has %lld classes: prepare the case again",
                           (long long)c, (long long)count[c], (long long)classes);
    return ERR_OK;
}

/* One pass of reservoir sampling: voxel number k of a class replaces a random kept one with probability
 * PLACES_MAX / (k + 1). */
static void fill(struct places *p, const struct source *s, uint64_t seed)
{
    int64_t n = voxels_of(s), seen[256] = {0};
    struct rng r[256];

    for (int64_t c = 0; c < p->classes; c++)
        r[c] = rng_at(seed, (uint64_t)c);
    for (int64_t i = next_labelled(s->label, 0, n); i < n; i = next_labelled(s->label, i + 1, n)) {
        int c = s->label[i];
        int64_t k = seen[c]++;
        if (k >= PLACES_MAX)
            k = (int64_t)rng_below(&r[c], (uint64_t)seen[c]);
        if (k < PLACES_MAX)
            p->voxel[c][k] = i;
    }
}

enum err places_find(struct places *p, const struct source *s, int64_t classes, uint64_t seed)
{
    struct places q = {.classes = classes};
    int64_t count[256] = {0};
    enum err err = ERR_OK;

    TRY(count_classes(s, classes, count));
    q.count = mem_new((size_t)classes, sizeof *q.count);
    q.voxel = mem_new((size_t)classes, sizeof *q.voxel);
    if (!q.count || !q.voxel)
        err = ERR_MEMORY;
    for (int64_t c = 1; !err && c < classes; c++) {
        q.count[c] = count[c] < PLACES_MAX ? count[c] : PLACES_MAX;
        if (q.count[c] && !(q.voxel[c] = mem_new((size_t)q.count[c], sizeof **q.voxel)))
            err = ERR_MEMORY;
    }
    if (err) {
        places_free(&q);
        return err;
    }
    fill(&q, s, seed);
    *p = q;
    return ERR_OK;
}

void places_free(struct places *p)
{
    for (int64_t c = 0; p->voxel && c < p->classes; c++)
        mem_free(p->voxel[c]);
    mem_free(p->voxel);
    mem_free(p->count);
    memset(p, 0, sizeof *p);
}

/* The k-th of the classes that have voxels among first..last; -1 if none has. */
static int64_t choose_class(const struct places *p, int64_t first, int64_t last, struct rng *r)
{
    int64_t n = 0;

    for (int64_t c = first; c <= last; c++)
        n += p->count[c] > 0;
    if (!n)
        return -1;
    int64_t k = (int64_t)rng_below(r, (uint64_t)n);
    for (int64_t c = first;; c++)
        if (p->count[c] > 0 && k-- == 0)
            return c;
}

/* The class that this sample must show, -1 for none. nnU-Net: the last samples of a batch, classes evenly.
 * Foreground: by probability, then the highest class (tumour) by another, else the others; whatever exists
 * where the wanted one does not. */
static int64_t wanted_class(const struct places *p, const struct plan *plan, int64_t index, struct rng *r)
{
    int64_t last = p->classes - 1;

    if (plan->sampling == SAMPLING_NNUNET) {
        bool forced = !((double)index < rint((double)plan->batch * (1 - plan->foreground)));
        return forced ? choose_class(p, 1, last, r) : -1;
    }
    if (rng_unit(r) >= plan->foreground)
        return -1;
    bool tumour = rng_unit(r) < plan->tumour;
    int64_t c = tumour ? choose_class(p, last, last, r) : choose_class(p, 1, last - 1, r);
    return c >= 0 ? c : choose_class(p, 1, last, r);
}

void places_pick(const struct places *p, const struct source *s, const struct plan *plan,
                 const int64_t size[3], int64_t index, struct rng *r, int64_t corner[3])
{
    int64_t c = wanted_class(p, plan, index, r), v[3] = {0, 0, 0};

    if (c > 0) {
        int64_t at = p->voxel[c][rng_below(r, (uint64_t)p->count[c])];
        v[0] = at / (s->size[1] * s->size[2]);
        v[1] = at / s->size[2] % s->size[1];
        v[2] = at % s->size[2];
    }
    for (int a = 0; a < 3; a++) {
        int64_t pad = size[a] - plan->patch[a];
        if (s->size[a] + pad < size[a])
            pad = size[a] - s->size[a];
        int64_t low = -(pad / 2 + pad % 2), high = s->size[a] + pad / 2 + pad % 2 - size[a];
        if (c <= 0) {
            corner[a] = low + (int64_t)rng_below(r, (uint64_t)(high - low + 1));
            continue;
        }
        corner[a] = v[a] - size[a] / 2;
        if (plan->sampling == SAMPLING_FOREGROUND &&
            corner[a] > high) /* nnU-Net does not clamp at the far end */
            corner[a] = high;
        if (corner[a] < low)
            corner[a] = low;
    }
}
