/* SPDX-License-Identifier: Apache-2.0 */
/* graph.h - the graph between the ONNX reader, the passes and the plan.
 *
 * Values are edges, nodes are operations, both addressed by index. Indices are stable: passes mark
 * nodes dead and never move them. All memory (names, constants, attributes) belongs to the graph
 * and is released with it. After apx_graph_infer every live value has a dtype, a rank and known
 * extents.
 *
 * The reader brings nodes into the form of the newest opset: axes, pads, splits and bounds are
 * inputs (never attributes), Softmax has its axis attribute and works on that axis alone, Constant
 * nodes are gone, outputs that nobody reads are -1 (those of Split stay). apx_graph_infer then
 * knows such inputs as `elems`; runtime/model/infer.h reads them.
 *
 * Pipeline: apx_onnx_read (bytes -> graph, validated) -> apx_graph_infer (types, extents, integer
 * shape arithmetic) -> passes (runtime/model/passes/) -> a backend's compile. */
#ifndef APX_MODEL_GRAPH_H
#define APX_MODEL_GRAPH_H

#include "runtime/base/file.h"
#include "runtime/model/dims.h"

/* Limits on what a file may ask for; each is named in the error that it causes. */
#define APX_LIMIT_NODES       30000 /* an isolation forest of 1024 trees, 27 nodes each, is 27,700 */
#define APX_LIMIT_VALUES      100000
#define APX_LIMIT_NESTING     32                 /* protobuf messages inside each other */
#define APX_LIMIT_NODE_INPUTS 1024               /* an ensemble may be a Sum of its trees */
#define APX_LIMIT_ATTRIBUTES  64                 /* of one node */
#define APX_LIMIT_ELEMENTS    ((int64_t)1 << 31) /* of one tensor */
#define APX_LIMIT_SHAPE_ELEMS 64                 /* integer tensors followed symbolically */
#define APX_LIMIT_NAME        1024               /* bytes of a name */
#define APX_LIMIT_INT8_WIDTH  (1 << 17)          /* sums in 32 bits: 127 * 127 * 2^17 < 2^31 */

/* Every operator that can occur: one row in ops.def. */
enum apx_op {
#define APX_OP(kind, domain, name, min_in, max_in, min_out, max_out, infer, lower) APX_OP_##kind,
#include "runtime/model/ops.def"
#undef APX_OP
    APX_OP_COUNT
};

struct apx_op_info {
    const char *domain; /* "" is ai.onnx */
    const char *name;
    int min_in, max_in, min_out, max_out;
};
/* Never NULL for op < APX_OP_COUNT. */
const struct apx_op_info *apx_op_info(enum apx_op op);
/* False if there is no such operator. In the domain auspex "_" and any text may follow the name. */
bool apx_op_find(const char *domain, const char *name, enum apx_op *op);

struct apx_forest; /* runtime/model/forest/forest.h */

struct apx_value {
    const char *name; /* never NULL, may be "" for values made by passes */
    enum apx_dtype dtype;
    int rank; /* -1 until inferred */
    struct apx_dim dims[APX_MAX_RANK];
    const void *data; /* constant: dense row-major payload, 64-byte aligned; else NULL */
    size_t bytes;     /* of data */
    /* Integer tensors (rank 0 or 1, <= APX_LIMIT_SHAPE_ELEMS) whose elements are expressions over
     * the symbols, constants included: [elem_count], all known. NULL if not followed. */
    struct apx_dim *elems;
    int elem_count;
    /* All elements equal `fill`, whatever the extents (ConstantOfShape, Expand of a scalar, a
     * constant of equal elements). */
    bool is_filled;
    double fill;
    int producer; /* node index; -1 for graph inputs and constants */
    /* An int64 that says which of these words the file's text is, from 0; NULL: no text. */
    const char *const *words; /* [word_count] */
    size_t word_count;
};

enum apx_attr_type {
    APX_ATTR_INT,
    APX_ATTR_FLOAT,
    APX_ATTR_STRING,
    APX_ATTR_INTS,
    APX_ATTR_FLOATS,
    APX_ATTR_STRINGS,
    APX_ATTR_TENSOR
};

struct apx_attr {
    const char *name;
    enum apx_attr_type type;
    int64_t i;
    float f;
    const char *s;
    size_t count; /* of ints, floats or strings */
    const int64_t *ints;
    const float *floats;
    const char *const *strings;
    int tensor; /* value index of a constant */
};

struct apx_node {
    enum apx_op op;
    const char *name; /* the file's, or "<op>_<index>" */
    int in_count, out_count, attr_count;
    int *in;  /* [in_count] value indices, -1: optional input left out */
    int *out; /* [out_count] value indices, -1: output not wanted */
    struct apx_attr *attrs;
    const struct apx_forest *forest; /* of a Forest node; owned by the graph */
    bool is_dead;
};

struct apx_metadata {
    const char *key, *value;
};

/* A file beside the model's own that holds tensors of it. */
struct apx_graph_file {
    struct apx_file_id id;
    const struct apx_graph_file *next;
};

