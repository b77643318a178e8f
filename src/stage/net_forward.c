#include "base/file.h"
#include "stage/net_forward.h"

#include "stage/backend.h"
#include "base/cpu.h"
#include "graph/program.h"
#include "nets/nnunet.h"
#include "tensor/safetensors.h"
#include <stdio.h>
#include <string.h>

static const char *const net_names[] = {"nnunet", NULL};
static const char *const precision_names[] = {"f32", "f64", NULL};

struct net_forward {
    int net, precision;
    const char *config, *weights, *input, *output;
};

static const struct field fields[] = {
    FIELD(struct net_forward, T_CHOICE, net, .names = net_names, .positional = true, .required = true,
          .help = "network"),
    FIELD(struct net_forward, T_STRING, config, .required = true, .arg = "FILE",
          .help = "JSON with network_class_name, arch_kwargs, in_channels, num_classes, deep_supervision"),
    FIELD(struct net_forward, T_STRING, weights, .required = true, .arg = "FILE",
          .help = "safetensors with the reference's state dict"),
    FIELD(struct net_forward, T_STRING, input, .required = true, .arg = "FILE",
          .help = "safetensors with the tensor input (N,C,D,H,W)"),
    FIELD(struct net_forward, T_STRING, output, .required = true, .arg = "FILE",
          .help = "safetensors for output.0, output.1, ... in the reference's order"),
    FIELD(struct net_forward, T_CHOICE, precision, .names = precision_names, .help = "arithmetic"),
};

struct forward {
    const struct net_forward *cfg;
    struct nnunet net;
    struct safetensors *file;
    const struct st_entry *input;
    struct graph *g;
    struct nn *m;
    struct weight_keys keys;
    struct store *store, *io; /* parameters; input and outputs in both orders */
    struct program *p;
    struct dims out_dims[NNUNET_STAGES_MAX]; /* channels-last */
    int n_out;
};

/* (N, C, D, H, W) of channels-last dims. */
static struct dims torch_dims(struct dims d)
{
    return DIMS5(d.n[0], d.n[4], d.n[1], d.n[2], d.n[3]);
}

static enum err read_input(struct forward *f)
{
    const struct net_forward *c = f->cfg;
    const struct st_entry *e;
    char text[160];

    TRY(safetensors_open(&f->file, c->input));
    e = safetensors_find(f->file, "input");
    if (!e)
        return err_set(ERR_INPUT, "%s: there is no tensor 'input'", c->input);
    if (e->dims.rank != 5 || e->count < 1)
        return err_set(ERR_INPUT, "%s: input is %s, needs five axes (N,C,D,H,W)", c->input,
                       dims_text(&e->dims, text));
    if (e->dims.n[1] != f->net.channels)
        return err_set(ERR_MODEL, "%s: input has %lld channels, the network takes %lld", c->input,
                       (long long)e->dims.n[1], (long long)f->net.channels);
    f->input = e;
    return ERR_OK;
}

static enum err build(struct forward *f)
{
    enum dtype real = f->cfg->precision ? DT_F64 : DT_F32;
    const int64_t *n = f->input->dims.n;
    val out[NNUNET_STAGES_MAX] = {{0}};
    char name[32];

    f->g = graph_new(real);
    f->m = f->g ? nn_new(f->g) : NULL;
    f->store = store_new();
    f->io = store_new();
    if (!f->m || !f->store || !f->io)
        return ERR_MEMORY;
    nnunet(f->m, graph_input(f->g, "input", real, DIMS5(n[0], n[2], n[3], n[4], n[1])), &f->net, out,
           &f->n_out);
    for (int i = 0; i < f->n_out; i++) {
        snprintf(name, sizeof(name), "output.%d", i);
        graph_output(f->g, name, out[i]);
        f->out_dims[i] = graph_dims(f->g, out[i]);
    }
    if (graph_status(f->g))
        return err_while(ERR_INPUT, "building the network for %s", f->cfg->input);
    return nnunet_keys(&f->keys, f->m);
}

