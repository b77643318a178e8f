#include "data/finding.h"
#include "base/json.h"
#include "base/mem.h"
#include <string.h>

const char *const finding_severities[] = {"info", "warning", "error", NULL};

const struct finding_rule *finding_rule_find(const char *name, enum finding_severity severity)
{
    const struct finding_rule *other = NULL;

    for (const struct finding_rule *r = finding_rules; r->name; r++) {
        if (strcmp(r->name, name) != 0)
            continue;
        if (r->severity == severity)
            return r;
        other = r;
    }
    return other;
}

/* Whatever a file or a name put into it. */
static void one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
}

static void finding_free(struct finding *f)
{
    mem_free(f->where);
    mem_free(f->text);
    mem_free(f->picture);
}

enum err finding_add(struct findings *list, const struct finding_rule *rule, const char *where,
                     const char *text)
{
    struct finding *f;

    if (!rule)
        return err_set(ERR_INTERNAL, "no rule is known for: %s", text);
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 16;

        f = mem_resize(list->item, room, sizeof *f);
        if (!f)
            return ERR_MEMORY;
        list->item = f;
        list->room = room;
    }
    f = &list->item[list->count];
    *f = (struct finding){.rule = rule, .where = mem_str(where), .text = mem_str(text)};
    if (!f->where || !f->text) {
        finding_free(f);
        return ERR_MEMORY;
    }
    one_line(f->where);
    one_line(f->text);
    list->count++;
    list->of[rule->severity]++;
    return ERR_OK;
}

void findings_clear(struct findings *list)
{
    for (size_t i = 0; i < list->count; i++)
        finding_free(&list->item[i]);
    mem_free(list->item);
    *list = (struct findings){0};
}

json_t *finding_to_json(const struct finding *f)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:s*}", "severity",
                     finding_severities[f->rule->severity], "name", f->rule->name, "where",
                     json_str(f->where), "text", json_str(f->text), "meaning", f->rule->meaning, "fix",
                     f->rule->fix, "picture", f->picture);
}
