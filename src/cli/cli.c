#include "cli/cli.h"

#include "base/cpu.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/str.h"
#include "cli/bar.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const isa_names[] = {
    [CPU_NONE] = "auto", [CPU_AVX2] = "avx2", [CPU_AVX512] = "avx512", NULL};

static const struct field common_fields[] = {
    FIELD(struct cli_common, T_BOOL, quiet, .brief = 'q', .help = "print errors only"),
    FIELD(struct cli_common, T_BOOL, json, .help = "print the result as JSON"),
    FIELD(struct cli_common, T_INT, threads, .max = 4096,
          .help = "threads; 0: as many CPUs as this process may use"),
    FIELD(struct cli_common, T_CHOICE, isa, .names = isa_names,
          .help = "instruction set of the kernels; same results"),
    FIELD(struct cli_common, T_BOOL, exact,
          .help = "plain sums instead of Winograd convolutions: slower, for comparisons with other programs"),
    FIELD(struct cli_common, T_SIZE, mem,
          .help = "memory limit such as 3G, weights and inputs included; 0: what the machine allows"),
    FIELD(struct cli_common, T_INT, seed, .max = 4294967295.0, .help = "seed of everything random"),
};
const struct cfg_table cli_common_table = CFG_TABLE(common_fields);

/* One run: what the verb sees, and the state behind it. */
struct session {
    struct cli cli; /* first, so that show_notes finds the session from it */
    const struct command *const *table;
    const struct command *command;
    struct arena *arena;
    struct cli_common *common;
    void *cfg;
    struct notes notes;
    size_t notes_shown;
    struct bar bar;
    struct progress progress;
};

/* Set by the signal handler, which has no argument to reach anything else by. */
static atomic_int stop;

