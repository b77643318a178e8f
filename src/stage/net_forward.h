/* d4m net forward: a network's outputs for given weights and input, for comparison with other
 * implementations. */
#ifndef D4M_STAGE_NET_FORWARD_H
#define D4M_STAGE_NET_FORWARD_H

#include "base/command.h"

extern const struct command cmd_net_forward;

#endif
