/* SPDX-License-Identifier: Apache-2.0 */
/* kernels_bench.cc - Google Benchmark over every kernel row that this processor can run.
 *
 *     kernels_bench --benchmark_filter='lstm.*2x128' --benchmark_repetitions=5 \
 *         --benchmark_enable_random_interleaving=true
 *
 * One thread. Recurrent networks run as a worker runs them: slices of kSliceRows rows through all
 * layers and steps. Names: <op>/<row>/<layers>x<H> or K:O/T/batch. Counters: flop a second, percent
 * of the multiply-add rate that this core reached just before (int8 rows: of bytes with the same
 * instructions; they can beat it, as they join sums less often), microseconds a row. Forests:
 * nanoseconds a row and tree, and rows a second; forest_pack is what loading such a model takes
 * here, with the packed bytes for each byte of the same trees at 8 bytes a node. */
#include <benchmark/benchmark.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

extern "C" {
#include "kernels/kernels.h"
}

#include "bench/forest_models.h"
#include "bench/peak.h"

namespace
{

constexpr size_t kSliceRows = 48;
constexpr size_t kSteps = 10;
/* The scalar rows are the reference, not a competitor; beyond this they only cost patience. */
constexpr size_t kMostScalarRows = 16;

/* ---- the peak ------------------------------------------------------------------------------- */

double thread_seconds()
{
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/* Operations a second of one core, for the best of these kinds that it has; 0 without any. */
double measured_peak(std::initializer_list<peak_kind> kinds)
{
    constexpr size_t turns = 2000000;
    double best = 0.0;
    for (const peak_kind kind : kinds)
        for (int round = 0; peak_runs(kind) && round < 5; round++) {
            const double start = thread_seconds();
            const auto operations = static_cast<double>(peak_turn(kind, turns));
            best = std::max(best, operations / (thread_seconds() - start));
        }
    return best;
}

/* Set once in main: of float; of bytes for rows of avx2 and of avx512vnni. */
double peak, peak_bytes_avx2, peak_bytes_vnni;

double peak_of(const apx_rnn_row *row)
{
    if (std::strcmp(row->types, "s8") != 0)
        return peak;
    return std::strcmp(row->isa, "avx512vnni") == 0 ? peak_bytes_vnni : peak_bytes_avx2;
}

/* ---- memory --------------------------------------------------------------------------------- */

struct Release {
    void operator()(void *memory) const
    {
        std::free(memory);
    }
};
using Block = std::unique_ptr<void, Release>;

Block aligned(size_t bytes)
{
    void *memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    if (memory == nullptr)
        std::abort();
    std::memset(memory, 0, (bytes + 63) / 64 * 64 + 64);
    return Block(memory);
}

std::vector<float> random_values(size_t count, float scale)
{
    std::mt19937 engine(1);
    std::uniform_real_distribution<float> values(-scale, scale);
    std::vector<float> out(count);
    for (float &value : out)
        value = values(engine);
    return out;
}

/* Processor time of the measured loop, as plain counters. */
class Meter
{
  public:
    Meter(benchmark::State &state, double flop, size_t rows, double most)
        : state_(state), flop_(flop), rows_(rows), most_(most)
    {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start_);
    }
    ~Meter()
    {
        timespec end;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        const double spent = static_cast<double>(end.tv_sec - start_.tv_sec) +
                             1e-9 * static_cast<double>(end.tv_nsec - start_.tv_nsec);
        const double call = spent / static_cast<double>(state_.iterations());
        state_.counters["GFLOP/s"] = flop_ / call * 1e-9;
        if (most_ > 0.0)
            state_.counters["%peak"] = 100.0 * flop_ / call / most_;
        state_.counters["us/row"] = call * 1e6 / static_cast<double>(rows_);
    }

  private:
    benchmark::State &state_;
    const double flop_;
    const size_t rows_;
    const double most_;
    timespec start_;
};

/* ---- recurrent networks --------------------------------------------------------------------- */

struct Layer {
    apx_rnn_desc desc;
    Block packed, scratch;
    std::vector<float> y; /* [slice, T, H] */
};

constexpr int kLevels = 127; /* of h */

/* Each row of from[., inner] to integers and a scale. */
void round_rows(const std::vector<float> &from, size_t inner, std::vector<int8_t> &to,
                std::vector<float> &scale)
{
    for (size_t o = 0; o < scale.size(); o++) {
        const float *row = from.data() + o * inner;
        float largest = 0.0f;
        for (size_t k = 0; k < inner; k++)
            largest = std::max(largest, std::fabs(row[k]));
        scale[o] = largest / static_cast<float>(apx_int8_weight_levels(row, inner, kLevels));
        for (size_t k = 0; k < inner; k++)
            to[o * inner + k] = static_cast<int8_t>(std::lrint(row[k] / scale[o]));
    }
}

void run_network(benchmark::State &state, const apx_rnn_row *row, bool lstm, bool reset_after,
                 size_t input, std::vector<size_t> widths, size_t batch)
{
    const size_t gates = lstm ? 4 : 3;
    std::vector<Layer> layers;
    double flop = 0.0;
    size_t inner = input;
    for (size_t hidden : widths) {
        Layer layer;
        layer.desc = apx_rnn_desc{};
        layer.desc.input = inner;
        layer.desc.hidden = hidden;
        layer.desc.reset_after = reset_after;
        layer.desc.act[0].kind = APX_ACT_SIGMOID;
        layer.desc.act[1].kind = layer.desc.act[2].kind = APX_ACT_TANH;
        layer.desc.half_weights = std::strcmp(row->types, "f16") == 0;
        const std::vector<float> w = random_values(gates * hidden * inner, 0.1f);
        const std::vector<float> r = random_values(gates * hidden * hidden, 0.1f);
        apx_rnn_weights weights = {};
        weights.w = w.data();
        weights.r = r.data();
        const size_t outputs = gates * hidden;
        std::vector<int8_t> w_s8(outputs * inner), r_s8(outputs * hidden);
        std::vector<float> w_scale(outputs), r_scale(outputs);
        if (std::strcmp(row->types, "s8") == 0) {
            layer.desc.int8.levels = kLevels;
            layer.desc.int8.input_scale = layers.empty() ? 0.0f : 1.0f / kLevels;
            round_rows(w, inner, w_s8, w_scale);
            round_rows(r, hidden, r_s8, r_scale);
            weights.w_s8 = w_s8.data();
            weights.r_s8 = r_s8.data();
            weights.w_scale = w_scale.data();
            weights.r_scale = r_scale.data();
        }
        if (!row->supports(&layer.desc)) {
            state.SkipWithError("the row does not support a layer");
            return;
        }
        layer.packed = aligned(row->packed_bytes(&layer.desc));
        layer.scratch = aligned(row->scratch_bytes(&layer.desc, kSliceRows));
        row->pack(&layer.desc, &weights, layer.packed.get());
        layer.y.resize(kSliceRows * kSteps * hidden);
        flop += 2.0 * static_cast<double>(gates * hidden * (inner + hidden) * kSteps * batch);
        layers.push_back(std::move(layer));
        inner = hidden;
    }
    const std::vector<float> x = random_values(batch * kSteps * input, 1.0f);
    const Meter meter(state, flop, batch, peak_of(row));
    for (auto _ : state) {
        for (size_t first = 0; first < batch; first += kSliceRows) {
            const float *from = x.data() + first * kSteps * input;
            for (Layer &layer : layers) {
                apx_rnn_args args = {};
                args.desc = &layer.desc;
                args.packed = layer.packed.get();
                args.rows = std::min(kSliceRows, batch - first);
                args.steps = kSteps;
                args.x = from;
                args.x_row = static_cast<ptrdiff_t>(kSteps * layer.desc.input);
                args.x_step = static_cast<ptrdiff_t>(layer.desc.input);
                args.y = layer.y.data();
                args.y_row = static_cast<ptrdiff_t>(kSteps * layer.desc.hidden);
                args.y_step = static_cast<ptrdiff_t>(layer.desc.hidden);
                args.scratch = layer.scratch.get();
                row->run(&args);
                from = layer.y.data();
            }
            benchmark::DoNotOptimize(from);
        }
    }
}

void run_dense(benchmark::State &state, const apx_dense_row *row, size_t input, size_t output,
               size_t batch)
{
    apx_dense_desc desc = {};
    desc.input = input;
    desc.output = output;
    desc.act.kind = APX_ACT_RELU;
    const bool is_int8 = std::string(row->types) == "s8";
    if (is_int8)
        desc.int8 = {127, 1.0f / 127.0f};
    if (!row->supports(&desc)) {
        state.SkipWithError("the row does not support the shape");
        return;
    }
    const std::vector<float> w = random_values(input * output, 0.1f);
    const std::vector<float> bias = random_values(output, 0.1f);
    const std::vector<float> x = random_values(batch * input, 1.0f);
    std::vector<float> y(batch * output);
    std::vector<int8_t> w_s8(input * output);
    std::vector<float> w_scale(output);
    if (is_int8)
        round_rows(w, input, w_s8, w_scale);
    const apx_dense_weights weights = {
        w.data(), static_cast<ptrdiff_t>(input), 1, bias.data(), w_s8.data(), w_scale.data()};
    const Block packed = aligned(row->packed_bytes(&desc));
    const Block scratch = aligned(row->scratch_bytes(&desc, batch));
    row->pack(&desc, &weights, packed.get());
    const apx_dense_args args = {&desc,
                                 packed.get(),
                                 batch,
                                 x.data(),
                                 static_cast<ptrdiff_t>(input),
                                 y.data(),
                                 static_cast<ptrdiff_t>(output),
                                 scratch.get()};
    const Meter meter(state, 2.0 * static_cast<double>(input * output * batch), batch, peak);
    for (auto _ : state) {
        row->run(&args);
        benchmark::DoNotOptimize(y.data());
    }
}

/* ---- forests -------------------------------------------------------------------------------- */

const ForestShape kForests[] = {
    {"100x31", 100, 31, 100, Growth::kGain, 254, false},
    {"100x63", 100, 63, 100, Growth::kGain, 254, false},
    {"150xdepth8", 150, 256, 100, Growth::kLevels, 254, false},
    {"200xdepth10", 200, 1024, 100, Growth::kLevels, 254, false},
    {"1000x255", 1000, 255, 100, Growth::kGain, 254, true},
    {"forest100x5000", 100, 5000, 100, Growth::kFull, 0, true},
    {"isolation100", 100, 256, 100, Growth::kIsolation, 0, true},
};
const size_t kForestBatches[] = {1, 10, 100, 10000};

/* Forests are made when their first benchmark runs: most runs filter for a few. */
const ForestModel &forest_of(const ForestShape &shape)
{
    static std::map<std::string, std::unique_ptr<ForestModel>> made;
    auto &model = made[shape.name];
    if (!model)
        model = std::make_unique<ForestModel>(shape);
    return *model;
}

void run_forest(benchmark::State &state, const apx_forest_row *row, const ForestShape &shape,
                size_t batch)
{
    const apx_forest_desc &desc = forest_of(shape).desc;
    const Block packed = aligned(row->pack_bound(&desc));
    row->pack(&desc, packed.get());
    const Block scratch = aligned(row->scratch_bytes(packed.get()));
    /* Other rows in each call, or a small batch would be learned by heart by the branch predictor.
     */
    const size_t pool = (std::max<size_t>(batch, 1000) / batch) * batch;
    std::vector<float> x = random_values(pool * desc.features, 0.5f);
    for (float &value : x)
        value += 0.5f;
    const Block margins = aligned(batch * sizeof(double));
    apx_forest_args args = {};
    args.packed = packed.get();
    args.rows = batch;
    args.x_row = static_cast<ptrdiff_t>(desc.features);
    args.margins = margins.get();
    args.scratch = scratch.get();
    size_t next = 0;
    const double start = thread_seconds();
    for (auto _ : state) {
        args.x = x.data() + next * desc.features;
        next = next + batch < pool ? next + batch : 0;
        row->run(&args);
        benchmark::DoNotOptimize(margins.get());
    }
    const double call = (thread_seconds() - start) / static_cast<double>(state.iterations());
    state.counters["ns/tree-row"] = call * 1e9 / static_cast<double>(batch * desc.trees);
    state.counters["rows/s"] = static_cast<double>(batch) / call;
    apx_forest_choice choice = {};
    row->describe(packed.get(), &choice);
    state.SetLabel(choice.schedule);
}

void run_forest_pack(benchmark::State &state, const apx_forest_row *row, const ForestShape &shape)
{
    const apx_forest_desc &desc = forest_of(shape).desc;
    const Block packed = aligned(row->pack_bound(&desc));
    size_t kept = 0;
    for (auto _ : state)
        kept = row->pack(&desc, packed.get());
    state.counters["MB"] = static_cast<double>(kept) * 1e-6;
    /* In units of 8 bytes a node and a value a leaf. */
    const size_t value = desc.sums_double ? sizeof(double) : sizeof(float);
    state.counters["of-node-data"] =
        static_cast<double>(kept) /
        static_cast<double>(8 * desc.node_count + value * desc.leaf_count);
}

/* ---- what to run ---------------------------------------------------------------------------- */

struct Network {
    const char *name;
    size_t input;
    std::vector<size_t> widths;
};

const std::vector<Network> kNetworks = {{"1x64", 4, {64}},
                                        {"2x128", 4, {128, 128}},
                                        {"128-64", 4, {128, 64}},
                                        {"256-128", 16, {256, 128}}};
const size_t kBatches[] = {1, 16, 64, 1024};

template <class Row> std::vector<const Row *> runnable(const Row *rows, size_t count, uint32_t caps)
{
    std::vector<const Row *> out;
    for (size_t i = 0; i < count; i++)
        if ((rows[i].needs & ~caps) == 0)
            out.push_back(&rows[i]);
    return out;
}

void register_recurrent(uint32_t caps)
{
    size_t lstm_count, gru_count;
    const apx_rnn_row *lstm = apx_lstm_rows(&lstm_count), *gru = apx_gru_rows(&gru_count);
    struct Table {
        const char *op;
        std::vector<const apx_rnn_row *> rows;
        bool lstm, reset_after;
    };
    const Table tables[] = {{"lstm", runnable(lstm, lstm_count, caps), true, false},
                            {"gru_after", runnable(gru, gru_count, caps), false, true},
                            {"gru_before", runnable(gru, gru_count, caps), false, false}};
    for (const Table &table : tables)
        for (const Network &network : kNetworks)
            for (size_t batch : kBatches)
                for (const apx_rnn_row *row : table.rows) {
                    if (row->needs == 0 && batch > kMostScalarRows)
                        continue;
                    const std::string name = std::string(table.op) + "/" + row->name + "/" +
                                             network.name + "/T:10/N:" + std::to_string(batch);
                    const bool is_lstm = table.lstm, after = table.reset_after;
                    benchmark::RegisterBenchmark(name.c_str(), [=,
                                                                &network](benchmark::State &state) {
                        run_network(state, row, is_lstm, after, network.input, network.widths,
                                    batch);
                    })->Unit(benchmark::kMicrosecond);
                }
}

void register_dense(uint32_t caps)
{
    static const size_t shapes[][2] = {{128, 1}, {40, 64}, {128, 128}, {512, 512}};
    size_t count;
    const apx_dense_row *rows = apx_dense_rows(&count);
    for (const auto &shape : shapes)
        for (size_t batch : kBatches)
            for (const apx_dense_row *row : runnable(rows, count, caps)) {
                if (row->needs == 0 && batch > kMostScalarRows)
                    continue;
                const std::string name = std::string("dense/") + row->name + "/" +
                                         std::to_string(shape[0]) + ":" + std::to_string(shape[1]) +
                                         "/N:" + std::to_string(batch);
                const size_t input = shape[0], output = shape[1];
                benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State &state) {
                    run_dense(state, row, input, output, batch);
                })->Unit(benchmark::kMicrosecond);
            }
}

