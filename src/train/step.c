#include "train/step.h"

#include "nn/loss.h"

static val loss_of(struct nn *m, const struct step_options *o)
{
    const int64_t *p = o->patch;
    val image = graph_input(m->g, "image", m->real, DIMS5(o->batch, p[0], p[1], p[2], o->net->channels));
    val labels = graph_input(m->g, "labels", m->real, DIMS5(o->batch, p[0], p[1], p[2], 1));
    val logits[NNUNET_STAGES_MAX] = {{0}};
    int n = 0;

    nnunet(m, image, o->net, logits, &n);
    return loss_deep_supervision(m->g, n, logits, labels, &o->loss);
}

/* d loss / d m->param[i], in an array of m->count values followed by the parameters themselves; NULL on
 * exhaustion. */
static val *gradients(struct nn *m, val loss)
{
    val *grad = mem_new(2 * m->count + 1, sizeof(*grad));
    val *wrt = grad ? grad + m->count : NULL;

    if (!grad) {
        graph_fail(m->g, ERR_MEMORY);
        return NULL;
    }
    for (size_t i = 0; i < m->count; i++)
        wrt[i] = m->param[i].v;
    graph_grad(m->g, loss, (int)m->count, wrt, grad);
    return grad;
}

void step_build(struct nn *m, const struct step_options *o)
{
    struct optim optim = o->optim;
    struct optim_result done = {{0}, {0}};
    val *grad;

    optim.loss = loss_of(m, o);
    grad = gradients(m, optim.loss);
    if (!grad)
        return;
    optim.lr = graph_input(m->g, "lr", m->real, DIMS0);
    if (optim.kind == OPTIM_ADAMW)
        optim.step = graph_input(m->g, "step", m->real, DIMS0);
    optim_step(m, grad, &optim, &done);
    graph_output(m->g, "loss", optim.loss);
    graph_output(m->g, "norm", done.norm);
    graph_output(m->g, "finite", done.finite);
    mem_free(grad);
}
