#include "test.h"

#include "base/cpu.h"
#include "base/file.h"
#include "base/par.h"
#include "cli/bar.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include <fcntl.h>
#include <signal.h>

struct paint_cfg {
    const char *file;
    int64_t coats, seed;
};

static const struct field paint_fields[] = {
    FIELD(struct paint_cfg, T_STRING, file, .positional = true, .required = true, .arg = "FILE",
          .help = "what"),
    FIELD(struct paint_cfg, T_INT, coats, .def = 2, .min = 1, .max = 9, .brief = 'c', .help = "coats"),
    FIELD(struct paint_cfg, T_INT, seed, .def = 42, .help = "own seed"),
};

/* What the last run got. */
static struct {
    struct paint_cfg cfg;
    struct cli_common common;
    char file[64], line[128];
    int runs;
    enum err answer;
} seen;

static enum err paint(const struct cli *cli, const void *cfg)
{
    seen.cfg = *(const struct paint_cfg *)cfg;
    seen.common = *cli->common;
    snprintf(seen.file, sizeof seen.file, "%s", seen.cfg.file);
    snprintf(seen.line, sizeof seen.line, "%s", cli->command_line);
    seen.runs++;
    note_add(cli->notes, "wet", "the paint on %s is wet", seen.cfg.file);
    cli->show_notes(cli);
    note_add(cli->notes, "cold", "it is cold");
    if (seen.answer == ERR_STOPPED) {
        raise(SIGTERM);
        return *cli->stop ? err_set(ERR_STOPPED, "stopped by a signal") : ERR_INTERNAL;
    }
    return seen.answer ? err_set(seen.answer, "no paint left") : ERR_OK;
}

static enum err nothing(const struct cli *cli, const void *cfg)
{
    (void)cfg;
    seen.common = *cli->common;
    return ERR_OK;
}

static const struct command paint_walls = {
    "paint walls", "paint", "FILE", NULL, CFG_TABLE(paint_fields), sizeof(struct paint_cfg), NULL, paint};
static const struct command rest = {.name = "rest", .summary = "do nothing", .example = "", .run = nothing};
static const struct command *const table[] = {&paint_walls, &rest, NULL};

static char captured[20000];

