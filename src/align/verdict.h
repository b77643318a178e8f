/* Whether a registration may be used: one table of figures and limits (registration.md section 10). */
#ifndef D4M_ALIGN_VERDICT_H
#define D4M_ALIGN_VERDICT_H

#include "align/measure.h"
#include "base/str.h"

enum verdict { VERDICT_PASS, VERDICT_WARN, VERDICT_FAIL };
extern const char *const verdict_names[]; /* "pass", "warn", "fail", NULL */

/* Figures of the liver masks of both images; known is false without one of them. */
struct liver_overlap {
    bool known;
    double dice[2], hd95[2], distance[2]; /* before, after; the latter mm */
    double volume_ratio;                  /* moving over fixed, of what both images show */
};

struct verdict_input {
    const struct alignment *a;
    const struct figures *f;
    const struct liver_overlap *liver;
};

/* One figure and what it says. */
struct finding_row {
    const char *name;
    enum verdict verdict;
    double value;
    double pass[2], warn[2]; /* what passes, what only warns: least and most */
};

enum { VERDICT_ROWS = 12 };
struct judgement {
    enum verdict verdict; /* the worst of the rows */
    struct finding_row row[VERDICT_ROWS];
    int rows; /* figures that apply */
};

struct judgement judge(const struct verdict_input *in);
/* Appends one sentence on a row that does not pass: what the figure is, and what it means for the reader. */
void judge_reason(struct str *out, const struct finding_row *row);

#endif
