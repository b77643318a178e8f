#include "base/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_ROOM = 1024 };

struct place {
    const char *root;
    char group[PATH_ROOM]; /* "/a/b", or "" for the root of the hierarchy */
};

/* First word of ROOT + MID + GROUP + "/" + NAME as text in out; 0 if unreadable. */
static int read_word(const struct place *p, const char *mid, const char *name, char out[64])
{
    char path[2 * PATH_ROOM];
    FILE *f;
    int got;

    snprintf(path, sizeof path, "%s%s%s/%s", p->root, mid, p->group, name);
    f = fopen(path, "re");
    if (!f)
        return 0;
    got = fscanf(f, "%63s", out) == 1;
    fclose(f);
    return got;
}

static uint64_t read_number(const struct place *p, const char *mid, const char *name)
{
    char word[64];

    return read_word(p, mid, name, word) ? strtoull(word, NULL, 10) : 0;
}

/* A line "key 123" of memory.stat. */
static uint64_t read_stat(const struct place *p, const char *mid, const char *key)
{
    char path[2 * PATH_ROOM], name[64];
    unsigned long long value, found = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s%s%s/memory.stat", p->root, mid, p->group);
    f = fopen(path, "re");
    if (!f)
        return 0;
    while (fscanf(f, "%63s %llu", name, &value) == 2)
        if (!strcmp(name, key))
            found = value;
    fclose(f);
    return found;
}

static void limit_cpus(struct cgroup *c, double quota, double period)
{
    if (quota > 0 && period > 0 && (!c->cpus || quota / period < c->cpus))
        c->cpus = quota / period;
}

/* Inactive file pages are given back on demand, so they do not count as used. */
static void limit_memory(struct cgroup *c, uint64_t limit, uint64_t used, uint64_t cache)
{
    uint64_t taken = used > cache ? used - cache : 0;
    uint64_t left = limit > taken ? limit - taken : 0;

    if (limit && limit < (uint64_t)1 << 60 && left < c->memory_free) /* v1 writes "no limit" as almost 2^63 */
        c->memory_free = left;
}

static void read_v2(struct cgroup *c, const struct place *p)
{
    char path[2 * PATH_ROOM], word[64];
    double quota, period;
    FILE *f;

    if (read_word(p, "", "memory.max", word) && strcmp(word, "max"))
        limit_memory(c, strtoull(word, NULL, 10), read_number(p, "", "memory.current"),
                     read_stat(p, "", "inactive_file"));
    snprintf(path, sizeof path, "%s%s/cpu.max", p->root, p->group);
    f = fopen(path, "re");
    if (!f)
        return;
    if (fscanf(f, "%lf %lf", &quota, &period) == 2) /* "max 100000" has no number in front */
        limit_cpus(c, quota, period);
    fclose(f);
}

static void read_v1_memory(struct cgroup *c, const struct place *p)
{
    limit_memory(c, read_number(p, "/memory", "memory.limit_in_bytes"),
                 read_number(p, "/memory", "memory.usage_in_bytes"),
                 read_stat(p, "/memory", "total_inactive_file"));
}

static void read_v1_cpu(struct cgroup *c, const struct place *p)
{
    char word[64];

    if (read_word(p, "/cpu", "cpu.cfs_quota_us", word))
        limit_cpus(c, strtod(word, NULL), (double)read_number(p, "/cpu", "cpu.cfs_period_us"));
}

/* The group and every group above it. In a container the path is often that of the host and only the root is
 * visible. */
static void walk(struct cgroup *c, struct place *p, void (*read)(struct cgroup *, const struct place *))
{
    char *slash;

    for (;;) {
        read(c, p);
        slash = strrchr(p->group, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

/* Does the comma-separated list hold the controller? */
static int has_controller(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (; list; list = strchr(list, ',')) {
        list += *list == ',';
        if (!strncmp(list, name, n) && (list[n] == ',' || !list[n]))
            return 1;
    }
    return 0;
}

/* A line "ID:CONTROLLERS:/PATH"; v2 has ID 0 and no controllers. */
static void read_line(struct cgroup *c, const char *root, char *line)
{
    char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
    struct place p = {.root = root};
    size_t n;

    if (!path)
        return;
    *list++ = 0;
    *path++ = 0;
    path[strcspn(path, "\n")] = 0;
    n = strlen(path);
    if (n >= sizeof p.group)
        return;
    memcpy(p.group, n == 1 ? "" : path, n == 1 ? 1 : n + 1);
    if (!*list)
        walk(c, &p, read_v2);
    else if (has_controller(list, "memory"))
        walk(c, &p, read_v1_memory);
    else if (has_controller(list, "cpu"))
        walk(c, &p, read_v1_cpu);
}

struct cgroup cgroup_read(const char *membership, const char *root)
{
    struct cgroup c = {.cpus = 0, .memory_free = UINT64_MAX};
    FILE *f = fopen(membership, "re");
    char line[PATH_ROOM];

    if (!f)
        return c;
    while (fgets(line, sizeof line, f))
        read_line(&c, root, line);
    fclose(f);
    return c;
}
