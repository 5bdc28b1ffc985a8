/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_reader.h - the parts of the ONNX reader, shared by its onnx_*.c files only.
 *
 *   onnx_scan.c       the wire format is sound and no deeper than the limit, before it is unpacked
 *   onnx_unpack.c     protobuf-c with a byte budget, released in one go
 *   onnx_names.c      names of values, one scope for the graph and one per inlined call
 *   onnx_tensor.c     TensorProto to a constant;  onnx_external.c  payloads in other files
 *   onnx_attr.c       AttributeProto to struct apx_attr
 *   onnx_functions.c  calls of local functions
 *   onnx_loop.c       loops that are a GRU; loop_cell.c recognises it
 *   onnx_node.c       NodeProto to nodes, old forms to today's
 *   onnx_order.c      topological order, dead nodes dropped
 *   onnx_take_in.c    a model with its data inside, for those who store it
 *   onnx_read.c       model, graph, inputs and outputs: the way through all of these */
#ifndef APX_MODEL_ONNX_READER_H
#define APX_MODEL_ONNX_READER_H

#include "runtime/model/onnx_read.h"

#include <onnx/onnx.pb-c.h>

#define APX_LIMIT_FUNCTIONS  1024 /* local functions of a model */
#define APX_LIMIT_CALL_DEPTH 16   /* local functions calling each other */
/* Bytes of constants a file may turn into: half-precision and varint payloads grow, and a function
 * repeats its constants at each call. */
#define APX_LIMIT_CONSTANT_FACTOR 16
#define APX_LIMIT_CONSTANT_FLOOR  ((size_t)64 << 20)

#define APX_ONNX_IR_FIRST    3
#define APX_ONNX_IR_LAST     14
#define APX_ONNX_OPSET_FIRST 7
#define APX_ONNX_OPSET_LAST  24
#define APX_ONNX_ML_LAST     5
#define APX_ONNX_OWN_DOMAIN  "auspex"
#define APX_ONNX_OWN_VERSION 1

/* ---- onnx_scan.c: APX_EFORMAT or APX_ELIMIT for bytes that must not reach protobuf-c. */
enum apx_status apx_onnx_scan(const ProtobufCMessageDescriptor *descriptor, const void *data,
                              size_t bytes, struct apx_error *error);

/* ---- onnx_unpack.c */
struct apx_onnx_memory;
/* *out owns every message unpacked with it. */
enum apx_status apx_onnx_memory_create(const struct apx_allocator *allocator, size_t budget,
                                       struct apx_onnx_memory **out);
void apx_onnx_memory_destroy(struct apx_onnx_memory *memory); /* accepts NULL */
/* A message, or NULL: out of memory, over the budget, or malformed. */
ProtobufCMessage *apx_onnx_unpack(struct apx_onnx_memory *memory,
                                  const ProtobufCMessageDescriptor *descriptor, const void *data,
                                  size_t bytes);
/* Why the last unpack failed: APX_ENOMEM, APX_ELIMIT or APX_EFORMAT. */
enum apx_status apx_onnx_unpack_failure(const struct apx_onnx_memory *memory);
/* A length-delimited field that Debian's onnx.proto (1.12) does not know: occurrence `index` of
 * `tag`. Returns false if there are no more; *data points into the message. */
bool apx_onnx_unknown_field(const ProtobufCMessage *message, uint32_t tag, size_t index,
                            const uint8_t **data, size_t *bytes);

/* ---- onnx_names.c */
struct apx_onnx_names {
    const struct apx_allocator *allocator;
    struct apx_onnx_name {
        int scope;
        int value;        /* -1: a name that stands for "left out" */
        const char *text; /* NULL: free slot; else points into the unpacked file */
    } * slots;
    size_t count, capacity;
};
void apx_onnx_names_fini(struct apx_onnx_names *names);
/* False if out of memory. The caller knows that the name is new. */
bool apx_onnx_names_add(struct apx_onnx_names *names, int scope, const char *text, int value);
bool apx_onnx_names_find(const struct apx_onnx_names *names, int scope, const char *text,
                         int *value);

/* ---- the reader's state */
struct apx_onnx_reader {
    struct apx_graph *graph;
    struct apx_error *error;
    const char *directory; /* of the model's file; NULL: none */
    struct apx_onnx_memory *memory;
    const Onnx__ModelProto *model;
    struct apx_onnx_names names;
    size_t constant_bytes, constant_budget;
    size_t external_bytes; /* read from other files */
    int scope_count, call_count;
};

/* Where a node stands: the graph, or the body of a called function. */
struct apx_onnx_scope {
    int id;
    int depth;          /* of calls */
    const char *prefix; /* "" or "call/": in front of names, for people */
    int64_t opset;
    const struct apx_onnx_scope *caller;
    const Onnx__FunctionProto *function; /* NULL: the graph */
    const Onnx__NodeProto *call;         /* the node that called it; its attributes bind */
    const int *results; /* [function->n_output] the caller's values, -1: not wanted */
};

/* reader->model from bytes that are scanned first; reader->memory owns it, and goes to
 * apx_onnx_memory_destroy whatever comes back. Asks for error and names.allocator alone. */
enum apx_status apx_onnx_unpack_model(struct apx_onnx_reader *reader, const void *data,
                                      size_t bytes);
