/* A scan at about 4 mm, from which `check` judges where the body lies, how it is turned and which contrast
 * phase it shows: block means are free of noise, and small enough to keep for every phase of a case. Grids
 * are in RAS order. */
#ifndef D4M_DATA_SKETCH_H
#define D4M_DATA_SKETCH_H

#include "volume/volume.h"

struct sketch {
    int64_t block[3];    /* voxels of the scan along each axis in one of the sketch */
    struct volume *hu;   /* int16, means of blocks; -1024 where less than a quarter of a block was scanned */
    struct volume *body; /* uint8: 1 in the body, air inside included; the couch is none of it */
};
/* Of an int16 volume in RAS order whose voxels below -1023 HU count as not scanned. */
MUST_USE enum err sketch_make(struct sketch *out, const struct volume *hu);
void sketch_free(struct sketch *s); /* accepts a zeroed struct */

/* How the body lies in the scan, seen from the sketch alone; indices are the sketch's. */
struct posture {
    double low[2], high[2]; /* first and last index of the body along x and y, medians over slices */
    bool outline[2];        /* along that axis air is seen on both sides of it */
    double spine[2];        /* x, y of the vertebral column; NAN if none was found */
    double couch[2];        /* ml of solid matter behind the body, and in front of it */
    double lung[2];         /* share of lung in the body's lowest and highest slices */
};
MUST_USE enum err sketch_posture(struct posture *out, const struct sketch *s);

#endif
