#include "train/network.h"

#include "base/json.h"
#include "nn/loss.h"
#include "train/step.h"
#include <string.h>

void network_of_plan(struct nnunet *o, const struct plan *p)
{
    nnunet_make(o, p->network == NET_RESIDUAL, (int)p->stages, p->features, p->features_max);
    for (int s = 0; s < o->stages; s++) {
        if (!o->residual)
            o->convs[s] = p->convs;
        o->convs_up[s] = p->convs_decoder;
    }
    o->deep_supervision = p->deep_supervision;
    o->channels = p->phases;
    o->classes = p->classes;
}

static struct dice_ce loss_of_plan(const struct plan *p)
{
    return (struct dice_ce){.squared = p->dice == DICE_SQUARED, .ce_weight = p->ce_weight};
}

static enum err compile_graph(struct program **out, struct graph *g, struct network *n,
                              const struct compile *c)
{
    enum err err = graph_status(g);
    struct compile within = *c;

    within.arena = n->arena;

    within.memory_max = err ? 0 : program_rest(g, n->store, c->memory_max);
    if (!err)
        err = program_new(out, g, n->store, &within);
    return err ? err_while(err, "building the network") : ERR_OK;
}

static enum err make_step(struct network *n, const struct plan *p, const struct compile *c)
{
    struct graph *g = graph_new(DT_F32);
    struct step_options o = {.net = &n->net,
                             .batch = p->batch,
                             .patch = {p->patch[0], p->patch[1], p->patch[2]},
                             .loss = loss_of_plan(p),
                             .optim = {.kind = p->optimiser == OPT_ADAMW ? OPTIM_ADAMW : OPTIM_SGD,
                                       .momentum = p->momentum,
                                       .decay = p->weight_decay,
                                       .clip = p->clip}};
    enum err err = ERR_MEMORY;

    n->nn = g ? nn_new(g) : NULL;
    if (n->nn) {
        step_build(n->nn, &o);
        err = compile_graph(&n->step, g, n, c);
        n->nn->g = NULL;
    }
    graph_free(g);
    return err;
}

/* TP, FP and FN of one foreground class, from maps of 0 and 1: (1, 3). */
static val class_counts(struct graph *g, val predicted, val truth)
{
    val hit = op_sum(g, op_mul(g, predicted, truth), ALL_AXES), all = op_sum(g, predicted, ALL_AXES);
    val there = op_sum(g, truth, ALL_AXES);
    const val column[3] = {op_reshape(g, hit, DIMS2(1, 1)), op_reshape(g, op_sub(g, all, hit), DIMS2(1, 1)),
                           op_reshape(g, op_sub(g, there, hit), DIMS2(1, 1))};

    return op_concat_n(g, AXIS(1), 3, column);
}

static void output_counts(struct graph *g, val logits, val labels, int64_t classes)
{
    val best = op_argmax(g, logits, AXIS_C), row[256];

    for (int64_t k = 1; k < classes; k++)
        row[k - 1] = class_counts(g, op_equal(g, best, op_scalar(g, (double)k)),
                                  op_equal(g, labels, op_scalar(g, (double)k)));
    graph_output(g, "counts", op_concat_n(g, AXIS(0), (int)classes - 1, row));
}

static void check_build(struct nn *m, const struct network *n, const struct plan *p)
{
    const int64_t *s = p->patch;
    struct dice_ce loss = loss_of_plan(p);
    val image = graph_input(m->g, "image", m->real, DIMS5(p->batch, s[0], s[1], s[2], p->phases));
    val labels = graph_input(m->g, "labels", m->real, DIMS5(p->batch, s[0], s[1], s[2], 1)),
        logits[NNUNET_STAGES_MAX];
    int outs = 0;

    nnunet(m, image, &n->net, logits, &outs);
    graph_output(m->g, "loss", loss_deep_supervision(m->g, outs, logits, labels, &loss));
    output_counts(m->g, logits[0], labels, p->classes);
}

