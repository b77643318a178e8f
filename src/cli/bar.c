#include "cli/bar.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

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
static void time_text(const struct bar *b, int64_t done, int64_t total, double t, char buf[48])
{
    char clock[32];
    double left = 0;

    buf[0] = 0;
    if (done >= total)
        snprintf(buf, 48, "  in %s", clock_text(t - b->start, clock));
    else if (done > b->first) {
        left = (t - b->start) * (double)(total - done) / (double)(done - b->first);
        snprintf(buf, 48, "  %s left", clock_text(left, clock));
    }
}

static void draw(struct bar *b, int64_t done, int64_t total, const char *text)
{
    enum { WIDTH = 24 };
    int full = total > 0 ? (int)(WIDTH * (double)done / (double)total) : 0;
    char left[48];

    time_text(b, done, total, now(), left);
    if (b->terminal)
        fprintf(stderr, "\r\033[K%s [%.*s%.*s] ", b->what, full, "########################", WIDTH - full,
                "........................");
    else
        fprintf(stderr, "%s ", b->what);
    fprintf(stderr, "%lld/%lld%s%s%s", (long long)done, (long long)total, left, text[0] ? "  " : "", text);
    b->drawn = b->terminal && done < total;
    if (!b->drawn)
        fputc('\n', stderr);
    fflush(stderr);
}

static void update(void *ctx, const char *what, int64_t done, int64_t total, const char *text)
{
    struct bar *b = ctx;
    double t = now(), pause = b->terminal ? 0.1 : 5;

    if (strncmp(b->what, what, sizeof b->what - 1) != 0) {
        bar_clear(b);
        snprintf(b->what, sizeof b->what, "%s", what);
        b->first = done;
        b->start = t;
        b->shown = b->terminal ? 0 : t; /* a log needs no line for what ends at once */
    }
    done = done < 0 ? 0 : done > total ? total : done;
    if (done < total && t - b->shown < pause)
        return;
    b->shown = t;
    draw(b, done, total, text);
    if (done >= total)
        b->what[0] = 0; /* the next report starts anew, even under the same name */
}

static void line(void *ctx, const char *text)
{
    bar_clear(ctx);
    fprintf(stderr, "%s\n", text);
}

struct progress bar_progress(struct bar *b)
{
    *b = (struct bar){.terminal = isatty(STDERR_FILENO) == 1};
    return (struct progress){.update = update, .line = line, .ctx = b};
}
