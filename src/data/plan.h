/* The plan of a segmenter: everything that a preset fixes, one field each, written into every run folder and
 * model as plan.json. A preset is a row of defaults over one table (docs/sources.md:
 * seg-nnunet.md; seg-backbones.md section 11). */
#ifndef D4M_DATA_PLAN_H
#define D4M_DATA_PLAN_H

#include "base/cfg.h"
#include <stdint.h>

enum { PLAN_MAX_STAGES = 10, PLAN_MAX_PHASES = 8 };

enum plan_norm { NORM_VOLUME, NORM_CT };   /* data/normalise.h */
enum plan_net { NET_PLAIN, NET_RESIDUAL }; /* PlainConvUNet, ResidualEncoderUNet */
enum plan_sampling {
    SAMPLING_NNUNET,
    SAMPLING_FOREGROUND
}; /* seg-nnunet.md section 7; or a probability per sample */
enum plan_augment { AUGMENT_NONE, AUGMENT_FLIPS, AUGMENT_NNUNET }; /* FLIPS: flips and brightness */
enum plan_dice { DICE_NNUNET, DICE_SQUARED };
enum plan_optimiser { OPT_SGD, OPT_ADAMW };
enum plan_schedule { SCHED_POLY, SCHED_COSINE }; /* cosine after `warmup` epochs of linear warm-up */

struct plan {
    /* data; axes (z, y, x) = (D, H, W) */
    double spacing[3]; /* mm */
    int normalisation; /* enum plan_norm */
    double window[2];  /* NORM_VOLUME: HU clip range, then z-score per volume */
    /* network */
    int network;   /* enum plan_net */
    int precision; /* enum cpu_precision; in a run or model never CPU_AUTO */
    int64_t stages;
    int64_t features, features_max; /* width of stage s: min(features << s, features_max) */
    int64_t convs, convs_decoder;   /* per stage; for NET_RESIDUAL the blocks are 1,3,4,6,6,6,... */
    bool deep_supervision;
    int64_t patch[3], batch;
    /* sampling */
    int sampling;
    double foreground; /* forced share (nnunet) or probability per sample */
    double tumour;     /* SAMPLING_FOREGROUND: then tumour with this probability, else liver */
    /* augmentation */
    int augment;
    double rotation;  /* degrees, +- */
    double scale[2];  /* lowest and highest zoom factor */
    double spatial_p; /* probability of each of rotation and scaling */
    /* loss: dice + ce_weight * cross entropy */
    int dice;
    double ce_weight;
    /* optimiser */
    int optimiser, schedule;
    double lr, momentum, weight_decay, clip, poly;
    int64_t warmup; /* epochs */
    /* length */
    int64_t epochs, iterations, val_iterations; /* steps per epoch, validation steps per epoch */
    /* data set: filled from dataset.json, not from a preset */
    int64_t phases, classes;
    const char *phase_names; /* comma-separated, in channel order */
    const char *reference;   /* name of the reference phase */
    const char
        *intensities; /* NORM_CT: "low,high,mean,sd;..." by channel, measured before training; else NULL */
    uint64_t seed;
};

extern const char *const plan_presets[]; /* "paper", "demo", NULL */
extern const struct cfg_table plan_table;

MUST_USE enum err plan_preset(struct plan *p, struct arena *a, const char *name);
/* Consistency: patch divisible by the total stride, widths positive, clip range ordered, ...; ERR_USAGE says
 * which field. */
MUST_USE enum err plan_check(const struct plan *p);
/* From JSON, missing fields at their defaults, checked; `what` names it in messages. ERR_INPUT; *p changes
 * only on success. */
MUST_USE enum err plan_parse(struct plan *p, struct arena *a, const json_t *j, const char *what);
MUST_USE enum err plan_read(struct plan *p, struct arena *a, const char *path);
MUST_USE enum err plan_write(const struct plan *p, const char *path);

#endif
