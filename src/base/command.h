/* What a verb of the command line is: a row with a field table and a run function. Verbs live in stage/ and
 * lab/, each as one `const struct command cmd_NAME`; cli/ lists the rows, parses, prints messages and chooses
 * the exit code. A run function gets its parsed config and a struct cli; it writes results to stdout and
 * returns an error like any function. */
#ifndef D4M_BASE_COMMAND_H
#define D4M_BASE_COMMAND_H

#include "base/cfg.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/note.h"
#include "base/progress.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Options of every verb; set before run is called (the thread count is already in force). */
struct cli_common {
    bool quiet;      /* no progress, no warnings; errors stay */
    bool json;       /* results as one JSON document on stdout */
    int64_t threads; /* what par_threads() is */
    int isa;         /* enum cpu_isa, checked against this machine */
    bool exact;      /* no Winograd convolutions */
    int64_t mem;     /* bytes the run may use; never 0 */
    int64_t seed;
};

struct cli {
    const struct cli_common *common;
    const char *command_line;        /* for records in output folders */
    struct arena *arena;             /* lives as long as the run */
    struct notes *notes;             /* warnings; printed behind the run at the latest */
    const struct progress *progress; /* silent with --quiet */
    atomic_int *stop; /* not 0 after SIGINT or SIGTERM: finish the step, save, return ERR_STOPPED */
    /* prints the notes that are not printed yet; they stay in the list */
    void (*show_notes)(const struct cli *cli);
};

struct command {
    const char *name;    /* one or two words: "predict", "train segmenter" */
    const char *summary; /* one line, lower case, no full stop */
    const char *example; /* arguments of a typical call, without "d4m NAME" */
    const char *about;   /* more lines for the help, each ended by a newline; NULL: none */
    struct cfg_table table;
    size_t cfg_size;             /* sizeof the struct that the table describes */
    const struct cfg_table *set; /* the keys of --set KEY=VALUE; NULL without that option */
    enum err (*run)(const struct cli *cli, const void *cfg);
};

/* clang-format off */
#define CFG_TABLE(fields) {(fields), sizeof(fields) / sizeof *(fields)}
/* clang-format on */

#endif