void register_forests(uint32_t caps)
{
    size_t count;
    const apx_forest_row *rows = apx_forest_rows(&count);
    for (const ForestShape &shape : kForests)
        for (const apx_forest_row *row : runnable(rows, count, caps)) {
            for (size_t batch : kForestBatches) {
                if (row->needs == 0 && batch > kMostScalarRows)
                    continue;
                const std::string name = std::string("forest/") + row->name + "/" + shape.name +
                                         "/N:" + std::to_string(batch);
                benchmark::RegisterBenchmark(name.c_str(), [=, &shape](benchmark::State &state) {
                    run_forest(state, row, shape, batch);
                })->Unit(benchmark::kMicrosecond);
            }
            const std::string name = std::string("forest_pack/") + row->name + "/" + shape.name;
            benchmark::RegisterBenchmark(name.c_str(), [=, &shape](benchmark::State &state) {
                run_forest_pack(state, row, shape);
            })->Unit(benchmark::kMillisecond);
        }
}

} // namespace

int main(int argc, char **argv)
{
    const uint32_t caps = apx_cpu_caps();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 2;
    peak = measured_peak({PEAK_FMA_AVX2, PEAK_FMA_AVX512});
    peak_bytes_avx2 = measured_peak({PEAK_MADDUBS_AVX2});
    peak_bytes_vnni = measured_peak({PEAK_DOT_AVX512});
    const double int8_peak =
        std::max({peak_bytes_avx2, peak_bytes_vnni, measured_peak({PEAK_MADDUBS_AVX512})});
    benchmark::AddCustomContext("isa", apx_caps_name(caps));
    benchmark::AddCustomContext("threads", "1");
    benchmark::AddCustomContext("fma_peak_gflops", std::to_string(peak * 1e-9));
    benchmark::AddCustomContext("int8_peak_gops", std::to_string(int8_peak * 1e-9));
    register_recurrent(caps);
    register_dense(caps);
    register_forests(caps);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
