#include "cli/cli.h"
#include "cli/commands.h"

#ifdef D4M_SANITIZED
/* fontconfig keeps its configuration until the process ends, which the leak checker reports. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig\n";
}
#endif

int main(int argc, char **argv)
{
    return cli_main(commands, argc, argv);
}