static void forward_build(struct nn *m, struct network *n, const struct plan *p, int64_t batch)
{
    const int64_t *s = p->patch;
    val image = graph_input(m->g, "image", m->real, DIMS5(batch, s[0], s[1], s[2], p->phases)),
        logits[NNUNET_STAGES_MAX];
    int outs = 0;

    nnunet(m, image, &n->net, logits, &outs);
    graph_output(m->g, "logits", logits[0]);
}

static enum err make_check(struct network *n, const struct plan *p, const struct compile *c)
{
    struct graph *g = graph_new(DT_F32);
    struct nn *m = g ? nn_new(g) : NULL;
    enum err err = ERR_MEMORY;

    if (m) {
        check_build(m, n, p);
        err = compile_graph(&n->check, g, n, c);
    }
    nn_free(m);
    graph_free(g);
    return err;
}

static enum err make_forward(struct network *n, const struct plan *p, int64_t batch, const struct compile *c)
{
    struct graph *g = graph_new(DT_F32);
    enum err err = ERR_MEMORY;

    n->nn = g ? nn_new(g) : NULL;
    if (n->nn) {
        forward_build(n->nn, n, p, batch);
        err = compile_graph(&n->forward, g, n, c);
        n->nn->g = NULL;
    }
    graph_free(g);
    return err;
}

static enum err start(struct network *n, const struct plan *p)
{
    memset(n, 0, sizeof *n);
    network_of_plan(&n->net, p);
    n->store = store_new();
    return n->store ? program_arena_new(&n->arena) : ERR_MEMORY;
}

enum err network_for_training(struct network *n, const struct plan *p, const struct compile *c)
{
    enum err err = start(n, p);

    if (!err)
        err = make_step(n, p, c);
    if (!err)
        err = make_check(n, p, c);
    if (!err)
        err = nn_init(n->nn, n->store, p->seed);
    if (err)
        network_free(n);
    return err;
}

enum err network_for_prediction(struct network *n, const struct plan *p, int64_t batch,
                                const struct compile *c)
{
    enum err err = start(n, p);

    if (!err)
        err = make_forward(n, p, batch, c);
    if (err)
        network_free(n);
    return err;
}

uint64_t network_bytes(const struct network *n)
{
    const struct program *const all[] = {n->step, n->check, n->forward};
    uint64_t sum = program_arena_bytes(n->arena);

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        sum += all[i] ? program_kept(all[i]) : 0;
    for (size_t i = 0; i < store_count(n->store); i++)
        sum += tensor_bytes(store_at(n->store, i));
    return sum;
}

void network_free(struct network *n)
{
    program_free(n->step);
    program_free(n->check);
    program_free(n->forward);
    program_arena_free(n->arena);
    nn_free(n->nn);
    store_free(n->store);
    memset(n, 0, sizeof *n);
}

enum err network_load(struct network *n, const char *path)
{
    struct weight_keys keys = {0};
    enum err err = nnunet_keys(&keys, n->nn);

    if (!err)
        err = weights_load(n->nn, &keys, n->store, path);
    weight_keys_free(&keys);
    return err;
}

/* The plan travels in the weights file too, so that one file is a whole model. */
static json_t *plan_metadata(const struct plan *p)
{
    json_t *plan = cfg_to_json(plan_table, p), *meta = NULL;
    char *text = plan ? json_text(plan) : NULL;

    if (text)
        meta = json_pack("{s:s, s:s}", "format", "d4m segmenter 1", "plan", text);
    mem_free(text);
    json_decref(plan);
    return meta;
}

enum err network_save(const struct network *n, const struct plan *p, const char *path)
{
    struct weight_keys keys = {0};
    json_t *meta = plan_metadata(p);
    enum err err = meta ? nnunet_keys(&keys, n->nn) : ERR_MEMORY;

    if (!err)
        err = weights_save(&keys, n->store, meta, path);
    weight_keys_free(&keys);
    json_decref(meta);
    return err;
}
