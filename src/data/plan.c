#include "data/plan.h"
#include "base/cpu.h"
#include "base/json.h"
#include "data/normalise.h"
#include <string.h>

const char *const plan_presets[] = {"paper", "demo", NULL};

static const char *const normalisation_names[] = {"volume", "ct", NULL};
static const char *const network_names[] = {"plain", "residual", NULL};
static const char *const sampling_names[] = {"nnunet", "foreground", NULL};
static const char *const augment_names[] = {"none", "flips", "nnunet", NULL};
static const char *const dice_names[] = {"nnunet", "squared", NULL};
static const char *const optimiser_names[] = {"sgd", "adamw", NULL};
static const char *const schedule_names[] = {"poly", "cosine", NULL};

/* A field inside an array member. */
#define ELEMENT(member, i, label, ...)                                                                       \
    {                                                                                                        \
        .name = label, .type = T_REAL, .offset = offsetof(struct plan, member) + (i) * sizeof(double),       \
        __VA_ARGS__                                                                                          \
    }

/* The defaults are preset "paper". */
static const struct field fields[] = {
    FIELD(struct plan, T_REAL3, spacing, .text = "1,1,1", .min = 0.1, .max = 20,
          .help = "voxel size that the network sees, mm (z,y,x)"),
    FIELD(
        struct plan, T_CHOICE, normalisation, .def = NORM_VOLUME, .names = normalisation_names,
        .help =
            "volume: clip to the window, z-score over each volume; ct: nnU-Net's, by the labelled voxels of "
            "the training cases, for any field of view"),
    ELEMENT(window, 0, "window_low", .def = -21, .min = -1024, .max = 3071, .help = "HU below are clipped"),
    ELEMENT(window, 1, "window_high", .def = 189, .min = -1024, .max = 3071, .help = "HU above are clipped"),
    FIELD(struct plan, T_CHOICE, network, .def = NET_PLAIN, .names = network_names,
          .help = "nnU-Net's plain or residual encoder"),
    FIELD(struct plan, T_CHOICE, precision, .names = cpu_precision_names,
          .help = "of convolutions; auto: bf16 with AMX, else f32"),
    FIELD(struct plan, T_INT, stages, .def = 5, .min = 2, .max = PLAN_MAX_STAGES,
          .help = "resolutions, each half the one before"),
    FIELD(struct plan, T_INT, features, .def = 32, .min = 1, .max = 1024,
          .help = "channels of the first stage"),
    FIELD(struct plan, T_INT, features_max, .def = 320, .min = 1, .max = 4096,
          .help = "channels double from stage to stage up to this"),
    FIELD(struct plan, T_INT, convs, .def = 2, .min = 1, .max = 8,
          .help = "convolutions of an encoder stage (plain encoder)"),
    FIELD(struct plan, T_INT, convs_decoder, .def = 2, .min = 1, .max = 8,
          .help = "convolutions of a decoder stage"),
    FIELD(struct plan, T_BOOL, deep_supervision, .def = 1, .help = "loss at every decoder resolution"),
    FIELD(struct plan, T_INT3, patch, .text = "96,96,96", .min = 4, .max = 1024,
          .help = "voxels of a training sample (z,y,x)"),
    FIELD(struct plan, T_INT, batch, .def = 2, .min = 1, .max = 256, .help = "samples of a step"),
    FIELD(struct plan, T_CHOICE, sampling, .def = SAMPLING_NNUNET, .names = sampling_names,
          .help = "nnU-Net's forced share, or a probability for every sample"),
    FIELD(struct plan, T_REAL, foreground, .def = 0.33, .min = 0, .max = 1,
          .help = "share (nnunet) or probability (foreground) of samples around a labelled voxel"),
    FIELD(struct plan, T_REAL, tumour, .def = 0.5, .min = 0, .max = 1,
          .help = "sampling foreground: probability that such a voxel is tumour"),
    FIELD(struct plan, T_CHOICE, augment, .def = AUGMENT_NNUNET, .names = augment_names,
          .help = "none; flips and brightness; all of nnU-Net's"),
    FIELD(struct plan, T_REAL, rotation, .def = 30, .min = 0, .max = 180,
          .help = "largest rotation, degrees"),
    ELEMENT(scale, 0, "scale_low", .def = 0.7, .min = 0.1, .max = 10, .help = "smallest scaling"),
    ELEMENT(scale, 1, "scale_high", .def = 1.4, .min = 0.1, .max = 10,
            .help = "largest scaling (over 1 shrinks objects)"),
    FIELD(struct plan, T_REAL, spatial_p, .def = 0.2, .min = 0, .max = 1,
          .help = "probability of a rotation, and of a scaling"),
    FIELD(struct plan, T_CHOICE, dice, .def = DICE_NNUNET, .names = dice_names,
          .help = "nnU-Net's Dice, or squared denominators with background"),
    FIELD(struct plan, T_REAL, ce_weight, .def = 0.5, .min = 0, .max = 100,
          .help = "weight of the cross-entropy beside the Dice term"),
    FIELD(struct plan, T_CHOICE, optimiser, .def = OPT_SGD, .names = optimiser_names,
          .help = "how weights are updated"),
    FIELD(struct plan, T_CHOICE, schedule, .def = SCHED_POLY, .names = schedule_names,
          .help = "how the learning rate falls"),
    FIELD(struct plan, T_REAL, lr, .def = 0.01, .min = 0, .max = 10,
          .help = "first (cosine: highest) learning rate"),
    FIELD(struct plan, T_REAL, momentum, .def = 0.99, .min = 0, .max = 0.99999,
          .help = "sgd: Nesterov momentum"),
    FIELD(struct plan, T_REAL, weight_decay, .def = 3e-5, .min = 0, .max = 1,
          .help = "pull of weights towards zero"),
    FIELD(struct plan, T_REAL, clip, .def = 12, .min = 0, .max = 1e6,
          .help = "largest gradient norm; 0: no limit"),
    FIELD(struct plan, T_REAL, poly, .def = 0.9, .min = 0, .max = 10, .help = "schedule poly: exponent"),
    FIELD(struct plan, T_INT, warmup, .def = 100, .min = 0, .max = 1e6,
          .help = "schedule cosine: epochs of rising learning rate"),
    FIELD(struct plan, T_INT, epochs, .def = 1000, .min = 1, .max = 1e6, .help = "epochs"),
    FIELD(struct plan, T_INT, iterations, .def = 250, .min = 1, .max = 1e6, .help = "steps of an epoch"),
    FIELD(struct plan, T_INT, val_iterations, .def = 50, .min = 0, .max = 1e6,
          .help = "validation batches after each epoch"),
    FIELD(struct plan, T_INT, phases, .def = 0, .min = 0, .max = PLAN_MAX_PHASES,
          .help = "input channels; set from the data set"),
    FIELD(struct plan, T_INT, classes, .def = 0, .min = 0, .max = 255,
          .help = "classes, background included; set from the data set"),
    FIELD(struct plan, T_STRING, phase_names,
          .help = "channels in order, comma-separated; set from the data set"),
    FIELD(struct plan, T_STRING, reference,
          .help = "phase whose grid carries the labels; set from the data set"),
    FIELD(struct plan, T_STRING, intensities,
          .help = "normalisation ct: low,high,mean,sd;... HU by channel; measured before training"),
    FIELD(struct plan, T_INT, seed, .def = 0, .min = 0, .max = 9007199254740992.,
          .help = "of all random numbers"),
};

