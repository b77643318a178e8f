#ifndef D4M_LAB_DOCTOR_H
#define D4M_LAB_DOCTOR_H

#include "base/command.h"

extern const struct command cmd_doctor; /* what this machine offers and what a run would use of it */

#endif
