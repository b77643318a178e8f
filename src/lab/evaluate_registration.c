#include "lab/evaluate_registration.h"
#include "base/file.h"
#include "base/html.h"
#include "base/json.h"
#include "base/str.h"
#include "eval/score.h"
#include "lab/page.h"
#include "stage/label_names.h"
#include "stage/registration_score.h"
#include "stage/transform_input.h"
#include <math.h>
#include <stdio.h>

struct evaluate_config {
    struct cfg_list transform;
    const char *output, *truth, *fixed_labels, *moving_labels, *body, *reference, *moving, *names;
    double step;
    int truth_convention, field_convention, prefer;
    bool force, assume_scanner;
};

static const struct field fields[] = {
    FIELD(struct evaluate_config, T_LIST, transform, .brief = 't', .required = true, .arg = "FILE",
          .help = "transform; given several times, the first acts on fixed points first"),
    FIELD(struct evaluate_config, T_STRING, output, .brief = 'o', .required = true, .arg = "FOLDER",
          .help = "where registration.json and registration.html go"),
    FIELD(struct evaluate_config, T_STRING, truth, .arg = "FILE",
          .help = "the true transform, fixed to moving: a displacement field in mm or any other transform"),
    FIELD(struct evaluate_config, T_CHOICE, truth_convention, .def = CONVENTION_RAS,
          .names = convention_names,
          .help = "components of a true displacement field; auto: what the file says, else LPS"),
    FIELD(struct evaluate_config, T_STRING, fixed_labels, .arg = "FILE",
          .help = "label map of the fixed image"),
    FIELD(struct evaluate_config, T_STRING, moving_labels, .arg = "FILE",
          .help = "label map of the moving image, with the same labels"),
    FIELD(struct evaluate_config, T_STRING, names, .arg = "LABEL=NAME,...",
          .help = "names of labels, for example 5=liver,1=spleen"),
    FIELD(struct evaluate_config, T_STRING, body, .arg = "FILE",
          .help = "mask on the fixed image: only there errors and determinants count"),
    FIELD(struct evaluate_config, T_STRING, reference, .arg = "IMAGE",
          .help = "the fixed image (else the label map's grid, or the one that the transform knows)"),
    FIELD(struct evaluate_config, T_STRING, moving, .arg = "IMAGE",
          .help = "the moving image (else the one that the transform knows): points whose true target lies "
                  "outside are left out"),
    FIELD(struct evaluate_config, T_REAL, step, .def = 1.5, .min = 0.1, .max = 100, .arg = "MM",
          .help = "about every so many millimetres along each axis, in whole voxels, is scored"),
    FIELD(struct evaluate_config, T_CHOICE, field_convention, .names = convention_names,
          .help = "components of displacement fields: auto is what the file says"),
    FIELD(struct evaluate_config, T_BOOL, force,
          .help = "go on where images are not on the grids that the transform was made for"),
    FIELD(struct evaluate_config, T_CHOICE, prefer, .names = nifti_form_names,
          .help = "which orientation counts if sform and qform disagree"),
    FIELD(struct evaluate_config, T_BOOL, assume_scanner,
          .help = "images without orientation lie along the scanner axes"),
};

/* What the command line names, read. */
struct inputs {
    struct transform *t, *truth;
    struct volume *labels[2], *body, *moving;
    struct stage_target target;
};

static void inputs_free(struct inputs *in)
{
    transform_free(in->t);
    transform_free(in->truth);
    volume_free(in->labels[0]);
    volume_free(in->labels[1]);
    volume_free(in->body);
    volume_free(in->moving);
    stage_target_free(&in->target);
}

static enum err check_grid(const struct grid *want, const struct volume *v, const char *path,
                           const char *which)
{
    if (!v || !grid_known(want) || grid_same(want, &v->grid))
        return ERR_OK;
    return err_set(ERR_INPUT,
                   "%s is not on the grid of the %s image; resample it, or --force if the space is the same",
                   path, which);
}

static enum err load_volumes(struct inputs *in, const struct evaluate_config *c, struct notes *notes)
{
    struct nifti_options n = {.prefer = (enum nifti_form)c->prefer, .assume_scanner = c->assume_scanner};

