/* json_parse on any bytes; what is read is written and read again. */
#include "base/json.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *j = NULL, *back = NULL;
    char *text;

    if (json_parse(&j, (const char *)data, size, "fuzz"))
        return 0;
    text = json_text(j);
    if (!text || json_parse(&back, text, strlen(text), "again") || !json_equal(j, back))
        abort();
    mem_free(text);
    json_decref(j);
    json_decref(back);
    return 0;
}
