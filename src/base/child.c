#define _DEFAULT_SOURCE /* wait4 */
#include "base/child.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ; /* POSIX leaves this line to the program */

enum { ERRORS_KEPT = 4000, POLL_MS = 100, LINE_MAX_BYTES = 16 << 20 };

struct child {
    struct child_options o;
    pid_t pid; /* 0: waited for */
    int in, out, err;
    struct str text; /* output that was read and not handed on; the first `used` bytes were */
    size_t used;
    char errors[ERRORS_KEPT + 1];
    size_t errors_len;
    struct child_result result;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- starting ---- */

/* Is `entry` (NAME=VALUE) the variable that `change` (NAME or NAME=VALUE) is about? */
static bool same_name(const char *entry, const char *change)
{
    size_t n = strcspn(change, "=");

    return !strncmp(entry, change, n) && entry[n] == '=';
}

/* The environment with the changes; the array is the caller's, the strings are not. */
static char **changed_environment(const char *const *change)
{
    size_t count = 0, changes = 0, at = 0;
    char **env;

    while (environ[count])
        count++;
    while (change && change[changes])
        changes++;
    env = mem_new(count + changes + 1, sizeof *env);
    if (!env)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        bool keep = true;
        for (size_t k = 0; k < changes; k++)
            keep = keep && !same_name(environ[i], change[k]);
        if (keep)
            env[at++] = environ[i];
    }
    for (size_t k = 0; k < changes; k++)
        if (strchr(change[k], '='))
            env[at++] = (char *)(uintptr_t)change[k];
    return env;
}

/* The parent's ends must not be inherited by another child. */
static bool make_pipe(int end[2])
{
    if (pipe(end))
        return false;
    fcntl(end[0], F_SETFD, FD_CLOEXEC);
    fcntl(end[1], F_SETFD, FD_CLOEXEC);
    return true;
}

/* Returns 0 or the error number. */
static int spawn(struct child *c, const int in[2], const int out[2], const int err[2])
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t normal;
    char **env = changed_environment(c->o.env);
    int failed = env ? 0 : ENOMEM;

    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    posix_spawn_file_actions_adddup2(&files, in[0], 0);
    posix_spawn_file_actions_adddup2(&files, out[1], 1);
    posix_spawn_file_actions_adddup2(&files, err[1], 2);
    sigemptyset(&normal); /* ignored here, of no meaning there */
    sigaddset(&normal, SIGPIPE);
    sigaddset(&normal, SIGXFSZ);
    posix_spawnattr_setsigdefault(&how, &normal);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGDEF);
    if (!failed)
        failed = posix_spawnp(&c->pid, c->o.argv[0], &files, &how, (char *const *)(uintptr_t)c->o.argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    mem_free(env);
    return failed;
}

enum err child_start(struct child **out, const struct child_options *o)
{
    struct child *c = mem_new(1, sizeof *c);
    int in[2] = {-1, -1}, print[2] = {-1, -1}, err[2] = {-1, -1}, failed;

    if (!c)
        return ERR_MEMORY;
    c->o = *o;
    failed = make_pipe(in) && make_pipe(print) && make_pipe(err) ? 0 : errno;
    if (!failed)
        failed = spawn(c, in, print, err);
    close_fd(&in[0]);
    close_fd(&print[1]);
    close_fd(&err[1]);
    c->in = in[1];
    c->out = print[0];
    c->err = err[0];
    if (failed) {
        c->pid = 0;
        child_free(c);
        return err_set(ERR_USAGE, "%s: cannot be run: %s", o->argv[0], strerror(failed));
    }
    *out = c;
    return ERR_OK;
}

/* ---- talking ---- */

enum err child_send(struct child *c, const char *line)
{
    struct str b = {0};
    size_t at = 0;
    enum err err;

    str_addf(&b, "%s\n", line);
    err = str_status(&b);
    while (!err && at < b.len) {
        ssize_t n = write(c->in, b.s + at, b.len - at); /* SIGPIPE is ignored by the command line */
        if (n < 0 && errno != EINTR)
            break;
        at += n > 0 ? (size_t)n : 0;
    }
    str_free(&b);
    return err;
}

