/* The verb `train segmenter`: data set -> prepared cases -> trained model in
 * WORK/models/segmenter-nnunet/fold_K. */
#ifndef D4M_STAGE_TRAIN_SEGMENTER_H
#define D4M_STAGE_TRAIN_SEGMENTER_H

#include "base/command.h"

extern const struct command cmd_train_segmenter;

#endif
