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

/* "0.8912 ± 0.0340"; "0.8912–0.9410"; one number */
enum row_kind { ROW_MEAN, ROW_INTERVAL, ROW_RANGE, ROW_MEDIAN, ROW_POOLED, ROW_KINDS };
static const char *const row_names[ROW_KINDS] = {"mean \xC2\xB1 sd", "95 % CI", "min-max", "median",
                                                 "pooled"};

static void format_pair(struct str *cell, double a, const char *between, double b)
{
    char text[2][32];

    format_score(text[0], sizeof text[0], a);
    format_score(text[1], sizeof text[1], b);
    str_add(cell, text[0]);
    if (!isnan(b))
        str_addf(cell, "%s%s", between, text[1]);
}

static void add_row_cell(struct str *out, const struct region_summary *s, enum row_kind row, enum score k)
{
    const struct summary *v = &s->score[k];
    struct str cell = {0};

    if (row == ROW_MEAN)
        format_pair(&cell, v->mean, " \xC2\xB1 ", v->sd);
    else if (row == ROW_INTERVAL)
        format_pair(&cell, v->low, "-", v->high);
    else if (row == ROW_RANGE)
        format_pair(&cell, v->min, "-", v->max);
    else
        format_pair(&cell, row == ROW_MEDIAN ? v->median : overlap_get(&s->pooled_overlap, k), "", NAN);
    add_cell(out, cell.s ? cell.s : "", row == ROW_MEAN || k + 1 < SCORE_COUNT ? SCORE_WIDTH : 0);
    str_free(&cell);
}

static enum err add_region_means(struct str *out, const struct evaluation *e, int region, int width)
{
    struct region_summary s;

    TRY(evaluation_region(e, region, &s));
    for (int row = 0; row < ROW_KINDS; row++) {
        if (row == ROW_MEAN)
            add_region_title(out, &e->region[region], width);
        else
            add_spaces(out, width);
        add_cell(out, row_names[row], 11);
        for (int k = 0; k < SCORE_COUNT; k++)
            add_row_cell(out, &s, (enum row_kind)row, (enum score)k);
        for (int k = 0; k < SCORE_COUNT && row == ROW_MEAN; k++)
            str_addf(out, "%s%lld", k ? "/" : "n ", (long long)s.score[k].n);
        str_add(out, "\n");
    }
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
    struct lesion_counts l = evaluation_lesions(e);

    add_cases(out, e);
    str_add(out, "\n");
    TRY(add_means(out, e));
    str_addf(out, "\ncases: n = %zu, %zu without a prediction (scored as empty)\n", e->count,
             evaluation_missing(e));
    str_addf(out, "lesions: %lld of %lld detected, %lld false; %s\n", (long long)l.detected,
             (long long)l.reference, (long long)l.false_positive, LESION_DEFINITION);
    str_add(out, "95 % CI: of the mean; " INTERVAL_DEFINITION "\n");
    str_addf(out, "empty cases (policy \"%s\"): %s\n", empty_policy_names[e->policy],
             empty_policy_text(e->policy));
    if (e->phantom)
        str_add(out, PHANTOM_SENTENCE "\n");
    return str_status(out);
}
