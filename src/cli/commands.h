/* The table of verbs, NULL-terminated, in the order of the help. A verb is here when it works. */
#ifndef D4M_CLI_COMMANDS_H
#define D4M_CLI_COMMANDS_H

#include "base/command.h"

extern const struct command *const commands[];

#endif