/* What it means that the graph could not grow: APX_ELIMIT or APX_ENOMEM, with its message. */
enum apx_status apx_onnx_cannot_grow(const struct apx_onnx_reader *reader);
/* Counts bytes of constants, attributes included; APX_ELIMIT (field: name) beyond the budget. */
enum apx_status apx_onnx_charge(struct apx_onnx_reader *reader, const char *name, size_t bytes);
/* NULL becomes "". */
const char *apx_onnx_or_empty(const char *text);
/* ai.onnx under either of its names is "". */
const char *apx_onnx_domain(const char *domain);
/* Version of `domain` among these imports; 0 if it is not imported. */
int64_t apx_onnx_import(Onnx__OperatorSetIdProto *const *imports, size_t count, const char *domain);
/* prefix + name, cut to APX_LIMIT_NAME; NULL if out of memory. */
const char *apx_onnx_full_name(struct apx_onnx_reader *reader, const struct apx_onnx_scope *scope,
                               const char *name);

/* ---- onnx_tensor.c */
/* *dtype is APX_DTYPE_NONE for a type this build lacks. Half precision becomes APX_F32. */
enum apx_dtype apx_onnx_dtype(int32_t data_type);
const char *apx_onnx_dtype_name(int32_t data_type);
/* Bytes of an element in raw_data; 0 for strings and types this build lacks. */
size_t apx_onnx_stored_size(int32_t data_type);
/* A new constant value. */
enum apx_status apx_onnx_read_tensor(struct apx_onnx_reader *reader,
                                     const Onnx__TensorProto *tensor, const char *name, int *value);

/* ---- onnx_external.c: the payload's `bytes` bytes into data. All of a model's external data
 * together may be APX_LIMIT_FILE_BYTES. */
bool apx_onnx_is_external(const Onnx__TensorProto *tensor);
/* The file is there, below the model's directory, and holds that many; so they may be asked for. */
enum apx_status apx_onnx_check_external(const struct apx_onnx_reader *reader,
                                        const Onnx__TensorProto *tensor, const char *name,
                                        size_t bytes);
enum apx_status apx_onnx_read_external(struct apx_onnx_reader *reader,
                                       const Onnx__TensorProto *tensor, const char *name,
                                       size_t bytes, void *data);

/* ---- onnx_attr.c */
/* Adds what `from` says to node `node`; attributes that refer to the caller's are looked up. */
enum apx_status apx_onnx_read_attr(struct apx_onnx_reader *reader,
                                   const struct apx_onnx_scope *scope,
                                   const Onnx__AttributeProto *from, int node);
/* `from` itself, or what it refers to in the calling node or the function's defaults; *out is NULL
 * if it refers to an attribute that is given nowhere (then it is absent). */
enum apx_status apx_onnx_attr_resolve(struct apx_onnx_reader *reader,
                                      const struct apx_onnx_scope *scope,
                                      const Onnx__AttributeProto *from,
                                      const Onnx__AttributeProto **out);
/* The value of a Constant node, whichever attribute holds it. */
enum apx_status apx_onnx_attr_constant(struct apx_onnx_reader *reader,
                                       const struct apx_onnx_scope *scope,
                                       const Onnx__NodeProto *from, const char *name, int *value);

/* What kind of value it has; UNDEFINED: none. */
Onnx__AttributeProto__AttributeType apx_onnx_attr_kind(const Onnx__AttributeProto *from);

/* ---- forest/tree_ensemble_read.c */
bool apx_onnx_is_trees(enum apx_op op);
/* The attributes of a tree operator as node `node`'s forest; the node itself gets none. */
enum apx_status apx_onnx_read_trees(struct apx_onnx_reader *reader,
                                    const struct apx_onnx_scope *scope, const Onnx__NodeProto *from,
                                    int node);

/* ---- onnx_functions.c */
/* The function this node calls, or NULL. */
const Onnx__FunctionProto *apx_onnx_function(const struct apx_onnx_reader *reader,
                                             const Onnx__NodeProto *call);
/* The body's nodes in place of the call; inputs[] and outputs[] are values, -1: left out. */
enum apx_status apx_onnx_inline(struct apx_onnx_reader *reader, const struct apx_onnx_scope *scope,
                                const Onnx__NodeProto *call, const Onnx__FunctionProto *function,
                                const int *inputs, size_t input_count, const int *outputs,
                                size_t output_count);

/* ---- onnx_loop.c */
/* An LSTM or GRU operator in place of a Loop that is a recurrent cell, or else its body once for
 * each step; APX_EUNSUPPORTED if its length is not known either. */
enum apx_status apx_onnx_read_loop(struct apx_onnx_reader *reader,
                                   const struct apx_onnx_scope *scope, const Onnx__NodeProto *node,
                                   const int *inputs, size_t input_count, const int *outputs,
                                   size_t output_count);

/* ---- onnx_node.c */
/* Declares the outputs of all nodes, then converts the nodes: they may stand in any order. */
enum apx_status apx_onnx_read_nodes(struct apx_onnx_reader *reader,
                                    const struct apx_onnx_scope *scope,
                                    Onnx__NodeProto *const *nodes, size_t count);
/* The node's name, or else its operator: what an error calls it. */
const char *apx_onnx_node_label(const Onnx__NodeProto *node);

/* ---- onnx_opset.c */
/* Gives node `node`, converted under `opset`, the form it has in the newest opset. */
enum apx_status apx_onnx_modernize(struct apx_onnx_reader *reader, int64_t opset, int node);

/* ---- onnx_order.c: drops dead nodes, sorts the rest, sets producers; outputs that nobody reads
 * become -1, except those of Split. APX_EFORMAT for a cycle. */
enum apx_status apx_onnx_order(struct apx_graph *graph, struct apx_error *error);

#endif
