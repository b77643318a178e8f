#include "data/check.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/alike.h"
#include "data/place.h"
#include "image/intensity.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Liver in any phase lies well inside these HU; a mask that lies elsewhere (flipped, of another patient) does
 * not. */
static const double liver_low = 0, liver_high = 220;
/* Share of voxels that any CT of a body has in [-150, 250] HU. */
static const double soft_least = 0.03;
/* Fat and air, which every body scan shows, lie below this. */
static const double fat_high = -20;

struct content {
    uint64_t hash;
    const char *where, *path;
};

struct checker {
    struct check_report *report;
    struct prepare_options options;
    const char *where;    /* case or file that is looked at */
    const char *reason;   /* of the last refusal */
    struct content *seen; /* image files so far */
    size_t count, room;
};

static enum err add(struct checker *c, bool error, const char *name, const char *text)
{
    enum finding_severity severity = error ? FINDING_ERROR : FINDING_WARNING;

    return finding_add(&c->report->found, finding_rule_find(name, severity), c->where, text);
}

static enum err addf(struct checker *c, bool error, const char *name, const char *fmt, ...) PRINTF_LIKE(4, 5);
static enum err addf(struct checker *c, bool error, const char *name, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return add(c, error, name, text);
}

static enum err add_notes(struct checker *c, struct notes *n)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i < n->count && !err; i++)
        err = add(c, false, n->item[i].name, n->item[i].text);
    notes_clear(n);
    return err;
}

/* A refusal becomes a finding; exhaustion stays a failure. `fallback` names it if its rule gave no name. */
static enum err take_failure(struct checker *c, enum err err, const char *fallback)
{
    if (err == ERR_MEMORY || err == ERR_INTERNAL)
        return err;
    return add(c, true, c->reason ? c->reason : fallback, err_text());
}

/* The same bytes under two names: a phase copied within a case, or a case copied. */
static enum err check_copies(struct checker *c, const char *path)
{
    uint64_t hash;

    if (file_hash(path, &hash) != ERR_OK)
        return ERR_OK; /* unreadable: told when it is loaded */
    for (size_t i = 0; i < c->count; i++)
        if (c->seen[i].hash == hash)
            return addf(c, false, !strcmp(c->seen[i].where, c->where) ? "phase-copy" : "case-copy",
                        "%s is a byte copy of %s", path, c->seen[i].path);
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 16;
        struct content *grown = mem_resize(c->seen, room, sizeof *grown);

        if (!grown)
            return ERR_MEMORY;
        c->seen = grown;
        c->room = room;
    }
    c->seen[c->count++] = (struct content){hash, c->where, path};
    return ERR_OK;
}

static enum err check_hu(struct checker *c, const struct volume *v, const char *path)
{
    struct histogram *h = NULL;
    double low, high;
    int64_t soft = 0;
    enum err err = ERR_OK;

    TRY(histogram_make(&h, v, NULL));
    low = histogram_quantile(h, 0);
    high = histogram_quantile(h, 1);
    for (int hu = -150; hu <= 250; hu++)
        soft += h->bin[hu + HISTOGRAM_ZERO];
    if (low == high)
        err = addf(c, false, "hu-constant", "%s: every voxel is %g HU", path, low);
    else if ((double)soft < soft_least * (double)h->count)
        err = addf(c, false, "hu-range",
                   "%s: only %.2g %% of the voxels (%g to %g) lie in -150 to 250 HU; slope or offset lost?",
                   path, 100 * (double)soft / (double)h->count, low, high);
    else if (histogram_quantile(h, 0.01) > fat_high)
        err = addf(c, false, "hu-range", "%s: no fat and no air (values %g to %g); offset of 1024 lost?",
                   path, low, high);
    mem_free(h);
    return err;
}

static enum err check_alike(struct checker *c, const struct case_files *f, const struct alike_sample *s)
{
    for (int i = 0; i < PLAN_MAX_PHASES; i++)
        for (int j = 0; j < i; j++) {
            double r = alike_correlation(&s[i], &s[j]);

            if (r > ALIKE_CORRELATION)
                TRY(addf(c, false, "phase-alike", "%s and %s correlate by %.6f: the same phase twice?",
                         f->phase[j], f->phase[i], r));
        }
    return ERR_OK;
}

/* The label against the reference phase under it. */
static enum err check_label(struct checker *c, const struct case_files *f, const struct volume *reference,
                            const struct volume *hu, int64_t classes)
{
    struct notes n = {0};
    struct volume *label = NULL;
    struct histogram *h = NULL;
    int64_t voxels[256];
    double median;
    enum err err;

    c->reason = NULL;
    err = place_label(&label, f->label, reference, &c->options, &n);
    if (!err)
        err = place_label_values(label, classes, f->label, &c->options, voxels);
    if (err) {
        err = take_failure(c, err, "label");
        goto done;
    }
    TRY_OR(done, add_notes(c, &n));
    if (voxels[0] == grid_count(&label->grid)) {
        err = addf(c, false, "label-empty", "%s: no voxel is labelled", f->label);
        goto done;
    }
    TRY_OR(done, histogram_make(&h, hu, label));
    median = histogram_quantile(h, 0.5);
    if (median < liver_low || median > liver_high)
        err = addf(
            c, false, "label-hu",
            "%s: the median under the label is %g HU in %s, which no liver is: flipped, or of another scan?",
            f->label, median, f->phase[f->reference]);
done:
    notes_clear(&n);
    mem_free(h);
    volume_free(label);
    return err;
}

