#ifndef D4M_CLI_DESCRIBE_H
#define D4M_CLI_DESCRIBE_H

#include "base/command.h"

extern const struct command cmd_describe; /* every verb and field, from the tables */

#endif
