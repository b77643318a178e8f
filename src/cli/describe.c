#include "cli/describe.h"

#include "base/json.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include <stdio.h>

static json_t *describe_verb(const struct command *c)
{
    return json_pack("{s:s, s:s, s:s, s:s*, s:o, s:o*}", "name", c->name, "summary", c->summary, "example",
                     c->example, "about", c->about, "fields", cfg_schema(c->table), "set",
                     c->set ? cfg_schema(*c->set) : NULL);
}

/* New reference; NULL on exhaustion. */
static json_t *describe_all(void)
{
    json_t *verbs = json_array();

    for (size_t i = 0; verbs && commands[i]; i++)
        if (json_array_append_new(verbs, describe_verb(commands[i]))) {
            json_decref(verbs);
            verbs = NULL;
        }
    if (!verbs)
        return NULL;
    return json_pack("{s:s, s:s, s:o, s:o}", "program", "d4m", "version", D4M_VERSION, "common",
                     cfg_schema(cli_common_table), "verbs", verbs);
}

static enum err print_json(void)
{
    json_t *all;
    enum err err;

    json_setup();
    all = describe_all();
    err = json_print(all);
    json_decref(all);
    return err;
}

static enum err run(const struct cli *cli, const void *cfg)
{
    struct str b = {0};
    enum err err;

    (void)cfg;
    if (cli->common->json)
        return print_json();
    for (size_t i = 0; commands[i]; i++) {
        str_addf(&b, "d4m %s: %s\n", commands[i]->name, commands[i]->summary);
        cfg_help(commands[i]->table, &b);
        if (commands[i]->set)
            cfg_help_keys(*commands[i]->set, &b);
        str_add(&b, "\n");
    }
    str_add(&b, "Every verb takes:\n");
    cfg_help(cli_common_table, &b);
    err = str_status(&b);
    if (!err)
        fputs(b.s, stdout);
    str_free(&b);
    return err;
}

const struct command cmd_describe = {
    .name = "describe",
    .summary = "print every verb and option, as text or for programs",
    .example = "--json",
    .run = run,
};
