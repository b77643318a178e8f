#include "cli/bar.h"

#include "base/clock.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "1:05" or "2:03:04" */
static const char *clock_text(double seconds, char buf[32])
{
    long s = seconds > 0 && seconds < 3.6e6 ? (long)(seconds + 0.5) : 0;

    if (s >= 3600)
        snprintf(buf, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, 32, "%ld:%02ld", s / 60, s % 60);
    return buf;
}

void bar_clear(struct bar *b)
{
    if (b->drawn)
        fputs("\r\033[K", stderr);
    b->drawn = false;
}

/* "12:03 left" once there is something to judge by, "in 12:03" at the end. */
static void time_text(const struct bar_task *k, int64_t total, double t, char buf[48])
{
    char clock[32];
    double left;

    buf[0] = 0;
    if (k->last >= total)
        snprintf(buf, 48, "  in %s", clock_text(t - k->start, clock));
    else if (k->last > k->first) {
        left = (t - k->start) * (double)(total - k->last) / (double)(k->last - k->first);
        snprintf(buf, 48, "  %s left", clock_text(left, clock));
    }
}

/* Redraws the line on a terminal, adds one to a log. `stays`: the line is finished with a line feed. */
static void draw(struct bar *b, const struct bar_task *k, int64_t total, const char *text, bool stays)
{
    enum { WIDTH = 24 };
    int full = total > 0 ? (int)(WIDTH * (double)k->last / (double)total) : WIDTH;
    char left[48];

    time_text(k, total, clock_now(), left);
    if (b->terminal)
        fprintf(stderr, "\r\033[K%s [%.*s%.*s] ", k->what, full, "########################", WIDTH - full,
                "........................");
    else
        fprintf(stderr, "%s ", k->what);
    fprintf(stderr, "%lld/%lld%s%s%s", (long long)k->last, (long long)total, left, text[0] ? "  " : "", text);
    b->drawn = b->terminal && !stays;
    if (!b->drawn)
        fputc('\n', stderr);
    fflush(stderr);
}

/* The task with this name, begun now if it is new or went back to its start. With no place left the last one
 * makes room. */
static struct bar_task *find_task(struct bar *b, const char *what, int64_t done)
{
    struct bar_task *k = NULL;

    for (int i = 0; i < BAR_TASKS && !k; i++)
        if (!strncmp(b->task[i].what, what, sizeof k->what - 1))
            k = &b->task[i];
    if (k && done >= k->last)
        return k;
    for (int i = 0; i < BAR_TASKS && !k; i++)
        if (!b->task[i].what[0])
            k = &b->task[i];
    if (!k)
        k = &b->task[BAR_TASKS - 1];
    snprintf(k->what, sizeof k->what, "%s", what);
    k->first = done;
    k->start = clock_now();
    return k;
}

static bool others_run(const struct bar *b, const struct bar_task *k)
{
    for (int i = 0; i < BAR_TASKS; i++)
        if (&b->task[i] != k && b->task[i].what[0])
            return true;
    return false;
}

static void update(void *ctx, const char *what, int64_t done, int64_t total, const char *text)
{
    struct bar *b = ctx;
    double t = clock_now(), pause = b->terminal ? 0.1 : 5;
    bool end = done >= total, stays;
    struct bar_task *k;

    if (!what[0])
        return;
    done = done < 0 ? 0 : end ? total : done;
    k = find_task(b, what, done);
    k->last = done;
    stays = end && !others_run(b, k); /* the end of a part of something larger is not worth a line */
    if (stays || t - b->shown >= pause) {
        b->shown = t;
        draw(b, k, total, text, stays);
    }
    if (end)
        *k = (struct bar_task){0}; /* the next report starts anew, even under the same name */
}

static void line(void *ctx, const char *text)
{
    bar_clear(ctx);
    fprintf(stderr, "%s\n", text);
}

struct progress bar_progress(struct bar *b)
{
    *b = (struct bar){.terminal = isatty(STDERR_FILENO) == 1, .shown = clock_now()};
    return (struct progress){.update = update, .line = line, .ctx = b};
}
