#include "stage/backend.h"

#include "backend/backend.h"

enum err stage_backend(struct backend *out, const struct cli_common *c, int threads)
{
    TRY(backend_cpu(out, cpu_isa_name((enum cpu_isa)c->isa), threads));
    out->exact = c->exact;
    return ERR_OK;
}

bool stage_bf16(const struct cli_common *c, int precision)
{
    if (c->exact && precision == CPU_AUTO)
        return false;
    return cpu_bf16((enum cpu_precision)precision, (enum cpu_isa)c->isa);
}
