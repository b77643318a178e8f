/* log.jsonl: one JSON object a line and epoch, appended and synced. On resume the file is cut to the bytes
 * that the checkpoint vouches for, so that no epoch appears twice. Times are for people; nothing depends on
 * them. */
#ifndef D4M_TRAIN_RUNLOG_H
#define D4M_TRAIN_RUNLOG_H

#include "base/err.h"
#include "base/progress.h"
#include <stdint.h>

struct epoch_log {
    int64_t epoch, step;
    double train_loss, val_loss; /* val_loss NaN without validation */
    double dice[256], mean_dice; /* pseudo-Dice per foreground class; NaN where a class is absent */
    double ema, lr;
    double seconds_load, seconds_augment, seconds_compute;
};

struct run_log {
    char *path;
    int fd;
    const char *const *class_name;
    int64_t classes;
};

MUST_USE enum err run_log_open(struct run_log *l, const char *folder, const char *const *class_name,
                               int64_t classes, int64_t size);
/* *size is the file's size afterwards. */
MUST_USE enum err run_log_add(struct run_log *l, const struct epoch_log *e, int64_t *size);
void run_log_show(const struct run_log *l, const struct epoch_log *e, const struct progress *p);
void run_log_close(struct run_log *l);

#endif