/* Moves between (N, C, space) and (N, space, C). */
static void swap_channels(const struct tensor *from, struct tensor *to, bool to_last)
{
    const struct dims *d = to_last ? &to->dims : &from->dims;
    int64_t channels = d->n[4], space = d->n[1] * d->n[2] * d->n[3];

    for (int64_t n = 0; n < d->n[0]; n++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t i = 0; i < space; i++) {
                int64_t first = (n * channels + c) * space + i, last = (n * space + i) * channels + c;

                tensor_set(to, to_last ? last : first, tensor_get(from, to_last ? first : last));
            }
}

static enum err bind_input(struct forward *f)
{
    enum dtype real = f->m->real;
    struct tensor *torch = NULL, *last = NULL;
    const int64_t *n = f->input->dims.n;

    TRY(store_need(f->io, "input.torch", real, f->input->dims, &torch));
    TRY(store_need(f->io, "input", real, DIMS5(n[0], n[2], n[3], n[4], n[1]), &last));
    if (real == DT_F64)
        safetensors_get_f64(f->input, torch->data);
    else
        safetensors_get_f32(f->input, torch->data);
    swap_channels(torch, last, true);
    return program_bind(f->p, "input", last->data);
}

static enum err save_outputs(struct forward *f)
{
    struct st_tensor list[NNUNET_STAGES_MAX];

    for (int i = 0; i < f->n_out; i++) {
        struct tensor last = {.type = f->m->real, .dims = f->out_dims[i]};
        struct tensor *torch = NULL;
        char name[32];

        snprintf(name, sizeof(name), "output.%d", i);
        TRY(store_need(f->io, name, last.type, torch_dims(last.dims), &torch));
        last.data = (void *)(uintptr_t)program_output(f->p, name);
        swap_channels(&last, torch, false);
        list[i] = (struct st_tensor){torch->name, st_type_of(torch->type), torch->dims, torch->data};
    }
    return safetensors_save(f->cfg->output, list, (size_t)f->n_out, NULL);
}

static enum err check_output(const struct net_forward *c)
{
    const char *const input[] = {c->config, c->weights, c->input};

    for (size_t i = 0; i < sizeof input / sizeof *input; i++)
        if (file_same(c->output, input[i]))
            return err_set(ERR_USAGE, "--output %s would replace %s, which is read: choose another",
                           c->output, input[i]);
    return ERR_OK;
}

static enum err forward_run(struct forward *f, const struct cli *cli)
{
    struct backend cpu;
    struct compile how = {.backend = &cpu, .memory_max = (uint64_t)cli->common->mem, .stop = cli->stop};

    TRY(check_output(f->cfg));
    TRY(stage_backend(&cpu, cli->common, 0));
    TRY(nnunet_read_json(&f->net, f->cfg->config));
    TRY(read_input(f));
    TRY(build(f));
    TRY(weights_load(f->m, &f->keys, f->store, f->cfg->weights));
    how.memory_max = program_rest(f->g, NULL, how.memory_max);
    TRY(program_new(&f->p, f->g, f->store, &how));
    TRY(bind_input(f));
    TRY(program_run(f->p));
    return save_outputs(f);
}

static enum err run(const struct cli *cli, const void *cfg)
{
    struct forward f = {.cfg = cfg};
    enum err err = forward_run(&f, cli);

    program_free(f.p);
    weight_keys_free(&f.keys);
    nn_free(f.m);
    graph_free(f.g);
    store_free(f.store);
    store_free(f.io);
    safetensors_close(f.file);
    return err;
}

const struct command cmd_net_forward = {
    .name = "net forward",
    .summary = "run a network on given weights and input",
    .example = "nnunet --config C.json --weights W.safetensors --input X.safetensors --output Y.safetensors",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct net_forward),
    .run = run,
};
