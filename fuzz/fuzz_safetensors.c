/* safetensors_parse on any bytes; every entry that it hands out is read to the end. */
#include "base/mem.h"
#include "tensor/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *s = NULL;

    if (safetensors_parse(&s, data, size, "fuzz"))
        return 0;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct st_entry *e = safetensors_at(s, i);
        double *wide = mem_new((size_t)e->count, sizeof *wide);
        float *narrow = mem_new((size_t)e->count, sizeof *narrow);
        if (wide && narrow) {
            safetensors_get_f64(e, wide);
            safetensors_get_f32(e, narrow);
        }
        mem_free(wide);
        mem_free(narrow);
    }
    safetensors_close(s);
    return 0;
}
