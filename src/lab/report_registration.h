/* The registration of a data set in a report: verdicts and pictures. */
#ifndef D4M_LAB_REPORT_REGISTRATION_H
#define D4M_LAB_REPORT_REGISTRATION_H

#include "base/note.h"
#include "base/str.h"

/* Appends a section on WORK/registered (`folder`): a row per phase, worst verdict first, and the pictures of
 * the first few. Nothing if `folder` is NULL. A verdict.json that cannot be read is a note. */
MUST_USE enum err report_registration(struct str *html, const char *folder, struct notes *notes);

#endif
