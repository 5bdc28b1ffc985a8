/* SPDX-License-Identifier: Apache-2.0 */
/* lightgbm_reader.h - the parts of the LightGBM reader, shared by its lightgbm_*.c files only.
 *
 *   lightgbm_text.c       lines, words and numbers of the file
 *   lightgbm_header.c     the lines before the first tree
 *   lightgbm_objective.c  the objective to a link
 *   lightgbm_split.c      what a split asks, as a threshold or a set of intervals
 *   lightgbm_tree.c       the block of one tree to the builder
 *   lightgbm_linear.c     leaves that are linear functions
 *   lightgbm_read.c       the way through all of these */
#ifndef APX_MODEL_LIGHTGBM_READER_H
#define APX_MODEL_LIGHTGBM_READER_H

#include "runtime/model/forest/forest.h"

/* ---- lightgbm_text.c: bytes of the file, never copied */
struct apx_lightgbm_span {
    const char *at, *end; /* at NULL: the file has no such line */
    size_t line;          /* from 1 */
};
struct apx_lightgbm_text {
    const char *at, *end;
    size_t line; /* of `at` */
};

/* The next line without its end (LF or CR LF), and on to the line after it. False: no more. */
bool apx_lightgbm_line(struct apx_lightgbm_text *text, struct apx_lightgbm_span *line);
bool apx_lightgbm_span_is(const struct apx_lightgbm_span *span, const char *text);
bool apx_lightgbm_span_starts(const struct apx_lightgbm_span *span, const char *text);
/* At the first `mark`: what is before it and after it. False: there is none. */
bool apx_lightgbm_cut(const struct apx_lightgbm_span *span, char mark,
                      struct apx_lightgbm_span *before, struct apx_lightgbm_span *after);
/* For "%.*s": how much of it fits a message. */
int apx_lightgbm_width(const struct apx_lightgbm_span *span);
/* The next of the words between blanks, and on behind it. False: no more. */
bool apx_lightgbm_word(struct apx_lightgbm_span *rest, struct apx_lightgbm_span *word);
size_t apx_lightgbm_count_words(const struct apx_lightgbm_span *span);
/* All of the word is [-] digits within int32_t. */
bool apx_lightgbm_int(const struct apx_lightgbm_span *word, int32_t *value);
/* All of the word is digits within uint32_t. */
bool apx_lightgbm_bits(const struct apx_lightgbm_span *word, uint32_t *value);
/* All of the word is a decimal number, or NaN where a leaf may be that. Correctly rounded. */
bool apx_lightgbm_double(const struct apx_lightgbm_span *word, double *value);

/* ---- lightgbm_linear.c: linear leaves, collected while trees are added */
struct apx_lightgbm_linear {
    struct apx_lightgbm_linear_leaf {
        uint32_t leaf; /* of the forest */
        uint32_t terms;
        double constant;
    } * leaves;
    struct apx_lightgbm_term {
        uint32_t feature;
        double coefficient;
    } * terms;
    size_t leaf_count, leaf_capacity, term_count, term_capacity;
    bool any; /* some tree is linear */
};

/* ---- the reader's state */
struct apx_lightgbm_reader {
    const struct apx_allocator *allocator;
    struct apx_error *error;
    struct apx_lightgbm_text text;

    /* the header */
    struct apx_lightgbm_span version, objective, feature_names, tree_sizes;
    int32_t outputs, features; /* num_tree_per_iteration, max_feature_idx + 1 */
    bool averages;

    struct apx_forest_builder *builder;
    size_t trees;                        /* so far */
    struct apx_lightgbm_span sizes_left; /* of tree_sizes: of the trees from here on */
    bool has_cr;
    struct apx_lightgbm_linear linear;
    /* Work space of one tree: [2 leaf_room], [leaf_room], [set_room], [word_room], [bound_room] */
    struct apx_tree_node *nodes;
    double *values;
    int32_t *sets;
    uint32_t *words;
    double *bounds;
    size_t leaf_room, set_room, word_room, bound_room;
};

/* "line 12, tree 3: ..."; line 0: not said; trees: whether the tree is named, and is the field. */
enum apx_status apx_lightgbm_fail(const struct apx_lightgbm_reader *reader, enum apx_status status,
                                  size_t line, bool in_tree, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
enum apx_status apx_lightgbm_no_memory(const struct apx_lightgbm_reader *reader);

/* Room for `count` elements of `size` bytes in *array, whose contents are not kept. */
bool apx_lightgbm_room(const struct apx_lightgbm_reader *reader, void *array, size_t *room,
                       size_t count, size_t size);

/* ---- lightgbm_header.c: up to the first tree, which stays unread. */
enum apx_status apx_lightgbm_read_header(struct apx_lightgbm_reader *reader);

/* ---- lightgbm_objective.c: label rule and link, but for link.divide. The name is static text. */
enum apx_status apx_lightgbm_read_objective(const struct apx_lightgbm_reader *reader,
                                            struct apx_forest *forest, const char **name);

/* ---- lightgbm_split.c */
#define APX_LIGHTGBM_CATEGORICAL   1 /* bits of decision_type */
#define APX_LIGHTGBM_DEFAULT_LEFT  2
#define APX_LIGHTGBM_MISSING(type) ((type) >> 2)
#define APX_LIGHTGBM_MISSING_ZERO  1
#define APX_LIGHTGBM_MISSING_NAN   2

/* node's threshold, set and nan_right for `x <= threshold goes left`. False: out of memory. */
bool apx_lightgbm_split_number(struct apx_forest_builder *builder, double threshold,
                               int32_t decision_type, struct apx_tree_node *node);
/* At most how many bounds the set of numbers has whose category is in the bit set words[count]. */
size_t apx_lightgbm_count_bounds(const uint32_t *words, size_t count);
/* That set; bounds: room for so many. -1: out of memory. */
int32_t apx_lightgbm_split_categories(struct apx_forest_builder *builder, const uint32_t *words,
                                      size_t count, double *bounds);

/* ---- lightgbm_tree.c: one block; its "Tree=" line has been read. */
enum apx_status apx_lightgbm_read_tree(struct apx_lightgbm_reader *reader, size_t line);

/* ---- lightgbm_linear.c */
struct apx_lightgbm_linear_lines {
    struct apx_lightgbm_span constants, counts, features, coefficients; /* of one tree */
};
/* The leaves from `first` on are those of a tree with `leaves` leaves and these lines. */
enum apx_status apx_lightgbm_linear_add(struct apx_lightgbm_reader *reader, size_t first,
                                        size_t leaves,
                                        const struct apx_lightgbm_linear_lines *lines);
/* desc.linear, if any tree is linear. */
enum apx_status apx_lightgbm_linear_finish(const struct apx_lightgbm_reader *reader,
                                           struct apx_forest *forest);

#endif
