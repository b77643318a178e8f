/* What phases are called. */
#include "data/cases_build.h"
#include "base/str.h"
#include <ctype.h>
#include <string.h>

static const char *const phase_texts[PHASE_KINDS] = {"noncontrast", "arterial", "portal_venous", "delayed"};

/* Lower case, letters and digits only, without "phase" behind and "ct" in front. */
static const struct {
    enum phase phase;
    const char *name;
} aliases[] = {
    {PHASE_NONCONTRAST, "noncontrast"},
    {PHASE_NONCONTRAST, "nc"},
    {PHASE_NONCONTRAST, "ncp"},
    {PHASE_NONCONTRAST, "ncct"},
    {PHASE_NONCONTRAST, "nect"},
    {PHASE_NONCONTRAST, "noncon"},
    {PHASE_NONCONTRAST, "native"},
    {PHASE_NONCONTRAST, "plain"},
    {PHASE_NONCONTRAST, "precontrast"},
    {PHASE_NONCONTRAST, "pre"},
    {PHASE_NONCONTRAST, "unenhanced"},
    {PHASE_NONCONTRAST, "nonenhanced"},
    {PHASE_NONCONTRAST, "nonenhancedct"},
    {PHASE_NONCONTRAST, "noncontrastct"},
    {PHASE_NONCONTRAST, "nocontrast"},
    {PHASE_ARTERIAL, "arterial"},
    {PHASE_ARTERIAL, "art"},
    {PHASE_ARTERIAL, "ap"},
    {PHASE_ARTERIAL, "latearterial"},
    {PHASE_ARTERIAL, "earlyarterial"},
    {PHASE_ARTERIAL, "hap"},
    {PHASE_ARTERIAL, "hepaticarterial"},
    {PHASE_PORTAL, "portalvenous"},
    {PHASE_PORTAL, "portal"},
    {PHASE_PORTAL, "venous"},
    {PHASE_PORTAL, "pv"},
    {PHASE_PORTAL, "pvp"},
    {PHASE_PORTAL, "vp"},
    {PHASE_PORTAL, "ven"},
    {PHASE_PORTAL, "portovenous"},
    {PHASE_PORTAL, "portalvein"},
    {PHASE_PORTAL, "ppv"},
    {PHASE_DELAYED, "delayed"},
    {PHASE_DELAYED, "delay"},
    {PHASE_DELAYED, "del"},
    {PHASE_DELAYED, "dp"},
    {PHASE_DELAYED, "equilibrium"},
    {PHASE_DELAYED, "ep"},
    {PHASE_DELAYED, "eq"},
    {PHASE_DELAYED, "late"},
    {PHASE_DELAYED, "latevenous"},
    {PHASE_DELAYED, "delayedvenous"},
};

const char *phase_text(enum phase p)
{
    return p >= 0 && p < PHASE_KINDS ? phase_texts[p] : "unknown";
}

enum phase phase_find(const char *name)
{
    char plain[64], *s = plain;
    size_t n = 0;

    for (; *name && n + 1 < sizeof plain; name++)
        if (isalnum((unsigned char)*name))
            plain[n++] = (char)tolower((unsigned char)*name);
    plain[n] = 0;
    if (*name)
        return PHASE_UNKNOWN;
    if (str_ends(plain, "phase"))
        plain[n - 5] = 0;
    for (int skip = 0; skip < 2; skip++) {
        for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
            if (!strcmp(s, aliases[i].name))
                return aliases[i].phase;
        if (!str_starts(s, "ct"))
            break;
        s += 2;
    }
    return PHASE_UNKNOWN;
}

/* Fills kind and portal from the names; two channels of one phase are refused. */
enum err phase_map_fill(struct phase_map *m, const char *what)
{
    m->portal = -1;
    for (int i = 0; i < m->count; i++) {
        m->kind[i] = phase_find(m->name[i]);
        if (m->kind[i] == PHASE_PORTAL)
            m->portal = i;
        for (int j = 0; j < i; j++)
            if (m->kind[i] == m->kind[j] && m->kind[i] != PHASE_UNKNOWN)
                return err_set(ERR_INPUT, "%s: channels %d (%s) and %d (%s) are the same phase", what, j,
                               m->name[j], i, m->name[i]);
    }
    if (m->count == 1) {
        m->portal = 0;
        if (m->kind[0] == PHASE_UNKNOWN)
            m->kind[0] = PHASE_PORTAL;
    }
    return ERR_OK;
}

enum err phase_map_parse(struct phase_map *m, struct arena *a, const char *names)
{
    struct phase_map made = {0};
    char *rest = arena_str(a, names), *comma;

    if (!rest)
        return ERR_MEMORY;
    for (; rest; rest = comma) {
        comma = strchr(rest, ',');
        if (comma)
            *comma++ = 0;
        if (made.count == PLAN_MAX_PHASES)
            return err_set(ERR_INPUT, "phase_names has more than %d phases", PLAN_MAX_PHASES);
        made.name[made.count++] = rest;
    }
    TRY(phase_map_fill(&made, "phase_names"));
    for (int i = 0; i < made.count; i++)
        if (made.kind[i] == PHASE_UNKNOWN)
            return err_set(ERR_INPUT,
                           "phase_names: '%s' is no phase; use noncontrast, arterial, portal_venous, delayed",
                           made.name[i]);
    *m = made;
    return ERR_OK;
}