const struct cfg_table plan_table = {fields, sizeof fields / sizeof *fields};

/* What preset "demo" changes: a few minutes on two cores. */
static const char *const demo[] = {
    "spacing=3",           "stages=4",         "features=16",       "features_max=128", "patch=64",
    "sampling=foreground", "foreground=0.67",  "tumour=0.6",        "augment=flips",    "optimiser=adamw",
    "schedule=cosine",     "lr=1e-3",          "weight_decay=1e-5", "warmup=0",         "epochs=25",
    "iterations=40",       "val_iterations=4", "normalisation=ct",
};

enum err plan_preset(struct plan *p, struct arena *a, const char *name)
{
    struct plan made = {0};

    TRY(cfg_defaults(plan_table, &made, a));
    if (!strcmp(name, "demo")) {
        for (size_t i = 0; i < sizeof demo / sizeof *demo; i++)
            TRY(cfg_override(plan_table, &made, a, demo[i]));
    } else if (strcmp(name, "paper") != 0) {
        return err_set(ERR_USAGE, "there is no preset '%s'; choose paper or demo", name);
    }
    *p = made;
    return ERR_OK;
}

/* The patch must halve evenly at every stage and leave more than one voxel for the norm to average at the
 * deepest. */
static enum err check_patch(const struct plan *p)
{
    int64_t total = (int64_t)1 << (p->stages - 1), deepest = 1;

