/* A config is a struct and a table of fields. Defaults, range checks, JSON, overrides, command-line parsing,
 * help and schema all come from the table; an unknown key is an error that names the nearest known one. */
#ifndef D4M_BASE_CFG_H
#define D4M_BASE_CFG_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum cfg_type {
    T_BOOL,   /* bool */
    T_INT,    /* int64_t */
    T_REAL,   /* double */
    T_CHOICE, /* int, an index into .names (NULL-terminated) */
    T_STRING, /* const char *, owned by the config's arena; NULL if not given */
    T_INT3,   /* int64_t[3]; text form 96,96,96 or 96 (all three) */
    T_REAL3,  /* double[3] */
    T_LIST,   /* struct cfg_list, may be given several times */
    T_SIZE,   /* int64_t bytes; text form 4096, 500M, 3G (powers of 1024) */
};

struct cfg_list {
    const char **item;
    size_t count;
};

struct field {
    const char *name; /* JSON key and --name (underscores become dashes on the command line) */
    enum cfg_type type;
    size_t offset;
    double def, min, max;     /* numbers: default and inclusive range (min == max == 0: no range check) */
    const char *text;         /* default of T_STRING, and of T_INT3/T_REAL3 in text form */
    const char *const *names; /* T_CHOICE */
    const char *help;
    const char *arg; /* placeholder in help, for example "FOLDER" */
    char brief;      /* one-letter option, 0 if none */
    bool required;
    bool positional; /* taken from bare arguments, in table order; a T_LIST takes all that are left */
};

/* clang-format off */
#define FIELD(strukt, ty, member, ...) \
    {.name = #member, .type = ty, .offset = offsetof(strukt, member), __VA_ARGS__}
/* clang-format on */

struct cfg_table {
    const struct field *field;
    size_t count;
};

/* The field with this name (dashes count as underscores), or NULL; and the most similar name, or NULL if none
 * is close. */
const struct field *cfg_find(struct cfg_table t, const char *name);
const char *cfg_nearest(struct cfg_table t, const char *name);

/* Texts and lists are copied into the arena. Bad values are ERR_USAGE in text and ERR_INPUT in JSON. */
MUST_USE enum err cfg_defaults(struct cfg_table t, void *cfg, struct arena *a);
MUST_USE enum err cfg_set(struct cfg_table t, void *cfg, struct arena *a, const char *key, const char *value);
MUST_USE enum err cfg_override(struct cfg_table t, void *cfg, struct arena *a, const char *key_equals_value);
MUST_USE enum err cfg_read_json(struct cfg_table t, void *cfg, struct arena *a, const json_t *j,
                                const char *what);
json_t *cfg_to_json(struct cfg_table t, const void *cfg); /* new reference; NULL on exhaustion */
/* Parses argv[0..argc) (options and positionals, no program name) over what cfg holds (cfg_defaults first);
 * ERR_USAGE names the word that is wrong. Forms: --name VALUE, --name=VALUE, --flag, --no-flag, -n VALUE,
 * -nVALUE, --set key=VALUE, and -- in front of words that are no options. */
MUST_USE enum err cfg_parse(struct cfg_table t, void *cfg, struct arena *a, int argc, char **argv);
void cfg_help(struct cfg_table t, struct str *out); /* one aligned line a field, with range and default */
/* the same with bare keys, as --set KEY=VALUE takes them */
void cfg_help_keys(struct cfg_table t, struct str *out);
json_t *cfg_schema(struct cfg_table t);

#endif
