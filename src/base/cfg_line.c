/* The command line of a config table. */
#include "base/cfg.h"

#include <stdbool.h>
#include <string.h>

struct line {
    struct cfg_table table;
    void *cfg;
    struct arena *arena;
    char **word;
    int count, next;
    bool *given; /* by field */
};

static enum err give(struct line *l, const struct field *f, const char *value)
{
    l->given[f - l->table.field] = true;
    return cfg_set(l->table, l->cfg, l->arena, f->name, value);
}

static const struct field *find_brief(struct cfg_table t, char letter)
{
    for (size_t i = 0; i < t.count; i++)
        if (t.field[i].brief == letter)
            return &t.field[i];
    return NULL;
}

static enum err unknown_option(const struct line *l, const char *word, const char *name)
{
    const char *near = cfg_nearest(l->table, name);
    char dashed[80] = "";

    for (size_t i = 0; near && near[i] && i + 1 < sizeof dashed; i++)
        dashed[i] = near[i] == '_' ? '-' : near[i];
    return err_set(ERR_USAGE, "unknown option '%.80s'%s%s%s", word, near ? "; did you mean '--" : "", dashed,
                   near ? "'?" : "");
}

/* The next word as the value of an option. One that looks like an option is a forgotten value. */
static enum err take_value(struct line *l, const char *option, const char **value)
{
    if (l->next >= l->count)
        return err_set(ERR_USAGE, "option '%s' needs a value", option);
    if (!strncmp(l->word[l->next], "--", 2))
        return err_set(ERR_USAGE,
                       "option '%s' needs a value, got '%.80s'; write %s=VALUE if that is the value", option,
                       l->word[l->next], option);
    *value = l->word[l->next++];
    return ERR_OK;
}

/* "--name", "--name=VALUE", "--no-name"; `text` is what follows the dashes. */
static enum err long_option(struct line *l, const char *word, char *text)
{
    char *equals = strchr(text, '=');
    const char *value = equals ? equals + 1 : NULL;
    const struct field *f;

    if (equals)
        *equals = 0;
    f = cfg_find(l->table, text);
    if (f && f->type == T_BOOL && !value)
        return give(l, f, "true");
    if (!f && !strncmp(text, "no-", 3) && !value) {
        f = cfg_find(l->table, text + 3);
        if (f && f->type == T_BOOL)
            return give(l, f, "false");
        f = NULL;
    }
    if (!f && strcmp(text, "set") != 0)
        return unknown_option(l, word, text);
    if (!value)
        TRY(take_value(l, word, &value));
    return f ? give(l, f, value) : cfg_override(l->table, l->cfg, l->arena, value);
}

static enum err brief_option(struct line *l, const char *word)
{
    const struct field *f = find_brief(l->table, word[1]);
    const char *value = word + 2, *option = word;

    if (!f || (f->type == T_BOOL && *value))
        return unknown_option(l, word, word + 1);
    if (f->type == T_BOOL)
        return give(l, f, "true");
    if (!*value)
        TRY(take_value(l, option, &value));
    return give(l, f, value);
}

/* The first positional that is not given yet, or a list. */
static enum err positional(struct line *l, const char *word)
{
    for (size_t i = 0; i < l->table.count; i++) {
        const struct field *f = &l->table.field[i];
        if (f->positional && (f->type == T_LIST || !l->given[i]))
            return give(l, f, word);
    }
    return err_set(ERR_USAGE, "unexpected word '%.80s'", word);
}

static enum err one_word(struct line *l, const char *word)
{
    char *copy;

    if (word[0] != '-' || !word[1] || word[1] == '.' || (word[1] >= '0' && word[1] <= '9'))
        return positional(l, word);
    if (word[1] != '-')
        return brief_option(l, word);
    copy = arena_str(l->arena, word);
    return copy ? long_option(l, word, copy + 2) : ERR_MEMORY;
}

static enum err check_required(const struct line *l)
{
    for (size_t i = 0; i < l->table.count; i++) {
        const struct field *f = &l->table.field[i];
        if (!f->required || l->given[i])
            continue;
        if (f->positional)
            return err_set(ERR_USAGE, "%s is missing", f->arg ? f->arg : f->name);
        return err_set(ERR_USAGE, "option '--%s%s%s' is required", f->name, f->arg ? " " : "",
                       f->arg ? f->arg : "");
    }
    return ERR_OK;
}

enum err cfg_parse(struct cfg_table t, void *cfg, struct arena *a, int argc, char **argv)
{
    struct line l = {.table = t, .cfg = cfg, .arena = a, .word = argv, .count = argc};

    l.given = arena_alloc(a, t.count, sizeof *l.given);
    if (!l.given)
        return ERR_MEMORY;
    while (l.next < l.count) {
        const char *word = l.word[l.next++];
        if (!strcmp(word, "--"))
            break;
        TRY(one_word(&l, word));
    }
    while (l.next < l.count)
        TRY(positional(&l, l.word[l.next++]));
    return check_required(&l);
}