    for (int i = 0; i < 3; i++) {
        if (p->patch[i] % total)
            return err_set(ERR_USAGE,
                           "patch %lld (axis %d) is not a multiple of %lld, which %lld stages need",
                           (long long)p->patch[i], i, (long long)total, (long long)p->stages);
        deepest *= p->patch[i] / total;
    }
    if (deepest < 2)
        return err_set(ERR_USAGE,
                       "patch %lld,%lld,%lld leaves one voxel at the deepest of %lld stages; use fewer "
                       "stages or a larger patch",
                       (long long)p->patch[0], (long long)p->patch[1], (long long)p->patch[2],
                       (long long)p->stages);
    return ERR_OK;
}

enum err plan_check(const struct plan *p)
{
    if (p->stages < 2 || p->stages > PLAN_MAX_STAGES)
        return err_set(ERR_USAGE, "stages must be 2 to %d", PLAN_MAX_STAGES);
    TRY(check_patch(p));
    if (!(p->window[0] < p->window[1]))
        return err_set(ERR_USAGE, "window_low %g is not below window_high %g", p->window[0], p->window[1]);
    if (!(p->scale[0] <= p->scale[1]))
        return err_set(ERR_USAGE, "scale_low %g is above scale_high %g", p->scale[0], p->scale[1]);
    if (p->features > p->features_max)
        return err_set(ERR_USAGE, "features %lld is above features_max %lld", (long long)p->features,
                       (long long)p->features_max);
    if (p->schedule == SCHED_COSINE && p->warmup >= p->epochs)
        return err_set(ERR_USAGE, "warmup %lld leaves nothing of %lld epochs; set warmup lower",
                       (long long)p->warmup, (long long)p->epochs);
    return plan_check_intensities(p);
}

enum err plan_parse(struct plan *p, struct arena *a, const json_t *j, const char *what)
{
    struct plan made = {0};
    enum err err;

    TRY(cfg_defaults(plan_table, &made, a));
    TRY(cfg_read_json(plan_table, &made, a, j, what));
    err = plan_check(&made);
    if (err)
        return err_while(ERR_INPUT, "reading %s", what);
    *p = made;
    return ERR_OK;
}

enum err plan_read(struct plan *p, struct arena *a, const char *path)
{
    json_t *j = NULL;
    enum err err;

    TRY(json_read(&j, path));
    err = plan_parse(p, a, j, path);
    json_decref(j);
    return err;
}

enum err plan_write(const struct plan *p, const char *path)
{
    json_t *j = cfg_to_json(plan_table, p);
    enum err err = j ? json_write(j, path) : err_set(ERR_MEMORY, "out of memory while writing %s", path);

    json_decref(j);
    return err;
}
