/* SPDX-License-Identifier: Apache-2.0 */
/* run_folder.h - the files of a run, which appear all together or not at all.
 *
 * They are written to a hidden directory beside the wanted one, which takes its place by a rename
 * when everything is there and verified. A kill leaves the old files or the new ones; what it
 * leaves of the hidden directory is removed by the next run. */
#ifndef APX_TRAIN_RUN_FOLDER_H
#define APX_TRAIN_RUN_FOLDER_H

#include "runtime/auspex.h"

struct apx_run_folder {
    char *target;  /* the directory that is wanted */
    char *staging; /* the hidden one */
    bool staged;   /* it exists */
    int lock;      /* the hidden one, open and locked while it is ours; -1 */
};

/* Make the hidden directory, and the parents of both. On failure there is nothing to release.
 *   APX_ECONFLICT: the target holds files that are not a run's; APX_EIO; APX_ENOMEM */
enum apx_status apx_run_folder_open(const char *target, struct apx_run_folder *folder,
                                    struct apx_error *error);
/* Path of a file in the hidden directory, one of model.onnx, metrics.json, config.yaml,
 * history.csv. Released with free(); NULL if out of memory. */
char *apx_run_folder_path(const struct apx_run_folder *folder, const char *file);
/* Sync everything and put it in the target's place. APX_EIO */
enum apx_status apx_run_folder_commit(struct apx_run_folder *folder, struct apx_error *error);
/* Removes what was not committed. */
void apx_run_folder_close(struct apx_run_folder *folder);

#endif
