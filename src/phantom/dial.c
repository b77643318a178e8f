#include "phantom/dial.h"
#include "base/mem.h"
#include "base/par.h"
#include "phantom/noise.h"
#include "phantom/poly.h"
#include <math.h>
#include <stdbool.h>

static const double step_mm = 6;      /* of the tabulated velocity */
static const double noise_mm = 12;    /* of the noise's lattice, */
static const double noise_sigma = 2;  /* and its smoothing in nodes */
static const float depth_mm = 25;     /* over which the velocity doubles from the liver's surface inwards */
static const double longest_mm = 1.5; /* mean way of a step */
static const float slope_mm = 2;      /* half the way over which the velocity's divergence is measured, */
static const double swelling = .13;   /* and the most of it, of the mean speed and a mm */
enum { ROUNDS = 4, DRAWS = 32 };

struct velocity {
    const struct dial *dial;
    struct noise3 noise;
};

/* d[i] = min(distance to the liver, 0) at p; only points of the liver's box are asked for. */
static void depth(const struct liver *l, const struct points *p, int n, float *d)
{
    struct points near;
    float found[BLOCK_MAX];
    int at[BLOCK_MAX], count = 0;

    for (int i = 0; i < n; i++) {
        const double c[3] = {(double)p->x[i], (double)p->y[i], (double)p->z[i]};
        bool in = true;

        for (int a = 0; a < 3; a++)
            in = in && c[a] >= l->lo[a] && c[a] <= l->hi[a];
        d[i] = 0;
        if (in) {
            near.x[count] = p->x[i];
            near.y[count] = p->y[i];
            near.z[count] = p->z[i];
            at[count++] = i;
        }
    }
    if (count)
        l->distance(l->ctx, &near, count, found);
    for (int k = 0; k < count; k++)
        d[at[k]] = fminf(found[k], 0);
}

static void give_velocity(void *ctx, struct points *p, int n)
{
    const struct velocity *v = ctx;
    float d[BLOCK_MAX];

    depth(v->dial->liver, p, n, d);
    noise3_read(&v->noise, p, n, p);
    for (int i = 0; i < n; i++) {
        float w = 1 - .5f * poly_bell(d[i], 0, depth_mm);

        p->x[i] *= w;
        p->y[i] *= w;
        p->z[i] *= w;
    }
}

void dial_flow(const struct vectors *flow, double time, int steps, const struct points *p, int n,
               struct points *out)
{
    float dt = (float)(time / steps), half = .5f * dt;
    struct points u;

    if (out != p)
        *out = *p;
    for (int k = 0; k < steps; k++) {
        vectors_read(flow, out, n, &u);
        for (int i = 0; i < n; i++) {
            u.x[i] = out->x[i] + half * u.x[i];
            u.y[i] = out->y[i] + half * u.y[i];
            u.z[i] = out->z[i] + half * u.z[i];
        }
        vectors_read(flow, &u, n, &u);
        for (int i = 0; i < n; i++) {
            out->x[i] += dt * u.x[i];
            out->y[i] += dt * u.y[i];
            out->z[i] += dt * u.z[i];
        }
    }
}

/* What is measured over the liver's points, block by block. */
struct survey {
    const struct vectors *flow;
    const struct liver_points *inside;
    double time;
    int steps;
    struct {
        double sum, most;
    } * block;
};

static double length(const struct points *p, int i)
{
    return sqrt((double)(p->x[i] * p->x[i] + p->y[i] * p->y[i] + p->z[i] * p->z[i]));
}

/* The lengths of the ways back: of Phi's inverse, which is what the truth field shows. */
static void way_block(void *ctx, int64_t block)
{
    const struct survey *s = ctx;
    const struct points *p = s->inside->block + block;
    int n = liver_points_in(s->inside, block);
    struct points q;

    dial_flow(s->flow, -s->time, s->steps, p, n, &q);
    s->block[block].sum = 0;
    for (int i = 0; i < n; i++) {
        q.x[i] -= p->x[i];
        q.y[i] -= p->y[i];
        q.z[i] -= p->z[i];
        s->block[block].sum += length(&q, i);
    }
}

