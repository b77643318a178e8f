/* The gallery of a data set: cases one after the other, a sheet whenever forty are together, the page last.
 */
#include "lab/gallery.h"
#include "base/file.h"
#include "base/mem.h"
#include "lab/gallery_page.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct writing {
    const struct gallery_job *job;
    struct gallery_result *result;
    struct case_list *list[2]; /* imagesTr, imagesTs; or what a folder without dataset.json holds */
    struct gallery_sections sections;
    const struct gallery_thumb *thumb[GALLERY_SHEET_CASES];
    size_t thumbs, drawn, done, total;
    enum err first; /* why the first case failed */
};

/* ---- which cases ---- */

static bool has_folder(const char *dataset, const char *part)
{
    char *path = path_join(dataset, part);
    bool there = path && folder_exists(path);

    mem_free(path);
    return there;
}

/* Leaves out the phases that no case has. */
static void drop_phases(struct case_list *l)
{
    int kept = 0;

    for (int k = 0; k < l->phases.count; k++) {
        bool used = false;

        for (size_t i = 0; i < l->count; i++)
            used = used || l->item[i].phase[k];
        if (!used)
            continue;
        l->phases.name[kept] = l->phases.name[k];
        l->phases.kind[kept] = l->phases.kind[k];
        for (size_t i = 0; i < l->count; i++) {
            struct case_files *c = &l->item[i];

            if (c->reference == k)
                c->reference = kept;
            c->phase[kept] = c->phase[k];
        }
        kept++;
    }
    l->phases.count = kept;
}

/* Images without a dataset.json: four phases by name or number. Labels are found beside them. */
static enum err find_plain(struct writing *w, struct arena *a)
{
    const char *dataset = w->job->dataset, *path[2];
    struct case_query q = {.path = path, .phase = "portal_venous"};
    struct phase_map phases;
    static const char *const parts[2] = {"imagesTr", "imagesTs"};

    TRY(phase_map_parse(&phases, a, "noncontrast,arterial,portal_venous,delayed"));
    for (int i = 0; i < 2; i++)
        if (has_folder(dataset, parts[i]) && !(path[q.count++] = arena_printf(a, "%s/%s", dataset, parts[i])))
            return ERR_MEMORY;
    if (!q.count)
        path[q.count++] = dataset;
    note_add(w->job->notes, "dataset-json-missing",
             "%s has no dataset.json: channels 0 to 3 are taken for noncontrast, arterial, portal venous and "
             "delayed",
             dataset);
    TRY(case_list_find(&w->list[0], &phases, &q, w->job->notes));
    for (size_t i = 0; i < w->list[0]->count; i++) {
        struct case_files *c = &w->list[0]->item[i];
        const char *part = str_ends(c->folder, "imagesTs") ? "labelsTs" : "labelsTr";
        const char *label = arena_printf(a, "%s/../%s/%s.nii.gz", c->folder, part, c->name);

        if (!label)
            return ERR_MEMORY;
        c->label = file_exists(label) ? label : NULL;
    }
    drop_phases(w->list[0]);
    return ERR_OK;
}

static enum err find_cases(struct writing *w, struct arena *a)
{
    const char *dataset = w->job->dataset;
    char *json = path_join(dataset, "dataset.json");
    bool plain = json && folder_exists(dataset) && !file_exists(json), test = has_folder(dataset, "imagesTs");

    if (!json)
        return ERR_MEMORY;
    mem_free(json);
    if (plain)
        return find_plain(w, a);
    if (!test || has_folder(dataset, "imagesTr"))
        TRY(case_list_read(&w->list[0], dataset, CASES_TRAIN, w->job->notes));
    return test ? case_list_read(&w->list[1], dataset, CASES_TEST, w->job->notes) : ERR_OK;
}

static bool is_chosen(const struct gallery_job *job, const char *name)
{
    for (size_t i = 0; i < job->only_count; i++)
        if (!strcmp(job->only[i], name))
            return true;
    return !job->only_count;
}

static bool is_in(const struct case_list *l, const char *name)
{
    for (size_t i = 0; l && i < l->count; i++)
        if (!strcmp(l->item[i].name, name))
            return true;
    return false;
}

static enum err count_cases(struct writing *w)
{
    const struct gallery_job *job = w->job;

    for (int k = 0; k < 2; k++)
        for (size_t i = 0; w->list[k] && i < w->list[k]->count; i++)
            w->total += is_chosen(job, w->list[k]->item[i].name);
    for (size_t i = 0; i < job->only_count; i++)
        if (!is_in(w->list[0], job->only[i]) && !is_in(w->list[1], job->only[i]))
            return err_set(ERR_USAGE, "%s has no case %s", job->dataset, job->only[i]);
    return w->total ? ERR_OK : err_set(ERR_INPUT, "%s has no cases", job->dataset);
}

/* ---- what is written ---- */

static enum err write_file(const struct writing *w, const char *stem, const char *ending, const struct str *s)
{
    struct str path = {0};
    enum err err;

    str_addf(&path, "%s/%s%s", w->job->output, stem, ending);
    err = str_status(&path);
    if (!err)
        err = file_write(path.s, s->s, s->len);
    str_free(&path);
    return err;
}