/* The first signal asks, a second one ends the program as if there were no handler. */
static void on_signal(int number)
{
    if (atomic_exchange(&stop, number)) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

static void set_signals(void)
{
    struct sigaction ask = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigemptyset(&ask.sa_mask);
    sigemptyset(&ignore.sa_mask);
    atomic_store(&stop, 0);
    sigaction(SIGINT, &ask, NULL);
    sigaction(SIGTERM, &ask, NULL);
    sigaction(SIGPIPE, &ignore, NULL); /* a closed pipe or a file size limit is an error of the write */
    sigaction(SIGXFSZ, &ignore, NULL);
}

static void show_notes(const struct cli *cli)
{
    struct session *s = (struct session *)(uintptr_t)cli;

    for (; s->notes_shown < s->notes.count; s->notes_shown++) {
        if (s->common->quiet)
            continue;
        bar_clear(&s->bar);
        fprintf(stderr, "d4m: warning: %s\n", s->notes.item[s->notes_shown].text);
    }
}

/* The command line in one string, words with blanks in quotes; NULL on exhaustion. */
static const char *join_words(struct arena *a, int argc, char **argv)
{
    struct str b = {0};
    char *copy = NULL;

    str_add(&b, "d4m");
    for (int i = 1; i < argc; i++)
        str_addf(&b, strpbrk(argv[i], " \t\n'\"") || !argv[i][0] ? " '%s'" : " %s", argv[i]);
    if (!str_status(&b))
        copy = arena_str(a, b.s);
    str_free(&b);
    return copy;
}

/* The verb's fields, then the common ones it does not have itself, as one table over one block of memory. */
static enum err joint_table(struct session *s, struct cfg_table *t, void **block)
{
    const struct cfg_table *own = &s->command->table;
    size_t at = (s->command->cfg_size + 15) / 16 * 16;
    struct field *f = arena_alloc(s->arena, own->count + cli_common_table.count, sizeof *f);
    char *memory = arena_alloc(s->arena, at + sizeof *s->common, 1);

    if (!f || !memory)
        return ERR_MEMORY;
    t->field = f;
    t->count = own->count;
    if (own->count)
        memcpy(f, own->field, own->count * sizeof *f);
    for (size_t i = 0; i < cli_common_table.count; i++)
        if (!cfg_find(*own, cli_common_table.field[i].name)) {
            f[t->count] = cli_common_table.field[i];
            f[t->count++].offset += at;
        }
    s->cfg = memory;
    s->common = (struct cli_common *)(void *)(memory + at);
    *block = memory;
    return ERR_OK;
}

static enum err set_common(struct cli_common *c)
{
    enum cpu_isa best = cpu_best();

    if (c->isa > (int)best)
        return err_set(ERR_USAGE, "--isa %s: this CPU offers %s", isa_names[c->isa], cpu_isa_name(best));
    if (!c->isa)
        c->isa = (int)best;
    if (!c->mem) {
        uint64_t free = mem_available();
        c->mem = free < INT64_MAX ? (int64_t)free : INT64_MAX;
    }
    par_set_threads((int)c->threads);
    c->threads = par_threads();
    return ERR_OK;
}

static enum err run_command(struct session *s, int argc, char **argv, int used)
{
    struct cfg_table t;
    void *block;
    enum err err;

    TRY(joint_table(s, &t, &block));
    TRY(cfg_defaults(cli_common_table, s->common, s->arena)); /* also those that the verb has itself */
    TRY(cfg_defaults(t, block, s->arena));
    err = cfg_parse(t, block, s->arena, argc - used, argv + used);
    if (!err)
        err = set_common(s->common);
    if (err == ERR_USAGE)
        return err_set(err, "%s; see d4m %s --help", err_text(), s->command->name);
    TRY(err);
    if (!s->common->quiet)
        s->progress = bar_progress(&s->bar);
    s->cli = (struct cli){.common = s->common,
                          .command_line = join_words(s->arena, argc, argv),
                          .arena = s->arena,
                          .notes = &s->notes,
                          .progress = &s->progress,
                          .stop = &stop,
                          .show_notes = show_notes};
    if (!s->cli.command_line)
        return ERR_MEMORY;
    err = s->command->run(&s->cli, s->cfg);
    bar_clear(&s->bar);
    show_notes(&s->cli);
    return err;
}

/* The verb nearest to what was typed, or one that begins with the same word. */
static enum err unknown_verb(const struct command *const *table, int count, char **word)
{
    const char *near = NULL;
    char typed[128];
    int best = 4;

    snprintf(typed, sizeof typed, "%s%s%s", word[0], count > 1 && word[1][0] != '-' ? " " : "",
             count > 1 && word[1][0] != '-' ? word[1] : "");
    for (size_t i = 0; table[i]; i++) {
        size_t n = strlen(word[0]);
        int d = str_distance(table[i]->name, typed), first = str_distance(table[i]->name, word[0]);
        if (!strncmp(table[i]->name, word[0], n) && table[i]->name[n] == ' ')
            d = 0;
        d = first < d ? first : d;
        if (d < best) {
            best = d;
            near = table[i]->name;
        }
    }
    return err_set(ERR_USAGE, "unknown verb '%.100s'%s%s%s", best ? word[0] : typed,
                   near ? "; did you mean 'd4m " : "; d4m alone lists the verbs", near ? near : "",
                   near ? "'?" : "");
}

static bool asks_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

static enum err print_text(struct str *b)
{
    enum err err = str_status(b);

    if (!err)
        fputs(b->s, stdout);
    str_free(b);
    return err;
}

/* d4m, d4m --help, d4m --version, d4m help [VERB], d4m VERB ... */
static enum err dispatch(struct session *s, int argc, char **argv)
{
    bool help = argc > 1 && !strcmp(argv[1], "help");
    int skip = help ? 2 : 1, words = 0;
    struct str b = {0};

    if (argc <= skip || (!help && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))) {
        cli_help_list(s->table, &b);
        return print_text(&b);
    }
    if (!help && !strcmp(argv[1], "--version")) {
        puts("d4m " D4M_VERSION);
        return ERR_OK;
    }
    s->command = cli_find(s->table, argc - skip, argv + skip, &words);
    if (!s->command && (help || asks_help(argc - skip, argv + skip)) &&
        cli_help_group(s->table, argv[skip], &b))
        return print_text(&b);
    if (!s->command)
        return unknown_verb(s->table, argc - skip, argv + skip);
    if (help || asks_help(argc - skip - words, argv + skip + words)) {
        cli_help_verb(s->command, &b);
        return print_text(&b);
    }
    return run_command(s, argc, argv, skip + words);
}

int cli_main(const struct command *const *table, int argc, char **argv)
{
    struct session s = {.table = table};
    enum err err = ERR_MEMORY;

    mem_setup();
    set_signals();
    s.arena = arena_new();
    if (s.arena)
        err = dispatch(&s, argc, argv);
    if (!err && (fflush(stdout) || ferror(stdout)))
        err = err_set(ERR_OUTPUT, "the result could not be written to the standard output");
    if (err)
        fprintf(stderr, "d4m: error: %s\n", err_text()[0] ? err_text() : "failed without a message");
    notes_clear(&s.notes);
    arena_free(s.arena);
    return err_exit_code(err);
}
