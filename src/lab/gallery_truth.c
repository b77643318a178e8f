/* What truth/CASE.json of a phantom says (phantom.md section 1), in two lines. */
#include "base/json.h"
#include "lab/gallery_parts.h"
#include "phantom/phantom.h"

/* "hcc 31 mm, cyst 12 mm (not drawn)" */
static void add_lesions(struct str *s, const json_t *root)
{
    size_t i;
    json_t *lesion;

    json_array_foreach(json_object_get(root, "lesions"), i, lesion)
    {
        const char *kind = json_string_value(json_object_get(lesion, "kind"));
        double mm = json_number_value(json_object_get(lesion, "diameter_mm"));
        const json_t *drawn = json_object_get(lesion, "drawn");
        bool malignant = json_integer_value(json_object_get(lesion, "label")) == PHANTOM_TUMOUR;

        str_addf(s, "%s%s %.0f mm%s", i ? ", " : "", kind ? kind : "lesion", mm,
                 malignant && json_is_false(drawn) ? " (not drawn)" : "");
    }
    if (!s->len)
        str_add(s, "no lesions");
}

/* "liver against portal venous: noncontrast 6.1 mm, ..." */
static void add_motion(struct str *s, const json_t *root, const struct gallery_facts *f)
{
    const json_t *mean = json_object_get(json_object_get(root, "misalignment"), "mean_mm");

    for (int k = 0; k < f->phases; k++) {
        const json_t *mm = json_array_get(mean, (size_t)k);

        if (k != PHANTOM_PVP && json_is_number(mm))
            str_addf(s, "%s%s %.1f mm", s->len ? ", " : "", f->phase[k], json_number_value(mm));
    }
    str_addf(s, "%snoise %.0f HU", s->len ? "; " : "", json_number_value(json_object_get(root, "noise_hu")));
}

enum err gallery_truth_read(struct gallery_facts *f, const char *path, struct notes *n)
{
    json_t *root = NULL;
    enum err err = json_read(&root, path);

    if (err == ERR_MEMORY)
        return err;
    if (err) {
        note_add(n, "truth-unreadable", "%s", err_text());
        return ERR_OK;
    }
    add_lesions(&f->kinds, root);
    add_motion(&f->moved, root, f);
    json_decref(root);
    TRY(str_status(&f->kinds));
    return str_status(&f->moved);
}
