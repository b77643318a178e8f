/* The command line: finds the verb, parses its options and the common ones, runs it, prints warnings and the
 * error, and gives the exit code of err.h. Results go to stdout, everything else to stderr. */
#ifndef D4M_CLI_CLI_H
#define D4M_CLI_CLI_H

#include "base/command.h"

/* The whole program; `table` is NULL-terminated, argv[0] is the program's name. */
int cli_main(const struct command *const *table, int argc, char **argv);

/* The options of every verb, as fields of struct cli_common. */
extern const struct cfg_table cli_common_table;

/* The verb that `word` begins with: *words is 1 or 2. NULL if there is none. */
const struct command *cli_find(const struct command *const *table, int count, char *const word[], int *words);
/* Help of one verb, and the list of verbs, appended to out. */
void cli_help_verb(const struct command *c, struct str *out);
/* The verbs that begin with the word `group`, a line each; false if there is none. */
bool cli_help_group(const struct command *const *table, const char *group, struct str *out);
void cli_help_list(const struct command *const *table, struct str *out);

#endif
