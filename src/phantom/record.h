/* truth/CASE.json (phantom.md section 1): what was drawn and what was measured, keys sorted, arrays indexed
 * by phase with null for a missing one. */
#ifndef D4M_PHANTOM_RECORD_H
#define D4M_PHANTOM_RECORD_H

#include "phantom/case.h"
#include <jansson.h>

extern const char *const phantom_phase_names[];       /* "noncontrast", ... as in dataset.json; NULL */
extern const char *const phantom_label_names[];       /* of the labels 0..PHANTOM_BENIGN; NULL */
json_t *phantom_record(const struct phantom_case *c); /* new reference; NULL on exhaustion */

#endif
