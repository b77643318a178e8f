#include "data/loader.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/par.h"
#include "data/augment.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum {
    STREAM_PLACE = 0 /* the augmentation's streams start at 1 */,
    MOST_THREADS = 64,
    MOST_SLOTS = 256,
    MOST_PATCH = 1024
};

enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_READY, SLOT_TAKEN };

struct slot {
    struct batch batch; /* first, so that a batch is its slot */
    enum slot_state state;
    size_t bytes; /* of the image, with the labels behind it */
};

struct worker {
    struct loader *loader;
    pthread_t thread;
    float *box; /* sample before the spatial transform */
    float *scratch;
    int8_t *box_label, *patch_label;
};

struct loader {
    struct plan plan;
    struct augment augment;
    uint64_t seed;
    int64_t sample[3]; /* size that patches are cut from */
    size_t items;
    struct source *source;
    struct places *places;
    size_t box_bytes;
    int workers, slots, running; /* running: threads that were started */
    struct worker worker[MOST_THREADS];
    struct slot slot[MOST_SLOTS];
    pthread_mutex_t lock;
    pthread_cond_t work, done; /* a slot became free; a batch became ready */
    bool synchronised;         /* the three above exist */
    int64_t next, want;        /* the next step to make; the lowest that may still be asked for */
    atomic_bool stop;
};

static int64_t volume_of(const int64_t size[3])
{
    return size[0] * size[1] * size[2];
}

/* Sample j of the batch: place, read, transform. */
static void sample_make(struct worker *w, struct batch *b, int64_t j)
{
    struct loader *l = w->loader;
    uint64_t key = augment_key(l->seed, b->step, j);
    struct rng r = rng_at(key, STREAM_PLACE);
    size_t item = (size_t)rng_below(&r, l->items);
    const struct source *s = &l->source[item];
    int64_t voxels = volume_of(b->patch), corner[3], lo[3], hi[3];
    struct patch patch = {{b->patch[0], b->patch[1], b->patch[2]},
                          b->channels,
                          b->image + j * voxels * b->channels,
                          w->patch_label};
    double start = clock_now(), loaded;

    places_pick(&l->places[item], s, &l->plan, l->sample, j, &r, corner);
    struct spatial turn = augment_spatial(&l->augment, key);
    spatial_box(&turn, lo, hi);
    const int64_t at[3] = {corner[0] + lo[0], corner[1] + lo[1], corner[2] + lo[2]};
    if (turn.identity) {
        source_read(s, at, &patch);
        loaded = clock_now();
    } else {
        struct patch box = {{hi[0] - lo[0], hi[1] - lo[1], hi[2] - lo[2]}, b->channels, w->box, w->box_label};
        source_read(s, at, &box);
        loaded = clock_now();
        spatial_apply(&turn, &box, lo, &patch);
    }
    augment_apply(&l->augment, key, &patch, w->scratch);
    for (int64_t i = 0; i < voxels; i++)
        b->label[j * voxels + i] = (float)patch.label[i];
    b->seconds_load += loaded - start;
    b->seconds_augment += clock_now() - loaded;
}

static struct slot *slot_with(struct loader *l, enum slot_state state)
{
    for (int i = 0; i < l->slots; i++)
        if (l->slot[i].state == state)
            return &l->slot[i];
    return NULL;
}

