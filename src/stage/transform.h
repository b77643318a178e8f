/* d4m transform apply|invert|compose|jacobian|convert. */
#ifndef D4M_STAGE_TRANSFORM_H
#define D4M_STAGE_TRANSFORM_H

#include "base/command.h"

extern const struct command cmd_transform_apply;
extern const struct command cmd_transform_invert;
extern const struct command cmd_transform_compose;
extern const struct command cmd_transform_jacobian;
extern const struct command cmd_transform_convert;

#endif
