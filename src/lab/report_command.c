#include "lab/report_command.h"
#include "base/json.h"
#include "lab/report_sources.h"
#include <stdio.h>

struct report_config {
    const char *work, *dataset, *model, *output;
    struct cfg_list summary;
    int training;
    double window_low, window_high;
    int64_t pictures;
};

static const char *const training_names[] = {"auto", "all", "none", NULL};

static const struct field fields[] = {
    FIELD(struct report_config, T_STRING, work, .brief = 'w', .arg = "WORK",
          .help =
              "work folder with a model and evaluations: evaluation/summary.json, or several named sets as "
              "evaluation/NAME/summary.json"),
    FIELD(struct report_config, T_STRING, output, .brief = 'o', .arg = "FILE",
          .help = "HTML file, or a folder for index.html (default WORK/report/index.html)"),
    FIELD(struct report_config, T_LIST, summary, .arg = "FILE",
          .help = "summary.json of d4m evaluate, in place of those; given several times, several sets"),
    FIELD(struct report_config, T_STRING, dataset, .brief = 'd', .arg = "DATASET",
          .help = "where the images are (default: the data set of the references)"),
    FIELD(struct report_config, T_STRING, model, .arg = "FOLDER",
          .help = "model whose plan and log are shown (default: the only one in WORK)"),
    FIELD(struct report_config, T_CHOICE, training, .names = training_names,
          .help = "which evaluated cases the model was trained on; auto finds out"),
    FIELD(struct report_config, T_REAL, window_low, .def = -100, .min = -1024, .max = 3071,
          .help = "HU that pictures show black"),
    FIELD(struct report_config, T_REAL, window_high, .def = 240, .min = -1024, .max = 3071,
          .help = "HU that pictures show white"),
    FIELD(struct report_config, T_INT, pictures, .def = 24, .min = 1, .max = 10000,
          .help = "most cases of a set with pictures, from its worst to its best (3: worst, median, best)"),
};

/* --output as a file: itself if it ends in .html or .htm, else index.html in that folder. */
static const char *output_path(struct arena *a, const struct report_config *c)
{
    if (!c->output)
        return arena_printf(a, "%s/report/index.html", c->work);
    if (str_ends(c->output, ".html") || str_ends(c->output, ".htm"))
        return c->output;
    return arena_printf(a, "%s/index.html", c->output);
}

static enum err print(const struct cli *cli, const char *path, const struct report_sources *s)
{
    json_t *j;
    enum err err;

    if (!cli->common->json) {
        puts(path);
        return ERR_OK;
    }
    json_setup();
    j = json_pack("{s:o, s:I, s:I}", "report", json_str(path), "cases", (json_int_t)s->cases, "warnings",
                  (json_int_t)s->warnings.count);
    err = json_print(j);
    json_decref(j);
    return err;
}

static enum err report_main(const struct cli *cli, const void *config)
{
    const struct report_config *c = config;
    struct report_query q = {.work = c->work,
                             .summary = c->summary,
                             .dataset = c->dataset,
                             .model = c->model,
                             .training = (enum report_training)c->training,
                             .command_line = cli->command_line};
    struct report_options o = {.window = {c->window_low, c->window_high}, .pictures = (size_t)c->pictures};
    struct report_sources s = {0};
    enum err err;

    if (!c->work && !c->output)
        return err_set(ERR_USAGE, "name a work folder (-w) or where the report goes (-o)");
    if (c->window_low >= c->window_high)
        return err_set(ERR_USAGE, "--window-low %g is not below --window-high %g", c->window_low,
                       c->window_high);
    TRY(report_sources_find(&s, &q));
    o.path = output_path(cli->arena, c);
    o.title = s.title;
    o.set = s.set;
    o.sets = s.sets;
    o.log = s.log;
    o.plan = s.plan;
    o.registered = s.registered;
    o.facts = s.fact;
    o.fact_count = s.facts;
    o.warnings = &s.warnings;
    err = o.path ? report_write(&o) : ERR_MEMORY;
    if (!err)
        err = print(cli, o.path, &s);
    report_sources_free(&s);
    return err;
}

const struct command cmd_report = {
    .name = "report",
    .summary = "write one HTML file with numbers, pictures and the training curve",
    .example = "-w WORK",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct report_config),
    .run = report_main,
};