static void drop_thumbs(struct writing *w)
{
    while (w->thumbs)
        gallery_thumb_free((struct gallery_thumb *)w->thumb[--w->thumbs]);
}

static enum err write_sheet(struct writing *w)
{
    struct gallery_page page = {.thumb = w->thumb, .count = w->thumbs};
    struct str png = {0}, title = {0};
    char name[32];
    enum err err;

    if (!w->thumbs)
        return ERR_OK;
    str_addf(&title, "%s: cases %zu to %zu of %zu", path_base(w->job->dataset), w->drawn - w->thumbs + 1,
             w->drawn, w->total);
    TRY_OR(done, str_status(&title));
    page.title = title.s;
    TRY_OR(done, gallery_sheet(&png, &page, &w->job->look));
    snprintf(name, sizeof name, "sheet_%02d", ++w->result->pages);
    err = write_file(w, name, ".png", &png);
done:
    drop_thumbs(w);
    str_free(&png);
    str_free(&title);
    return err;
}

/* A case that cannot be drawn becomes a sentence; what the next one would meet too ends the run. */
static enum err take_failure(struct writing *w, const char *name, enum err err)
{
    if (err == ERR_OUTPUT || err == ERR_MEMORY || err == ERR_INTERNAL)
        return err;
    if (!w->result->failed++)
        w->first = err;
    str_addf(&w->result->failures, "%s%s: %s", w->result->failed > 1 ? "; " : "", name, err_text());
    gallery_page_failure(&w->sections, name, err_text());
    return str_status(&w->result->failures);
}

static enum err take_pictures(struct writing *w, struct gallery_pictures *p, const char *stem)
{
    TRY(write_file(w, stem, "_montage.png", &p->montage));
    if (p->motion.len)
        TRY(write_file(w, stem, "_motion.png", &p->motion));
    gallery_page_case(&w->sections, &p->facts, stem, p->motion.len > 0);
    w->thumb[w->thumbs++] = p->thumb;
    p->thumb = NULL;
    w->drawn++;
    return w->thumbs == GALLERY_SHEET_CASES ? write_sheet(w) : str_status(&w->sections.cases);
}

static enum err draw_case(struct writing *w, int list, size_t item)
{
    const struct case_list *l = w->list[list];
    const char *name = l->item[item].name;
    struct gallery_pictures p = {0};
    struct str stem = {0};
    enum err err;

    progress_update(w->job->progress, "cases", (int64_t)w->done++, (int64_t)w->total, "%s", name);
    err = gallery_case(&p, l, item, &w->job->look, w->job->notes);
    if (err)
        return take_failure(w, name, err);
    /* a name in both parts */
    str_addf(&stem, "%s%s", name, list == 1 && is_in(w->list[0], name) ? "_Ts" : "");
    err = str_status(&stem);
    if (!err)
        err = take_pictures(w, &p, stem.s);
    gallery_pictures_free(&p);
    str_free(&stem);
    return err;
}

static enum err draw_cases(struct writing *w)
{
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; w->list[k] && i < w->list[k]->count; i++) {
            if (!is_chosen(w->job, w->list[k]->item[i].name))
                continue;
            if (w->job->stop && *w->job->stop)
                return err_set(ERR_STOPPED, "stopped after %zu of %zu cases; %s has no page", w->done,
                               w->total, w->job->output);
            TRY(draw_case(w, k, i));
        }
    progress_update(w->job->progress, "cases", (int64_t)w->total, (int64_t)w->total, "%d without picture",
                    (int)w->result->failed);
    return write_sheet(w);
}

static enum err write_page(const struct writing *w)
{
    struct str html = {0};
    enum err err;

    gallery_page_open(&html, path_base(w->job->dataset), w->sections.phantoms);
    if (w->result->pages)
        gallery_page_sheets(&html, w->result->pages);
    gallery_page_cases(&html, &w->sections);
    gallery_page_close(&html, w->job->command_line);
    err = str_status(&html);
    if (!err)
        err = write_file(w, "index", ".html", &html);
    str_free(&html);
    return err;
}

enum err gallery_write(struct gallery_result *out, const struct gallery_job *job)
{
    struct writing w = {.job = job, .result = out};
    struct arena *a = arena_new();
    bool there = folder_exists(job->output);
    enum err err = ERR_MEMORY;

    *out = (struct gallery_result){0};
    if (!a)
        return err;
    TRY_OR(done, find_cases(&w, a));
    TRY_OR(done, count_cases(&w));
    TRY_OR(done, folder_make(job->output));
    TRY_OR(done, draw_cases(&w));
    out->cases = w.drawn;
    if (!w.drawn && w.total == 1) /* alone, it is the error of the run */
        err = err_set(w.first, "%s", out->failures.s);
    else
        err = write_page(&w);
done:
    if (err && !there)
        (void)rmdir(job->output); /* if nothing is in it */
    drop_thumbs(&w);
    gallery_sections_free(&w.sections);
    case_list_free(w.list[0]);
    case_list_free(w.list[1]);
    arena_free(a);
    return err;
}