struct apx_graph {
    const struct apx_allocator *allocator;
    const char *name, *producer;
    int64_t opset, opset_ml; /* 0: not imported */
    struct apx_value *values;
    int value_count, value_capacity;
    struct apx_node *nodes; /* in topological order */
    int node_count, node_capacity;
    int *inputs, *outputs; /* value indices; constants are not among the inputs */
    int input_count, output_count;
    const char *symbols[APX_MAX_SYMBOLS];
    bool symbol_is_made[APX_MAX_SYMBOLS]; /* named by the reader; the file had no name */
    int symbol_count;
    int merges; /* of symbols, done by apx_graph_infer */
    struct apx_metadata *metadata;
    int metadata_count;
    const char **left_out; /* [left_out_count] outputs of the file that hold text */
    int left_out_count;
    struct apx_graph_block *blocks;     /* the graph's memory */
    struct apx_forest *forests;         /* of its Forest nodes */
    const struct apx_graph_file *files; /* each once */
};

/* An empty graph. *out is NULL on failure (APX_ENOMEM). The allocator must outlive the graph. */
enum apx_status apx_graph_create(const struct apx_allocator *allocator, struct apx_graph **out);
void apx_graph_destroy(struct apx_graph *graph); /* accepts NULL */

/* `bytes` zeroed bytes, 64-byte aligned, that live as long as the graph; NULL if out of memory. */
void *apx_graph_alloc(struct apx_graph *graph, size_t bytes);
/* A copy of [text, text+length) with a NUL; NULL if out of memory. */
const char *apx_graph_string(struct apx_graph *graph, const char *text, size_t length);

/* These return the new index, or -1 if out of memory or over a limit. */
int apx_graph_add_value(struct apx_graph *graph, const char *name);
int apx_graph_add_constant(struct apx_graph *graph, const char *name, enum apx_dtype dtype,
                           int rank, const int64_t *dims, const void *data); /* data is copied */
int apx_graph_add_node(struct apx_graph *graph, enum apx_op op, const char *name, int in_count,
                       int out_count); /* in/out preset to -1 */
/* Index of the symbol, added if new; -1 when there are APX_MAX_SYMBOLS already. */
int apx_graph_symbol(struct apx_graph *graph, const char *name);

/* How many recurrent and dense layers are int8. */
size_t apx_graph_count_int8(const struct apx_graph *graph);
/* Adds the file unless it is there; false: out of memory. */
bool apx_graph_add_file(struct apx_graph *graph, const struct apx_file_id *id);

/* One more attribute of `node`, its payload for the caller to fill; NULL if out of memory. */
struct apx_attr *apx_graph_add_attr(struct apx_graph *graph, struct apx_node *node,
                                    const char *name, enum apx_attr_type type);

/* The type that `op` gives the attribute; false: the engine does not read it. */
bool apx_attr_type_find(enum apx_op op, const char *name, enum apx_attr_type *type);
const char *apx_attr_type_name(enum apx_attr_type type); /* "a float" */

/* The graph releases the forest with itself, or earlier: apx_graph_release_forests, once every
 * program that will ever be made of the graph has been made. */
void apx_graph_own_forest(struct apx_graph *graph, struct apx_forest *forest);
void apx_graph_release_forests(struct apx_graph *graph);

/* Attributes, with ONNX's default when absent. */
const struct apx_attr *apx_node_attr(const struct apx_node *node, const char *name); /* or NULL */
int64_t apx_node_int(const struct apx_node *node, const char *name, int64_t fallback);
float apx_node_float(const struct apx_node *node, const char *name, float fallback);
const char *apx_node_string(const struct apx_node *node, const char *name, const char *fallback);

/* Live nodes that read value `v`; graph outputs count once more. */
int apx_graph_use_count(const struct apx_graph *graph, int v);
/* Every reader of `from`, graph outputs included, reads `to` instead. */
void apx_graph_replace_value(struct apx_graph *graph, int from, int to);
/* Metadata, unless there is something under that key already; both texts are copied. False if there
 * is no memory. */
bool apx_graph_add_metadata(struct apx_graph *graph, const char *key, const char *text);
/* A JSON list of the names as metadata, unless there is something under that key already. False if
 * out of memory. */
bool apx_graph_add_names(struct apx_graph *graph, const char *key, const char *const *names,
                         size_t count);
/* Of an inferred graph, classes that are words become int64, their places in the list of words, if
 * all that becomes of them are outputs. False if out of memory. */
bool apx_graph_number_words(struct apx_graph *graph);
/* Of an inferred graph, outputs that hold text go, where others remain. False if out of memory. */
bool apx_graph_leave_out_text(struct apx_graph *graph);
/* Mark nodes none of whose outputs are needed as dead. */
void apx_graph_sweep(struct apx_graph *graph);

/* Types, ranks, extents, integer shape arithmetic and fills of every value, in node order.
 * Symbols that must be equal (two inputs' batch under two names) become one; a symbol that must be
 * a number becomes it. Afterwards each symbol is the extent of some input. Extents are right for
 * all symbols for which every slice lies inside of its input (runtime/model/infer.h).
 *   APX_EFORMAT       the node's inputs contradict its operator's definition (field: the node)
 *   APX_EUNSUPPORTED  an extent that depends on data, a type or attribute beyond this build */
enum apx_status apx_graph_infer(struct apx_graph *graph, struct apx_error *error);

#endif
