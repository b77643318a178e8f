#include "cli/cli.h"

#include "base/str.h"
#include <string.h>

void cli_help_verb(const struct command *c, struct str *out)
{
    str_addf(out, "d4m %s: %s\n\n  d4m %s%s%s\n\n", c->name, c->summary, c->name, c->example[0] ? " " : "",
             c->example);
    if (c->about)
        str_addf(out, "%s\n", c->about);
    cfg_help(c->table, out);
    if (c->set) {
        str_add(out, "\n--set takes KEY=VALUE with these keys:\n");
        cfg_help_keys(*c->set, out);
    }
    str_add(out, c->table.count ? "\nEvery verb takes:\n" : "Every verb takes:\n");
    cfg_help(cli_common_table, out);
}

/* Lists the verbs, or those whose first of several words is `group`; returns how many. */
static int list(const struct command *const *table, const char *group, struct str *out)
{
    size_t width = 0, n = group ? strlen(group) : 0;
    int count = 0;

    for (size_t i = 0; table[i]; i++)
        if (strlen(table[i]->name) > width)
            width = strlen(table[i]->name);
    for (size_t i = 0; table[i]; i++)
        if (!group || (!strncmp(table[i]->name, group, n) && table[i]->name[n] == ' ')) {
            str_addf(out, "  %-*s  %s\n", (int)width, table[i]->name, table[i]->summary);
            count++;
        }
    return count;
}

bool cli_help_group(const struct command *const *table, const char *group, struct str *out)
{
    return list(table, group, out) > 0;
}

void cli_help_list(const struct command *const *table, struct str *out)
{
    str_add(out, "d4m: multiphase liver tumour segmentation on the CPU. Research use only.\n\n");
    (void)list(table, NULL, out);
    str_add(out, "\nd4m VERB --help shows an example and the options; d4m --version the version.\n");
}

/* Is `name` "first" or "first second" of the words? Returns how many words it took. */
static int match(const char *name, int count, char *const word[])
{
    const char *space = strchr(name, ' ');
    size_t n = space ? (size_t)(space - name) : strlen(name);

    if (count < 1 || strlen(word[0]) != n || memcmp(name, word[0], n) != 0)
        return 0;
    if (!space)
        return 1;
    return count > 1 && !strcmp(space + 1, word[1]) ? 2 : 0;
}

const struct command *cli_find(const struct command *const *table, int count, char *const word[], int *words)
{
    for (size_t i = 0; table[i]; i++) {
        *words = match(table[i]->name, count, word);
        if (*words)
            return table[i];
    }
    return NULL;
}
