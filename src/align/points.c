#include "align/points.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MOST = 1 << 28, COLUMNS_MOST = 64 };
static const double mm_most = 1e7;

/* Where the coordinates of one point stand in the text. */
struct place {
    size_t from[3], to[3];
};

struct points {
    char *text; /* a table; NULL for JSON */
    size_t size;
    struct place *place;
    json_t *json;
    enum convention how;
    bool lps; /* of the table, or of the list in hand */
    double (*mm)[3];
    size_t count, room;
};

void points_free(struct points *p)
{
    if (!p)
        return;
    mem_free(p->text);
    mem_free(p->place);
    mem_free(p->mm);
    json_decref(p->json);
    mem_free(p);
}

bool points_named(const char *path)
{
    return str_ends(path, ".csv") || str_ends(path, ".fcsv") || str_ends(path, ".mrk.json");
}

size_t points_count(const struct points *p)
{
    return p->count;
}

double *points_at(struct points *p, size_t i)
{
    return p->mm[i];
}

/* `stored` as in the file. */
static enum err add(struct points *p, const double stored[3], const struct place *at)
{
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        double(*mm)[3] = mem_resize(p->mm, room, sizeof *mm);
        struct place *place;

        if (!mm)
            return ERR_MEMORY;
        p->mm = mm;
        place = mem_resize(p->place, room, sizeof *place);
        if (!place)
            return ERR_MEMORY;
        p->place = place;
        p->room = room;
    }
    for (int c = 0; c < 3; c++)
        p->mm[p->count][c] = p->lps && c < 2 ? -stored[c] : stored[c];
    if (at)
        p->place[p->count] = *at;
    p->count++;
    return ERR_OK;
}

/* A table being read: which columns hold x, y, z. */
struct table {
    struct points *p;
    const char *what;
    size_t line;
    int column[3];
    bool begun;
};

struct cell {
    size_t from, to;
};

/* Cells of the line [at, end) without the blanks around them. */
static int split(const char *s, size_t at, size_t end, struct cell cell[COLUMNS_MOST])
{
    int n = 0;

    while (n < COLUMNS_MOST) {
        size_t to = at;

        while (to < end && s[to] != ',' && s[to] != ';' && s[to] != '\t')
            to++;
        cell[n] = (struct cell){at, to};
        while (cell[n].from < to && isspace((unsigned char)s[cell[n].from]))
            cell[n].from++;
        while (cell[n].to > cell[n].from && isspace((unsigned char)s[cell[n].to - 1]))
            cell[n].to--;
        n++;
        if (to == end)
            break;
        at = to + 1;
    }
    return n;
}

static bool number_at(const char *s, const struct cell *c, double *v)
{
    char *end;

    if (c->from == c->to)
        return false;
    *v = strtod(s + c->from, &end);
    return end == s + c->to && fabs(*v) <= mm_most;
}

/* The first line may name the columns. */
static bool read_names(struct table *t, const char *s, const struct cell *cell, int n)
{
    int found[3] = {-1, -1, -1};

    for (int i = 0; i < n; i++) {
        size_t from = cell[i].from, length = cell[i].to - from;

        if (length == 3 && s[from] == '"' && s[from + 2] == '"')
            from++, length = 1;
        for (int c = 0; c < 3; c++)
            if (length == 1 && tolower((unsigned char)s[from]) == 'x' + c)
                found[c] = i;
    }
    if (found[0] < 0 || found[1] < 0 || found[2] < 0)
        return false;
    memcpy(t->column, found, sizeof found);
    return true;
}

static enum err read_row(struct table *t, size_t at, size_t end)
{
    const char *s = t->p->text;
    struct cell cell[COLUMNS_MOST];
    int n = split(s, at, end, cell);
    struct place place;
    double v[3];
    bool first = !t->begun;

    t->begun = true;
    if (first && read_names(t, s, cell, n))
        return ERR_OK;
    for (int c = 0; c < 3; c++) {
        int k = t->column[c];

        if (k >= n || !number_at(s, &cell[k], &v[c]))
            return err_set(ERR_INPUT, "%s: line %zu has no number for %c (column %d); correct it%s", t->what,
                           t->line, 'x' + c, k + 1,
                           first ? ", or name the columns x, y, z in the first line" : "");
        place.from[c] = cell[k].from;
        place.to[c] = cell[k].to;
    }
    return add(t->p, v, &place);
}

/* "# CoordinateSystem = LPS" of a .fcsv; 0 and 1 are what old versions of Slicer wrote. */
static void read_comment(struct table *t, size_t at, size_t end)
{
    static const char key[] = "CoordinateSystem";
    const char *s = t->p->text;

    for (at++; at < end && (s[at] == ' ' || s[at] == '#'); at++)
        ;
    if (t->p->how != CONVENTION_AUTO || end - at < sizeof key || memcmp(s + at, key, sizeof key - 1) != 0)
        return;
    for (at += sizeof key - 1; at < end && (s[at] == ' ' || s[at] == '='); at++)
        ;
    if (at < end)
        t->p->lps = s[at] == 'L' || s[at] == '1';
}

static enum err table_parse(struct points *p, const char *what)
{
    bool slicer = str_ends(what, ".fcsv");
    struct table t = {.p = p, .what = what, .column = {slicer, slicer + 1, slicer + 2}, .begun = slicer};

