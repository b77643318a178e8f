/* For tests that draw text: fontconfig keeps its configuration until the process ends, which the leak checker
 * reports. */
#ifndef D4M_LEAK_H
#define D4M_LEAK_H

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig\n";
}

#endif
