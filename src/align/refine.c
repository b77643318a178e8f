#include "align/refine.h"
#include "align/blur.h"
#include "align/energy.h"
#include "align/fold.h"
#include "base/mem.h"
#include "base/par.h"
#include <math.h>
#include <string.h>

const char *const refine_preset_names[] = {"default", "fine", NULL};

/* Section 7. Steps in nodes of level 1; halved at 1/2 and again at 3/4 of a phase. */
static const struct phase {
    int iterations[2]; /* by preset */
    double step;
} phases[2] = {{{30, 50}, 0.6}, {{12, 30}, 0.3}};
enum { SQUARINGS_LEAST = 4, PHASE_A_MOST = 60, LOOK_BACK = 10 };
static const double lambda = 0.8, epsilon = 0.15 /* strain */;
static const double gain_least = 0.005; /* phase A goes on while L falls by more over LOOK_BACK iterations */
/* Adam's epsilon is not section 7's 1e-8 but a hundredth of what gradients of badly aligned tissue are (0.1
 * to 1): where nothing pulls, in homogeneous liver, steps must not be as large as elsewhere. Reference pair:
 * liver 1.75 -> 1.73 mm, smallest determinant 0.37 -> 0.38, body 1.34 mm with either; 0.1 gives 1.69
 * and 1.52. */
static const float beta_mean = 0.9f, beta_square = 0.999f, adam_epsilon = 0.01f;

struct descent {
    const struct refine_input *in;
    int64_t size[3], count;
    struct blur blur;
    float *q, *best, *planar, *gradient, *mean, *square; /* 3 * count, planar */
    float *phi, *work;                                   /* 3 per node */
    struct velocity v;
    double *partial;
    float rate, mean_scale, square_scale; /* of the Adam step in work */
    double level[PHASE_A_MOST + 1];       /* L before each iteration */
};

static void interleave_slice(void *ctx, int64_t z)
{
    struct descent *d = ctx;
    int64_t n = d->size[0] * d->size[1];

    for (int64_t i = z * n; i < (z + 1) * n; i++)
        for (int a = 0; a < 3; a++)
            d->v.v[3 * i + a] = d->planar[a * d->count + i];
}

/* v = B q */
static void smooth_parameters(struct descent *d)
{
    blur_run(&d->blur, d->q, d->planar);
    par_for(d->size[2], interleave_slice, d);
    d->v.squarings = velocity_squarings(&d->v, SQUARINGS_LEAST);
}

static void adam_slice(void *ctx, int64_t job)
{
    struct descent *d = ctx;
    int64_t n = d->size[0] * d->size[1];

    for (int64_t i = job * n; i < (job + 1) * n; i++) {
        float g = d->gradient[i];

        d->mean[i] = beta_mean * d->mean[i] + (1 - beta_mean) * g;
        d->square[i] = beta_square * d->square[i] + (1 - beta_square) * g * g;
        d->q[i] -=
            d->rate * (d->mean[i] * d->mean_scale) / (sqrtf(d->square[i] * d->square_scale) + adam_epsilon);
    }
}

/* One step of Adam, number t = 1, 2, ... */
static void adam(struct descent *d, int t, double rate)
{
    d->rate = (float)rate;
    d->mean_scale = (float)(1 / (1 - pow((double)beta_mean, t)));
    d->square_scale = (float)(1 / (1 - pow((double)beta_square, t)));
    par_for(3 * d->size[2], adam_slice, d);
}

/* L at v and, in d->gradient, N dL/dq: dL/dv is taken to be dL/dphi (log-demons), dL/dq = B dL/dv. */
static double evaluate(struct descent *d, int level, struct refine_report *out)
{
    struct data_term data = {.fixed = d->in->fixed[level],
                             .moving = d->in->moving[level],
                             .size = d->size,
                             .weight = d->in->weight,
                             .fine = level ? 1 : 2,
                             .partial = d->partial};
    struct smoothness smooth = {.lambda = lambda, .epsilon = epsilon, .partial = d->partial};
    int phase = level ? 0 : 1;

    smooth_parameters(d);
    velocity_exp(&d->v, 1, d->phi, d->work);
    out->data[phase] = energy_data(&data, d->phi, d->gradient);
    out->smoothness[phase] = energy_smooth(&smooth, d->size, d->planar, d->gradient);
    blur_run(&d->blur, d->gradient, d->gradient);
    return out->data[phase] + out->smoothness[phase];
}

