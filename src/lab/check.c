#include "lab/check.h"

#include "base/json.h"
#include "base/str.h"
#include "base/file.h"
#include "data/check.h"
#include "lab/check_picture.h"
#include <stdio.h>
#include <string.h>

struct check_cfg {
    const char *path, *map, *output;
    int prefer;
    bool assume_scanner, resample_labels;
};

static const struct field fields[] = {
    FIELD(struct check_cfg, T_STRING, path, .positional = true, .required = true, .arg = "FILE_OR_DATASET",
          .help = "a NIfTI file, or a data set (folder with dataset.json)"),
    FIELD(struct check_cfg, T_STRING, output, .brief = 'o', .arg = "FOLDER",
          .help = "write index.html, check.json and a picture per finding that can be shown"),
    FIELD(struct check_cfg, T_STRING, map, .arg = "FROM=TO,...",
          .help = "change label values first, for example 255=2,3=2"),
    FIELD(struct check_cfg, T_CHOICE, prefer, .def = NIFTI_AUTO, .names = nifti_form_names,
          .help = "which form is right where a file's two disagree"),
    FIELD(struct check_cfg, T_BOOL, assume_scanner,
          .help = "files without orientation lie along right, anterior, superior"),
    FIELD(struct check_cfg, T_BOOL, resample_labels,
          .help = "accept labels on another grid than their image's"),
};

static enum err print_json(const struct check_report *r)
{
    json_t *j = check_to_json(r);
    enum err err = json_print(j);

    json_decref(j);
    return err;
}

/* "CASE: sentence", or the sentence alone where it begins with that file's or folder's name. */
static void add_sentence(struct str *line, const struct finding *f)
{
    if (!str_starts(f->text, f->where) || !strchr(":/", f->text[strlen(f->where)]))
        str_addf(line, "%s: ", f->where);
    str_add(line, f->text);
}

/* How many findings before item i have its rule. */
static size_t alike_before(const struct findings *l, size_t i)
{
    size_t n = 0;

    for (size_t j = 0; j < i; j++)
        n += l->item[j].rule == l->item[i].rule;
    return n;
}

static void add_line(struct str *out, const struct finding *f, bool quiet)
{
    str_addf(out, "%-7s  %s  ", finding_severities[f->rule->severity], f->rule->name);
    add_sentence(out, f);
    str_addf(out, quiet ? "\n" : "\n         fix: %s\n", f->rule->fix);
}

enum { INFOS_SHOWN = 3 }; /* of one name; all are in --json */

static enum err print_lines(const struct check_report *r, bool quiet)
{
    const struct findings *l = &r->found;
    struct str out = {0};
    size_t hidden = 0;
    enum err err;

    for (size_t i = 0; i < l->count; i++) {
        const struct finding *f = &l->item[i];

        if (quiet && f->rule->severity != FINDING_ERROR)
            continue;
        if (f->rule->severity == FINDING_INFO && alike_before(l, i) >= INFOS_SHOWN)
            hidden++;
        else
            add_line(&out, f, quiet);
    }
    if (hidden)
        str_addf(&out, "info     and %zu more of the same names (--json lists them)\n", hidden);
    if (!quiet)
        str_addf(&out, "%zu case%s: %zu errors, %zu warnings, %zu remarks\n", r->cases,
                 r->cases == 1 ? "" : "s", l->of[FINDING_ERROR], l->of[FINDING_WARNING], l->of[FINDING_INFO]);
    err = str_status(&out);
    if (!err && out.s)
        fputs(out.s, stdout);
    str_free(&out);
    return err;
}

/* One line that says the first error itself, for who does not see the list. */
static enum err verdict(const char *path, const struct check_report *r)
{
    const struct finding *f = r->found.item;
    struct str line = {0};
    enum err err = check_verdict(r);

    if (!err)
        return ERR_OK;
    while (f->rule->severity != FINDING_ERROR) /* there is one */
        f++;
    if (r->cases > 1 && !r->dataset_error)
        str_addf(&line, "%s: %zu of %zu cases cannot be used as they are: ", path, r->bad_cases, r->cases);
    add_sentence(&line, f);
    if (r->found.of[FINDING_ERROR] > 1)
        str_addf(&line, " (and %zu more, see the list)", r->found.of[FINDING_ERROR] - 1);
    err = line.s ? err_set(err, "%s", line.s) : ERR_MEMORY;
    str_free(&line);
    return err;
}

/* The findings, with pictures in c->output if there is one. */
static enum err look(struct check_report *r, const struct check_cfg *c)
{
    struct check_album album = {.folder = c->output};
    struct check_options o = {.map = c->map,
                              .prefer = (enum nifti_form)c->prefer,
                              .assume_scanner = c->assume_scanner,
                              .resample_labels = c->resample_labels,
                              .draw = c->output ? check_picture : NULL,
                              .ctx = &album};
    enum err err;

    if (c->output)
        TRY(folder_make(c->output));
    err = check_path(r, c->path, &o);
    if (!err && c->output) {
        err = check_album_finish(&album, r, c->path);
        if (err)
            check_free(r);
    }
    str_free(&album.names);
    return err;
}

static enum err run(const struct cli *cli, const void *cfg)
{
    const struct check_cfg *c = cfg;
    struct check_report r;
    enum err err = ERR_OK;

    TRY(look(&r, c));
    if (cli->common->json)
        err = print_json(&r);
    else
        err = print_lines(&r, cli->common->quiet);
    if (!err)
        err = verdict(c->path, &r);
    check_free(&r);
    return err;
}

const struct command cmd_check = {
    .name = "check",
    .summary = "look for what is wrong with an image or a data set",
    .example = "Dataset001_Liver",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct check_cfg),
    .run = run,
};
