#ifndef D4M_LAB_WEIGHTS_H
#define D4M_LAB_WEIGHTS_H

#include "base/command.h"

/* names, types and shapes of a safetensors file, without loading tensors */
extern const struct command cmd_weights_show;

#endif
