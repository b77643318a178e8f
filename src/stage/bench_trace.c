#include "stage/bench_trace.h"

#include "base/file.h"
#include "base/json.h"
#include <stdio.h>
#include <string.h>

enum { TRACK_STEPS = 1, TRACK_SCOPES };

struct trace {
    FILE *f;
    double origin; /* seconds of the first step's start */
    bool any;
};

static double micro(const struct trace *t, double seconds)
{
    return 1e6 * (seconds - t->origin);
}

/* Writes one event; takes the reference. */
static enum err put(struct trace *t, json_t *event)
{
    enum err err = ERR_OK;

    if (!event)
        return err_set(ERR_MEMORY, "out of memory while writing a trace");
    fputs(t->any ? ",\n" : "\n", t->f);
    t->any = true;
    if (json_dumpf(event, t->f, JSON_COMPACT | JSON_REAL_PRECISION(9)))
        err = err_set(ERR_OUTPUT, "a trace could not be written");
    json_decref(event);
    return err;
}

static enum err put_name(struct trace *t, const char *kind, int track, const char *name)
{
    return put(t, json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "name", kind, "ph", "M", "pid", 1, "tid", track,
                            "args", "name", name));
}

static enum err put_step(struct trace *t, int index, const struct program_step *s)
{
    double seconds = s->seconds > 0 ? s->seconds : 1e-9;
    char shape[160];

    return put(
        t, json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:f, s:{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:f, "
                     "s:f, s:f}}",
                     "name", s->op, "cat", s->kernel, "ph", "X", "pid", 1, "tid", TRACK_STEPS, "ts",
                     micro(t, s->start), "dur", 1e6 * s->seconds, "args", "step", index, "op", s->op,
                     "kernel", s->kernel, "choice", s->choice, "shape", dims_text(&s->dims, shape), "type",
                     dtype_name(s->type), "scope", s->scope, "bytes", s->bytes, "flop", s->flops,
                     "gflop_per_second", 1e-9 * s->flops / seconds, "gbyte_per_second",
                     1e-9 * s->bytes / seconds));
}

static enum err put_counter(struct trace *t, double when, double gflops, double gbytes)
{
    TRY(put(t, json_pack("{s:s, s:s, s:i, s:f, s:{s:f}}", "name", "GFLOP/s", "ph", "C", "pid", 1, "ts",
                         micro(t, when), "args", "direct", gflops)));
    return put(t, json_pack("{s:s, s:s, s:i, s:f, s:{s:f}}", "name", "GB/s", "ph", "C", "pid", 1, "ts",
                            micro(t, when), "args", "operands", gbytes));
}

/* Neighbouring steps of one scope are one event of the scopes' track. */
static enum err put_scope(struct trace *t, const char *scope, double start, double end)
{
    if (!scope)
        return ERR_OK;
    return put(t,
               json_pack("{s:s, s:s, s:i, s:i, s:f, s:f}", "name", scope[0] ? scope : "(graph)", "ph", "X",
                         "pid", 1, "tid", TRACK_SCOPES, "ts", micro(t, start), "dur", 1e6 * (end - start)));
}

static enum err put_all(struct trace *t, const struct program *p, const char *title)
{
    const char *scope = NULL;
    double start = 0, end = 0;
    struct program_step s;

    TRY(put_name(t, "process_name", 0, title));
    TRY(put_name(t, "thread_name", TRACK_STEPS, "steps"));
    TRY(put_name(t, "thread_name", TRACK_SCOPES, "scopes"));
    for (int i = 0; program_step_at(p, i, &s); i++) {
        double seconds = s.seconds > 0 ? s.seconds : 1e-9;
        if (!s.calls) /* a view */
            continue;
        if (!scope)
            t->origin = s.start;
        if (!scope || strcmp(scope, s.scope)) {
            TRY(put_scope(t, scope, start, end));
            scope = s.scope;
            start = s.start;
        }
        end = s.start + s.seconds;
        TRY(put_step(t, i, &s));
        TRY(put_counter(t, s.start, 1e-9 * s.flops / seconds, 1e-9 * s.bytes / seconds));
    }
    TRY(put_scope(t, scope, start, end));
    return put_counter(t, end, 0, 0);
}

enum err bench_trace_write(const struct program *p, const char *title, const char *path)
{
    struct file_out out = {0};
    struct trace t = {0};
    enum err err;

    json_setup();
    TRY(file_out_open(&out, path));
    t.f = out.f;
    fputs("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [", out.f);
    err = put_all(&t, p, title);
    fputs("\n]}\n", out.f);
    if (!err)
        return file_out_commit(&out);
    file_out_abandon(&out);
    return err;
}
