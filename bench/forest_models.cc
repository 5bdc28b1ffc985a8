/* SPDX-License-Identifier: Apache-2.0 */
/* forest_models.cc - how the forests of the benchmarks grow. */
#include "bench/forest_models.h"

#include <algorithm>
#include <cmath>
#include <queue>
#include <random>
#include <utility>

namespace
{

constexpr uint32_t kNone = UINT32_MAX;

/* A tree while it grows; children are indices here, in the order of splitting. */
struct Grown {
    int32_t feature = -1;
    float threshold = 0.0f;
    uint32_t left = kNone, right = kNone, parent = kNone;
    uint32_t depth = 0;
    double volume = 1.0;
};

class Tree
{
  public:
    Tree(const ForestShape &shape, std::mt19937_64 &random) : shape_(shape), random_(random)
    {
        nodes_.emplace_back();
        push(0);
        for (size_t leaves = 1; leaves < shape.leaves && !open_.empty();) {
            const uint32_t at = open_.top().second;
            open_.pop();
            leaves += split(at) ? 1 : 0;
        }
    }

    /* Preorder, behind what is in `out` already. */
    void write(std::vector<apx_tree_node> &out, uint32_t &leaf) const
    {
        std::vector<std::pair<uint32_t, uint32_t>> stack = {{0, kNone}};
        while (!stack.empty()) {
            const auto [from, parent] = stack.back();
            stack.pop_back();
            const uint32_t at = static_cast<uint32_t>(out.size());
            if (parent != kNone)
                out[parent].right = at;
            apx_tree_node node = {};
            node.feature = nodes_[from].feature;
            node.set = -1;
            node.threshold = static_cast<double>(nodes_[from].threshold);
            node.cover = static_cast<float>(nodes_[from].volume * 1e6);
            node.left = node.feature < 0 ? leaf++ : at + 1;
            out.push_back(node);
            if (node.feature < 0)
                continue;
            stack.emplace_back(nodes_[from].right, at);
            stack.emplace_back(nodes_[from].left, kNone);
        }
    }

  private:
    double uniform(double from, double to)
    {
        return std::uniform_real_distribution<double>(from, to)(random_);
    }

    void push(uint32_t at)
    {
        const Grown &node = nodes_[at];
        double order = node.volume; /* kFull */
        if (shape_.growth == Growth::kLevels)
            order = -static_cast<double>(node.depth);
        else if (shape_.growth == Growth::kGain)
            order = std::sqrt(node.volume) * uniform(0.05, 1.0);
        else if (shape_.growth == Growth::kIsolation && (node.depth == 8 || node.volume < 2. / 256))
            return;
        open_.emplace(order, at);
    }

    /* Where a split of `feature` may lie below node `at`. */
    std::pair<double, double> interval(uint32_t at, int32_t feature) const
    {
        double from = 0.0, to = 1.0;
        for (uint32_t child = at, up = nodes_[at].parent; up != kNone;
             child = up, up = nodes_[up].parent)
            if (nodes_[up].feature == feature) {
                const double t = static_cast<double>(nodes_[up].threshold);
                if (nodes_[up].left == child)
                    to = std::min(to, t);
                else
                    from = std::max(from, t);
            }
        return {from, to};
    }

    bool split(uint32_t at)
    {
        for (int attempt = 0; attempt < 20; attempt++) {
            const int32_t feature = static_cast<int32_t>(random_() % shape_.features);
            const auto [from, to] = interval(at, feature);
            const double margin = shape_.growth == Growth::kIsolation ? 0.0 : 0.1;
            double cut = from + (to - from) * uniform(margin, 1.0 - margin);
            if (shape_.cuts > 0)
                cut = std::round(cut * static_cast<double>(shape_.cuts + 1)) /
                      static_cast<double>(shape_.cuts + 1);
            const double threshold = static_cast<double>(static_cast<float>(cut));
            if (threshold <= from || threshold >= to)
                continue;
            const double share = (threshold - from) / (to - from);
            const uint32_t left = static_cast<uint32_t>(nodes_.size()), right = left + 1;
            Grown child;
            child.parent = at;
            child.depth = nodes_[at].depth + 1;
            child.volume = nodes_[at].volume * share;
            nodes_.push_back(child);
            child.volume = nodes_[at].volume * (1.0 - share);
            nodes_.push_back(child);
            nodes_[at].feature = feature;
            nodes_[at].threshold = static_cast<float>(threshold);
            nodes_[at].left = left;
            nodes_[at].right = right;
            push(left);
            push(right);
            return true;
        }
        return false;
    }

    const ForestShape &shape_;
    std::mt19937_64 &random_;
    std::vector<Grown> nodes_;
    std::priority_queue<std::pair<double, uint32_t>> open_;
};

} // namespace

ForestModel::ForestModel(const ForestShape &shape) : desc()
{
    std::mt19937_64 random(1);
    std::normal_distribution<float> value(0.0f, 0.1f);
    uint32_t leaf = 0;
    roots_.push_back(0);
    for (size_t t = 0; t < shape.trees; t++) {
        Tree(shape, random).write(nodes_, leaf);
        roots_.push_back(static_cast<uint32_t>(nodes_.size()));
    }
    tree_output_.assign(shape.trees, 0);
    set_begin_.assign(1, 0);
    base_.assign(1, 0.5);
    /* Leaves are called by their nodes' numbers in the tree, as XGBoost does. */
    for (size_t t = 0; t < shape.trees; t++)
        for (uint32_t i = roots_[t]; i < roots_[t + 1]; i++)
            if (nodes_[i].feature < 0)
                leaf_ids_.push_back(i - roots_[t]);
    for (uint32_t i = 0; i < leaf; i++)
        leaf_values_.push_back(static_cast<double>(value(random)));
    desc.features = shape.features;
    desc.outputs = 1;
    desc.trees = shape.trees;
    desc.node_count = nodes_.size();
    desc.leaf_count = leaf;
    desc.roots = roots_.data();
    desc.nodes = nodes_.data();
    desc.tree_output = tree_output_.data();
    desc.leaf_values = leaf_values_.data();
    desc.leaf_ids = leaf_ids_.data();
    desc.set_begin = set_begin_.data();
    desc.base = base_.data();
    desc.sums_double = shape.sums_double;
}
