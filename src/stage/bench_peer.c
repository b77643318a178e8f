/* The peer's side of a duel: a Python script of bench/peers that is started once, makes itself ready, and
 * then times one round for each line it gets. */
#include "base/child.h"
#include "base/cpu.h"
#include "base/file.h"
#include "base/json.h"
#include "base/par.h"
#include "stage/bench.h"
#include <stdio.h>
#include <string.h>

/* Seconds without an answer. Compiling a training step takes PyTorch minutes, an uncompiled prediction an
 * hour.
 */
#define PATIENCE 7200.0
#define GOODBYE 20.0 /* seconds to end in */

struct bench_peer {
    struct child *child;
    char *script;
    const char *argv[BENCH_ARGS_MAX];
    char threads[24], omp[40];
    const char *env[12];
};

/* The peer gets as many threads and the same instruction set, and none of what slows numpy down. */
static void make_environment(struct bench_peer *p, const struct cli *cli)
{
    int n = 0;

    snprintf(p->threads, sizeof p->threads, "%d", par_threads());
    snprintf(p->omp, sizeof p->omp, "OMP_NUM_THREADS=%d", par_threads());
    p->env[n++] = p->omp;
    p->env[n++] = "OPENBLAS_CORETYPE";
    p->env[n++] = "OPENBLAS_L2_SIZE";
    p->env[n++] = "PYTHONUNBUFFERED=1";
    if (cli->common->isa == CPU_AVX2) {
        p->env[n++] = "ATEN_CPU_CAPABILITY=avx2";
        p->env[n++] = "ONEDNN_MAX_CPU_ISA=AVX2";
    } else {
        p->env[n++] = "ATEN_CPU_CAPABILITY";
        p->env[n++] = "ONEDNN_MAX_CPU_ISA";
    }
}

static enum err make_argv(struct bench_peer *p, const struct bench_common *c, const char *const args[])
{
    int n = 0;

    p->script = path_join(c->peers, args[0]);
    if (!p->script)
        return ERR_MEMORY;
    if (!file_exists(p->script))
        return err_set(ERR_USAGE, "--peers %s: no %s there: give the folder bench/peers of d4m's source",
                       c->peers, args[0]);
    p->argv[n++] = c->python;
    p->argv[n++] = p->script;
    p->argv[n++] = "--threads";
    p->argv[n++] = p->threads;
    for (int i = 1; args[i]; i++) {
        if (n == BENCH_ARGS_MAX - 1)
            return err_set(ERR_INTERNAL, "%s: too many arguments", p->script);
        p->argv[n++] = args[i];
    }
    return ERR_OK;
}

/* The peer ended without an answer: its last words, in one line. */
static enum err ended(struct bench_peer *p)
{
    struct child_result r;
    const char *words, *line;

    child_wait(p->child, GOODBYE, &r);
    words = child_errors(p->child);
    for (line = words + strlen(words); line > words && (*line == 0 || *line == '\n'); line--)
        ;
    while (line > words && line[-1] != '\n')
        line--;
    return err_set(ERR_INTERNAL, "the peer %s ended with status %d: %.*s", p->script, r.status,
                   (int)strcspn(line, "\n"), line);
}

static enum err answer_of(struct bench_peer *p, json_t **answer)
{
    const char *line;
    json_t *j = NULL;

    for (;;) {
        TRY(child_line(p->child, PATIENCE, &line));
        if (!line)
            return ended(p);
        if (line[0] == '{') /* other lines are a library's chatter */
            break;
    }
    TRY(json_parse(&j, line, strlen(line), p->script));
    *answer = j;
    return ERR_OK;
}

enum err bench_peer_ask(struct bench_peer *p, const char *line, json_t **answer)
{
    TRY(child_send(p->child, line));
    return answer_of(p, answer);
}

void bench_peer_stop(struct bench_peer *p)
{
    struct child_result r;

    if (!p)
        return;
    if (p->child)
        child_wait(p->child, GOODBYE, &r);
    child_free(p->child);
    mem_free(p->script);
    mem_free(p);
}

/* {"ready": NAME}, {"skip": WHY} or {"missing": PACKAGE, "install": COMMAND} */
static enum err read_ready(struct bench_peer *p, const char *python, char name[160], bool *runs)
{
    json_t *j = NULL;
    const char *ready, *skip, *missing;
    enum err err = ERR_OK;

    TRY(answer_of(p, &j));
    ready = json_string_value(json_object_get(j, "ready"));
    skip = json_string_value(json_object_get(j, "skip"));
    missing = json_string_value(json_object_get(j, "missing"));
    *runs = ready != NULL;
    if (missing)
        err =
            err_set(ERR_USAGE, "--peer: %s cannot import %s: install it (%s), or name another with --python",
                    python, missing, json_string_value(json_object_get(j, "install")));
    else if (!ready && !skip)
        err = err_set(ERR_INTERNAL, "the peer %s did not say that it is ready", p->script);
    else
        snprintf(name, 160, "%s", ready ? ready : skip);
    json_decref(j);
    return err;
}

enum err bench_peer_start(struct bench_peer **out, const struct cli *cli, const struct bench_common *c,
                          const char *const args[], char name[160])
{
    struct bench_peer *p = mem_new(1, sizeof *p);
    struct child_options o;
    bool runs = false;
    enum err err;

    if (!p)
        return ERR_MEMORY;
    make_environment(p, cli);
    TRY_OR(done, make_argv(p, c, args));
    o = (struct child_options){.argv = p->argv, .env = p->env, .stop = cli->stop};
    err = child_start(&p->child, &o);
    if (err == ERR_USAGE)
        err = err_set(err, "--peer: %s; name a Python with --python", err_text());
    TRY_OR(done, err);
    TRY_OR(done, read_ready(p, c->python, name, &runs));
    *out = runs ? p : NULL;
    p = runs ? NULL : p;
done:
    bench_peer_stop(p);
    return err;
}
