/* Checked allocation. Every allocation of the program goes through here, so that sizes are multiplied in 64
 * bits with overflow checks and tests can make any of them fail. Failure sets the error message and returns
 * NULL. */
#ifndef D4M_BASE_MEM_H
#define D4M_BASE_MEM_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

/* At the start of a program: blocks of 4 MiB and more go back to the system when they are freed, so that what a
 * process holds is what it has asked for. */
void mem_setup(void);

/* count*size zeroed bytes, at least 16-byte aligned; NULL with ERR_MEMORY recorded on overflow or exhaustion.
 * mem_free releases. */
void *mem_new(size_t count, size_t size);
/* Grows or shrinks a mem_new block, keeping its contents (new bytes are not zeroed). On failure the old block
 * stays valid. */
void *mem_resize(void *p, size_t count, size_t size);
void mem_free(void *p);
char *mem_str(const char *s); /* copy of s, freed with mem_free */

/* Large zero pages for tensors: 2 MiB aligned, asks the system for huge pages. mem_big_free needs the same
 * size. */
void *mem_big_new(size_t bytes);
void mem_big_free(void *p, size_t bytes);

/* Arena: many small objects, one free. */
struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *a);
void *arena_alloc(struct arena *a, size_t count, size_t size); /* zeroed */
char *arena_str(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Bytes of physical memory this process may use (the smaller of the machine's and its cgroup's limit). */
uint64_t mem_available(void);
/* Peak resident set size of this process so far, in bytes. */
uint64_t mem_peak(void);

/* Tests only: the n-th allocation from now on this thread fails (n = 0: off). Returns how many happened since
 * the last call. */
long mem_fail_at(long n);

#endif
