/* SPDX-License-Identifier: Apache-2.0 */
/* forest_models.h - forests of a given shape for benchmarks, grown over rows that are uniform in
 * [0, 1), so that every path is taken as often as the volume of its box says. */
#ifndef APX_BENCH_FOREST_MODELS_H
#define APX_BENCH_FOREST_MODELS_H

#include <cstddef>
#include <cstdint>
#include <vector>

extern "C" {
#include "kernels/kernels.h"
}

/* Which leaf is split next, and where. */
enum class Growth {
    kLevels,   /* all of a level: XGBoost */
    kGain,     /* the leaf with the most to win, which is not the largest: LightGBM */
    kFull,     /* the largest leaf: a random forest down to single rows */
    kIsolation /* at random, 8 levels at most: an isolation forest of 256 rows a tree */
};

struct ForestShape {
    const char *name;
    size_t trees, leaves, features;
    Growth growth;
    size_t cuts; /* distinct thresholds of a feature, as histograms leave them; 0: any number */
    bool sums_double;
};

/* The arrays behind desc. */
struct ForestModel {
    explicit ForestModel(const ForestShape &shape);
    ForestModel(const ForestModel &) = delete;
    ForestModel &operator=(const ForestModel &) = delete;

    apx_forest_desc desc;

  private:
    std::vector<uint32_t> roots_, tree_output_, leaf_ids_, set_begin_;
    std::vector<apx_tree_node> nodes_;
    std::vector<double> leaf_values_, base_;
};

#endif
