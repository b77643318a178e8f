#include "eval/curve.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "eval/canvas.h"
#include "eval/plot.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PANELS = 4, PANEL_WIDTH = 600, PANEL_HEIGHT = 400, SVG_WIDTH = 520, SVG_HEIGHT = 300 };

static const char *const key_name[CURVE_DICE] = {"epoch",        "train_loss",      "val_loss",       "lr",
                                                 "seconds_load", "seconds_augment", "seconds_compute"};

void curve_free(struct curve *c)
{
    for (int k = 0; k < CURVE_KEYS; k++)
        mem_free(c->value[k]);
    *c = (struct curve){0};
}

static enum err make_room(struct curve *c)
{
    size_t room = c->room ? 2 * c->room : 64;

    if (c->count < c->room)
        return ERR_OK;
    for (int k = 0; k < CURVE_KEYS; k++) {
        double *grown = mem_resize(c->value[k], room, sizeof *grown);

        if (!grown)
            return ERR_MEMORY;
        c->value[k] = grown;
    }
    c->room = room;
    return ERR_OK;
}

static double number_or_nan(const json_t *v)
{
    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* Index of the class, new if there is room; -1 if there is not. */
static int class_index(struct curve *c, const char *name)
{
    for (int i = 0; i < c->classes; i++)
        if (!strncmp(c->class_name[i], name, sizeof c->class_name[i] - 1))
            return i;
    if (c->classes == CURVE_CLASSES)
        return -1;
    snprintf(c->class_name[c->classes], sizeof c->class_name[0], "%s", name);
    for (size_t i = 0; i < c->count; i++)
        c->value[CURVE_DICE + c->classes][i] = NAN;
    return c->classes++;
}

static void read_dice(struct curve *c, json_t *dice, double value[CURVE_KEYS])
{
    const char *name;
    char number[32];
    json_t *v;
    size_t i;
    int at;

    json_object_foreach(dice, name, v)
    {
        at = class_index(c, name);
        if (at >= 0)
            value[CURVE_DICE + at] = number_or_nan(v);
    }
    json_array_foreach(dice, i, v)
    {
        snprintf(number, sizeof number, "class %zu", i + 1);
        at = class_index(c, number);
        if (at >= 0)
            value[CURVE_DICE + at] = number_or_nan(v);
    }
}

/* A line about an epoch says its number and at least one of the values; others (start, stop) are passed over.
 */
static enum err read_row(struct curve *c, const json_t *line)
{
    double value[CURVE_KEYS];
    bool something = false;

    for (int k = 0; k < CURVE_KEYS; k++)
        value[k] = k < CURVE_DICE ? number_or_nan(json_object_get(line, key_name[k])) : NAN;
    read_dice(c, json_object_get(line, "dice"), value);
    for (int k = CURVE_EPOCH + 1; k < CURVE_KEYS; k++)
        something = something || !isnan(value[k]);
    if (isnan(value[CURVE_EPOCH]) || !something)
        return ERR_OK;
    while (c->count && c->value[CURVE_EPOCH][c->count - 1] >= value[CURVE_EPOCH])
        c->count--;
    TRY(make_room(c));
    for (int k = 0; k < CURVE_KEYS; k++)
        c->value[k][c->count] = value[k];
    c->count++;
    return ERR_OK;
}

enum err curve_parse(struct curve *out, const char *text, size_t size, const char *what, struct notes *notes)
{
    struct curve c = {0};
    size_t start = 0, number = 0;
    enum err err = ERR_OK;

    while (start < size && !err) {
        const char *end = memchr(text + start, '\n', size - start);
        size_t length = end ? (size_t)(end - text) - start : size - start;
        json_t *line = NULL;

        number++;
        if (length) {
            err = json_parse(&line, text + start, length, what);
            if (!err && json_is_object(line))
                err = read_row(&c, line);
            else if (err != ERR_MEMORY) {
                if (end)
                    note_add(notes, "log-line", "%s: line %zu is not a JSON object and was skipped", what,
                             number);
                err = ERR_OK;
            }
        }
        json_decref(line);
        start += length + 1;
    }
    if (err)
        curve_free(&c);
    else
        *out = c;
    return err;
}

enum err curve_read(struct curve *out, const char *path, struct notes *notes)
{
    uint8_t *text = NULL;
    size_t size = 0;
    enum err err;

    TRY(file_read(path, &text, &size));
    err = curve_parse(out, (const char *)text, size, path, notes);
    mem_free(text);
    return err;
}

static void add_series(const struct curve *c, struct plot *p, const char *name, int key)
{
    struct plot_series s = {name, c->value[CURVE_EPOCH], c->value[key], c->count};
    struct plot one = {.series = {s}, .count = 1};

    if (p->count < PLOT_SERIES && plot_has_data(&one))
        p->series[p->count++] = s;
}

static void make_panels(const struct curve *c, struct plot panel[PANELS])
{
    panel[0] = (struct plot){.title = "Loss", .x_name = "epoch"};
    add_series(c, &panel[0], "training", CURVE_TRAIN);
    add_series(c, &panel[0], "validation", CURVE_VAL);
    panel[1] =
        (struct plot){.title = "Pseudo Dice on validation patches", .x_name = "epoch", .low = 0, .high = 1};
    for (int i = 0; i < c->classes; i++)
        add_series(c, &panel[1], c->class_name[i], CURVE_DICE + i);
    panel[2] = (struct plot){.title = "Seconds per epoch", .x_name = "epoch", .low = 0, .high = 1e-3};
    add_series(c, &panel[2], "load", CURVE_LOAD);
    add_series(c, &panel[2], "augment", CURVE_AUGMENT);
    add_series(c, &panel[2], "compute", CURVE_COMPUTE);
    panel[3] = (struct plot){.title = "Learning rate", .x_name = "epoch", .low = 0, .high = 1e-12};
    add_series(c, &panel[3], "lr", CURVE_LR);
}

static void draw_panels(const struct curve *c, cairo_t *cr)
{
    struct plot panel[PANELS];

    make_panels(c, panel);
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    for (int i = 0; i < PANELS; i++) {
        cairo_save(cr);
        cairo_translate(cr, i % 2 * PANEL_WIDTH, i / 2 * PANEL_HEIGHT);
        plot_draw(&panel[i], cr, PANEL_WIDTH, PANEL_HEIGHT);
        cairo_restore(cr);
    }
}

enum err curve_save(const struct curve *c, const char *path)
{
    struct canvas canvas = {0};
    struct str png = {0};
    enum err err;

    TRY_OR(done, canvas_open(&canvas, 2 * PANEL_WIDTH, 2 * PANEL_HEIGHT));
    draw_panels(c, canvas.cr);
    TRY_OR(done, canvas_png(&canvas, &png));
    TRY_OR(done, file_write(path, png.s, png.len));
done:
    canvas_close(&canvas);
    str_free(&png);
    return err;
}

void curve_svg(const struct curve *c, struct str *html)
{
    struct plot panel[PANELS];

    make_panels(c, panel);
    for (int i = 0; i < PANELS; i++)
        if (plot_has_data(&panel[i]))
            plot_svg(&panel[i], html, SVG_WIDTH, SVG_HEIGHT);
}
