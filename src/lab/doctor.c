#include "lab/doctor.h"

#include "base/cpu.h"
#include "base/json.h"
#include "base/par.h"
#include "base/str.h"
#include "stage/backend.h"
#include <stdio.h>
#include <string.h>

struct machine {
    char cpu[64], huge_pages[16];
    const char *isa, *used;
    int cpus;
    int64_t threads, available, limit;
    bool usable, amx;
    const char *precision; /* what auto means */
};

/* The word in brackets of "always [madvise] never". */
static void read_huge_pages(char out[16])
{
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");

    strcpy(out, "unknown");
    if (!f)
        return;
    if (fscanf(f, "%*[^[][%15[^]]", out) != 1)
        strcpy(out, "unknown");
    fclose(f);
}

static struct machine look(const struct cli_common *c)
{
    struct machine m = {.cpus = par_cpus(), .threads = c->threads, .limit = c->mem};
    uint64_t free = mem_available();

    cpu_model(m.cpu);
    read_huge_pages(m.huge_pages);
    m.isa = cpu_isa_name(cpu_best());
    m.used = cpu_isa_name((enum cpu_isa)c->isa);
    m.usable = cpu_best() != CPU_NONE;
    m.amx = cpu_amx();
    m.precision = stage_bf16(c, CPU_AUTO) ? "bf16" : "f32";
    m.available = free < INT64_MAX ? (int64_t)free : INT64_MAX;
    return m;
}

static enum err print_json(const struct machine *m)
{
    json_t *j;
    enum err err;

    json_setup();
    j = json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:i, s:I, s:I, s:I, s:s}", "cpu", m->cpu, "isa", m->isa,
                  "isa_used", m->used, "usable", (int)m->usable, "amx", (int)m->amx, "precision_auto",
                  m->precision, "cpus", m->cpus, "threads", (json_int_t)m->threads, "memory_available",
                  (json_int_t)m->available, "memory_limit", (json_int_t)m->limit, "huge_pages",
                  m->huge_pages);
    err = json_print(j);
    json_decref(j);
    return err;
}

static void print_text(const struct machine *m)
{
    printf("CPU           %s\n", m->cpu);
    printf("instructions  %s", m->isa);
    puts(m->usable ? "" : ": too old, AVX2 with FMA is needed to train or predict");
    printf("kernels use   %s\n", m->used);
    printf("bf16          %s; --precision auto means %s\n",
           m->amx ? "AMX, which is faster in it" : "no AMX: saves memory, not time", m->precision);
    printf("threads       %lld of %d CPUs that this process may use\n", (long long)m->threads, m->cpus);
    printf("memory        %.1f GB available, limit %.1f GB\n", (double)m->available / 1e9,
           (double)m->limit / 1e9);
    printf("huge pages    %s\n", m->huge_pages);
}

static enum err run(const struct cli *cli, const void *cfg)
{
    struct machine m = look(cli->common);

    (void)cfg;
    if (cli->common->json)
        return print_json(&m);
    print_text(&m);
    return ERR_OK;
}

const struct command cmd_doctor = {
    .name = "doctor",
    .summary = "show what this machine offers",
    .example = "",
    .run = run,
};
