#include "train/runlog.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err log_failed(const struct run_log *l)
{
    bool full = errno == ENOSPC || errno == EDQUOT;

    return err_set(full ? ERR_MEMORY : ERR_OUTPUT, "%s: %s", l->path, strerror(errno));
}

enum err run_log_open(struct run_log *l, const char *folder, const char *const *class_name, int64_t classes,
                      int64_t size)
{
    l->class_name = class_name;
    l->classes = classes;
    l->path = path_join(folder, "log.jsonl");
    if (!l->path)
        return ERR_MEMORY;
    l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (l->fd < 0)
        return log_failed(l);
    if (lseek(l->fd, 0, SEEK_END) > size && ftruncate(l->fd, size))
        return log_failed(l);
    return lseek(l->fd, 0, SEEK_END) < 0 ? log_failed(l) : ERR_OK;
}

void run_log_close(struct run_log *l)
{
    if (l->path && l->fd >= 0)
        close(l->fd);
    mem_free(l->path);
    l->path = NULL;
}

static json_t *dice_json(const struct run_log *l, const struct epoch_log *e)
{
    json_t *dice = json_object();

    for (int64_t k = 1; dice && k < l->classes; k++)
        json_object_set_new(dice, l->class_name[k], json_number(e->dice[k - 1]));
    return dice;
}

static json_t *epoch_json(const struct run_log *l, const struct epoch_log *e)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:f, s:f}", "epoch", (json_int_t)e->epoch,
                     "step", (json_int_t)e->step, "train_loss", json_number(e->train_loss), "val_loss",
                     json_number(e->val_loss), "dice", dice_json(l, e), "mean_dice",
                     json_number(e->mean_dice), "ema", json_number(e->ema < 0 ? NAN : e->ema), "lr", e->lr,
                     "seconds_load", e->seconds_load, "seconds_augment", e->seconds_augment,
                     "seconds_compute", e->seconds_compute);
}

static enum err write_all(struct run_log *l, const char *text, size_t size)
{
    while (size) {
        ssize_t n = write(l->fd, text, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return log_failed(l);
        text += n;
        size -= (size_t)n;
    }
    return fsync(l->fd) ? log_failed(l) : ERR_OK;
}

enum err run_log_add(struct run_log *l, const struct epoch_log *e, int64_t *size)
{
    json_t *j = epoch_json(l, e);
    char *line = j ? json_text(j) : NULL;
    struct str out = {0};
    enum err err = ERR_MEMORY;

    if (line) {
        str_addf(&out, "%s\n", line);
        err = str_status(&out);
    }
    if (!err)
        err = write_all(l, out.s, out.len);
    if (!err)
        *size = (int64_t)lseek(l->fd, 0, SEEK_END);
    str_free(&out);
    mem_free(line);
    json_decref(j);
    return err;
}

void run_log_show(const struct run_log *l, const struct epoch_log *e, const struct progress *p)
{
    struct str dice = {0};

    for (int64_t k = 1; k < l->classes; k++) {
        if (isnan(e->dice[k - 1]))
            str_addf(&dice, " %s -", l->class_name[k]);
        else
            str_addf(&dice, " %s %.3f", l->class_name[k], e->dice[k - 1]);
    }
    progress_line(p,
                  "epoch %" PRId64
                  ": loss %.4f, validation %.4f, Dice%s; %.1f s computing, %.1f s loading, %.1f s augmenting",
                  e->epoch + 1, e->train_loss, e->val_loss, dice.s ? dice.s : "", e->seconds_compute,
                  e->seconds_load, e->seconds_augment);
    str_free(&dice);
}
