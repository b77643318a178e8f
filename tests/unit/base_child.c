#include "test.h"

#include "base/child.h"
#include "base/clock.h"
#include <signal.h>

static struct child *start(const char *script, const char *const *env, const atomic_int *stop)
{
    static const char *argv[4] = {"sh", "-c", NULL, NULL};
    struct child_options o = {.argv = argv, .env = env, .stop = stop};
    struct child *c = NULL;

    argv[2] = script;
    assert_ok(child_start(&c, &o));
    return c;
}

static void talks_in_lines(void **state)
{
    struct child *c =
        start("read a; echo \"got $a\"; read b; printf 'long '; echo line; printf unfinished", NULL, NULL);
    struct child_result r;
    const char *line = NULL;

    (void)state;
    assert_ok(child_send(c, "one"));
    assert_ok(child_line(c, 10, &line));
    assert_string_equal(line, "got one");
    assert_ok(child_send(c, "two"));
    assert_ok(child_line(c, 10, &line));
    assert_string_equal(line, "long line");
    assert_ok(child_line(c, 10, &line));
    assert_string_equal(line, "unfinished");
    assert_ok(child_line(c, 10, &line));
    assert_null(line);
    child_wait(c, 10, &r);
    assert_int_equal(r.status, 0);
    assert_true(r.peak_bytes > 0);
    child_free(c);
}

static void keeps_the_last_errors(void **state)
{
    struct child *c =
        start("i=0; while [ $i -lt 2000 ]; do echo \"error $i\" >&2; i=$((i+1)); done; exit 3", NULL, NULL);
    struct child_result r;
    const char *line = NULL;

    (void)state;
    assert_ok(child_line(c, 20, &line));
    assert_null(line);
    child_wait(c, 20, &r);
    assert_int_equal(r.status, 3);
    assert_non_null(strstr(child_errors(c), "error 1999\n"));
    assert_null(strstr(child_errors(c), "error 0\n"));
    child_free(c);
}

static void changes_its_environment(void **state)
{
    static const char *const env[] = {"D4M_TEST_A=new", "D4M_TEST_B", NULL};
    const char *line = NULL;
    struct child *c;

    (void)state;
    setenv("D4M_TEST_A", "old", 1);
    setenv("D4M_TEST_B", "gone", 1);
    setenv("D4M_TEST_AB", "kept", 1);
    c = start("echo \"$D4M_TEST_A,$D4M_TEST_B,$D4M_TEST_AB\"", env, NULL);
    assert_ok(child_line(c, 10, &line));
    assert_string_equal(line, "new,,kept");
    child_free(c);
}

static void waiting_ends(void **state)
{
    double begin = clock_now();
    struct child *c = start("exec sleep 60", NULL, NULL);
    struct child_result r;
    const char *line = NULL;
    atomic_int stop = 1;

    (void)state;
    assert_err(child_line(c, 0.2, &line), ERR_INTERNAL, "said nothing for");
    child_wait(c, 0, &r);
    assert_int_equal(r.status, 128 + SIGKILL);
    child_free(c);
    c = start("exec sleep 60", NULL, &stop);
    assert_err(child_line(c, 60, &line), ERR_STOPPED, "stopped");
    child_free(c);
    assert_true(clock_now() - begin < 50); /* 60 would be the whole sleep */
}

static void says_what_cannot_run(void **state)
{
    static const char *const argv[] = {"/nonexistent/program", NULL};
    struct child_options o = {.argv = argv};
    struct child *c = NULL;

    (void)state;
    assert_err(child_start(&c, &o), ERR_USAGE, "/nonexistent/program: cannot be run");
    assert_null(c);
    child_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(talks_in_lines),          cmocka_unit_test(keeps_the_last_errors),
        cmocka_unit_test(changes_its_environment), cmocka_unit_test(waiting_ends),
        cmocka_unit_test(says_what_cannot_run),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
