#include "base/cpu.h"

#include <cpuid.h>
#include <stdint.h>
#include <string.h>

/* Register state that the system saves at a task switch (XCR0). The byte form serves assemblers of any age.
 */
static uint32_t saved_state(void)
{
    uint32_t low, high;

    __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has(uint32_t word, uint32_t bits)
{
    return (word & bits) == bits;
}

/* Bits: Intel SDM volume 2, CPUID leaves 1 and 7. */
enum cpu_isa cpu_best(void)
{
    const uint32_t osxsave = 1u << 27, avx = 1u << 28, fma = 1u << 12;
    const uint32_t avx2 = 1u << 5, bmi2 = 1u << 8;
    const uint32_t avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    const uint32_t ymm = 0x6, zmm = 0xe6;
    uint32_t a, b, c, d, b7;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, osxsave | avx | fma) || !has(saved_state(), ymm))
        return CPU_NONE;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c, &d) || !has(b7, avx2 | bmi2))
        return CPU_NONE;
    return has(b7, avx512) && has(saved_state(), zmm) ? CPU_AVX512 : CPU_AVX2;
}

const char *cpu_isa_name(enum cpu_isa isa)
{
    return isa == CPU_AVX512 ? "avx512" : isa == CPU_AVX2 ? "avx2" : "none";
}

const char *cpu_model(char buf[64])
{
    uint32_t word[12];
    char text[sizeof word + 1];

    for (uint32_t i = 0; i < 3; i++) /* leaves 80000002h to 80000004h hold 16 characters each */
        if (!__get_cpuid(0x80000002u + i, &word[4 * i], &word[4 * i + 1], &word[4 * i + 2], &word[4 * i + 3]))
            return strcpy(buf, "unknown");
    memcpy(text, word, sizeof word);
    text[sizeof word] = 0;
    strcpy(buf, text + strspn(text, " "));
    return buf;
}