static void *work(void *ctx)
{
    struct worker *w = ctx;
    struct loader *l = w->loader;

    pthread_mutex_lock(&l->lock);
    while (!atomic_load(&l->stop)) {
        struct slot *s = slot_with(l, SLOT_FREE);
        if (!s) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        s->state = SLOT_FILLING;
        s->batch.step = l->next++;
        s->batch.seconds_load = s->batch.seconds_augment = 0;
        pthread_mutex_unlock(&l->lock);
        for (int64_t j = 0; j < s->batch.n && !atomic_load(&l->stop); j++)
            sample_make(w, &s->batch, j);
        pthread_mutex_lock(&l->lock);
        s->state = s->batch.step < l->want ? SLOT_FREE : SLOT_READY; /* skipped meanwhile */
        pthread_cond_broadcast(&l->done);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Steps up to here will not be asked for any more. */
static void skip_to(struct loader *l, int64_t step)
{
    l->want = step;
    if (l->next < step)
        l->next = step;
    for (int i = 0; i < l->slots; i++)
        if (l->slot[i].state == SLOT_READY && l->slot[i].batch.step < step)
            l->slot[i].state = SLOT_FREE;
    pthread_cond_broadcast(&l->work);
}

/* Locked. No slot can be ready for a later step while this one has none, so waiting ends unless the caller
 * holds all slots. */
static enum err wait_for(struct loader *l, int64_t step, struct batch **out)
{
    if (step < l->want)
        return err_set(ERR_INTERNAL, "batch %lld was asked for after batch %lld", (long long)step,
                       (long long)l->want - 1);
    skip_to(l, step);
    for (;;) {
        int taken = 0;
        for (int i = 0; i < l->slots; i++) {
            struct slot *s = &l->slot[i];
            taken += s->state == SLOT_TAKEN;
            if (s->state != SLOT_READY || s->batch.step != step)
                continue;
            s->state = SLOT_TAKEN;
            l->want = step + 1;
            *out = &s->batch;
            return ERR_OK;
        }
        if (taken == l->slots)
            return err_set(ERR_INTERNAL, "all %d batches are out: give one back before taking another",
                           taken);
        pthread_cond_wait(&l->done, &l->lock);
    }
}

enum err loader_take(struct loader *l, int64_t step, struct batch **out)
{
    pthread_mutex_lock(&l->lock);
    enum err err = wait_for(l, step, out);
    pthread_mutex_unlock(&l->lock);
    return err;
}

void loader_give(struct loader *l, struct batch *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&l->lock);
    ((struct slot *)b)->state = SLOT_FREE;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
}

static enum err open_sources(struct loader *l, const struct loader_options *o)
{
    l->source = mem_new(o->count, sizeof *l->source);
    l->places = mem_new(o->count, sizeof *l->places);
    if (!l->source || !l->places)
        return ERR_MEMORY;
    l->items = o->count;
    for (size_t i = 0; i < o->count; i++) {
        TRY(source_make(&l->source[i], o->item[i], &l->plan));
        if (!l->source[i].label)
            return err_set(ERR_INPUT, "case %s has no label: training needs one", o->item[i]->name);
    }
    return ERR_OK;
}

struct search {
    struct loader *l;
    enum err *result; /* by case */
    uint64_t seed;
};

static void find_places(void *ctx, int64_t i)
{
    struct search *s = ctx;

    s->result[i] =
        places_find(&s->l->places[i], &s->l->source[i], s->l->plan.classes, rng_key(s->seed, (uint64_t)i));
}

/* Messages belong to threads: a case that failed on another one is looked at once more here. */
static enum err open_places(struct loader *l, const struct loader_options *o)
{
    struct search s = {
        .l = l, .result = mem_new(o->count, sizeof *s.result), .seed = rng_key(o->seed, 0x706c61636573)};
    enum err err = s.result ? ERR_OK : ERR_MEMORY;

    if (!err)
        par_for((int64_t)o->count, find_places, &s);
    for (size_t i = 0; !err && i < o->count; i++) {
        if (s.result[i])
            find_places(&s, (int64_t)i);
        err = s.result[i];
        if (err)
            err = err_while(err, "reading labels of case %s", o->item[i]->name);
    }
    mem_free(s.result);
    return err;
}

/* The plan as this loader uses it, and all that follows from it. */
static void fit_plan(struct loader *l, const struct loader_options *o)
{
    l->plan = *o->plan;
    if (o->validation)
        l->plan.augment = AUGMENT_NONE;
    l->augment = augment_from_plan(&l->plan);
    augment_sample_size(&l->augment, l->sample);
}

static size_t batch_bytes(const struct loader *l)
{
    return (size_t)(l->plan.batch * volume_of(l->plan.patch) * (l->plan.phases + 1)) * sizeof(float);
}

/* How many threads and batches. Most voxels that a spatial transform reads: the sample, or the patch where
 * there is none. */
static void fit_budget(struct loader *l, const struct loader_options *o)
{
    size_t slot = batch_bytes(l);
    uint64_t budget = o->bytes ? o->bytes : (uint64_t)1 << 30;

    if (l->augment.preset == AUGMENT_NNUNET)
        l->box_bytes = (size_t)(volume_of(l->sample) * l->plan.phases) * sizeof(float);
    l->workers = o->threads < 1 ? 1 : o->threads > MOST_THREADS ? MOST_THREADS : o->threads;
    while (l->workers > 1 && (uint64_t)l->workers * (l->box_bytes + slot) > budget)
        l->workers--;
    uint64_t rest = budget - (uint64_t)l->workers * l->box_bytes;
    l->slots = rest > budget || rest / slot < 2 ? 2
               : rest / slot > MOST_SLOTS       ? MOST_SLOTS
                                                : (int)(rest / slot);
    if (l->slots > 2 * l->workers + 2) /* more would only hold memory */
        l->slots = 2 * l->workers + 2;
}

static enum err open_buffers(struct loader *l, const struct loader_options *o)
{
    int64_t channels = l->plan.phases, voxels = volume_of(l->plan.patch), n = l->plan.batch;
    int64_t scratch = augment_scratch(&l->augment, channels);
    size_t slot = batch_bytes(l);

    fit_budget(l, o);
    for (int i = 0; i < l->slots; i++) {
        struct batch *b = &l->slot[i].batch;
        *b = (struct batch){.n = n, .channels = channels};
        memcpy(b->patch, l->plan.patch, sizeof b->patch);
        l->slot[i].bytes = slot;
        b->image = mem_big_new(slot);
        if (!b->image)
            return ERR_MEMORY;
        b->label = b->image + n * voxels * channels;
    }
    for (int i = 0; i < l->workers; i++) {
        struct worker *w = &l->worker[i];
        w->loader = l;
        w->scratch = mem_new((size_t)scratch, sizeof *w->scratch);
        w->patch_label = mem_new((size_t)voxels, 1);
        w->box_label = mem_new(l->box_bytes ? (size_t)volume_of(l->sample) : 1, 1);
        w->box = l->box_bytes ? mem_big_new(l->box_bytes) : NULL;
        if (!w->scratch || !w->patch_label || !w->box_label || (l->box_bytes && !w->box))
            return ERR_MEMORY;
    }
    return ERR_OK;
}

/* Signals are for the thread that called: the loader's threads block them all. */
static enum err start(struct loader *l)
{
    sigset_t all, before;
    int bad = 0;

    if (pthread_mutex_init(&l->lock, NULL) || pthread_cond_init(&l->work, NULL) ||
        pthread_cond_init(&l->done, NULL))
        return err_set(ERR_MEMORY, "the system has no room for the loader's locks");
    l->synchronised = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (!bad && l->running < l->workers) {
        bad = pthread_create(&l->worker[l->running].thread, NULL, work, &l->worker[l->running]);
        l->running += !bad;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (bad && !l->running)
        return err_set(ERR_MEMORY,
                       "the system refused a thread for loading data: raise its limit (ulimit -u)");
    return ERR_OK; /* fewer threads than wanted give the same batches, later */
}

static enum err check(const struct loader_options *o)
{
    const struct plan *p = o->plan;

    if (!o->count)
        return err_set(ERR_INPUT, "no case to load: the data set's list is empty");
    if (p->phases < 1 || p->phases > PLAN_MAX_PHASES || p->classes < 2 || p->classes > 127 || p->batch < 1 ||
        p->batch > 4096)
        return err_set(
            ERR_INPUT,
            "plan: %lld phases, %lld classes and batch %lld: 1 to %d, 2 to 127 and 1 to 4096 can be loaded",
            (long long)p->phases, (long long)p->classes, (long long)p->batch, PLAN_MAX_PHASES);
    for (int a = 0; a < 3; a++)
        if (p->patch[a] < 1 || p->patch[a] > MOST_PATCH)
            return err_set(ERR_INPUT, "plan: patch[%d] is %lld, which is not in 1..%d", a,
                           (long long)p->patch[a], MOST_PATCH);
    return ERR_OK;
}

uint64_t loader_bytes(const struct loader_options *o)
{
    struct loader l = {.workers = 0};

    fit_plan(&l, o);
    fit_budget(&l, o);
    int64_t voxels = volume_of(l.plan.patch), box = l.box_bytes ? volume_of(l.sample) : 1;
    size_t worker = l.box_bytes + (size_t)(voxels + box) +
                    sizeof(float) * (size_t)augment_scratch(&l.augment, l.plan.phases);
    return (uint64_t)l.slots * batch_bytes(&l) + (uint64_t)l.workers * worker;
}

enum err loader_new(struct loader **out, const struct loader_options *o)
{
    struct loader *l;
    enum err err;

    TRY(check(o));
    l = mem_new(1, sizeof *l);
    if (!l)
        return ERR_MEMORY;
    fit_plan(l, o);
    l->seed = rng_key(o->seed, o->validation);
    l->next = l->want = o->first;
    TRY_OR(done, open_sources(l, o));
    TRY_OR(done, open_places(l, o));
    TRY_OR(done, open_buffers(l, o));
    TRY_OR(done, start(l));
    *out = l;
    l = NULL;
done:
    loader_free(l);
    return err;
}

static void stop(struct loader *l)
{
    if (!l->synchronised)
        return;
    pthread_mutex_lock(&l->lock);
    atomic_store(&l->stop, true);
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->running; i++)
        pthread_join(l->worker[i].thread, NULL);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->done);
    pthread_mutex_destroy(&l->lock);
}

void loader_free(struct loader *l)
{
    if (!l)
        return;
    stop(l);
    for (int i = 0; i < l->slots; i++)
        if (l->slot[i].batch.image)
            mem_big_free(l->slot[i].batch.image, l->slot[i].bytes);
    for (int i = 0; i < l->workers; i++) {
        mem_free(l->worker[i].scratch);
        mem_free(l->worker[i].patch_label);
        mem_free(l->worker[i].box_label);
        if (l->worker[i].box)
            mem_big_free(l->worker[i].box, l->box_bytes);
    }
    for (size_t i = 0; i < l->items; i++)
        places_free(&l->places[i]);
    mem_free(l->source);
    mem_free(l->places);
    mem_free(l);
}
