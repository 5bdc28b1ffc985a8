/* SPDX-License-Identifier: Apache-2.0 */
/* quantize.h - a model with LSTM and GRU layers as one with int8 weights (docs/quantize.md). */
#ifndef APX_RUNTIME_QUANTIZE_H
#define APX_RUNTIME_QUANTIZE_H

#include "runtime/base/file.h"

/* Zero means "the default" for every field. */
struct apx_quantize_options {
    int hidden_levels;         /* h is one of 2 n + 1 numbers: 63 or 127 (APX_QUANTIZE_LEVELS) */
    int weight_levels;         /* so are weights: 1 to 127; 0: as many as suit each row */
    const char *const *layers; /* [layer_count] names of the layers to quantise; NULL: all */
    size_t layer_count;
};

#define APX_QUANTIZE_LEVELS        63
#define APX_QUANTIZE_WEIGHT_LEVELS 127 /* at most */

/* One recurrent layer of the model. Text belongs to the report. */
struct apx_quantize_layer {
    const char *name, *op, *direction; /* op: "LSTM" or "GRU" */
    size_t input, hidden;
    bool is_done;
    bool quantises_x;               /* its input is h of a recurrent layer, and int8 too */
    size_t float_bytes, int8_bytes; /* of W, R and their scales, before and after */
    char reason[200];               /* why it was left alone; "" if is_done */
};

struct apx_quantize_report {
    struct apx_quantize_layer *layers; /* [layer_count] in the order of the file */
    size_t layer_count, done_count;
    int hidden_levels, weight_levels; /* of weights: the most that a row may have */
    struct apx_file_id *files;        /* [file_count] that hold external tensors, each once */
    size_t file_count;
};

/* The ONNX model of `bytes` bytes at `data` with each LSTM and GRU that can be said so as an
 * operator QuantizedLSTM or QuantizedGRU of the domain auspex. All else stays as it is; external
 * tensors (in files below `directory`, NULL: none) come into the model. *out is released with
 * free(). *report is set whenever the model could be read, at APX_EUNSUPPORTED too, and released
 * with apx_quantize_report_destroy; otherwise it is NULL.
 *   APX_EUNSUPPORTED   no layer can be quantised; a name in `layers` is no layer's
 *   APX_EINVAL         an option; and all that reading a model may say */
enum apx_status apx_quantize(const void *data, size_t bytes, const char *directory,
                             const struct apx_quantize_options *options, void **out,
                             size_t *out_bytes, struct apx_quantize_report **report,
                             struct apx_error *error);
void apx_quantize_report_destroy(struct apx_quantize_report *report); /* accepts NULL */

#endif
