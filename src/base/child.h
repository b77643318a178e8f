/* Another program as a child that talks in lines: what is sent is its standard input, what it prints is read
 * line by line, and the end of its standard error is kept for messages. Waiting ends at a time limit and when
 * the stop flag is seen. */
#ifndef D4M_BASE_CHILD_H
#define D4M_BASE_CHILD_H

#include "base/err.h"
#include <stdatomic.h>
#include <stdint.h>

struct child;

struct child_options {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
    /* NULL-terminated changes of the environment: NAME=VALUE sets, NAME alone removes; NULL: none */
    const char *const *env;
    const atomic_int *stop; /* NULL, or not 0: waiting ends with ERR_STOPPED */
};

/* Starts it; what o points to must stay. ERR_USAGE if the program cannot be run. */
MUST_USE enum err child_start(struct child **out, const struct child_options *o);
/* Writes a line; a newline is added. A child that has ended is no error here: child_line tells. */
MUST_USE enum err child_send(struct child *c, const char *line);
/* The next line without its newline, valid until the next call; *line is NULL at the end of the output.
 * ERR_INTERNAL after `seconds` without one. */
MUST_USE enum err child_line(struct child *c, double seconds, const char **line);
const char *child_errors(const struct child *c); /* the last of what it wrote to its standard error */

struct child_result {
    int status;          /* exit status; 128 + the signal that ended it */
    uint64_t peak_bytes; /* largest resident size */
};
/* Closes its input and waits; kills it after `seconds`, or when stopped. Does not free. */
void child_wait(struct child *c, double seconds, struct child_result *r);
void child_free(struct child *c); /* accepts NULL; kills what still runs */

#endif
