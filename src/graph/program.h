/* A program is a graph frozen for one backend: a list of steps over one arena whose size is known before it
 * runs. Running allocates nothing and fails only by being stopped. States live in a store that several
 * programs share, and so may the arena be, where only one of them runs at a time. */
#ifndef D4M_GRAPH_PROGRAM_H
#define D4M_GRAPH_PROGRAM_H

#include "base/str.h"
#include "graph/graph.h"
#include "graph/kernel.h"
#include "tensor/store.h"
#include <stdatomic.h>
#include <stdint.h>

struct program;

/* Memory in which several programs run one after the other: as large as the largest needs it. A run leaves
 * nothing of the values and outputs of the others. */
struct program_arena;
MUST_USE enum err program_arena_new(struct program_arena **out);
void program_arena_free(struct program_arena *a); /* after its programs */
uint64_t program_arena_bytes(const struct program_arena *a);

struct compile {
    const struct backend *backend;
    struct program_arena *arena; /* NULL: the program has one of its own */
    uint64_t memory_max;         /* bytes of arena; 0: no limit. Over it: ERR_MEMORY with both numbers */
    bool bf16;                   /* convolutions of float graphs in bf16, pass_bf16.c */
    /* States never change once the program runs: packed weights are made by the first run and kept, if they
     * take no more bytes than this (beside the arena, within memory_max); 0: they are made at each use. */
    uint64_t fixed_max;
    bool no_reference; /* refuse (ERR_INTERNAL) a step that only the reference kernel takes */
    bool no_fusion;    /* norms and activations stay steps of their own */
    atomic_int *stop;  /* polled between steps; may be NULL */
};

/* What of `limit` bytes is left for the arena beside what is in the store, g's states and g's inputs, at
 * least 1; 0 (no limit) stays 0. store may be NULL. */
uint64_t program_rest(const struct graph *g, const struct store *store, uint64_t limit);

/* Compiles g's outputs and assignments. States are created in the store (zeroed) or must fit what is there.
 * The program keeps a copy: the graph stays the caller's. */
MUST_USE enum err program_new(struct program **out, struct graph *g, struct store *store,
                              const struct compile *c);
void program_free(struct program *p);
/* The caller's buffer for an input; must stay valid while the program runs. Unknown name: ERR_INTERNAL. */
MUST_USE enum err program_bind(struct program *p, const char *input, const void *data);
/* ERR_STOPPED if the stop flag was seen: then no state has changed. */
MUST_USE enum err program_run(struct program *p);
/* An output's buffer, valid until the next run (of any program in this arena); NULL if there is no such
 * output, or before the first run. */
const void *program_output(const struct program *p, const char *name);
double program_scalar(const struct program *p, const char *name); /* NaN if there is none */
/* Runs once more, checking every step's outputs, and writes into `culprit` which op in which scope first made
 * a value that is not finite out of finite inputs ("" if none). Changes no state. */
MUST_USE enum err program_replay(struct program *p, struct str *culprit);

uint64_t program_bytes(const struct program *p); /* planned: arena, scratch, what fixed_max let it keep */
uint64_t program_kept(const struct program *p);  /* of that, what lies beside the arena */
void program_dump(const struct program *p, struct str *out); /* steps, kernels, bytes, offsets */

/* Seconds, FLOPs and bytes per op family since program_timing(p, true). */
struct program_time {
    const char *op;
    double seconds, flops, bytes;
    int64_t calls;
};
void program_timing(struct program *p, bool on);
int program_times(const struct program *p, struct program_time *list, int room);

/* One step as the timing saw it; strings belong to the program. */
struct program_step {
    const char *op, *kernel, *scope; /* kernel: "view" where nothing runs */
    const char *choice;              /* what the kernel chose and why; or "" */
    struct dims dims;                /* of output 0 */
    enum dtype type;
    double flops, bytes;   /* of one run: operations of the direct algorithm, every operand once */
    double start, seconds; /* of the last run, on base/clock.h's clock */
    double total;          /* seconds of all runs since program_timing(p, true) */
    int64_t calls;
};
/* False behind the last step. */
bool program_step_at(const struct program *p, int i, struct program_step *out);

#endif