    n.positions_matter = true;
    if (c->fixed_labels)
        TRY(nifti_load_labels(&in->labels[0], c->fixed_labels, &n, notes));
    if (c->moving_labels)
        TRY(nifti_load_labels(&in->labels[1], c->moving_labels, &n, notes));
    if (c->body)
        TRY(nifti_load_labels(&in->body, c->body, &n, notes));
    if (c->moving)
        TRY(nifti_load_grid(&in->moving, c->moving, &n, notes));
    return ERR_OK;
}

static enum err load(struct inputs *in, const struct evaluate_config *c, struct notes *notes)
{
    struct stage_target_options o = {
        .force = c->force,
        .nifti = {.prefer = (enum nifti_form)c->prefer, .assume_scanner = c->assume_scanner}};
    struct cfg_list truth = {.item = (const char **)(uintptr_t)&c->truth, .count = 1};

    if (!c->fixed_labels != !c->moving_labels)
        return err_set(ERR_USAGE, "--fixed-labels and --moving-labels go together: name both");
    o.nifti.positions_matter = true;
    o.reference = c->reference ? c->reference : c->fixed_labels ? c->fixed_labels : c->body;
    TRY(stage_transform_chain(&in->t, &c->transform, (enum convention)c->field_convention, c->force, notes));
    if (c->truth)
        TRY(stage_transform_chain(&in->truth, &truth, (enum convention)c->truth_convention, true, notes));
    TRY(stage_target_pick(&in->target, in->t, &o, notes));
    TRY(load_volumes(in, c, notes));
    TRY(check_grid(&in->target.grid, in->labels[0], c->fixed_labels, "fixed"));
    TRY(check_grid(&in->target.grid, in->body, c->body, "fixed"));
    if (!c->force) {
        TRY(check_grid(&in->t->moving, in->labels[1], c->moving_labels, "moving"));
        TRY(check_grid(&in->t->moving, in->moving, c->moving, "moving"));
    }
    return ERR_OK;
}

static const struct grid *moving_grid(const struct inputs *in)
{
    if (in->moving)
        return &in->moving->grid;
    if (grid_known(&in->t->moving))
        return &in->t->moving;
    return in->labels[1] ? &in->labels[1]->grid : NULL;
}

/* "18.30 -> 1.74", with a dash for what is unknown. */
static void add_change(struct str *out, double before, double after, int digits)
{
    const double v[2] = {before, after};

    for (int i = 0; i < 2; i++) {
        if (isnan(v[i]))
            str_addf(out, "%s-", i ? " -> " : "");
        else
            str_addf(out, "%s%.*f", i ? " -> " : "", digits, v[i]);
    }
}

static enum err print_text(const struct registration_score *s, const char *path)
{
    struct str b = {0};
    enum err err;

    for (size_t k = 0; k < s->regions; k++) {
        const struct registration_region *r = &s->region[k];

        str_addf(&b, "%-16s", r->name);
        if (s->truth) {
            str_add(&b, " error ");
            add_change(&b, r->error[0].mean, r->error[1].mean, 2);
            str_add(&b, " mm (95 % ");
            add_change(&b, r->error[0].p95, r->error[1].p95, 2);
            str_add(&b, ")");
        }
        if (r->label) {
            str_add(&b, "  Dice ");
            add_change(&b, r->overlap[0].dice, r->overlap[1].dice, 3);
            str_add(&b, "  HD95 ");
            add_change(&b, r->overlap[0].p95, r->overlap[1].p95, 2);
            str_add(&b, " mm  surface ");
            add_change(&b, r->overlap[0].mean, r->overlap[1].mean, 2);
            str_add(&b, " mm");
        }
        str_add(&b, "\n");
    }
    str_addf(
        &b,
        "determinant %.3f to %.3f, not positive at %lld of %lld nodes, SD of its log %.3f; moved %.2f mm on "
        "average, at most %.2f\n%s\n",
        s->det_least, s->det_most, (long long)s->det_folded, (long long)s->det_nodes, s->sd_log_det,
        s->moved_mean, s->moved_most, path);
    err = str_status(&b);
    if (!err)
        fputs(b.s, stdout);
    str_free(&b);
    return err;
}

static void add_head(struct str *h, const char *const *column)
{
    str_add(h, "<div class=\"wide\"><table><thead><tr>");
    for (int i = 0; column[i]; i++) {
        str_addf(h, "<th%s>", i ? " class=\"n\"" : "");
        html_add_text(h, column[i]);
        str_add(h, "</th>");
    }
    str_add(h, "</tr></thead><tbody>\n");
}

