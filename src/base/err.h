/* Errors as values. Whoever detects a failure writes one message (what, where, what to do) with err_set and
 * returns the code; callers pass it on and may add a line of context with err_while. Codes 0..9 are the
 * program's exit codes. */
#ifndef D4M_BASE_ERR_H
#define D4M_BASE_ERR_H

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

enum err {
    ERR_OK = 0,
    ERR_INTERNAL = 1, /* anything else */
    ERR_USAGE = 2,    /* command line; a named path that does not exist or cannot be read */
    ERR_INPUT = 3,    /* well-formed input that is not usable here */
    ERR_CORRUPT = 4,  /* bytes that cannot be what the format says */
    ERR_CASES = 5,    /* some cases of several failed (they are listed) */
    ERR_OUTPUT = 6,   /* output cannot be written */
    ERR_MEMORY = 7,   /* out of memory or disk */
    ERR_MODEL = 8,    /* model or weights do not fit */
    ERR_STOPPED = 9,  /* interrupted, with a valid checkpoint */
    ERR_SHAPE = 10,   /* a graph was built wrongly (exit code 1) */
};

/* Records the message of this thread and returns `code`. */
MUST_USE enum err err_set(enum err code, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts "while ..." context behind the recorded message and returns `code` (which must not be ERR_OK). */
MUST_USE enum err err_while(enum err code, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The message of this thread's last failure; "" if none. Valid until the next err_set on this thread. */
const char *err_text(void);
/* Exit code of the process for `code`. */
int err_exit_code(enum err code);

#define TRY(call)                                                                                            \
    do {                                                                                                     \
        enum err try_ = (call);                                                                              \
        if (try_)                                                                                            \
            return try_;                                                                                     \
    } while (0)
#define TRY_OR(label, call)                                                                                  \
    do {                                                                                                     \
        err = (call);                                                                                        \
        if (err)                                                                                             \
            goto label;                                                                                      \
    } while (0)

#endif
