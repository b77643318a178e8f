/* What every test program includes: cmocka behind its prerequisites, and helpers for temporary folders and
 * errors. */
#ifndef D4M_TEST_H
#define D4M_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"

/* The call succeeds; otherwise its message is printed. */
#define assert_ok(call)                                                                                      \
    do {                                                                                                     \
        enum err assert_ok_ = (call);                                                                        \
        if (assert_ok_)                                                                                      \
            fail_msg("%s: error %d: %s", #call, (int)assert_ok_, err_text());                                \
    } while (0)

/* The call fails with this code and its message contains the text. */
#define assert_err(call, code, text)                                                                         \
    do {                                                                                                     \
        assert_int_equal(call, code);                                                                        \
        if (!strstr(err_text(), text))                                                                       \
            fail_msg("message \"%s\" lacks \"%s\"", err_text(), text);                                       \
    } while (0)

/* Runs `call` with its first, second, ... allocation failing until it succeeds; each failure must be
 * ERR_MEMORY. `after` runs when the call succeeded and frees what it made. Needs "base/mem.h". */
#define assert_survives_exhaustion(call, after)                                                              \
    do {                                                                                                     \
        long survive_n_ = 0;                                                                                 \
        enum err survive_e_ = ERR_MEMORY;                                                                    \
        while (survive_e_) {                                                                                 \
            mem_fail_at(++survive_n_);                                                                       \
            survive_e_ = (call);                                                                             \
            mem_fail_at(0);                                                                                  \
            if (survive_e_ && survive_e_ != ERR_MEMORY)                                                      \
                fail_msg("allocation %ld: error %d: %s", survive_n_, (int)survive_e_, err_text());           \
            assert_true(survive_n_ < 1000000);                                                               \
        }                                                                                                    \
        after;                                                                                               \
    } while (0)

/* A new folder under the working directory (the build tree); the path is valid until the program ends. */
static inline const char *test_folder(void)
{
    static char name[16][32];
    static int used;
    char *s = name[used++ % 16];

    snprintf(s, sizeof name[0], "tmp-XXXXXX");
    if (!mkdtemp(s))
        abort();
    return s;
}

/* The path of a name in a folder; valid for the next 255 calls. */
static inline const char *test_path(const char *folder, const char *name)
{
    static char path[256][512];
    static int used;
    char joined[512], *s = path[used++ % 256];

    snprintf(joined, sizeof joined, "%s/%s", folder, name);
    return strcpy(s, joined);
}

#endif