static void add_row_name(struct str *h, const char *name)
{
    str_add(h, "<tr><th scope=\"row\">");
    html_add_text(h, name);
    str_add(h, "</th>");
}

static void add_errors(struct str *h, const struct registration_score *s)
{
    static const char *const column[] = {"region",     "nodes",         "mean before",
                                         "mean after", "median after",  "95 % before",
                                         "95 % after", "largest after", NULL};

    page_section(h, "Error against the truth, mm");
    add_head(h, column);
    for (size_t k = 0; k < s->regions; k++) {
        const struct registration_region *r = &s->region[k];

        add_row_name(h, r->name);
        str_addf(h, "<td class=\"n\">%lld</td>", (long long)r->nodes);
        page_number(h, r->error[0].mean, 2);
        page_number(h, r->error[1].mean, 2);
        page_number(h, r->error[1].median, 2);
        page_number(h, r->error[0].p95, 2);
        page_number(h, r->error[1].p95, 2);
        page_number(h, r->error[1].most, 2);
        str_add(h, "</tr>\n");
    }
    str_add(h,
            "</tbody></table></div>\n<p class=\"note\">Distance between where the transform and where the "
            "truth send a point of the fixed image; before: by the headers alone. Points whose true target "
            "lies outside the moving image do not count.</p>\n");
}

static void add_overlaps(struct str *h, const struct registration_score *s)
{
    static const char *const column[] = {"label",
                                         "Dice before",
                                         "Dice after",
                                         "HD95 before, mm",
                                         "HD95 after, mm",
                                         "surface before, mm",
                                         "surface after, mm",
                                         "volume moving / fixed",
                                         NULL};

    page_section(h, "Overlap of labels");
    add_head(h, column);
    for (size_t k = 1; k < s->regions; k++) {
        const struct registration_region *r = &s->region[k];

        add_row_name(h, r->name);
        for (int i = 0; i < 2; i++)
            page_number(h, r->overlap[i].dice, 3);
        for (int i = 0; i < 2; i++)
            page_number(h, r->overlap[i].p95, 2);
        for (int i = 0; i < 2; i++)
            page_number(h, r->overlap[i].mean, 2);
        page_number(h, r->volume_ratio, 3);
        str_add(h, "</tr>\n");
    }
    str_add(h,
            "</tbody></table></div>\n<p class=\"note\">Moving labels through the transform (nearest voxel) "
            "against fixed labels. HD95: the larger of the 95th percentiles of both directed surface "
            "distances. Surface: mean of the distances of both surfaces.</p>\n");
}

static void add_facts(struct str *h, const struct registration_score *s, struct arena *a)
{
    page_section(h, "What the transform does");
    str_add(h, "<table class=\"facts\"><tbody>\n");
    page_fact(h, "determinant of the Jacobian",
              arena_printf(a, "%.3f to %.3f, mean %.3f", s->det_least, s->det_most, s->det_mean));
    page_fact(h, "not positive (folded)",
              arena_printf(a, "%lld of %lld nodes", (long long)s->det_folded, (long long)s->det_nodes));
    page_fact(h, "SD of the log determinant", arena_printf(a, "%.3f", s->sd_log_det));
    page_fact(h, "movement",
              arena_printf(a, "%.2f mm on average, at most %.2f mm", s->moved_mean, s->moved_most));
    if (!isnan(s->inside))
        page_fact(h, "inside the moving image", arena_printf(a, "%.1f %%", 100 * s->inside));
    str_add(h, "</tbody></table>\n<p class=\"note\">Organ-level alignment; tumours are not expected to "
               "align.</p>\n");
}

static enum err write_page(const struct cli *cli, const struct registration_score *s, const char *path)
{
    struct str h = {0};
    enum err err;

    page_open(&h, "Registration", cli->command_line);
    if (s->truth)
        add_errors(&h, s);
    if (s->labels)
        add_overlaps(&h, s);
    add_facts(&h, s, cli->arena);
    if (cli->notes->count) {
        page_section(&h, "Warnings");
        str_add(&h, "<ul>\n");
        for (size_t i = 0; i < cli->notes->count; i++) {
            str_add(&h, "<li>");
            html_add_text(&h, cli->notes->item[i].text);
            str_add(&h, "</li>\n");
        }
        str_add(&h, "</ul>\n");
    }
    page_close(&h, "d4m " D4M_VERSION);
    err = str_status(&h);
    if (!err)
        err = file_write(path, h.s, h.len);
    str_free(&h);
    return err;
}

