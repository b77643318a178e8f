#include "align/verdict.h"
#include <math.h>
#include <string.h>

const char *const verdict_names[] = {"pass", "warn", "fail", NULL};

/* What noise alone gives is taken off mean12, so that one limit holds over noise levels (section 12). */
static double excess(const struct verdict_input *in, enum measure_stage stage)
{
    return in->f->body.fit[stage].mean12 - in->a->noise.mean12;
}

static double folds(const struct verdict_input *in)
{
    return (double)in->a->refine.folds;
}

static double final_excess(const struct verdict_input *in)
{
    return excess(in, MEASURE_FINAL);
}

static double bad_share(const struct verdict_input *in)
{
    return in->f->body.fit[MEASURE_FINAL].bad - in->a->noise.bad;
}

/* Of the header's excess, what is left; nan if that was small from the start. */
static double left_over(const struct verdict_input *in)
{
    double header = excess(in, MEASURE_HEADER);

    return in->f->body.fit[MEASURE_HEADER].mean12 > EXPECT_BAD && header > 0
               ? fmax(0, excess(in, MEASURE_FINAL)) / header
               : NAN;
}

static double liver_inside(const struct verdict_input *in)
{
    return in->f->liver.nodes ? in->f->liver.fit[MEASURE_FINAL].inside : NAN;
}

static double body_inside(const struct verdict_input *in)
{
    return in->f->liver.nodes ? NAN : in->f->body.fit[MEASURE_FINAL].inside;
}

static double log_det_sd(const struct verdict_input *in)
{
    return in->f->body.log_det_sd;
}

static double volume_ratio(const struct verdict_input *in)
{
    return in->liver->known ? in->liver->volume_ratio : NAN;
}

static double liver_dice(const struct verdict_input *in)
{
    return in->liver->known ? in->liver->dice[1] : NAN;
}

static double liver_gain(const struct verdict_input *in)
{
    return in->liver->known ? in->liver->dice[1] - in->liver->dice[0] : NAN;
}

/* 0 affine, 1 rigid, 2 out of bounds even so. */
static double bounds(const struct verdict_input *in)
{
    return in->a->match.outside ? 2 : in->a->match.rigid ? 1 : 0;
}

static double matches(const struct verdict_input *in)
{
    return (double)in->a->match.points[MATCH_ROUNDS - 1];
}

/* The table. A figure in `pass` passes, one in `warn` warns, any other fails; nan does not apply.
 *
 * Section 10's limits of mean12 and the bad share are for one noise level. These are for what noise leaves,
 * from runs at sigma 4.7 to 40 HU (2 mm nodes): true pairs (reference pair at 7, 12 and 19 HU, arterial,
 * hard, and both phases of the real patient) ended at -0.002 ... 0.008 and -0.07 ... 0.05, a pair of 5 mm
 * slices that covers a third of the body at 0.013 and 0.11; mirrored images at 0.020 ... 0.054 and 0.23 ...
 * 0.56, with an SD of log det of 0.36 ... 0.70; another patient, upside down, constant and noise at 0.055 and
 * more. */
static const struct limit {
    const char *name;
    double (*value)(const struct verdict_input *in);
    double pass[2], warn[2];
    const char *meaning; /* of a figure that does not pass */
} limits[VERDICT_ROWS] = {
    {"folds",
     folds,
     {0, 0},
     {0, 0},
     "the map folds: places of the fixed image share one place of the moving"},
    {"mean12_over_noise",
     final_excess,
     {-1, 0.010},
     {-1, 0.019},
     "the images still differ after registration"},
    {"bad_share_over_noise", bad_share, {-1, 0.10}, {-1, 0.20}, "this share of the body does not fit"},
    {"left_of_header",
     left_over,
     {0, 0.5},
     {0, 0.8},
     "registration improved little on the files' own positions"},
    {"liver_inside", liver_inside, {0.95, 1}, {0.7, 1}, "part of the liver lies outside the moving image"},
    {"body_inside", body_inside, {0.95, 1}, {0.3, 1}, "part of the body lies outside the moving image"},
    {"log_det_sd",
     log_det_sd,
     {0, 0.2},
     {0, 0.35},
     "the map stretches and squeezes more than breathing does"},
    {"liver_volume_ratio", volume_ratio, {0.9, 1.11}, {0.8, 1.25}, "the liver masks differ in volume"},
    {"liver_dice", liver_dice, {0.93, 1}, {0.85, 1}, "the liver masks do not overlap as they should"},
    {"liver_dice_gain", liver_gain, {0, 1}, {-0.005, 1}, "the liver masks overlapped better before"},
    {"affine",
     bounds,
     {0, 0},
     {0, 1},
     "the affine part left its bounds (1: a rigid one was taken, 2: that did too)"},
    {"matches", matches, {500, 1e9}, {500, 1e9}, "too few places of the moving image could be told apart"},
};

static bool within(double v, const double range[2])
{
    return v >= range[0] && v <= range[1];
}

struct judgement judge(const struct verdict_input *in)
{
    struct judgement j = {.verdict = VERDICT_PASS};

    for (int i = 0; i < VERDICT_ROWS; i++) {
        const struct limit *l = &limits[i];
        struct finding_row *r = &j.row[j.rows];
        double v = l->value(in);

        if (isnan(v))
            continue;
        *r = (struct finding_row){.name = l->name, .value = v};
        memcpy(r->pass, l->pass, sizeof r->pass);
        memcpy(r->warn, l->warn, sizeof r->warn);
        r->verdict = within(v, l->pass) ? VERDICT_PASS : within(v, l->warn) ? VERDICT_WARN : VERDICT_FAIL;
        j.verdict = r->verdict > j.verdict ? r->verdict : j.verdict;
        j.rows++;
    }
    return j;
}

void judge_reason(struct str *out, const struct finding_row *row)
{
    for (int i = 0; i < VERDICT_ROWS; i++)
        if (!strcmp(limits[i].name, row->name))
            str_addf(out, "%s: %s (%.3g; passes %s %.3g)", row->name, limits[i].meaning, row->value,
                     row->value > row->pass[1] ? "up to" : "from",
                     row->value > row->pass[1] ? row->pass[1] : row->pass[0]);
}
