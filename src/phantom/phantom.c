#include "phantom/phantom.h"
#include "base/file.h"
#include <string.h>

struct rng phantom_rng(const struct phantom_id *id, const char *name, int index)
{
    uint64_t stream = bytes_hash(name, strlen(name), 0);

    return rng_at(id->seed, rng_key(rng_key((uint64_t)id->number, stream), (uint64_t)index));
}
