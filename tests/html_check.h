/* Is a page well-formed and self-contained? Elements nest and close, attributes are quoted, text holds no
 * bare "<", nothing is fetched from outside. */
#ifndef D4M_HTML_CHECK_H
#define D4M_HTML_CHECK_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct html_check {
    char open[64][16]; /* names of open elements */
    int depth;
    char error[128];
};

static inline bool html_is_void(const char *name)
{
    static const char *const names[] = {"meta", "br", "img", "hr", "link", "input"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

/* Behind the attributes of a tag: at ">" or "/>". NULL if an attribute is broken or points outside. */
static inline const char *html_attributes(struct html_check *c, const char *p)
{
    for (;;) {
        const char *name, *value, *end;

        p += strspn(p, " \t\r\n");
        if (*p == '>' || (*p == '/' && p[1] == '>'))
            return p;
        name = p;
        while (isalnum((unsigned char)*p) || *p == '-' || *p == ':')
            p++;
        if (p == name || p[0] != '=' || p[1] != '"') {
            snprintf(c->error, sizeof c->error, "bad attribute: %.40s", name);
            return NULL;
        }
        value = p + 2;
        end = strchr(value, '"');
        if (!end || memchr(value, '<', (size_t)(end - value))) {
            snprintf(c->error, sizeof c->error, "bad attribute value: %.40s", name);
            return NULL;
        }
        if ((!strncmp(name, "src", 3) || !strncmp(name, "href", 4)) && strncmp(value, "data:", 5) != 0) {
            snprintf(c->error, sizeof c->error, "reference to the outside: %.60s", name);
            return NULL;
        }
        if (!strncmp(name, "on", 2)) {
            snprintf(c->error, sizeof c->error, "script: %.60s", name);
            return NULL;
        }
        p = end + 1;
    }
}

static inline const char *html_tag(struct html_check *c, const char *p)
{
    bool closing = p[1] == '/';
    char name[16] = {0};
    size_t n = 0;

    p += closing ? 2 : 1;
    while (isalnum((unsigned char)*p) && n + 1 < sizeof name)
        name[n++] = *p++;
    if (!n || !strcmp(name, "script")) {
        snprintf(c->error, sizeof c->error, "bad tag <%.40s", p - n);
        return NULL;
    }
    if (closing) {
        if (!c->depth || strcmp(c->open[--c->depth], name) != 0 || *p != '>') {
            snprintf(c->error, sizeof c->error, "</%s> closes nothing", name);
            return NULL;
        }
        return p + 1;
    }
    p = html_attributes(c, p);
    if (!p)
        return NULL;
    if (*p == '/')
        return p + 2;
    if (!html_is_void(name)) {
        if (c->depth == 64) {
            snprintf(c->error, sizeof c->error, "nested too deeply");
            return NULL;
        }
        strcpy(c->open[c->depth++], name);
    }
    return p + 1;
}

/* c->error is "" if the page is well-formed. */
static inline bool html_check(struct html_check *c, const char *page)
{
    static const char doctype[] = "<!DOCTYPE html>";
    const char *p = page;

    *c = (struct html_check){.depth = 0};
    if (strncmp(p, doctype, sizeof doctype - 1) != 0)
        snprintf(c->error, sizeof c->error, "no doctype");
    else
        p += sizeof doctype - 1;
    while (!c->error[0] && *p) {
        if (*p == '<') {
            p = html_tag(c, p);
        } else if (*p == '&' && !(strchr(p, ';') && strchr(p, ';') - p < 8)) {
            snprintf(c->error, sizeof c->error, "bare &: %.40s", p);
        } else {
            p++;
        }
        if (!p)
            break;
    }
    if (!c->error[0] && c->depth)
        snprintf(c->error, sizeof c->error, "<%s> is not closed", c->open[c->depth - 1]);
    return !c->error[0];
}

#endif
