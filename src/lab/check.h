#ifndef D4M_LAB_CHECK_H
#define D4M_LAB_CHECK_H

#include "base/command.h"

extern const struct command cmd_check; /* named findings about an image or a data set */

#endif
