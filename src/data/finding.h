/* Named findings about data. One table (finding_rules) holds every name with its severity, its meaning and
 * what to do about it; docs/check.md lists the same rows. A name may have two severities, since what one
 * reading tolerates another refuses. */
#ifndef D4M_DATA_FINDING_H
#define D4M_DATA_FINDING_H

#include "base/err.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum finding_severity {
    FINDING_INFO,    /* true of many good data sets; worth knowing */
    FINDING_WARNING, /* probably wrong, but it can be used */
    FINDING_ERROR,   /* training or prediction refuses it */
};
extern const char *const finding_severities[]; /* "info", "warning", "error", NULL */

struct finding_rule {
    const char *name; /* kebab-case, stable */
    enum finding_severity severity;
    const char *meaning, *fix; /* sentences without their full stop */
};
/* Ends with a row whose name is NULL. */
extern const struct finding_rule finding_rules[];
/* The row of a name, of this severity if it has several; NULL if there is none. */
const struct finding_rule *finding_rule_find(const char *name, enum finding_severity severity);

struct finding {
    const struct finding_rule *rule;
    char *where;   /* case, file or data set */
    char *text;    /* what is wrong, and where */
    char *picture; /* name of the file that shows it, or NULL */
};

struct findings {
    struct finding *item;
    size_t count, room;
    size_t of[3]; /* by severity */
};
/* Appends a finding; control characters in the two texts become spaces. ERR_INTERNAL for a name without a
 * row. */
MUST_USE enum err finding_add(struct findings *list, const struct finding_rule *rule, const char *where,
                              const char *text);
void findings_clear(struct findings *list);       /* frees the items; the list may be used again */
json_t *finding_to_json(const struct finding *f); /* new reference; NULL on exhaustion */

#endif