/* The speeds, and the largest divergence. */
static void speed_block(void *ctx, int64_t block)
{
    const struct survey *s = ctx;
    const struct points *p = s->inside->block + block;
    int n = liver_points_in(s->inside, block);
    struct points at, u;
    float divergence[BLOCK_MAX] = {0};

    s->block[block].sum = s->block[block].most = 0;
    vectors_read(s->flow, p, n, &u);
    for (int i = 0; i < n; i++)
        s->block[block].sum += length(&u, i);
    for (int side = 0; side < 6; side++) {
        float h = side & 1 ? slope_mm : -slope_mm;
        float *moved = side < 2 ? at.x : side < 4 ? at.y : at.z;
        const float *part = side < 2 ? u.x : side < 4 ? u.y : u.z;

        at = *p;
        for (int i = 0; i < n; i++)
            moved[i] += h;
        vectors_read(s->flow, &at, n, &u);
        for (int i = 0; i < n; i++)
            divergence[i] += part[i] / (2 * h);
    }
    for (int i = 0; i < n; i++)
        s->block[block].most = fmax(s->block[block].most, fabs((double)divergence[i]));
}

static double mean_of(const struct survey *s)
{
    double sum = 0;

    for (int64_t k = 0; k < liver_points_blocks(s->inside); k++)
        sum += s->block[k].sum;
    return sum / (double)s->inside->count;
}

/* Whether the flow swells and shrinks no more than it should: by the divergence of u the determinant of Phi
 * and its inverse grow. That bounds both, at every dial alike: a pattern does not depend on the dial. */
static bool gentle(struct survey *s)
{
    int64_t blocks = liver_points_blocks(s->inside);
    double most = 0;

    par_for(blocks, speed_block, s);
    for (int64_t k = 0; k < blocks; k++)
        most = fmax(most, s->block[k].most);
    return most <= swelling * mean_of(s);
}

/* u: the first of DRAWS patterns that is gentle, or the last. */
static enum err draw(struct vectors *u, struct survey *s, const struct phantom_id *id, int phase,
                     const struct dial *d)
{
    for (int k = 0; k < DRAWS; k++) {
        struct velocity v = {.dial = d};
        struct rng r[3];

        for (int c = 0; c < 3; c++)
            r[c] = phantom_rng(id, "dial", 3 * (PHANTOM_PHASES * k + phase) + c);
        TRY(noise3_make(&v.noise, r, noise_mm, noise_sigma));
        vectors_fill(u, give_velocity, &v);
        noise3_free(&v.noise);
        if (gentle(s))
            break;
    }
    return ERR_OK;
}

/* kappa: the time after which the mean way is mm. */
static double tune(struct survey *s, double mm)
{
    s->time = mm / 1.4;
    for (int round = 0; round < ROUNDS; round++) {
        par_for(liver_points_blocks(s->inside), way_block, s);
        s->time *= mm / mean_of(s);
    }
    return s->time;
}

enum err dial_make(struct vectors **flow, int *steps, const struct phantom_id *id, int phase,
                   const struct dial *d)
{
    struct survey s = {.inside = d->inside, .steps = (int)ceil(d->mm / longest_mm)};
    struct vectors *u = NULL;
    float kappa;
    enum err err;

    TRY(vectors_new(&u, d->lo, d->hi, step_mm));
    s.flow = u;
    s.block = mem_new((size_t)liver_points_blocks(d->inside), sizeof *s.block);
    err = s.block ? draw(u, &s, id, phase, d) : ERR_MEMORY;
    if (!err) {
        kappa = (float)tune(&s, d->mm);
        for (int64_t i = 0; i < 3 * u->size[0] * u->size[1] * u->size[2]; i++)
            u->node[i] *= kappa;
        *flow = u;
        *steps = s.steps;
        u = NULL;
    }
    mem_free(s.block);
    vectors_free(u);
    return err;
}