/* The JSON document, with what it was made from. */
static json_t *document(const struct cli *cli, const struct evaluate_config *c,
                        const struct registration_score *s)
{
    json_t *j = registration_score_json(s), *list = json_array(), *notes = json_array();
    bool good = j && list && notes;

    for (size_t i = 0; good && i < c->transform.count; i++)
        good = !json_array_append_new(list, json_str(c->transform.item[i]));
    for (size_t i = 0; good && i < cli->notes->count; i++)
        good =
            !json_array_append_new(notes, json_pack("{s:o, s:o}", "name", json_str(cli->notes->item[i].name),
                                                    "text", json_str(cli->notes->item[i].text)));
    good = good && !json_object_set(j, "transforms", list) && !json_object_set(j, "notes", notes) &&
           !json_object_set_new(j, "version", json_string(D4M_VERSION)) &&
           !json_object_set_new(j, "command", json_str(cli->command_line)) &&
           !json_object_set_new(j, "truth", json_str(c->truth)) &&
           !json_object_set_new(j, "fixed_labels", json_str(c->fixed_labels)) &&
           !json_object_set_new(j, "moving_labels", json_str(c->moving_labels));
    json_decref(list);
    json_decref(notes);
    if (good)
        return j;
    json_decref(j);
    return NULL;
}

static enum err write_results(const struct cli *cli, const struct evaluate_config *c,
                              const struct registration_score *s)
{
    const char *json_path = arena_printf(cli->arena, "%s/registration.json", c->output),
               *page_path = arena_printf(cli->arena, "%s/registration.html", c->output);
    json_t *j;
    enum err err;

    json_setup();
    j = document(cli, c, s);
    err = j && json_path && page_path ? ERR_OK : err_set(ERR_MEMORY, "out of memory for %s", c->output);
    TRY_OR(done, err);
    TRY_OR(done, folder_make(c->output));
    TRY_OR(done, json_write(j, json_path));
    TRY_OR(done, write_page(cli, s, page_path));
    cli->show_notes(cli);
    TRY_OR(done, cli->common->json ? json_print(j) : print_text(s, page_path));
done:
    json_decref(j);
    return err;
}

/* Truth and labels of phantoms come with the sentence about them. */
static enum err note_phantoms(const struct evaluate_config *c, struct notes *notes)
{
    const char *path = c->truth ? c->truth : c->fixed_labels;
    struct label_names names = {0};
    enum err err = path ? label_names_find(&names, path) : ERR_OK;

    if (names.phantom)
        note_add(notes, "phantoms", "%s", PHANTOM_SENTENCE);
    label_names_free(&names);
    return err == ERR_MEMORY ? err : ERR_OK;
}

static enum err evaluate_main(const struct cli *cli, const void *config)
{
    const struct evaluate_config *c = config;
    struct registration_score s = {0};
    struct inputs in = {0};
    enum err err;

    TRY_OR(done, load(&in, c, cli->notes));
    TRY_OR(done, note_phantoms(c, cli->notes));
    TRY_OR(done, registration_score(&s,
                                    &(struct registration_query){.t = in.t,
                                                                 .fixed = &in.target.grid,
                                                                 .moving = moving_grid(&in),
                                                                 .truth = in.truth,
                                                                 .fixed_labels = in.labels[0],
                                                                 .moving_labels = in.labels[1],
                                                                 .body = in.body,
                                                                 .step = c->step,
                                                                 .names = c->names},
                                    cli->notes));
    TRY_OR(done, stage_stopped(cli));
    TRY_OR(done, write_results(cli, c, &s));
done:
    inputs_free(&in);
    registration_score_free(&s);
    return err;
}

const struct command cmd_evaluate_registration = {
    .name = "evaluate registration",
    .summary = "score a transform against a known truth and label maps",
    .example =
        "-t transform.d4m --fixed-labels pvp_labels.nii.gz --moving-labels arterial_labels.nii.gz -o scores/",
    .about = TRANSFORM_DIRECTION "Errors need --truth, overlaps need both label maps; determinants are "
                                 "always told. Before is the position by the\n"
                                 "headers, after is through the transform.\n",
    .table = CFG_TABLE(fields),
    .cfg_size = sizeof(struct evaluate_config),
    .run = evaluate_main,
};
