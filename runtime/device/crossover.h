/* SPDX-License-Identifier: Apache-2.0 */
/* crossover.h - how long calls of a model took on the CPU and on the GPU of one machine, and from
 * how many rows on the GPU was sooner.
 *
 * `auspex calibrate` measures and stores; device "auto" reads when it loads a model and otherwise
 * goes by its estimate. A file holds what was measured of one model file, precision, GPU, driver,
 * processor and instruction set: a crossover for each number of threads and each length of the
 * other free extents. */
#ifndef APX_DEVICE_CROSSOVER_H
#define APX_DEVICE_CROSSOVER_H

#include "runtime/auspex.h"

#define APX_LIMIT_CROSSOVER_BYTES  ((size_t)1 << 20) /* of a file */
#define APX_LIMIT_CROSSOVERS       64                /* in a file */
#define APX_LIMIT_CROSSOVER_POINTS 64                /* of a crossover */
#define APX_LIMIT_CROSSOVER_ROWS   1000000000        /* of a point, and steps */

struct apx_crossover_point {
    int64_t rows, cpu_ns, gpu_ns; /* medians of a call */
};

struct apx_crossover {
    int threads;       /* of the session */
    int64_t steps;     /* each free extent but the rows; 0: there are none */
    int64_t from_rows; /* of the sizes measured, those from here on are the GPU's; -1: none is */
    char measured[24]; /* "2026-11-21T22:40:00Z" */
    int point_count;   /* at least 1 */
    struct apx_crossover_point points[APX_LIMIT_CROSSOVER_POINTS]; /* rows ascend */
};

/* What must be the same for figures to hold; printable ASCII. */
struct apx_crossover_key {
    char model[65]; /* SHA-256 of the file */
    char precision[24], gpu[136], driver[64], cpu[64], isa[24];
};

struct apx_crossovers {
    const struct apx_allocator *allocator;
    struct apx_crossover *list; /* [count] */
    int count;
};

/* From how many rows on the GPU is to be chosen, so that the points taken together lose least:
 * a point out of line moves nothing. It is for sizes between the first point and the last. -1: none
 * of them is the GPU's. */
int64_t apx_crossover_settle(const struct apx_crossover_point *points, int count);
/* The point by which an estimate for so many rows is to be set right; NULL: the size is between the
 * points, and from_rows decides. */
const struct apx_crossover_point *apx_crossover_edge(const struct apx_crossover *crossover,
                                                     int64_t rows);
/* Adds the points of `old` for sizes that were not measured anew, and settles again. Where there is
 * no room for all, old ones with near neighbours go. */
void apx_crossover_merge(struct apx_crossover *fresh, const struct apx_crossover *old);

void apx_crossovers_release(struct apx_crossovers *crossovers);
/* The one for these, or NULL. */
const struct apx_crossover *apx_crossovers_find(const struct apx_crossovers *crossovers,
                                                int threads, int64_t steps);

/* ---- files ----------------------------------------------------------------------------------- */

/* `file`: the model's bytes. gpus: how many of that name; cuda: the driver's, as 13000. */
void apx_crossover_key_make(const void *file, size_t bytes, const char *precision, const char *gpu,
                            int gpus, int cuda, const char *isa, struct apx_crossover_key *out);

/* The folder of such files, whether or not it exists: `given`, or NULL for $XDG_CACHE_HOME/auspex,
 * then $HOME/.cache/auspex. For free(). NULL: none (`given` is "", no such variable), or out of
 * memory. */
char *apx_crossover_directory(const char *given);
/* The file of this key in it; for free(). NULL: out of memory. */
char *apx_crossover_path(const char *directory, const struct apx_crossover_key *key);

/* A file's text. *out is empty on failure; release it with apx_crossovers_release.
 *   APX_EFORMAT: damaged, of another version or for another key; APX_ENOMEM */
enum apx_status apx_crossovers_read(const char *text, size_t bytes,
                                    const struct apx_crossover_key *key,
                                    const struct apx_allocator *allocator,
                                    struct apx_crossovers *out, struct apx_error *error);
/* The file of this key in the folder. The message names it and says what to do.
 *   APX_ENOTFOUND: there is none; APX_EFORMAT, APX_ELIMIT, APX_EIO: it is not used; APX_ENOMEM */
enum apx_status apx_crossovers_load(const char *directory, const struct apx_crossover_key *key,
                                    const struct apx_allocator *allocator,
                                    struct apx_crossovers *out, struct apx_error *error);
/* Before minutes of measuring: makes the folder, writes in it, and looks whether the key's file can
 * be replaced. APX_EIO: the message says why not; APX_ENOMEM */
enum apx_status apx_crossovers_prepare(const char *directory, const struct apx_crossover_key *key,
                                       struct apx_error *error);
/* Adds `fresh`, with the points of one for the same threads and steps merged into it; what is not
 * usable of an old file goes. The folder is made. A kill leaves the old file or the new one;
 * writers wait for one another. *path (for free()): the file. APX_EIO, APX_ENOTFOUND, APX_ENOMEM */
enum apx_status apx_crossovers_store(const char *directory, const struct apx_crossover_key *key,
                                     struct apx_crossover *fresh, char **path,
                                     struct apx_error *error);
/* A folder that is made with its parents, for its owner alone, and held against other writers
 * (".lock" in it). *lock: for close(), -1 on failure. APX_EIO, APX_ENOMEM */
enum apx_status apx_crossover_lock(const char *directory, int *lock, struct apx_error *error);
/* As a member of such a file; a json_t. NULL: out of memory. */
void *apx_crossover_json(const struct apx_crossover *crossover);

/* ---- measuring ------------------------------------------------------------------------------- */

/* Whoever can make calls. Time is what `call` says it is. */
struct apx_crossover_probe {
    void *context;
    /* One call of `rows` rows and its nanoseconds. */
    enum apx_status (*call)(void *context, bool on_gpu, int64_t rows, int64_t *ns,
                            struct apx_error *error);
    /* A point is measured; NULL: nobody wants to know. */
    void (*tell)(void *context, const struct apx_crossover_point *point);
};

struct apx_crossover_ladder {
    const int64_t *rows; /* [count], ascending */
    int count;           /* at least 1 */
    int64_t budget_ns;   /* of a point, both sides together; five calls of each are made at least */
    int64_t most_ns;     /* where a call takes longer the ladder ends; 0: nowhere */
    int refinements;     /* points more, between the two where the choice changes */
};

/* Fills from_rows and the points. Calls alternate between CPU and GPU and between who is first; the
 * first ones of each size do not count. A size for which the GPU has no memory or no kernel ends
 * the ladder; if it is the first, and for every other failure, what `call` said. */
enum apx_status apx_crossover_measure(const struct apx_crossover_probe *probe,
                                      const struct apx_crossover_ladder *ladder,
                                      struct apx_crossover *out, struct apx_error *error);

#endif
