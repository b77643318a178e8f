#include "stage/register_case.h"
#include "base/file.h"
#include "base/json.h"

void register_case_drop_maps(struct case_alignment *a)
{
    for (int i = 0; i < PLAN_MAX_PHASES; i++) {
        transform_free(a->transform[i]);
        a->transform[i] = NULL;
    }
}

void register_case_free(struct case_alignment *a)
{
    register_case_drop_maps(a);
    for (int i = 0; i < PLAN_MAX_PHASES; i++)
        json_decref(a->record[i]);
    *a = (struct case_alignment){0};
}

static struct nifti_options reading(const struct prepare_options *o)
{
    return (struct nifti_options){
        .prefer = o->prefer, .assume_scanner = o->assume_scanner, .positions_matter = true};
}

/* The file itself, its place or its size forbids registration; placing by headers will say what it thinks. */
static bool is_unfit(enum err err)
{
    return err == ERR_INPUT || err == ERR_CORRUPT;
}

/* What result.json keeps of a registration. */
static json_t *summary(const struct registration *r)
{
    static const char *const keys[] = {"verdict", "reasons", "identity", "body", "noise"};
    json_t *all = NULL, *o;

    if (registration_json(&all, r))
        return NULL;
    o = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set(o, keys[i], json_object_get(all, keys[i]));
    json_decref(all);
    return o;
}

/* Keeps the map, or drops the phase. */
static enum err take(struct case_alignment *out, struct case_files *c, int channel, struct registration *r,
                     struct notes *n)
{
    struct str line = {0};
    enum err err;

    out->record[channel] = summary(r);
    registration_line(&line, r);
    err = out->record[channel] ? str_status(&line) : err_set(ERR_MEMORY, "out of memory");
    if (!err && r->judgement.verdict == VERDICT_FAIL) {
        register_note_dropped(n, c->phase[channel], line.s);
        c->phase[channel] = NULL;
    } else if (!err) {
        if (r->judgement.verdict == VERDICT_WARN)
            note_add(n, "phase-registered-poorly", "%s: %s", c->phase[channel], line.s);
        out->transform[channel] = r->transform;
        r->transform = NULL;
    }
    str_free(&line);
    return err;
}

static enum err register_phase(struct case_alignment *out, struct case_files *c, int channel,
                               const struct volume *fixed, const struct case_register_job *job)
{
    const struct nifti_options read = reading(job->read);
    struct register_options options = {.progress = job->progress, .stop = job->stop};
    struct register_images in = {.fixed = fixed};
    struct registration r = {0};
    struct volume *moving = NULL;
    enum err err;

    err = nifti_load_hu(&moving, c->phase[channel], &read, NULL);
    in.moving = moving;
    if (!err)
        err = register_images(&r, &in, &options);
    if (is_unfit(err)) {
        register_note_unfit(job->notes, c->phase[channel], err_text());
        err = ERR_OK;
    } else if (!err) {
        progress_line(job->progress, "%s: %s%s, moved %.1f mm on average", path_base(c->phase[channel]),
                      verdict_names[r.judgement.verdict], r.identity ? " (position kept)" : "",
                      r.identity ? 0 : r.figures.body.moved_mean);
        err = take(out, c, channel, &r, job->notes);
    }
    registration_free(&r);
    volume_free(moving);
    return err;
}

static int phases_there(const struct case_files *c)
{
    int count = 0;

    for (int i = 0; i < PLAN_MAX_PHASES; i++)
        count += c->phase[i] != NULL;
    return count;
}

enum err register_case(struct case_alignment *out, struct case_files *c, const struct case_register_job *job)
{
    const struct nifti_options read = reading(job->read);
    struct volume *fixed = NULL;
    enum err err;

    *out = (struct case_alignment){0};
    if (c->reference < 0 || phases_there(c) < 2)
        return ERR_OK;
    err = nifti_load_hu(&fixed, c->phase[c->reference], &read, NULL);
    if (is_unfit(err)) {
        note_add(job->notes, "phase-by-header", "%s: nothing is registered onto it: %s",
                 c->phase[c->reference], err_text());
        return ERR_OK;
    }
    for (int i = 0; !err && i < PLAN_MAX_PHASES; i++)
        if (c->phase[i] && i != c->reference)
            err = register_phase(out, c, i, fixed, job);
    volume_free(fixed);
    return err;
}

enum err register_case_memory(struct register_case_bytes *b, const struct case_files *c,
                              const struct prepare_options *o)
{
    struct nifti_options read = {.prefer = o->prefer, .reason = o->reason};
    struct volume *fixed = NULL, *moving = NULL;
    enum err err = ERR_OK;

    *b = (struct register_case_bytes){0};
    if (c->reference < 0)
        return ERR_OK;
    TRY(nifti_load_grid(&fixed, c->phase[c->reference], &read, NULL));
    for (int i = 0; !err && i < PLAN_MAX_PHASES; i++) {
        uint64_t need;

        if (!c->phase[i] || i == c->reference)
            continue;
        TRY_OR(done, nifti_load_grid(&moving, c->phase[i], &read, NULL));
        need = register_bytes(fixed, moving, 0) + b->kept;
        b->peak = need > b->peak ? need : b->peak;
        b->kept += align_memory(&fixed->grid, &moving->grid, 0).map;
        volume_free(moving);
        moving = NULL;
    }
done:
    volume_free(fixed);
    return err;
}