static void keep_errors(struct child *c, const char *p, size_t n)
{
    if (n > ERRORS_KEPT) {
        p += n - ERRORS_KEPT;
        n = ERRORS_KEPT;
    }
    if (c->errors_len + n > ERRORS_KEPT) {
        size_t drop = c->errors_len + n - ERRORS_KEPT;
        memmove(c->errors, c->errors + drop, c->errors_len - drop);
        c->errors_len -= drop;
    }
    memcpy(c->errors + c->errors_len, p, n);
    c->errors_len += n;
    c->errors[c->errors_len] = 0;
}

/* Reads what is there; closes at the end. */
static void take_output(struct child *c, bool is_error)
{
    char buf[4096];
    int *fd = is_error ? &c->err : &c->out;
    ssize_t n = read(*fd, buf, sizeof buf);

    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0)
        close_fd(fd);
    else if (is_error)
        keep_errors(c, buf, (size_t)n);
    else
        str_add_bytes(&c->text, buf, (size_t)n);
}

/* Waits up to POLL_MS for output of either kind. */
static void look(struct child *c)
{
    struct pollfd fd[2] = {{c->out, POLLIN, 0}, {c->err, POLLIN, 0}}; /* -1 is passed over */

    if (poll(fd, 2, POLL_MS) <= 0)
        return;
    if (fd[0].revents)
        take_output(c, false);
    if (fd[1].revents)
        take_output(c, true);
}

/* The next whole line of what was read (at the end of the output also an unfinished one), or NULL. */
static char *next_line(struct child *c)
{
    char *start, *end;

    if (c->used == c->text.len)
        return NULL;
    start = c->text.s + c->used;
    end = memchr(start, '\n', c->text.len - c->used);
    if (!end && c->out >= 0)
        return NULL;
    c->used = end ? (size_t)(end - c->text.s) + 1 : c->text.len;
    if (end)
        *end = 0;
    return start;
}

static void drop_used(struct child *c)
{
    if (!c->used)
        return;
    memmove(c->text.s, c->text.s + c->used, c->text.len - c->used + 1);
    c->text.len -= c->used;
    c->used = 0;
}

enum err child_line(struct child *c, double seconds, const char **line)
{
    double end = clock_now() + seconds;

    drop_used(c);
    for (;;) {
        TRY(str_status(&c->text));
        *line = next_line(c);
        if (*line || c->out < 0)
            return ERR_OK;
        if (c->o.stop && atomic_load(c->o.stop))
            return err_set(ERR_STOPPED, "stopped while waiting for %s", c->o.argv[0]);
        if (clock_now() > end || c->text.len > LINE_MAX_BYTES)
            return err_set(ERR_INTERNAL, "%s said nothing for %.0f seconds", c->o.argv[0], seconds);
        look(c);
    }
}

const char *child_errors(const struct child *c)
{
    return c->errors;
}

/* ---- ending ---- */

/* True if it has ended. */
static bool reap(struct child *c, int flags)
{
    struct rusage use;
    int status;
    pid_t got = wait4(c->pid, &status, flags, &use);

    if (got == 0 || (got < 0 && errno == EINTR))
        return false;
    c->pid = 0;
    if (got < 0)
        c->result.status = 255;
    else
        c->result = (struct child_result){
            .status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            .peak_bytes = (uint64_t)use.ru_maxrss * 1024,
        };
    return true;
}

void child_wait(struct child *c, double seconds, struct child_result *r)
{
    double end = clock_now() + seconds;

    close_fd(&c->in);
    while (c->pid && !reap(c, WNOHANG)) {
        if (clock_now() > end || (c->o.stop && atomic_load(c->o.stop))) {
            kill(c->pid, SIGKILL);
            while (!reap(c, 0))
                ;
            break;
        }
        if (c->out >= 0 || c->err >= 0)
            look(c);
        else
            nanosleep(&(struct timespec){0, 10 * 1000 * 1000}, NULL);
    }
    while (c->err >= 0) /* its last words */
        take_output(c, true);
    *r = c->result;
}

void child_free(struct child *c)
{
    struct child_result r;

    if (!c)
        return;
    if (c->pid)
        child_wait(c, 0, &r);
    close_fd(&c->in);
    close_fd(&c->out);
    close_fd(&c->err);
    str_free(&c->text);
    mem_free(c);
}
