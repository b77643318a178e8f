/* Any bytes as a NIfTI file: once as each kind of volume, strict and lax, and what was accepted is written
 * and read again. Allocation is capped under the address sanitizer, so that memory out of proportion to the
 * input is a finding. */
#include "base/mem.h"
#include "volume/nifti.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

enum { HEADER = 348, INPUT_MOST = 1 << 14 };

/* The most one input may ask for: 1032 bytes per byte of gzip, as int16 from uint8, twice while growing. */
const char *__asan_default_options(void)
{
    return "max_allocation_size_mb=72:allocator_may_return_null=0:detect_leaks=1";
}

static void use(const struct volume *v)
{
    struct orient o = grid_orient(&v->grid);
    struct volume *ras = NULL, *back = NULL;

    if (!v->data)
        return;
    if (volume_to_ras(&ras, v) || volume_from_ras(&back, ras, o))
        abort();
    for (int i = 0; i < 3; i++)
        if (back->grid.dims[i] != v->grid.dims[i])
            abort();
    volume_free(ras);
    volume_free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nifti_bytes b = {.what = "input", .file = data, .size = size};
    const char *reason;

    if (size > INPUT_MOST)
        return 0;
    if (size > HEADER) { /* the image of a pair */
        b.img = data + HEADER;
        b.img_size = size - HEADER;
    }
    for (int kind = NIFTI_GRID; kind <= NIFTI_VECTORS; kind++) {
        struct nifti_options o = {.positions_matter = kind % 2,
                                  .map = kind == NIFTI_LABELS ? "255=2,-1=0" : NULL,
                                  .prefer = (enum nifti_form)(size % 3),
                                  .reason = &reason};
        struct notes notes = {0};
        struct volume *v = NULL;

        reason = NULL;
        if (!nifti_parse(&v, &b, (enum nifti_kind)kind, &o, &notes))
            use(v);
        else if (!reason || v)
            abort(); /* every refusal has a name */
        volume_free(v);
        notes_clear(&notes);
    }
    return 0;
}