    p->lps = p->how == CONVENTION_LPS;
    for (size_t at = 0; at < p->size;) {
        const char *stop = memchr(p->text + at, '\n', p->size - at);
        size_t end = stop ? (size_t)(stop - p->text) : p->size;
        size_t begin = at;

        t.line++;
        while (begin < end && isspace((unsigned char)p->text[begin]))
            begin++;
        if (begin < end && p->text[begin] == '#')
            read_comment(&t, begin, end);
        else if (begin < end)
            TRY(read_row(&t, begin, end));
        at = end + 1;
    }
    return ERR_OK;
}

/* Where a list of Slicer is read, or written again. */
struct visit {
    struct points *p;
    const char *what;
    size_t next;
    bool write;
};

static enum err read_position(struct visit *v, json_t *position)
{
    double x[3];

    for (size_t c = 0; c < 3; c++) {
        const json_t *n = json_array_get(position, c);

        x[c] = json_is_number(n) ? json_number_value(n) : NAN;
        if (!(fabs(x[c]) <= mm_most))
            return err_set(ERR_INPUT, "%s: the position of point %zu is not three numbers; correct it",
                           v->what, v->p->count + 1);
    }
    return add(v->p, x, NULL);
}

static enum err write_position(struct visit *v, json_t *position)
{
    const double *mm = v->p->mm[v->next++];

    for (size_t c = 0; c < 3; c++)
        if (json_array_set_new(position, c, json_number(v->p->lps && c < 2 ? -mm[c] : mm[c])))
            return err_set(ERR_MEMORY, "out of memory for %s", v->what);
    return ERR_OK;
}

/* Every control point of every list, each list in its own coordinate system. */
static enum err each_position(struct visit *v)
{
    json_t *lists, *list, *points, *point;
    size_t i, k;

    TRY(json_get(v->p->json, v->what, "markups", &lists));
    json_array_foreach(lists, i, list)
    {
        const char *system = json_string_value(json_object_get(list, "coordinateSystem"));

        v->p->lps = !system || !strcmp(system, "LPS") || !strcmp(system, "1");
        if (v->p->how != CONVENTION_AUTO)
            v->p->lps = v->p->how == CONVENTION_LPS;
        TRY(json_get(list, v->what, "controlPoints", &points));
        json_array_foreach(points, k, point)
        {
            json_t *position;

            TRY(json_get(point, v->what, "position", &position));
            TRY(v->write ? write_position(v, position) : read_position(v, position));
        }
    }
    return ERR_OK;
}

static enum err parse(struct points *p, const char *text, size_t size, const char *what)
{
    if (str_ends(what, ".json")) {
        TRY(json_parse(&p->json, text, size, what));
        return each_position(&(struct visit){.p = p, .what = what});
    }
    if (size > TEXT_MOST || memchr(text, 0, size))
        return err_set(ERR_CORRUPT, "%s: is no list of points: it is not text", what);
    p->text = mem_new(size + 1, 1);
    if (!p->text)
        return ERR_MEMORY;
    if (size)
        memcpy(p->text, text, size);
    p->size = size;
    return table_parse(p, what);
}

enum err points_parse(struct points **out, const char *text, size_t size, const char *what,
                      enum convention how)
{
    struct points *p = mem_new(1, sizeof *p);
    enum err err;

    if (!p)
        return ERR_MEMORY;
    p->how = how;
    err = parse(p, text, size, what);
    if (!err && !p->count)
        err = err_set(ERR_INPUT, "%s: there is no point in it", what);
    if (err) {
        points_free(p);
        return err;
    }
    *out = p;
    return ERR_OK;
}

enum err points_read(struct points **out, const char *path, enum convention how)
{
    uint8_t *bytes;
    size_t size;
    enum err err;

    TRY(file_read(path, &bytes, &size));
    err = points_parse(out, (const char *)bytes, size, path, how);
    mem_free(bytes);
    return err;
}

/* The next coordinate of a place in the text behind `at`; -1 behind the last. */
static int next_column(const struct place *p, size_t at)
{
    int best = -1;

    for (int c = 0; c < 3; c++)
        if (p->from[c] >= at && (best < 0 || p->from[c] < p->from[best]))
            best = c;
    return best;
}

enum err points_text(const struct points *p, struct str *out)
{
    size_t at = 0;

    if (!p->text)
        return ERR_OK;
    for (size_t i = 0; i < p->count; i++) {
        const struct place *place = &p->place[i];

        for (int c = next_column(place, at); c >= 0; c = next_column(place, at)) {
            double v = p->lps && c < 2 ? -p->mm[i][c] : p->mm[i][c];

            str_add_bytes(out, p->text + at, place->from[c] - at);
            str_addf(out, "%.6f", v + 0.0);
            at = place->to[c];
        }
    }
    str_add_bytes(out, p->text + at, p->size - at);
    return str_status(out);
}

static enum err table_write(const struct points *p, const char *path)
{
    struct str b = {0};
    enum err err = points_text(p, &b);

    if (!err)
        err = file_write(path, b.s, b.len);
    str_free(&b);
    return err;
}

enum err points_write(struct points *p, const char *path)
{
    if (!p->json)
        return table_write(p, path);
    TRY(each_position(&(struct visit){.p = p, .what = path, .write = true}));
    return json_write(p->json, path);
}
