/* d4m transform invert and compose. */
#include "base/json.h"
#include "base/str.h"
#include "stage/transform.h"
#include "stage/transform_input.h"
#include <stdio.h>

struct chain_config {
    struct cfg_list transform;
    const char *output;
    int field_convention;
    bool force;
};

#define CHAIN_FIELDS                                                                                         \
    FIELD(struct chain_config, T_STRING, output, .brief = 'o', .required = true, .arg = "FILE.d4m",          \
          .help = "the result"),                                                                             \
        FIELD(struct chain_config, T_CHOICE, field_convention, .names = convention_names,                    \
              .help = "components of displacement fields: auto is what the file says"),                      \
        FIELD(struct chain_config, T_BOOL, force,                                                            \
              .help = "go on where one transform does not begin on the grid that the one before it ends on")

static const struct field compose_fields[] = {
    FIELD(struct chain_config, T_LIST, transform, .positional = true, .required = true, .arg = "TRANSFORM",
          .help = "transforms; the first acts on fixed points first"),
    CHAIN_FIELDS,
};

static const struct field invert_fields[] = {
    FIELD(struct chain_config, T_LIST, transform, .positional = true, .required = true, .arg = "TRANSFORM",
          .help = "transform (several: their composition)"),
    CHAIN_FIELDS,
};

static enum err print(const struct cli *cli, const struct transform *t, const char *path)
{
    json_t *j;
    enum err err;

    if (!cli->common->json) {
        printf("%s: %zu element%s\n", path, t->count, t->count == 1 ? "" : "s");
        return ERR_OK;
    }
    json_setup();
    j = json_pack("{s:o, s:I}", "output", json_str(path), "elements", (json_int_t)t->count);
    err = json_print(j);
    json_decref(j);
    return err;
}

static enum err run(const struct cli *cli, const struct chain_config *c, bool invert)
{
    struct transform *t = NULL, *back = NULL;
    enum err err;

    if (!str_ends(c->output, ".d4m"))
        return err_set(ERR_USAGE,
                       "%s: the result is a file of d4m: name it .d4m (other kinds: d4m transform convert)",
                       c->output);
    TRY(stage_output_check(c->output, c->transform.item, c->transform.count));
    TRY(stage_transform_chain(&t, &c->transform, (enum convention)c->field_convention, c->force, cli->notes));
    if (invert)
        TRY_OR(done, transform_inverse(&back, t));
    TRY_OR(done, stage_stopped(cli));
    TRY_OR(done, transform_write(invert ? back : t, c->output));
    cli->show_notes(cli);
    TRY_OR(done, print(cli, t, c->output));
done:
    transform_free(t);
    transform_free(back);
    return err;
}

static enum err invert_main(const struct cli *cli, const void *config)
{
    return run(cli, config, true);
}

static enum err compose_main(const struct cli *cli, const void *config)
{
    return run(cli, config, false);
}

const struct command cmd_transform_invert = {
    .name = "transform invert",
    .summary = "the transform the other way round",
    .example = "transform.d4m -o inverse.d4m",
    .about = TRANSFORM_DIRECTION "The inverse maps moving points to fixed points: with it, images go from "
                                 "fixed to moving and points from\n"
                                 "moving to fixed.\n",
    .table = CFG_TABLE(invert_fields),
    .cfg_size = sizeof(struct chain_config),
    .run = invert_main,
};

const struct command cmd_transform_compose = {
    .name = "transform compose",
    .summary = "several transforms as one",
    .example = "portal_to_arterial.d4m arterial_to_plain.d4m -o portal_to_plain.d4m",
    .about = TRANSFORM_DIRECTION "A B is x -> B(A(x)): the fixed image of the result is A's, its moving "
                                 "image B's. Nothing is resampled.\n",
    .table = CFG_TABLE(compose_fields),
    .cfg_size = sizeof(struct chain_config),
    .run = compose_main,
};
