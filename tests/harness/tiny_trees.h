/* SPDX-License-Identifier: Apache-2.0 */
/* tiny_trees.h - one tree of two features in the form of each library, for tests of what carries
 * models about. */
#ifndef APX_TESTS_TINY_TREES_H
#define APX_TESTS_TINY_TREES_H

/* Feature 0 above 2^24 + 0.5: a third; else a tenth. A missing value goes right, to the third. In
 * float32 there is no number between 2^24 and 2^24 + 2. */
static const char tiny_lightgbm[] = "tree\n"
                                    "version=v4\n"
                                    "num_class=1\n"
                                    "num_tree_per_iteration=1\n"
                                    "label_index=0\n"
                                    "max_feature_idx=1\n"
                                    "objective=regression\n"
                                    "feature_names=a b\n"
                                    "feature_infos=[0:1] [0:1]\n"
                                    "\n"
                                    "Tree=0\n"
                                    "num_leaves=2\n"
                                    "num_cat=0\n"
                                    "split_feature=0\n"
                                    "threshold=16777216.5\n"
                                    "decision_type=8\n"
                                    "left_child=-1\n"
                                    "right_child=-2\n"
                                    "leaf_value=0.10000000000000001 0.33333333333333331\n"
                                    "shrinkage=1\n"
                                    "\n"
                                    "end of trees\n";

/* Feature 1 below 0.5, or missing: 1.25; else 2.5. */
static const char tiny_xgboost[] =
    "{\"learner\": {\"gradient_booster\": {\"model\": {\"gbtree_model_param\": "
    "{\"num_parallel_tree\": \"1\", \"num_trees\": \"1\"}, \"tree_info\": [0], \"trees\": [{"
    "\"categories\": [], \"categories_nodes\": [], \"categories_segments\": [], "
    "\"categories_sizes\": [], \"default_left\": [1, 0, 0], \"id\": 0, "
    "\"left_children\": [1, -1, -1], \"right_children\": [2, -1, -1], "
    "\"parents\": [2147483647, 0, 0], \"split_conditions\": [5E-1, 1.25E0, 2.5E0], "
    "\"split_indices\": [1, 0, 0], \"split_type\": [0, 0, 0], \"tree_param\": "
    "{\"num_deleted\": \"0\", \"num_feature\": \"2\", \"num_nodes\": \"3\", "
    "\"size_leaf_vector\": \"1\"}}]}, \"name\": \"gbtree\"}, \"learner_model_param\": "
    "{\"base_score\": \"0E0\", \"num_class\": \"0\", \"num_feature\": \"2\", "
    "\"num_target\": \"1\"}, \"objective\": {\"name\": \"reg:squarederror\"}}, "
    "\"version\": [2, 1, 0]}";

#endif
