/* d4m evaluate registration: a transform against a known truth and label maps, as JSON and HTML. */
#ifndef D4M_LAB_EVALUATE_REGISTRATION_H
#define D4M_LAB_EVALUATE_REGISTRATION_H

#include "base/command.h"

extern const struct command cmd_evaluate_registration;

#endif
