/* Files: whole reads with size checks, mapping, gzip by content, hashes, and outputs that appear complete or
 * not at all. */
#ifndef D4M_BASE_FILE_H
#define D4M_BASE_FILE_H

#include "base/err.h"
#include "base/note.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Reads a whole regular file; *out is freed with mem_free and has a NUL behind its last byte. Unreadable or
 * missing: ERR_USAGE. */
MUST_USE enum err file_read(const char *path, uint8_t **out, size_t *size);

/* A read-only mapping of a whole file. */
struct file_map {
    const uint8_t *data;
    size_t size;
};
MUST_USE enum err file_map(struct file_map *m, const char *path);
void file_unmap(struct file_map *m);

/* All gzip members of in[0..n) concatenated (input-rules.md "Bytes and containers"): memory grows only as
 * data arrive, at most `limit` bytes; a bad CRC, ISIZE or missing trailer is ERR_CORRUPT. `what` names the
 * file in messages. */
MUST_USE enum err gzip_decode(const uint8_t *in, size_t n, uint64_t limit, const char *what,
                              struct notes *notes, uint8_t **out, size_t *size);
bool gzip_is(const uint8_t *in, size_t n);
/* One gzip file made of independent members compressed in parallel; bytes do not depend on the thread count.
 */
MUST_USE enum err gzip_encode(const uint8_t *in, size_t n, uint8_t **out, size_t *size);

/* Writes path atomically: temporary name in the same folder, fsync, rename, fsync of the folder. ERR_OUTPUT
 * if the folder cannot be written, ERR_MEMORY if the disk is full; nothing is left behind on failure and an
 * existing file stays. */
MUST_USE enum err file_write(const char *path, const void *data, size_t size);
/* The same for streamed output: write to out.f, then commit or abandon (abandon accepts a zeroed struct). */
struct file_out {
    FILE *f;
    char *path, *temp;
};
MUST_USE enum err file_out_open(struct file_out *o, const char *path);
MUST_USE enum err file_out_commit(struct file_out *o);
void file_out_abandon(struct file_out *o);

/* Takes an exclusive lock on `path` (made if it is not there), which the system drops when the process ends
 * in whatever way. Held by another process: ERR_OUTPUT. *fd is closed by file_unlock. */
MUST_USE enum err file_lock(int *fd, const char *path);
void file_unlock(int fd); /* accepts -1 */

bool file_exists(const char *path);
bool folder_exists(const char *path);
bool file_same(const char *a, const char *b); /* both there and one file, by whatever names */
/* ERR_USAGE that says why path, which is neither a regular file nor a folder, cannot be read. */
MUST_USE enum err file_refuse(const char *path);
MUST_USE enum err folder_make(const char *path); /* with parents; ERR_OUTPUT on failure */
/* Names in a folder, sorted, without hidden ones, "._*", ".DS_Store", "Thumbs.db". Freed with names_free. */
MUST_USE enum err folder_list(const char *path, char ***names, size_t *count);
void names_free(char **names, size_t count);

MUST_USE enum err file_hash(const char *path, uint64_t *hash); /* xxh3 of the bytes */
uint64_t bytes_hash(const void *p, size_t n, uint64_t seed);

#endif
