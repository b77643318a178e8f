/* d4m phantom: the verb. */
#include "base/json.h"
#include "base/str.h"
#include "stage/phantom.h"
#include <stdio.h>

struct phantom_cfg {
    const char *out, *dial, *from, *liver, *labels, *licence;
    int64_t n, first;
    int preset, from_phase;
    bool registered, clean, force;
    struct cfg_list set;
};

static const char *const from_phases[] = {"nc", "art", "pvp", "del", NULL};

static const struct field fields[] = {
    FIELD(struct phantom_cfg, T_STRING, out, .positional = true, .required = true, .arg = "OUT",
          .help = "folder for the data set; has to be empty or not there"),
    FIELD(struct phantom_cfg, T_INT, n, .brief = 'n', .def = 8, .min = 1, .max = 99999, .help = "cases"),
    FIELD(struct phantom_cfg, T_INT, first, .def = 0, .min = 0, .max = 99999,
          .help = "number of the first case; case K is the same alone and among others"),
    FIELD(struct phantom_cfg, T_CHOICE, preset, .def = PHANTOM_DEMO, .names = phantom_presets,
          .help =
              "tiny: 64x48x48 for tests; demo: 160x128x64; liver: the liver's box at 2 mm; real: 512x512"),
    FIELD(struct phantom_cfg, T_STRING, dial, .arg = "MM",
          .help = "mean misalignment inside the liver, 0 to 15 (the key dial)"),
    FIELD(struct phantom_cfg, T_BOOL, registered,
          .help = "no breathing and one grid for all phases: only the dial misaligns (the key registered)"),
    FIELD(struct phantom_cfg, T_STRING, from, .arg = "CT",
          .help =
              "a real CT as the patient, on its own grid: other phases and lesions are made in its liver"),
    FIELD(struct phantom_cfg, T_STRING, liver, .arg = "MASK",
          .help = "with --from: its liver mask (2: tumours, which stay)"),
    FIELD(struct phantom_cfg, T_STRING, labels, .arg = "ORGANS",
          .help = "with --from: TotalSegmentator's labels, whose organs then enhance as well"),
    FIELD(struct phantom_cfg, T_CHOICE, from_phase, .def = PHANTOM_PVP, .names = from_phases,
          .help = "with --from: the phase of the CT"),
    FIELD(struct phantom_cfg, T_STRING, licence, .arg = "TEXT",
          .help = "with --from: the CT's licence, for dataset.json"),
    FIELD(struct phantom_cfg, T_BOOL, clean, .help = "write the images before noise, too"),
    FIELD(struct phantom_cfg, T_BOOL, force,
          .help = "replace the phantom that is in OUT; files of yours in it stay"),
    FIELD(struct phantom_cfg, T_LIST, set, .arg = "KEY=VALUE",
          .help = "a parameter of the cases (below), for example --set noise=12"),
};

static enum err read_params(struct phantom_params *p, const struct phantom_cfg *c, struct arena *a)
{
    TRY(cfg_defaults(phantom_table, p, a));
    for (size_t i = 0; i < c->set.count; i++)
        TRY(cfg_override(phantom_table, p, a, c->set.item[i]));
    if (c->dial)
        TRY(cfg_set(phantom_table, p, a, "dial", c->dial));
    p->registered |= c->registered;
    return ERR_OK;
}

static enum err print(const struct cli *cli, const struct phantom_job *job)
{
    long long tests = (long long)phantom_tests(job), training = (long long)job->count - tests;
    char *truth;
    json_t *j;
    enum err err;

    if (!cli->common->json) {
        truth = path_join(job->out, "truth");
        if (truth)
            printf("%s: %lld cases for training, %lld for testing, truth in %s\n", job->out, training, tests,
                   truth);
        mem_free(truth);
        return truth ? ERR_OK : ERR_MEMORY;
    }
    j = json_pack("{s:o, s:I, s:I}", "folder", json_str(job->out), "training", (json_int_t)training,
                  "testing", (json_int_t)tests);
    err = json_print(j);
    json_decref(j);
    return err;
}

static enum err run(const struct cli *cli, const void *cfg)
{
    const struct phantom_cfg *c = cfg;
    struct phantom_job job = {.out = c->out,
                              .seed = (uint64_t)cli->common->seed,
                              .first = c->first,
                              .count = c->n,
                              .preset = c->preset,
                              .from = c->from,
                              .liver = c->liver,
                              .organs = c->labels,
                              .from_phase = c->from_phase,
                              .licence = c->licence,
                              .clean = c->clean,
                              .force = c->force,
                              .memory = (uint64_t)cli->common->mem,
                              .stop = cli->stop,
                              .progress = cli->progress};

    TRY(read_params(&job.params, c, cli->arena));
    TRY(phantom_write(&job));
    return print(cli, &job);
}

const struct command cmd_phantom = {
    .name = "phantom",
    .summary = "make four-phase liver CT with known truth",
    .example = "phantoms -n 12 --preset demo --seed 1",
    .about = "A data set in nnU-Net's raw layout: computer-made patients in four breath-holds, each phase on "
             "its own\n"
             "grid, some missing. The folder truth/ has what no real data has: every phase's labels, the "
             "displacement\n"
             "from the portal venous phase to each other one (mm), and a JSON file per case with all that "
             "was drawn.\n"
             "A key changes only what it names. Nothing about patients follows from a score on phantoms.\n",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct phantom_cfg),
    .set = &phantom_table,
    .run = run,
};
