#include "lab/report_case.h"
#include "base/html.h"
#include "base/mem.h"
#include "volume/nifti.h"
#include <math.h>
#include <string.h>

/* Index of a case in the evaluation, e->count if it is not there. */
static size_t find_case(const struct evaluation *e, const char *name)
{
    size_t i = 0;

    while (i < e->count && strcmp(e->item[i].name, name))
        i++;
    return i;
}

/* DSC of the lesion region; undefined and unknown cases come last. */
static double rank_of(const struct evaluation *e, const char *name)
{
    size_t i = e ? find_case(e, name) : 0;
    double dsc;

    if (!e || i == e->count)
        return INFINITY;
    dsc = evaluation_overlap(e, i, evaluation_lesion_region(e)).dsc;
    return isnan(dsc) ? 2 : dsc;
}

enum err report_order(size_t *order, const struct report_set *s, const struct evaluation *e)
{
    double *rank = mem_new(s->count, sizeof *rank);

    if (!rank)
        return ERR_MEMORY;
    for (size_t i = 0; i < s->count; i++)
        rank[i] = rank_of(e, s->cases[i].name);
    for (size_t i = 0; i < s->count; i++) {
        size_t at = i;

        while (at && rank[order[at - 1]] > rank[i]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    mem_free(rank);
    return ERR_OK;
}

struct images {
    struct volume *phase[PICTURE_PHASES], *reference, *prediction;
};

static void images_free(struct images *v)
{
    for (int i = 0; i < PICTURE_PHASES; i++)
        volume_free(v->phase[i]);
    volume_free(v->reference);
    volume_free(v->prediction);
}

/* One phase needs spacing only; several must be placed. */
static enum err images_load(struct images *v, const struct report_case *c)
{
    struct nifti_options o = {.positions_matter = c->phases > 1};

    for (int i = 0; i < c->phases; i++)
        TRY(nifti_load_hu(&v->phase[i], c->phase_path[i], &o, NULL));
    if (c->reference)
        TRY(nifti_load_labels(&v->reference, c->reference, &o, NULL));
    if (c->prediction)
        TRY(nifti_load_labels(&v->prediction, c->prediction, &o, NULL));
    return ERR_OK;
}

static enum err montage(struct str *png, const struct report_case *c, const struct report_figure_of *f)
{
    const struct evaluation *e = f->evaluation;
    struct picture p = {.title = c->name, .phases = c->phases, .window = {f->window[0], f->window[1]}};
    struct images v = {{NULL}, NULL, NULL};
    enum err err;

    TRY_OR(done, images_load(&v, c));
    for (int i = 0; i < c->phases; i++) {
        p.phase[i].name = c->phase_name[i];
        p.phase[i].image = v.phase[i];
    }
    p.reference = v.reference;
    p.prediction = v.prediction;
    p.lesion_label = e ? e->labels : 0;
    TRY_OR(done, picture_png(&p, png));
done:
    images_free(&v);
    return err;
}

static void add_caption(struct str *html, const struct report_case *c, const struct report_figure_of *f)
{
    const struct evaluation *e = f->evaluation;
    size_t at = e ? find_case(e, c->name) : 0;

    str_add(html, "<figcaption><strong>");
    html_add_text(html, c->name);
    str_add(html, "</strong>");
    if (c->training)
        str_add(html, " <span class=\"tag\">training case</span>");
    if (f->rank)
        str_addf(html, " <span class=\"tag\">%s</span>", f->rank);
    if (e && at < e->count)
        for (int r = 0; r < e->regions; r++) {
            double dsc = evaluation_overlap(e, at, r).dsc;

            if (r && r < evaluation_lesion_region(e))
                continue;
            str_add(html, r ? ", " : ": ");
            html_add_text(html, e->region[r].name);
            if (isnan(dsc))
                str_add(html, " DSC undefined (both empty)");
            else
                str_addf(html, " DSC %.3f", dsc);
        }
    str_add(html, ". ");
    if (c->used) {
        html_add_text(html, c->used);
        str_add(html, " ");
    }
    str_add(html, "Planes through the largest lesion. All phases are drawn at the same positions in scanner "
                  "coordinates; what a phase did not scan is dark blue.</figcaption>\n");
}

enum err report_figure(struct str *html, const struct report_figure_of *f)
{
    const struct report_case *c = &f->set->cases[f->item];
    struct str png = {0};
    enum err err;

    if (c->phases < 1)
        return ERR_OK;
    err = montage(&png, c, f);
    if (err == ERR_MEMORY) {
        str_free(&png);
        return err;
    }
    str_add(html, "<figure>\n");
    if (err) {
        str_add(html, "<p class=\"alert\">No picture: ");
        html_add_text(html, err_text());
        str_add(html, "</p>\n");
    } else {
        str_add(html, "<div class=\"wide\"><img alt=\"Phases and planes of case ");
        html_add_text(html, c->name);
        str_add(html, " with the outlines of reference and prediction\" src=\"");
        html_add_data(html, "image/png", png.s, png.len);
        str_add(html, "\"></div>\n");
    }
    add_caption(html, c, f);
    str_add(html, "</figure>\n");
    str_free(&png);
    return str_status(html);
}
