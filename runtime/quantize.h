/* SPDX-License-Identifier: Apache-2.0 */
/* quantize.h - a model with LSTM, GRU and dense layers as one with int8 weights (docs/quantize.md).
 */
#ifndef APX_RUNTIME_QUANTIZE_H
#define APX_RUNTIME_QUANTIZE_H

#include "runtime/base/file.h"

/* How large the input of a layer becomes. */
struct apx_quantize_range {
    const char *layer;   /* its name in reports */
    float bound;         /* |x| beyond it is cut off; finite and positive, unless: */
    const char *why_not; /* what keeps int8 from holding the input; NULL: nothing */
};

/* Zero means "the default" for every field. */
struct apx_quantize_options {
    int hidden_levels;         /* h is one of 2 n + 1 numbers: 63 or 127 (APX_QUANTIZE_LEVELS) */
    int weight_levels;         /* so are weights: 1 to 127; 0: as many as suit each row */
    const char *const *layers; /* [layer_count] names of the layers to quantise; NULL: all */
    size_t layer_count;
    const struct apx_quantize_range *ranges; /* [range_count] for inputs whose range the model does
                                                not tell; without one they stay float */
    size_t range_count;
};

#define APX_QUANTIZE_LEVELS        127
#define APX_QUANTIZE_WEIGHT_LEVELS 127 /* at most */

/* One recurrent or dense layer of the model. Text belongs to the report. */
struct apx_quantize_layer {
    const char *name, *op, *direction; /* op: "LSTM", "GRU", "Gemm", "MatMul"; direction "" there */
    bool is_dense;
    size_t input, hidden; /* widths of x and h, or of a dense layer's result */
    bool is_done;
    bool quantises_x;               /* its input is int8 too */
    float input_bound;              /* then: the |x| that has the most levels */
    bool has_range;                 /* which was among the options' ranges */
    bool wants_range;               /* x is float, or the layer, for lack of one */
    bool reads_layers;              /* x comes from layers before it */
    size_t float_bytes, int8_bytes; /* of weights and their scales, before and after */
    char reason[200];               /* why it was left alone; "" if is_done */
};

struct apx_quantize_report {
    struct apx_quantize_layer *layers; /* [layer_count] in the order of the file */
    size_t layer_count;
    size_t recurrent_count, recurrent_done, dense_count, dense_done;
    size_t int8_before; /* layers that were int8 already, which are none of the above */
    int hidden_levels, weight_levels; /* of weights: the most that a row may have */
    struct apx_file_id *files;        /* [file_count] that hold external tensors, each once */
    size_t file_count;
};

/* The ONNX model of `bytes` bytes at `data` with each LSTM, GRU and dense layer that can be said so
 * as an operator QuantizedLSTM, QuantizedGRU or QuantizedLinear of the domain auspex. All else
 * stays as it is; external tensors (in files below `directory`, NULL: none) come into the model.
 * *out is released with free(). *report is set whenever the model could be read, at
 * APX_EUNSUPPORTED too, and released with apx_quantize_report_destroy; otherwise it is NULL.
 *   APX_EUNSUPPORTED   no layer can be quantised; a name in `layers` or `ranges` is no layer's
 *   APX_EINVAL         an option; and all that reading a model may say */
enum apx_status apx_quantize(const void *data, size_t bytes, const char *directory,
                             const struct apx_quantize_options *options, void **out,
                             size_t *out_bytes, struct apx_quantize_report **report,
                             struct apx_error *error);

/* A layer whose input's range the model does not tell. */
struct apx_quantize_probed {
    char *layer;      /* its name in reports */
    bool is_computed; /* by layers before it: not a row's own features, scaled at most */
};
struct apx_quantize_probes {
    struct apx_quantize_probed *list; /* [count] */
    size_t count;
    void *model; /* of model_bytes: the model with the input of layer i as its output i, float32.
                    External tensors stay where they are. NULL if count is 0 */
    size_t model_bytes;
};

/* The layers with wants_range in the report of the same options without ranges. *probes is to be
 * released with apx_quantize_probes_fini, whatever is returned. What apx_quantize may say. */
enum apx_status apx_quantize_probe(const void *data, size_t bytes, const char *directory,
                                   const struct apx_quantize_options *options,
                                   struct apx_quantize_probes *probes, struct apx_error *error);
void apx_quantize_probes_fini(struct apx_quantize_probes *probes);
void apx_quantize_report_destroy(struct apx_quantize_report *report); /* accepts NULL */

#endif
