/* The evaluation as a table for a terminal. Column widths count code points, so that names and the plus-minus
 * sign align. */
#include "base/utf8.h"
#include "eval/score.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_WIDTH = 28, SCORE_WIDTH = 17 };

static int width_of(const char *s)
{
    int n = 0;

    while (*s) {
        utf8_next(&s);
        n++;
    }
    return n;
}

static void add_spaces(struct str *out, int n)
{
    while (n-- > 0)
        str_add(out, " ");
}

/* s, cleaned, filled up with spaces to `width` columns; 0: not filled up. */
static void add_cell(struct str *out, const char *s, int width)
{
    char *clean = utf8_clean(s);

    if (clean) {
        str_add(out, clean);
        add_spaces(out, width - width_of(clean));
    }
    mem_free(clean);
}

static void format_score(char *buf, size_t size, double v)
{
    if (isnan(v))
        snprintf(buf, size, "-");
    else
        snprintf(buf, size, "%.4f", v);
}

static void add_score(struct str *out, double v, int width)
{
    char buf[32];

    format_score(buf, sizeof buf, v);
    add_cell(out, buf, width);
}

static int region_width(const struct evaluation *e)
{
    int width = 6;

    for (int r = 0; r < e->regions; r++) {
        char *title = region_title(&e->region[r]);
        int w = title ? width_of(title) : 0;

        width = w > width ? w : width;
        mem_free(title);
    }
    return width + 2;
}

static int name_width(const struct evaluation *e)
{
    int width = 4;

    for (size_t i = 0; i < e->count; i++) {
        int w = width_of(e->item[i].name);

        if (w <= NAME_WIDTH && w > width)
            width = w;
    }
    return width + 2;
}

static void add_region_title(struct str *out, const struct region *r, int width)
{
    char *title = region_title(r);

    add_cell(out, title ? title : r->name, width);
    mem_free(title);
}

static void add_case(struct str *out, const struct evaluation *e, size_t item, int names, int regions)
{
    const struct case_score *c = &e->item[item];
    bool wide = width_of(c->name) + 2 > names;

    add_cell(out, c->name, wide ? 0 : names);
    if (wide) {
        str_add(out, "\n");
        add_spaces(out, names);
    }
    for (int r = 0; r < e->regions; r++) {
        const struct counts *n = &c->region[r];
        struct overlap o = evaluation_overlap(e, item, r);

        add_spaces(out, r ? names : 0);
        add_region_title(out, &e->region[r], regions);
        for (int k = 0; k < SCORE_COUNT; k++)
            add_score(out, overlap_get(&o, (enum score)k), 8);
        str_addf(out, "%9.1f %11.1f\n", (double)(n->tp + n->fn) * c->voxel_ml,
                 (double)(n->tp + n->fp) * c->voxel_ml);
    }
    add_spaces(out, names);
    str_addf(out, "lesions: %lld in the reference, %lld predicted, %lld detected, %lld false%s\n",
             (long long)c->lesions.reference, (long long)c->lesions.predicted, (long long)c->lesions.detected,
             (long long)c->lesions.false_positive, c->prediction ? "" : " (no prediction: scored as empty)");
}

static void add_cases(struct str *out, const struct evaluation *e)
{
    int names = name_width(e), regions = region_width(e);

    add_cell(out, "case", names);
    add_cell(out, "region", regions);
    for (int k = 0; k < SCORE_COUNT; k++)
        add_cell(out, score_names[k], 8);
    str_addf(out, "%9s %11s\n", "ref. ml", "pred. ml");
    for (size_t i = 0; i < e->count; i++)
        add_case(out, e, i, names, regions);
}

static void add_mean(struct str *out, const struct region_summary *s)
{
    char mean[32], sd[32];

    for (int k = 0; k < SCORE_COUNT; k++) {
        struct str cell = {0};

        format_score(mean, sizeof mean, s->score[k].mean);
        format_score(sd, sizeof sd, s->score[k].sd);
        str_add(&cell, mean);
        if (s->score[k].n > 1)
            str_addf(&cell, " \xC2\xB1 %s", sd);
        add_cell(out, cell.s ? cell.s : "", SCORE_WIDTH);
        str_free(&cell);
    }
    for (int k = 0; k < SCORE_COUNT; k++)
        str_addf(out, "%s%lld", k ? "/" : "n ", (long long)s->score[k].n);
    str_add(out, "\n");
}

static enum err add_region_means(struct str *out, const struct evaluation *e, int region, int width)
{
    struct region_summary s;

    TRY(evaluation_region(e, region, &s));
    add_region_title(out, &e->region[region], width);
    add_cell(out, "mean \xC2\xB1 sd", 11);
    add_mean(out, &s);
    add_spaces(out, width);
    add_cell(out, "median", 11);
    for (int k = 0; k < SCORE_COUNT; k++)
        add_score(out, s.score[k].median, k + 1 < SCORE_COUNT ? SCORE_WIDTH : 0);
    str_add(out, "\n");
    add_spaces(out, width);
    add_cell(out, "pooled", 11);
    for (int k = 0; k < SCORE_COUNT; k++)
        add_score(out, overlap_get(&s.pooled_overlap, (enum score)k), k + 1 < SCORE_COUNT ? SCORE_WIDTH : 0);
    str_add(out, "\n");
    return ERR_OK;
}

static enum err add_means(struct str *out, const struct evaluation *e)
{
    int width = region_width(e);

    add_cell(out, "region", width + 11);
    for (int k = 0; k < SCORE_COUNT; k++)
        add_cell(out, score_names[k], SCORE_WIDTH);
    str_add(out, "cases used\n");
    for (int r = 0; r < e->regions; r++)
        TRY(add_region_means(out, e, r, width));
    return ERR_OK;
}

enum err evaluation_table(const struct evaluation *e, struct str *out)
{
    struct lesions l = evaluation_lesions(e);

    add_cases(out, e);
    str_add(out, "\n");
    TRY(add_means(out, e));
    str_addf(out, "\ncases: n = %zu, %zu without a prediction (scored as empty)\n", e->count,
             evaluation_missing(e));
    str_addf(out, "lesions: %lld of %lld detected, %lld false; %s\n", (long long)l.detected,
             (long long)l.reference, (long long)l.false_positive, LESION_DEFINITION);
    str_addf(out, "empty cases (policy \"%s\"): %s\n", empty_policy_names[e->policy],
             empty_policy_text(e->policy));
    return str_status(out);
}
