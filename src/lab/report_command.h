/* d4m report: the page about an evaluated model. */
#ifndef D4M_LAB_REPORT_COMMAND_H
#define D4M_LAB_REPORT_COMMAND_H

#include "base/command.h"

extern const struct command cmd_report;

#endif
