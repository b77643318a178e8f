/* d4m evaluate: the command around evaluate_run. */
#include "base/file.h"
#include "base/json.h"
#include "base/str.h"
#include "stage/evaluate.h"
#include <stdio.h>

struct evaluate_config {
    const char *pred, *ref, *output, *map;
    int empty;
};

static const struct field fields[] = {
    FIELD(struct evaluate_config, T_STRING, pred, .required = true, .arg = "FOLDER",
          .help = "predicted label maps (CASE.nii.gz), or one file"),
    FIELD(struct evaluate_config, T_STRING, ref, .required = true, .arg = "FOLDER",
          .help = "reference label maps of the same names, or one file"),
    FIELD(struct evaluate_config, T_STRING, output, .required = true, .brief = 'o', .arg = "FOLDER",
          .help = "where summary.json goes"),
    FIELD(struct evaluate_config, T_CHOICE, empty, .names = empty_policy_names,
          .help = "what empty masks score: exclude leaves undefined scores out, zero gives a missed case "
                  "precision 0, one gives 1 where both are empty"),
    FIELD(struct evaluate_config, T_STRING, map, .arg = "FROM=TO,...",
          .help = "change label values first, for example 255=2,3=2"),
};

static enum err print(const struct cli *cli, const struct evaluation *e, const json_t *summary)
{
    struct str table = {0};
    enum err err;

    if (cli->common->json)
        return json_print(summary);
    err = evaluation_table(e, &table);
    if (!err)
        fputs(table.s, stdout);
    str_free(&table);
    return err;
}

static enum err missing_error(const struct evaluation *e)
{
    struct str names = {0};
    enum err err;

    for (size_t i = 0; i < e->count; i++)
        if (!e->item[i].prediction)
            str_addf(&names, "%s%s", names.len ? ", " : "", e->item[i].name);
    err = str_status(&names);
    if (!err)
        err = err_set(ERR_CASES, "%zu of %zu cases have no prediction and were scored as empty: %s",
                      evaluation_missing(e), e->count, names.s);
    str_free(&names);
    return err;
}

static enum err evaluate_main(const struct cli *cli, const void *config)
{
    const struct evaluate_config *c = config;
    struct evaluate_options o = {
        .pred = c->pred, .ref = c->ref, .map = c->map, .policy = (enum empty_policy)c->empty};
    struct evaluate_result r = {0};
    json_t *summary = NULL;
    char *path = path_join(c->output, "summary.json");
    enum err err = path ? ERR_OK : ERR_MEMORY;

    TRY_OR(done, err);
    TRY_OR(done, evaluate_run(&r, &o, cli->notes));
    summary = evaluation_json(r.scores, r.extra, r.extras);
    err = summary ? ERR_OK : err_set(ERR_MEMORY, "out of memory for %s", path);
    TRY_OR(done, err);
    TRY_OR(done, folder_make(c->output));
    TRY_OR(done, json_write(summary, path));
    cli->show_notes(cli);
    TRY_OR(done, print(cli, r.scores, summary));
    if (evaluation_missing(r.scores))
        err = missing_error(r.scores);
done:
    json_decref(summary);
    evaluate_free(&r);
    mem_free(path);
    return err;
}

const struct command cmd_evaluate = {
    .name = "evaluate",
    .summary = "compare predicted masks with reference masks",
    .example = "--pred WORK/predictions --ref DATASET/labelsTr -o WORK/evaluation",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct evaluate_config),
    .run = evaluate_main,
};
