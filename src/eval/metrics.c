#include "eval/metrics.h"
#include "base/str.h"
#include <math.h>

const char *const empty_policy_names[] = {"exclude", "zero", "one", NULL};

const char *empty_policy_text(enum empty_policy policy)
{
    switch (policy) {
    case EMPTY_ZERO:
        return "both empty: undefined, left out of the means and counted; only the reference empty: DSC, "
               "JAC, PRE 0, "
               "SE undefined; only the prediction empty: all 0";
    case EMPTY_ONE:
        return "both empty: all 1; only the reference empty: DSC, JAC, PRE 0, SE undefined; only the "
               "prediction empty: "
               "all 0";
    case EMPTY_EXCLUDE:
        break;
    }
    return "both empty: undefined, left out of the means and counted; only the reference empty: DSC, JAC, "
           "PRE 0, SE "
           "undefined; only the prediction empty: DSC, JAC, SE 0, PRE undefined";
}

void joint_count(struct joint *j, const uint8_t *reference, const uint8_t *prediction, int64_t n, int labels)
{
    for (int64_t i = 0; i < n; i++) {
        int r = reference[i] <= labels ? reference[i] : 0;
        int p = prediction[i] <= labels ? prediction[i] : 0;

        j->n[r][p]++;
    }
}

struct counts joint_region(const struct joint *j, int first, int last)
{
    struct counts c = {0};

    for (int r = 0; r <= LABEL_MAX; r++)
        for (int p = 0; p <= LABEL_MAX; p++) {
            bool in_reference = r >= first && r <= last, in_prediction = p >= first && p <= last;

            if (in_reference)
                *(in_prediction ? &c.tp : &c.fn) += j->n[r][p];
            else
                *(in_prediction ? &c.fp : &c.tn) += j->n[r][p];
        }
    return c;
}

void counts_add(struct counts *sum, const struct counts *c)
{
    sum->tp += c->tp;
    sum->fp += c->fp;
    sum->fn += c->fn;
    sum->tn += c->tn;
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

struct overlap counts_overlap(const struct counts *c, enum empty_policy policy)
{
    double tp = (double)c->tp, fp = (double)c->fp, fn = (double)c->fn;
    struct overlap o = {ratio(2 * tp, 2 * tp + fp + fn), ratio(tp, tp + fp + fn), ratio(tp, tp + fn),
                        ratio(tp, tp + fp)};
    bool no_reference = c->tp + c->fn == 0, no_prediction = c->tp + c->fp == 0;

    if (no_reference && no_prediction && policy == EMPTY_ONE)
        o = (struct overlap){1, 1, 1, 1};
    if (!no_reference && no_prediction && policy != EMPTY_EXCLUDE)
        o.pre = 0;
    return o;
}

enum err label_check(const struct volume *v, int labels, const char *what)
{
    const uint8_t *voxel = v->data;
    int64_t seen[256] = {0}, n = grid_count(&v->grid);
    struct str found = {0};
    bool bad = false;
    enum err err = ERR_OK;

    for (int64_t i = 0; i < n; i++)
        seen[voxel[i]]++;
    for (int i = 0; i < 256; i++)
        if (seen[i]) {
            str_addf(&found, "%s%d", found.len ? ", " : "", i);
            bad = bad || i > labels;
        }
    if (bad)
        err = str_status(&found)
                  ? ERR_MEMORY
                  : err_set(ERR_INPUT,
                            "%s: label values %s found, expected 0 to %d; map them (--map 255=2) or "
                            "name the labels in dataset.json",
                            what, found.s, labels);
    str_free(&found);
    return err;
}
