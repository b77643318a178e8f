/* gzip_decode on any bytes with a limit; memory stays below the ratio that DEFLATE can reach. */
#include "base/file.h"
#include "base/mem.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct notes notes = {0};
    uint8_t *out = NULL;
    size_t n = 0;

    if (!gzip_decode(data, size, 1 << 24, "fuzz", &notes, &out, &n) && (n > 1 << 24 || n > 1032 * size))
        abort();
    mem_free(out);
    notes_clear(&notes);
    return 0;
}
