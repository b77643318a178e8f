/* What the bench verbs share: options, statistics of repeated timings, the machine's peaks, and the duel with
 * a peer program that runs in turn with our own work. Nothing here changes a result. */
#ifndef D4M_STAGE_BENCH_H
#define D4M_STAGE_BENCH_H

#include "base/command.h"
#include <jansson.h>

extern const struct command cmd_bench_op, cmd_bench_step, cmd_bench_predict, cmd_bench_prepare,
    cmd_bench_augment;

enum { BENCH_ROUNDS_MAX = 100, BENCH_DUELS_MAX = 16, BENCH_ARGS_MAX = 48 };

/* Part of every bench verb's config, as its member `common`. */
struct bench_common {
    bool peer, scaling;
    const char *python, *peers;
    int64_t rounds;
};
/* clang-format off */
#define BENCH_FIELDS(strukt, default_rounds) \
    {.name = "rounds", .type = T_INT, .offset = offsetof(strukt, common.rounds), .def = default_rounds, \
     .min = 1, .max = BENCH_ROUNDS_MAX, .help = "timed rounds behind one that is not; the median counts"}, \
    {.name = "scaling", .type = T_BOOL, .offset = offsetof(strukt, common.scaling), \
     .help = "also time 1, 2, 4, ... threads up to --threads"}, \
    {.name = "peer", .type = T_BOOL, .offset = offsetof(strukt, common.peer), \
     .help = "run the peer in turn with d4m, as many rounds, and print the ratio"}, \
    {.name = "python", .type = T_STRING, .offset = offsetof(strukt, common.python), .text = "python3", \
     .arg = "PROGRAM", .help = "Python that has the peer's packages (bench/peers/README.md)"}, \
    {.name = "peers", .type = T_STRING, .offset = offsetof(strukt, common.peers), .text = "bench/peers", \
     .arg = "FOLDER", .help = "where the peer scripts are: bench/peers of d4m's source"}
/* clang-format on */

/* ---- statistics ---- */

struct bench_stat {
    double median, low, high;
};
struct bench_stat bench_stat(const double *v, int64_t n); /* n >= 1 */
json_t *bench_stat_json(struct bench_stat s);             /* new reference */

/* ---- our own work ---- */

/* Work whose seconds are measured: one round. */
struct bench_work {
    enum err (*round)(void *ctx, double *seconds);
    /* Makes ready for this many threads; may be NULL */
    enum err (*threads)(void *ctx, int threads);
    void *ctx;
};
/* One round that does not count, then `rounds` that do. */
MUST_USE enum err bench_run(struct bench_stat *s, const struct bench_work *w, int64_t rounds,
                            const struct cli *cli);
/* Times the work with 1, 2, 4, ... and all threads: an array of {threads, seconds, speedup, efficiency}, new
 * reference. The thread count is restored. */
MUST_USE enum err bench_scaling(json_t **out, const struct bench_work *w, int64_t rounds,
                                const struct cli *cli);
void bench_scaling_print(const json_t *scaling); /* NULL: nothing */

/* ---- the machine ---- */

struct bench_peak {
    double gflops; /* fused multiply-adds of f32 in registers, two operations each, all threads */
    double gbytes; /* a = b + s c over arrays larger than any cache, per second, all threads */
};
/* seconds: about 0.2, with bandwidth 0.6 and 400 MB */
MUST_USE enum err bench_peak(struct bench_peak *p, const struct cli *cli, bool bandwidth);
/* Notes it if the two peaks, before and behind some work, differ by more than 5 %. */
void bench_warn_busy(const struct cli *cli, double first, double last);
json_t *bench_machine(const struct cli *cli); /* {cpu, isa, threads}, new reference */

/* ---- the peer ---- */

/* A script of bench/peers, running. It answers every line sent with one line of JSON. */
struct bench_peer;
/* args: NULL-terminated, behind the script's name; --threads is added. *out is NULL, with the script's reason
 * in `name`, if it says that it cannot run here in this form. ERR_USAGE, with what to install, if Python or a
 * package is missing. */
MUST_USE enum err bench_peer_start(struct bench_peer **out, const struct cli *cli,
                                   const struct bench_common *c, const char *const args[], char name[160]);
MUST_USE enum err bench_peer_ask(struct bench_peer *p, const char *line, json_t **answer);
void bench_peer_stop(struct bench_peer *p); /* accepts NULL */

/* One form of the peer and our work, a round each in turn. */
struct bench_duel {
    char name[160]; /* what the peer calls itself, or why it did not run */
    bool skipped;
    struct bench_stat own, peer; /* seconds */
    struct bench_stat ratio;     /* peer / own, of neighbouring rounds */
    uint64_t peer_bytes;         /* peak resident size */
};
struct bench_duels {
    struct bench_duel item[BENCH_DUELS_MAX];
    int count, best;              /* best: the form with the fewest seconds; -1: none ran */
    double peak_first, peak_last; /* GFLOP/s of fused multiply-adds before and behind */
};
/* Runs script (args[0]) in this form and appends to d. */
MUST_USE enum err bench_duel(struct bench_duels *d, const struct cli *cli, const struct bench_common *c,
                             const char *const args[], const struct bench_work *w);
/* Call before the first duel and behind the last: was the machine as fast at the end as at the start? */
MUST_USE enum err bench_duels_begin(struct bench_duels *d, const struct cli *cli);
MUST_USE enum err bench_duels_end(struct bench_duels *d, const struct cli *cli);
/* Nothing without duels; own_bytes 0: not told. */
void bench_duels_print(const struct bench_duels *d, uint64_t own_bytes);
json_t *bench_duels_json(const struct bench_duels *d); /* new reference */

/* Prints a verb's results j, which it takes, with the scaling and the duels behind them; NULL: without. */
MUST_USE enum err bench_json_print(json_t *j, json_t *scaling, const struct bench_duels *d);

#endif
