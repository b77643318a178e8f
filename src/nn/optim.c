#include "nn/optim.h"

#include "graph/op.h"
#include "ops/ops.h"
#include <math.h>
#include <stdio.h>

double schedule_poly(double lr, double position, double length, double power)
{
    double left = 1 - position / length;

    return left > 0 ? lr * pow(left, power) : 0;
}

double schedule_cosine(double lr, double position, double length, double warmup)
{
    double done;

    if (position < warmup)
        return lr * (position + 1) / (warmup + 1);
    if (position >= length)
        return 0;
    done = (position - warmup) / (length - warmup);
    return 0.5 * lr * (1 + cos(acos(-1.0) * done));
}

/* A parameter that the loss does not depend on has the constant 0 as its gradient. It is left alone, weight
 * decay included, as PyTorch leaves one whose gradient is None (the deepest head under deep supervision). */
static bool depends(const struct graph *g, val grad)
{
    const struct node *n = graph_node_of(g, grad);

    return n && !(n->id == OP_CONSTANT && n->attr.fill.value == 0);
}

/* The parameters that have a gradient, and what belongs to each. */
struct update_set {
    int n;
    val *w, *grad, *m, *v;
    val *w_new, *m_new, *v_new;
};

static val moment(struct nn *m, const struct param *p, const char *which)
{
    char name[320];

    snprintf(name, sizeof(name), "optim.%s.%s", p->name, which);
    return graph_state(m->g, name, m->real, p->dims);
}

static void set_fill(struct update_set *s, struct nn *m, const val grad[], bool second)
{
    for (size_t i = 0; i < m->count; i++) {
        if (!depends(m->g, grad[i]))
            continue;
        s->w[s->n] = m->param[i].v;
        s->grad[s->n] = grad[i];
        s->m[s->n] = moment(m, &m->param[i], "m");
        if (second)
            s->v[s->n] = moment(m, &m->param[i], "v");
        s->n++;
    }
}

/* Factor that brings the gradients to at most `clip` (torch.nn.utils.clip_grad_norm_). */
static val clip_factor(struct graph *g, val norm, double clip)
{
    if (clip <= 0)
        return op_scalar(g, 1);
    return op_min(g, op_scalar(g, 1), op_div(g, op_scalar(g, clip), op_add_scalar(g, norm, 1e-6)));
}

static void set_assign(struct graph *g, const struct update_set *s, val when, bool second)
{
    for (int i = 0; i < s->n; i++) {
        graph_assign(g, s->w[i], s->w_new[i], when);
        graph_assign(g, s->m[i], s->m_new[i], when);
        if (second)
            graph_assign(g, s->v[i], s->v_new[i], when);
    }
}

static void set_update(struct nn *m, struct update_set *s, const struct optim *o, struct optim_result *out)
{
    struct graph *g = m->g;
    bool adamw = o->kind == OPTIM_ADAMW;
    struct update u = {.lr = o->lr,
                       .step = o->step,
                       .momentum = o->momentum,
                       .decay = o->decay,
                       .beta1 = 0.9,
                       .beta2 = 0.999,
                       .eps = 1e-8};

    out->norm = op_l2_norm(g, s->n, s->grad);
    out->finite = op_mul(g, op_is_finite(g, o->loss), op_is_finite(g, out->norm));
    u.scale = clip_factor(g, out->norm, o->clip);
    u.when = out->finite;
    if (adamw)
        op_adamw(g, &u, s->n, s->w, s->grad, s->m, s->v, s->w_new, s->m_new, s->v_new);
    else
        op_sgd(g, &u, s->n, s->w, s->grad, s->m, s->w_new, s->m_new);
    set_assign(g, s, out->finite, adamw);
}

void optim_step(struct nn *m, const val grad[], const struct optim *o, struct optim_result *out)
{
    size_t n = m->count;
    val *room = mem_new(7 * (n ? n : 1), sizeof(val));
    struct update_set s = {0};

    if (!room) {
        graph_fail(m->g, ERR_MEMORY);
        return;
    }
    s.w = room;
    s.grad = s.w + n;
    s.m = s.grad + n;
    s.v = s.m + n;
    s.w_new = s.v + n;
    s.m_new = s.w_new + n;
    s.v_new = s.m_new + n;
    graph_enter(m->g, "optim");
    set_fill(&s, m, grad, o->kind == OPTIM_ADAMW);
    set_update(m, &s, o, out);
    graph_leave(m->g);
    mem_free(room);
}
