#include "base/json.h"
#include "stage/bench.h"
#include <stdio.h>

/* One round of the peer. */
static enum err peer_round(struct bench_peer *p, double *seconds, uint64_t *bytes)
{
    json_t *j = NULL;
    int64_t peak = 0;
    enum err err;

    TRY(bench_peer_ask(p, "{}", &j));
    err = json_get_real(j, "the peer's answer", "seconds", seconds);
    if (!err)
        err = json_get_int(j, "the peer's answer", "peak_bytes", &peak);
    *bytes = (uint64_t)peak;
    json_decref(j);
    return err;
}

/* The peer has warmed up when it says that it is ready; our own work has, too. */
static enum err rounds_in_turn(struct bench_duel *d, struct bench_peer *p, const struct bench_work *w,
                               int64_t rounds, const struct cli *cli)
{
    double own[BENCH_ROUNDS_MAX], peer[BENCH_ROUNDS_MAX], ratio[BENCH_ROUNDS_MAX];

    for (int64_t i = 0; i < rounds; i++) {
        progress_update(cli->progress, d->name, i, rounds, "%s", "");
        TRY(w->round(w->ctx, &own[i]));
        TRY(peer_round(p, &peer[i], &d->peer_bytes));
        ratio[i] = peer[i] / own[i];
    }
    progress_update(cli->progress, d->name, rounds, rounds, "%s", "");
    d->own = bench_stat(own, rounds);
    d->peer = bench_stat(peer, rounds);
    d->ratio = bench_stat(ratio, rounds);
    return ERR_OK;
}

enum err bench_duel(struct bench_duels *d, const struct cli *cli, const struct bench_common *c,
                    const char *const args[], const struct bench_work *w)
{
    struct bench_duel *one = &d->item[d->count];
    struct bench_peer *p = NULL;
    enum err err;

    if (d->count == BENCH_DUELS_MAX)
        return err_set(ERR_INTERNAL, "more than %d forms of the peer", BENCH_DUELS_MAX);
    *one = (struct bench_duel){.name = ""};
    progress_line(cli->progress, "peer %s, form %d: getting ready, which may take minutes", args[0],
                  d->count + 1);
    TRY_OR(done, bench_peer_start(&p, cli, c, args, one->name));
    one->skipped = !p;
    if (p)
        TRY_OR(done, rounds_in_turn(one, p, w, c->rounds, cli));
    if (p && (d->best < 0 || one->peer.median < d->item[d->best].peer.median))
        d->best = d->count;
    d->count++;
done:
    bench_peer_stop(p);
    return err;
}

enum err bench_duels_begin(struct bench_duels *d, const struct cli *cli)
{
    struct bench_peak peak;

    *d = (struct bench_duels){.best = -1};
    TRY(bench_peak(&peak, cli, false));
    d->peak_first = peak.gflops;
    return ERR_OK;
}

void bench_warn_busy(const struct cli *cli, double first, double last)
{
    if (last < 0.95 * first || last > 1.05 * first)
        note_add(
            cli->notes, "machine-busy",
            "the machine's peak was %.0f GFLOP/s at the start and %.0f at the end: other work ran beside "
            "this, so the ratios mean little; repeat it on an idle machine",
            first, last);
}

enum err bench_duels_end(struct bench_duels *d, const struct cli *cli)
{
    struct bench_peak peak;

    TRY(bench_peak(&peak, cli, false));
    d->peak_last = peak.gflops;
    bench_warn_busy(cli, d->peak_first, d->peak_last);
    return ERR_OK;
}

void bench_duels_print(const struct bench_duels *d, uint64_t own_bytes)
{
    const struct bench_duel *best = d->best < 0 ? NULL : &d->item[d->best];

    if (!d->count)
        return;
    printf("\n%-44s %10s %10s %7s %13s %9s\n", "peer", "s", "d4m s", "ratio", "spread", "peak GB");
    for (int i = 0; i < d->count; i++) {
        const struct bench_duel *p = &d->item[i];
        if (p->skipped)
            printf("%-44s %10s\n", p->name, "-");
        else
            printf("%-44s %10.4g %10.4g %7.2f %6.2f-%-6.2f %9.2f%s\n", p->name, p->peer.median, p->own.median,
                   p->ratio.median, p->ratio.low, p->ratio.high, 1e-9 * (double)p->peer_bytes,
                   i == d->best ? "  best" : "");
    }
    if (!best)
        return;
    printf("\nd4m is %.2f times as fast as %s (%.2f to %.2f)", best->ratio.median, best->name,
           best->ratio.low, best->ratio.high);
    if (own_bytes)
        printf(", peak memory %.2f of %.2f GB", 1e-9 * (double)own_bytes, 1e-9 * (double)best->peer_bytes);
    printf("\n");
}

static json_t *duel_json(const struct bench_duel *p)
{
    if (p->skipped)
        return json_pack("{s:s}", "skipped", p->name);
    return json_pack("{s:s, s:o, s:o, s:o, s:I}", "name", p->name, "seconds", bench_stat_json(p->peer),
                     "d4m_seconds", bench_stat_json(p->own), "ratio", bench_stat_json(p->ratio), "peak_bytes",
                     (json_int_t)p->peer_bytes);
}

json_t *bench_duels_json(const struct bench_duels *d)
{
    json_t *list = json_array();

    for (int i = 0; i < d->count; i++)
        json_array_append_new(list, duel_json(&d->item[i]));
    return json_pack("{s:o, s:o, s:f, s:f}", "forms", list, "best",
                     d->best < 0 ? json_null() : duel_json(&d->item[d->best]), "peak_gflops_first",
                     d->peak_first, "peak_gflops_last", d->peak_last);
}

enum err bench_json_print(json_t *j, json_t *scaling, const struct bench_duels *d)
{
    enum err err;

    if (scaling)
        json_object_set(j, "scaling", scaling);
    if (d)
        json_object_set_new(j, "peer", bench_duels_json(d));
    err = json_print(j);
    json_decref(j);
    return err;
}
