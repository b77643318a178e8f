#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */
#include "base/mem.h"

#include "base/cgroup.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define HUGE_PAGE ((size_t)2 << 20)
#define ARENA_BLOCK ((size_t)64 << 10)
#define ALIGN_UP(n, a) (((n) + (a)-1) / (a) * (a))

static _Thread_local long fail_at;  /* 0: off */
static _Thread_local long happened; /* allocations since the last mem_fail_at */

long mem_fail_at(long n)
{
    long count = happened;

    happened = 0;
    fail_at = n;
    return count;
}

/* Counts this allocation; true if the test wants it to fail. */
static int injected(void)
{
    happened++;
    return fail_at && happened == fail_at;
}

static void *exhausted(size_t count, size_t size)
{
    enum err ignored = err_set(
        ERR_MEMORY, "out of memory: %zu x %zu bytes could not be allocated; use --mem or a smaller input",
        count, size);

    (void)ignored;
    return NULL;
}

/* The product in bytes, at least 1; 0 on overflow. Half the address space is already absurd. */
static size_t bytes_of(size_t count, size_t size)
{
    if (size && count > (SIZE_MAX / 2) / size)
        return 0;
    return count && size ? count * size : 1;
}

void mem_setup(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, 4 << 20); /* else it grows with what is freed, up to 32 MiB */
    (void)mallopt(M_TRIM_THRESHOLD, 8 << 20);
#endif
}

void *mem_new(size_t count, size_t size)
{
    size_t bytes = bytes_of(count, size);
    void *p = injected() || !bytes ? NULL : calloc(bytes, 1);

    return p ? p : exhausted(count, size);
}

void *mem_resize(void *p, size_t count, size_t size)
{
    size_t bytes = bytes_of(count, size);
    void *q = injected() || !bytes ? NULL : realloc(p, bytes);

    return q ? q : exhausted(count, size);
}

void mem_free(void *p)
{
    free(p);
}

char *mem_str(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = mem_new(n, 1);

    if (copy)
        memcpy(copy, s, n);
    return copy;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BIG_ON_HEAP 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define BIG_ON_HEAP 1
#endif

#ifdef BIG_ON_HEAP
/* Under the address sanitizer big buffers come from the heap, so that stepping over their ends is caught. */
static void *map_aligned(size_t bytes)
{
    void *p = NULL;

    if (posix_memalign(&p, HUGE_PAGE, bytes))
        return NULL;
    return memset(p, 0, bytes);
}

void mem_big_free(void *p, size_t bytes)
{
    (void)bytes;
    free(p);
}
#else
/* Maps one huge page more than asked and returns the ends that are not needed. */
static void *map_aligned(size_t bytes)
{
    size_t whole = bytes + HUGE_PAGE;
    char *base = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t head;

    if (base == MAP_FAILED)
        return NULL;
    head = ALIGN_UP((uintptr_t)base, HUGE_PAGE) - (uintptr_t)base;
    if (head)
        munmap(base, head);
    if (whole - head > bytes)
        munmap(base + head + bytes, whole - head - bytes);
    madvise(base + head, bytes, MADV_HUGEPAGE); /* a wish: failing costs speed only */
    return base + head;
}

void mem_big_free(void *p, size_t bytes)
{
    if (p)
        munmap(p, ALIGN_UP(bytes ? bytes : 1, HUGE_PAGE));
}
#endif

void *mem_big_new(size_t bytes)
{
    void *p = NULL;

    if (!injected() && bytes < SIZE_MAX / 4)
        p = map_aligned(ALIGN_UP(bytes ? bytes : 1, HUGE_PAGE));
    return p ? p : exhausted(bytes, 1);
}

struct block {
    struct block *next;
    size_t used, room;
    _Alignas(16) unsigned char data[];
};

struct arena {
    struct block *top;
};

struct arena *arena_new(void)
{
    return mem_new(1, sizeof(struct arena));
}

void arena_free(struct arena *a)
{
    struct block *b, *next;

    if (!a)
        return;
    for (b = a->top; b; b = next) {
        next = b->next;
        mem_free(b);
    }
    mem_free(a);
}

/* A block with room for `bytes`: a large object gets its own, put below the top so that the top is filled up.
 */
static struct block *arena_block(struct arena *a, size_t bytes)
{
    size_t room = bytes > ARENA_BLOCK / 4 ? bytes : ARENA_BLOCK;
    struct block *b = mem_new(1, sizeof *b + room);

    if (!b)
        return NULL;
    b->room = room;
    if (a->top && room != ARENA_BLOCK) {
        b->next = a->top->next;
        a->top->next = b;
    } else {
        b->next = a->top;
        a->top = b;
    }
    return b;
}

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
    size_t bytes = bytes_of(count, size);
    struct block *b = a->top;
    void *p;

    if (!bytes)
        return exhausted(count, size);
    bytes = ALIGN_UP(bytes, (size_t)16);
    if (!b || b->room - b->used < bytes)
        b = arena_block(a, bytes);
    if (!b)
        return NULL;
    p = b->data + b->used;
    b->used += bytes;
    return p;
}

char *arena_str(struct arena *a, const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = arena_alloc(a, n, 1);

    if (copy)
        memcpy(copy, s, n);
    return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    char *text = NULL;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0)
        text = arena_alloc(a, (size_t)n + 1, 1);
    if (text)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return text;
}

/* A line "Name:   123 kB" of a file under /proc, in bytes; 0 if there is none. */
static uint64_t proc_bytes(const char *path, const char *name)
{
    FILE *f = fopen(path, "re");
    unsigned long long kib = 0;
    size_t n = strlen(name);
    char line[256];

    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, name, n) && sscanf(line + n, " %llu", &kib) == 1)
            break;
    fclose(f);
    return (uint64_t)kib << 10;
}

uint64_t mem_available(void)
{
    uint64_t machine = proc_bytes("/proc/meminfo", "MemAvailable:");
    struct cgroup c = cgroup_read("/proc/self/cgroup", "/sys/fs/cgroup");

    return machine && machine < c.memory_free ? machine : c.memory_free;
}

uint64_t mem_peak(void)
{
    return proc_bytes("/proc/self/status",
                      "VmHWM:"); /* not ru_maxrss, which a large parent process inflates */
}
