#include "cli/cli.h"
#include "cli/commands.h"

int main(int argc, char **argv)
{
    return cli_main(commands, argc, argv);
}