/* Whether L still falls: phase A is then longer than planned. */
static bool goes_on(const struct descent *d, int phase, int t)
{
    return phase == 0 && t >= LOOK_BACK && t < PHASE_A_MOST &&
           d->level[t] < (1 - gain_least) * d->level[t - LOOK_BACK];
}

/* Iterates with the smallest L so far are kept: steps of Adam do not shrink with the gradient, and what fits
 * already must not be made worse. */
struct best {
    double level;
    struct refine_report report;
};

static void keep_best(struct descent *d, struct best *b, double level, const struct refine_report *now)
{
    if (level >= b->level)
        return;
    b->level = level;
    b->report = *now;
    memcpy(d->best, d->q, (size_t)d->count * 3 * sizeof(float));
}

static enum err descend(struct descent *d, int phase, struct refine_report *out)
{
    const struct phase *p = &phases[phase];
    const char *what = phase ? "fine field" : "field";
    int planned = p->iterations[d->in->preset], t = 0;
    struct best best = {.level = (double)INFINITY};

    memset(d->mean, 0, (size_t)d->count * 3 * sizeof(float));
    memset(d->square, 0, (size_t)d->count * 3 * sizeof(float));
    for (;;) {
        double rate = p->step * (t >= planned / 2 ? 0.5 : 1) * (t >= planned * 3 / 4 ? 0.5 : 1);

        if (d->in->stop && atomic_load(d->in->stop))
            return err_set(ERR_STOPPED, "registration was interrupted");
        d->level[t] = evaluate(d, phase ? 0 : 1, out);
        keep_best(d, &best, d->level[t], out);
        if (t >= planned && !goes_on(d, phase, t))
            break;
        adam(d, ++t, rate);
        progress_update(d->in->progress, what, t < planned ? t : planned - 1, planned, "L %.4f",
                        d->level[t - 1]);
    }
    progress_update(d->in->progress, what, planned, planned, "L %.4f", best.level);
    *out = best.report;
    out->iterations[phase] = t;
    memcpy(d->q, d->best, (size_t)d->count * 3 * sizeof(float));
    smooth_parameters(d);
    return ERR_OK;
}

static void descent_free(struct descent *d)
{
    float *block[] = {d->q, d->best, d->planar, d->gradient, d->mean, d->square, d->phi, d->work, d->v.v};

    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        mem_free(block[i]);
    mem_free(d->partial);
    blur_free(&d->blur);
}

static enum err descent_make(struct descent *d, const struct refine_input *in)
{
    const struct lattice *at = &in->fixed[1]->at;
    float **block[] = {&d->q,      &d->best, &d->planar, &d->gradient, &d->mean,
                       &d->square, &d->phi,  &d->work,   &d->v.v};

    *d = (struct descent){.in = in, .count = lattice_count(at), .v = {.to_world = at->to_world}};
    memcpy(d->size, at->size, sizeof d->size);
    memcpy(d->v.size, at->size, sizeof d->v.size);
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        if (!(*block[i] = mem_new((size_t)d->count, 3 * sizeof(float))))
            return ERR_MEMORY;
    d->partial = mem_new((size_t)d->size[2], sizeof *d->partial);
    return d->partial ? blur_make(&d->blur, d->size) : ERR_MEMORY;
}

/* Small determinants are smoothed away, at most three times (fold.h). */
static enum err repair(struct descent *d, struct refine_report *out)
{
    for (out->repairs = 0;; out->repairs++) {
        struct fold_report f;

        velocity_exp(&d->v, 1, d->phi, d->work);
        TRY(fold_find(&f, d->size, d->in->fixed[0]->at.size, d->phi));
        out->det_least = f.least;
        out->folds = f.folds;
        if (f.least > FOLD_DET_LEAST || out->repairs == FOLD_REPAIRS) {
            fold_free(&f);
            return ERR_OK;
        }
        blur_run(&d->blur, d->planar, d->gradient);
        for (int64_t i = 0; i < 3 * d->count; i++)
            if (f.near[i % d->count])
                d->planar[i] = d->gradient[i];
        fold_free(&f);
        par_for(d->size[2], interleave_slice, d);
        d->v.squarings++;
    }
}

enum err refine(struct velocity *v, struct refine_report *out, const struct refine_input *in)
{
    struct descent d;
    enum err err;

    *out = (struct refine_report){0};
    TRY_OR(done, descent_make(&d, in));
    TRY_OR(done, descend(&d, 0, out));
    TRY_OR(done, descend(&d, 1, out));
    TRY_OR(done, repair(&d, out));
    *v = d.v;
    d.v.v = NULL;
done:
    descent_free(&d);
    return err;
}
