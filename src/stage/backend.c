#include "stage/backend.h"

#include "backend/backend.h"
#include "base/cpu.h"

enum err stage_backend(struct backend *out, const struct cli_common *c, int threads)
{
    TRY(backend_cpu(out, cpu_isa_name((enum cpu_isa)c->isa), threads));
    out->exact = c->exact;
    return ERR_OK;
}