/* Runs with stdout and stderr in a file, whose text goes to `captured`. */
static int run(const char *const *word)
{
    int argc = 0, code, keep[2] = {dup(1), dup(2)},
        fd = open("cli_run.txt", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *argv[16];
    ssize_t n;

    for (; word[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)word[argc];
    fflush(NULL);
    dup2(fd, 1);
    dup2(fd, 2);
    code = cli_main(table, argc, argv);
    fflush(NULL);
    dup2(keep[0], 1);
    dup2(keep[1], 2);
    n = pread(fd, captured, sizeof captured - 1, 0);
    captured[n > 0 ? n : 0] = 0;
    close(keep[0]);
    close(keep[1]);
    close(fd);
    unlink("cli_run.txt");
    return code;
}
#define RUN(...) run((const char *const[]){"d4m", __VA_ARGS__, NULL})
#define assert_said(text)                                                                                    \
    do {                                                                                                     \
        if (!strstr(captured, text))                                                                         \
            fail_msg("\"%s\" lacks \"%s\"", captured, text);                                                 \
    } while (0)

static void runs_verbs(void **state)
{
    (void)state;
    seen.answer = ERR_OK;
    assert_int_equal(RUN("paint", "walls", "a b", "-c3", "--threads", "2", "--mem=3G"), 0);
    assert_string_equal(seen.file, "a b");
    assert_string_equal(seen.line, "d4m paint walls 'a b' -c3 --threads 2 --mem=3G");
    assert_true(seen.cfg.coats == 3 && seen.cfg.seed == 42);
    assert_true(seen.common.threads == 2 && seen.common.mem == (int64_t)3 << 30 && seen.common.seed == 0);
    assert_int_equal(seen.common.isa, cpu_best());
    assert_said("d4m: warning: the paint on a b is wet\nd4m: warning: it is cold\n");
    assert_int_equal(RUN("paint", "walls", "x", "--seed", "7", "--quiet"), 0);
    assert_true(seen.cfg.seed == 7);
    assert_string_equal(captured, "");
    assert_int_equal(RUN("rest", "--seed", "9"), 0);
    assert_true(seen.common.seed == 9 && seen.common.mem > 0);
    assert_int_equal(seen.common.threads, par_cpus());
}

static void exit_codes(void **state)
{
    static const enum err codes[] = {ERR_INTERNAL, ERR_USAGE,  ERR_INPUT, ERR_CORRUPT, ERR_CASES,
                                     ERR_OUTPUT,   ERR_MEMORY, ERR_MODEL, ERR_STOPPED, ERR_SHAPE};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        seen.answer = codes[i];
        assert_int_equal(RUN("paint", "walls", "x"), codes[i] == ERR_SHAPE ? 1 : (int)codes[i]);
        assert_said(codes[i] == ERR_STOPPED ? "d4m: error: stopped by a signal\n"
                                            : "d4m: error: no paint left\n");
    }
    seen.answer = ERR_OK;
}

static void usage_errors(void **state)
{
    int before = seen.runs;

    (void)state;
    assert_int_equal(RUN("paint", "wals", "x"), 2);
    assert_said("d4m: error: unknown verb 'paint wals'; did you mean 'd4m paint walls'?\n");
    assert_int_equal(RUN("pant"), 2);
    assert_int_equal(RUN("zzzzzz"), 2);
    assert_said("unknown verb 'zzzzzz'; d4m alone lists the verbs\n");
    assert_int_equal(RUN("paint", "walls"), 2);
    assert_said("FILE is missing; see d4m paint walls --help\n");
    assert_int_equal(RUN("paint", "walls", "x", "--coat", "3"), 2);
    assert_said("did you mean '--coats'?; see d4m paint walls --help\n");
    assert_int_equal(RUN("paint", "walls", "x", "--thread", "3"), 2);
    assert_said("did you mean '--threads'?");
    assert_int_equal(RUN("paint", "walls", "x", "y"), 2);
    assert_said("unexpected word 'y'");
    assert_int_equal(RUN("rest", "--mem", "lots"), 2);
    assert_said("a size such as 500M or 3G");
    assert_int_equal(seen.runs, before);
}

static void help_and_version(void **state)
{
    (void)state;
    assert_int_equal(RUN(NULL), 0);
    assert_said("  paint walls  paint\n  rest         do nothing\n");
    assert_int_equal(RUN("--help"), 0);
    assert_said("paint walls");
    assert_int_equal(RUN("help", "paint", "walls"), 0);
    assert_said("d4m paint walls: paint\n\n  d4m paint walls FILE\n\n");
    assert_said("--coats N");
    assert_said("--threads N");
    assert_int_equal(RUN("paint", "walls", "--coats", "--help"), 0);
    assert_said("d4m paint walls: paint\n");
    assert_int_equal(RUN("help", "paintwalls"), 2);
    assert_int_equal(RUN("--version"), 0);
    assert_said("d4m 0.");
    assert_int_equal(RUN("rest", "--isa", "avx512"), cpu_best() == CPU_AVX512 ? 0 : 2);
}

/* Every verb of the program keeps the rules that the help relies on. */
static void table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        struct arena *a = arena_new();
        void *cfg = arena_alloc(a, c->cfg_size + 16, 1);
        assert_true(c->name && c->summary && c->example && c->run);
        assert_ok(cfg_defaults(c->table, cfg, a));
        for (size_t k = 0; k < c->table.count; k++) {
            const struct field *f = &c->table.field[k];
            assert_non_null(f->help);
            assert_ptr_equal(cfg_find(c->table, f->name), f);
            assert_true(f->type != T_CHOICE || f->names);
            assert_true(f->offset < c->cfg_size);
        }
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(c->name, commands[k]->name);
        arena_free(a);
    }
}

static void progress_in_a_log(void **state)
{
    int keep = dup(2), fd = open("bar.txt", O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct progress p;
    struct bar b;
    ssize_t n;

    (void)state;
    dup2(fd, 2);
    p = bar_progress(&b);
    for (int i = 0; i <= 5; i++) {
        progress_update(&p, "train", i, 5, "loss %d", 9 - i);
        if (i < 5) /* a part of the training: no line of its own */
            progress_update(&p, "validate", 1, 1, "%s", "");
    }
    progress_update(&p, "many", 0, 0, "%s", "");
    progress_line(&p, "epoch %d", 1);
    progress_update(NULL, "x", 1, 2, "%s", "");
    progress_line(NULL, "x");
    dup2(keep, 2);
    n = pread(fd, captured, sizeof captured - 1, 0);
    captured[n > 0 ? n : 0] = 0;
    close(keep);
    close(fd);
    unlink("bar.txt");
    assert_string_equal(captured, "train 5/5  in 0:00  loss 4\nmany 0/0  in 0:00\nepoch 1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_verbs),     cmocka_unit_test(exit_codes),
        cmocka_unit_test(usage_errors),   cmocka_unit_test(help_and_version),
        cmocka_unit_test(table_is_sound), cmocka_unit_test(progress_in_a_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
