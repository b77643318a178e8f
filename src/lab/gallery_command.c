#include "base/json.h"
#include "lab/gallery.h"
#include <stdio.h>

struct gallery_config {
    const char *dataset, *output;
    bool lesions, outline;
    int64_t levels, panel;
    double window_low, window_high;
    struct cfg_list only;
};

static const struct field fields[] = {
    FIELD(struct gallery_config, T_STRING, dataset, .positional = true, .required = true, .arg = "DATASET",
          .help = "a data set (folder with dataset.json), or a folder of images"),
    FIELD(struct gallery_config, T_STRING, output, .brief = 'o', .required = true, .arg = "FOLDER",
          .help = "where index.html and the pictures go"),
    FIELD(struct gallery_config, T_BOOL, lesions,
          .help = "outline liver and lesions (a phantom's: the truth of each phase)"),
    FIELD(struct gallery_config, T_BOOL, outline, .def = 1,
          .help = "keep the liver's outline in the animation still"),
    FIELD(struct gallery_config, T_LIST, only, .arg = "CASE", .help = "draw this case; may be repeated"),
    FIELD(struct gallery_config, T_INT, levels, .def = 6, .min = 1, .max = GALLERY_LEVELS,
          .help = "axial levels of a montage"),
    FIELD(struct gallery_config, T_INT, panel, .def = GALLERY_PANEL, .min = 60, .max = 1000,
          .help = "pixels across a panel"),
    FIELD(struct gallery_config, T_REAL, window_low, .def = -140, .min = -1024, .max = 3071,
          .help = "HU that pictures show black"),
    FIELD(struct gallery_config, T_REAL, window_high, .def = 220, .min = -1024, .max = 3071,
          .help = "HU that pictures show white"),
};

static enum err print(const struct cli *cli, const char *output, const struct gallery_result *r)
{
    char *path = path_join(output, "index.html");
    json_t *j;
    enum err err = ERR_OK;

    if (!path)
        return ERR_MEMORY;
    if (cli->common->json) {
        json_setup();
        j = json_pack("{s:o, s:I, s:I, s:I}", "gallery", json_str(path), "cases", (json_int_t)r->cases,
                      "failed", (json_int_t)r->failed, "sheets", (json_int_t)r->pages);
        err = json_print(j);
        json_decref(j);
    } else {
        puts(path);
    }
    mem_free(path);
    return err;
}

static enum err gallery_main(const struct cli *cli, const void *config)
{
    const struct gallery_config *c = config;
    struct gallery_job job = {.dataset = c->dataset,
                              .output = c->output,
                              .look = {.window = {c->window_low, c->window_high},
                                       .levels = (int)c->levels,
                                       .panel = (int)c->panel,
                                       .lesions = c->lesions,
                                       .plain_motion = !c->outline},
                              .only = c->only.item,
                              .only_count = c->only.count,
                              .command_line = cli->command_line,
                              .progress = cli->progress,
                              .stop = cli->stop,
                              .notes = cli->notes};
    struct gallery_result r = {0};
    enum err err;

    if (c->window_low >= c->window_high)
        return err_set(ERR_USAGE, "--window-low %g is not below --window-high %g", c->window_low,
                       c->window_high);
    err = gallery_write(&r, &job);
    if (!err)
        err = print(cli, c->output, &r);
    if (!err && r.failed)
        err = err_set(ERR_CASES, "%zu of %zu cases have no picture: %s", r.failed, r.failed + r.cases,
                      r.failures.s);
    str_free(&r.failures);
    return err;
}

const struct command cmd_gallery = {
    .name = "gallery",
    .summary = "draw the cases of a data set: contact sheet, montages, animations",
    .example = "Dataset001_Liver -o gallery/",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct gallery_config),
    .run = gallery_main,
};
