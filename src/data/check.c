#include "data/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/check_steps.h"
#include <stdarg.h>
#include <stdio.h>

enum { RUNS_MOST = 1 << 20 };

enum err check_add(struct checker *c, const char *name, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return finding_add(&c->report->found, finding_rule_find(name, FINDING_WARNING), c->where, text);
}

enum err check_notes(struct checker *c, struct notes *n)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i < n->count && !err; i++)
        err = finding_add(&c->report->found, finding_rule_find(n->item[i].name, FINDING_WARNING), c->where,
                          n->item[i].text);
    notes_clear(n);
    return err;
}

enum err check_failure(struct checker *c, enum err err, const char *fallback)
{
    const char *name = c->reason ? c->reason : fallback;

    c->reason = NULL;
    if (err == ERR_MEMORY || err == ERR_INTERNAL)
        return err;
    return finding_add(&c->report->found, finding_rule_find(name, FINDING_ERROR), c->where, err_text());
}

struct check_view *check_show(struct checker *c, struct check_case *k)
{
    struct check_view *v = &k->view[k->views];

    if (!c->asked.draw || k->views == (int)(sizeof k->view / sizeof *k->view))
        return NULL;
    k->views++;
    *v = (struct check_view){.finding = c->report->found.count - 1,
                             .channel = k->files->reference,
                             .at = {k->middle[0], k->middle[1], k->middle[2]}};
    return v;
}

enum err check_mark(struct check_marks *m, int64_t voxel)
{
    if (m->count && m->run[m->count - 1][0] + m->run[m->count - 1][1] == voxel) {
        m->run[m->count - 1][1]++;
        return ERR_OK;
    }
    if (m->count == RUNS_MOST)
        return ERR_OK;
    if (m->count == m->room) {
        size_t room = m->room ? 2 * m->room : 64;
        int64_t(*grown)[2] = mem_resize(m->run, room, sizeof *grown);

        if (!grown)
            return ERR_MEMORY;
        m->run = grown;
        m->room = room;
    }
    m->run[m->count][0] = voxel;
    m->run[m->count++][1] = 1;
    return ERR_OK;
}

/* One pass over the runs of each slice; a run does not leave its slice in practice, and if it does it counts
 * where it begins. */
void check_look_at_marks(struct check_view *v, const struct grid *g)
{
    int64_t area = g->dims[0] * g->dims[1], most = 0;

    for (size_t i = 0; i < v->marks.count;) {
        int64_t z = v->marks.run[i][0] / area, count = 0;
        double x = 0, y = 0;

        for (; i < v->marks.count && v->marks.run[i][0] / area == z; i++) {
            int64_t first = v->marks.run[i][0] % area, n = v->marks.run[i][1];

            count += n;
            x += (double)n * ((double)(first % g->dims[0]) + (double)(n - 1) / 2);
            y += (double)n * (double)(first / g->dims[0]);
        }
        if (count <= most)
            continue;
        most = count;
        v->at[0] = (int64_t)(x / (double)count);
        v->at[1] = (int64_t)(y / (double)count);
        v->at[2] = z;
        v->at[0] = v->at[0] < g->dims[0] ? v->at[0] : g->dims[0] - 1;
    }
}

static enum err check_classes(struct checker *c, const struct case_list *l)
{
    c->where = c->folder;
    for (int64_t v = 1; v < l->classes && c->labels; v++)
        if (!c->used[v])
            TRY(check_add(c, "class-unused", "no label in labelsTr has the value %lld (%s)", (long long)v,
                          l->class_name[v]));
    return ERR_OK;
}

static enum err look_at_part(struct checker *c, const struct case_list *l)
{
    if (c->part == CASES_TRAIN)
        TRY(check_description(c));
    TRY(check_names(c, l));
    TRY(check_links(c, l));
    if (c->part == CASES_TRAIN)
        TRY(check_room(c, l));
    for (size_t i = 0; i < l->count; i++)
        TRY(check_case(c, l, &l->item[i]));
    return c->part == CASES_TRAIN ? check_classes(c, l) : ERR_OK;
}

static enum err check_part(struct checker *c, enum case_part part)
{
    struct case_list *l = NULL;
    struct notes n = {0};
    struct split s = {0};
    enum err err;

    c->where = c->folder;
    c->reason = NULL;
    c->part = part;
    c->options.training = part == CASES_TRAIN;
    err = case_list_read(&l, c->folder, part, &n);
    if (!err)
        err = check_notes(c, &n);
    if (!err && part == CASES_TRAIN && l->count == 0)
        err = err_set(ERR_INPUT, "%s: imagesTr holds no cases", c->folder);
    if (!err && part == CASES_TRAIN)
        err = split_make(&s, l, c->folder, 0, NULL);
    split_free(&s);
    notes_clear(&n);
    if (err && err != ERR_MEMORY) {
        c->report->dataset_error = true;
        err = check_failure(c, err, "dataset");
    } else if (!err) {
        err = look_at_part(c, l);
    }
    case_list_free(l);
    return err;
}

static enum err check_dataset(struct checker *c)
{
    char *test = path_join(c->folder, "imagesTs");
    enum err err = test ? ERR_OK : ERR_MEMORY;

    if (!err)
        err = check_part(c, CASES_TRAIN);
    if (!err && !c->report->dataset_error && folder_exists(test))
        err = check_part(c, CASES_TEST);
    mem_free(test);
    return err;
}

enum err check_path(struct check_report *r, const char *path, const struct check_options *o)
{
    struct check_report made = {0};
    struct checker c = {.report = &made, .asked = *o, .names = arena_new()};
    enum err err = c.names ? ERR_OK : ERR_MEMORY;

    c.options = (struct prepare_options){.map = o->map,
                                         .prefer = o->prefer,
                                         .assume_scanner = o->assume_scanner,
                                         .resample_labels = o->resample_labels,
                                         .reason = &c.reason};
    if (err) {
        ;
    } else if (folder_exists(path)) {
        c.folder = path;
        err = check_dataset(&c);
    } else {
        err = file_exists(path) ? check_file(&c, path) : file_refuse(path);
    }
    mem_free(c.seen);
    arena_free(c.names);
    if (err) {
        check_free(&made);
        return err;
    }
    *r = made;
    return ERR_OK;
}

enum err check_verdict(const struct check_report *r)
{
    if (!r->found.of[FINDING_ERROR])
        return ERR_OK;
    return r->dataset_error || r->cases < 2 ? ERR_INPUT : ERR_CASES;
}

json_t *check_to_json(const struct check_report *r)
{
    const size_t *of = r->found.of;
    json_t *list = NULL;

    json_setup();
    list = json_array();
    for (size_t i = 0; i < r->found.count; i++)
        if (json_array_append_new(list, finding_to_json(&r->found.item[i]))) {
            json_decref(list);
            return NULL;
        }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "cases", (json_int_t)r->cases, "bad_cases",
                     (json_int_t)r->bad_cases, "errors", (json_int_t)of[FINDING_ERROR], "warnings",
                     (json_int_t)of[FINDING_WARNING], "infos", (json_int_t)of[FINDING_INFO], "findings",
                     list);
}

void check_free(struct check_report *r)
{
    findings_clear(&r->found);
    *r = (struct check_report){0};
}