/* One phase onto the reference's grid; its voxels stay in *keep if that is wanted. */
static enum err check_phase(struct checker *c, const struct case_files *f, int k,
                            const struct volume *reference, struct alike_sample *s, struct volume **keep)
{
    struct notes n = {0};
    struct placed at = {0};
    enum err err;

    c->reason = NULL;
    TRY(check_copies(c, f->phase[k]));
    err = place_phase(&at, f, k, reference, &c->options, &n);
    if (err)
        err = take_failure(c, err, "image");
    if (!err)
        err = add_notes(c, &n);
    if (!err && at.hu)
        err = check_hu(c, at.hu, f->phase[k]);
    if (!err && at.hu)
        err = alike_take(s, at.hu);
    notes_clear(&n);
    if (k == f->reference && !err) {
        *keep = at.hu;
        at.hu = NULL;
    }
    volume_free(at.hu);
    return err;
}

static enum err check_missing(struct checker *c, const struct case_list *l, const struct case_files *f,
                              bool training)
{
    struct str names = {0};
    enum err err;

    for (int k = 0; k < l->phases.count; k++)
        if (!f->phase[k])
            str_addf(&names, "%s%s", names.len ? ", " : "", phase_text(l->phases.kind[k]));
    err = str_status(&names);
    if (!err && names.len && !(training && !f->phase[l->phases.portal]))
        err = addf(c, false, "phase-missing", "no %s phase; present ones take its place", names.s);
    str_free(&names);
    if (!err && training && !f->phase[l->phases.portal])
        err = add(c, true, "no-portal-venous", "no portal venous phase, which carries the label");
    if (!err && training && !f->label)
        err = add(c, true, "no-label", "no label in labelsTr");
    return err;
}

static enum err check_case(struct checker *c, const struct case_list *l, const struct case_files *f,
                           bool training)
{
    struct volume *reference = NULL, *hu = NULL;
    struct alike_sample s[PLAN_MAX_PHASES] = {{0}};
    size_t errors = c->report->found.of[FINDING_ERROR];
    enum err err;

    c->where = f->name;
    c->reason = NULL;
    c->report->cases++;
    TRY_OR(done, check_missing(c, l, f, training));
    if (f->reference < 0)
        goto done;
    err = place_reference(&reference, f, &c->options, NULL);
    if (err) {
        err = take_failure(c, err, "image");
        goto done;
    }
    for (int k = 0; k < l->phases.count; k++)
        if (f->phase[k])
            TRY_OR(done, check_phase(c, f, k, reference, &s[k], &hu));
    TRY_OR(done, check_alike(c, f, s));
    if (f->label && hu)
        err = check_label(c, f, reference, hu, l->classes);
done:
    c->report->bad_cases += c->report->found.of[FINDING_ERROR] > errors;
    for (int k = 0; k < PLAN_MAX_PHASES; k++)
        alike_free(&s[k]);
    volume_free(reference);
    volume_free(hu);
    return err;
}

static enum err check_part(struct checker *c, const char *folder, enum case_part part)
{
    struct case_list *l = NULL;
    struct notes n = {0};
    struct split s = {0};
    enum err err;

    c->where = folder;
    c->reason = NULL;
    c->options.training = part == CASES_TRAIN;
    err = case_list_read(&l, folder, part, &n);
    if (!err)
        err = add_notes(c, &n);
    if (!err && part == CASES_TRAIN && l->count == 0)
        err = err_set(ERR_INPUT, "%s: imagesTr holds no cases", folder);
    if (!err && part == CASES_TRAIN)
        err = split_make(&s, l, folder, 0, NULL);
    split_free(&s);
    notes_clear(&n);
    if (err && err != ERR_MEMORY) {
        c->report->dataset_error = true;
        err = take_failure(c, err, "dataset");
    } else if (!err) {
        for (size_t i = 0; i < l->count && !err; i++)
            err = check_case(c, l, &l->item[i], part == CASES_TRAIN);
    }
    c->count = 0; /* names of files go with the list */
    case_list_free(l);
    return err;
}

static enum err check_dataset(struct checker *c, const char *folder)
{
    char *test = path_join(folder, "imagesTs");
    enum err err = test ? ERR_OK : ERR_MEMORY;

    if (!err)
        err = check_part(c, folder, CASES_TRAIN);
    if (!err && !c->report->dataset_error && folder_exists(test))
        err = check_part(c, folder, CASES_TEST);
    mem_free(test);
    return err;
}

/* A file alone: an image, or if it holds small counts only, perhaps a label. */
static enum err check_file(struct checker *c, const char *path)
{
    struct nifti_options read = {
        .prefer = c->options.prefer, .assume_scanner = c->options.assume_scanner, .reason = &c->reason};
    struct histogram *h = NULL;
    struct volume *v = NULL;
    struct notes n = {0};
    enum err err;

    c->where = path;
    c->report->cases = 1;
    err = nifti_load_hu(&v, path, &read, &n);
    if (err) {
        c->report->bad_cases = 1;
        err = take_failure(c, err, "image");
        goto done;
    }
    TRY_OR(done, add_notes(c, &n));
    TRY_OR(done, histogram_make(&h, v, NULL));
    if (histogram_quantile(h, 0) < 0 || histogram_quantile(h, 1) >= 32)
        err = check_hu(c, v, path);
done:
    notes_clear(&n);
    mem_free(h);
    volume_free(v);
    return err;
}

enum err check_path(struct check_report *r, const char *path, const struct check_options *o)
{
    struct check_report made = {0};
    struct checker c = {.report = &made};
    enum err err;

    c.options = (struct prepare_options){.map = o->map,
                                         .prefer = o->prefer,
                                         .assume_scanner = o->assume_scanner,
                                         .resample_labels = o->resample_labels,
                                         .reason = &c.reason};
    if (folder_exists(path))
        err = check_dataset(&c, path);
    else if (file_exists(path))
        err = check_file(&c, path);
    else
        err = file_refuse(path);
    mem_free(c.seen);
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
