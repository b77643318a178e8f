/* Strict JSON on top of jansson: duplicate keys refused, a byte-order mark tolerated, Python's bare
 * NaN/Infinity read as null. Every error names the file and the path of the key ("plan.json: patch[1]:
 * expected an integer >= 1"). */
#ifndef D4M_BASE_JSON_H
#define D4M_BASE_JSON_H

#include "base/err.h"
#include <jansson.h>
#include <stdint.h>

/* Routes jansson's allocations through mem_new. json_parse calls it; call it before building the first value
 * by hand. */
void json_setup(void);
MUST_USE enum err json_parse(json_t **out, const char *text, size_t size, const char *what);
MUST_USE enum err json_read(json_t **out, const char *path);
MUST_USE enum err json_write(const json_t *j,
                             const char *path); /* indented, sorted as built, newline at the end, atomic */
char *json_text(const json_t *j);               /* one line; mem_free; NULL on exhaustion */
MUST_USE enum err json_print(const json_t *j);  /* one line on stdout; NULL is exhaustion */
json_t *json_str(const char *s); /* new reference: what is no UTF-8 in s (a path has any bytes) as
                                    U+FFFD; null for NULL; NULL on exhaustion */
json_t *json_number(double v);   /* new reference: a real, or null if v is not finite */
json_t *json_numbers(const double *v, int n); /* new reference: an array of them; NULL on exhaustion */

/* Typed access to object members; `what` is the file (or dotted path) for messages. A missing key is
 * ERR_INPUT. */
MUST_USE enum err json_get_int(const json_t *o, const char *what, const char *key, int64_t *v);
MUST_USE enum err json_get_real(const json_t *o, const char *what, const char *key, double *v);
MUST_USE enum err json_get_str(const json_t *o, const char *what, const char *key,
                               const char **v);                                             /* borrowed */
MUST_USE enum err json_get(const json_t *o, const char *what, const char *key, json_t **v); /* borrowed */

#endif
