/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: what they keep between runs stays right when memory moves, when runs are refused and when
 * more extents come by than they keep. Memory that is given back is unmapped, so that a place kept
 * too long cannot be read. */
#include <sys/mman.h>

#include "runtime/device/backend.h"
#include "tests/harness/rng.h"
#include "tests/runtime/model_case.h"

#define WIDTH     3
#define MOST_ROWS 12
#define MOST_TIME 40
#define PAGE      4096

static struct rng rng = {77};
static long mapped;

/* Its size lies in a page before it. */
static void *map(void *context, size_t align, size_t bytes)
{
    (void)context, (void)align;
    size_t size = PAGE + (bytes + PAGE - 1) / PAGE * PAGE;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    memcpy(memory, &size, sizeof size);
    mapped++;
    return memory + PAGE;
}

static void unmap(void *context, void *memory)
{
    size_t size;
    (void)context;
    if (memory == NULL)
        return;
    memcpy(&size, (char *)memory - PAGE, sizeof size);
    munmap((char *)memory - PAGE, size);
    mapped--;
}

static const struct apx_allocator allocator = {map, unmap, NULL};

struct engine {
    struct apx_graph *graph;
    struct apx_program *program;
    struct apx_lane *lane;
    int rows, time; /* symbols */
};

/* y [b,3] = sum over t of tanh(x), and over the last two of x: refused for t < 2, when the tensors
 * inside have their places and the first steps their arguments. */
static struct engine make_engine(void)
{
    struct engine e = {0};
    struct apx_error error = {0};
    struct apx_onnx *m = case_begin(17, "x:f[b,t,3]", "y");
    void *data;
    size_t bytes;
    case_ints(m, "two", 1, -2LL);
    case_ints(m, "end", 1, (long long)INT64_MAX);
    case_ints(m, "one", 1, 1LL);
    case_node(m, "Tanh", "x", "a");
    case_node(m, "ReduceSum", "a one", "all");
    apx_onnx_int(m, "keepdims", 0);
    case_node(m, "Slice", "x two end one", "late");
    case_node(m, "ReduceSum", "late one", "some");
    apx_onnx_int(m, "keepdims", 0);
    case_node(m, "Add", "all some", "y");
    REQUIRE(apx_onnx_write_memory(m, &data, &bytes, &error) == APX_OK);
    apx_onnx_destroy(m);
    REQUIRE(apx_onnx_read(data, bytes, NULL, &allocator, &e.graph, &error) == APX_OK);
    free(data);
    REQUIRE(apx_graph_infer(e.graph, &error) == APX_OK);
    const struct apx_compile_options options = {.allocator = &allocator};
    REQUIRE(apx_backend_cpu.compile(e.graph, &options, &e.program, &error) == APX_OK);
    REQUIRE(apx_backend_cpu.lane_create(e.program, &e.lane, &error) == APX_OK);
    const struct apx_value *x = &e.graph->values[e.graph->inputs[0]];
    REQUIRE(apx_dim_is_symbol(&x->dims[0], &e.rows) && apx_dim_is_symbol(&x->dims[1], &e.time));
    REQUIRE(apx_backend_cpu.row_symbol(e.program) == e.rows);
    return e;
}

static void destroy_engine(struct engine *e)
{
    apx_backend_cpu.lane_destroy(e->lane);
    apx_backend_cpu.program_destroy(e->program);
    apx_graph_destroy(e->graph);
    CHECK_EQ(mapped, 0);
}

static enum apx_status reserve(struct engine *e, int64_t rows, int64_t time)
{
    int64_t symbols[APX_MAX_SYMBOLS] = {0};
    symbols[e->rows] = rows;
    symbols[e->time] = time;
    return apx_backend_cpu.lane_reserve(e->lane, symbols, rows, NULL);
}

/* Rows [first, first + rows) of a batch, on the lane alone; what they give is checked against a sum
 * in double. */
static void run(struct engine *e, int64_t batch, int64_t first, int64_t rows, int64_t time)
{
    static float x[MOST_ROWS * MOST_TIME * WIDTH], y[MOST_ROWS * WIDTH];
    int64_t symbols[APX_MAX_SYMBOLS] = {0};
    struct apx_error error = {0};
    symbols[e->rows] = batch;
    symbols[e->time] = time;
    for (int64_t i = 0; i < batch * time * WIDTH; i++)
        x[i] = rng_real(&rng);
    for (int i = 0; i < MOST_ROWS * WIDTH; i++)
        y[i] = 1e9f;
    struct apx_tensor in = {.dtype = APX_F32, .rank = 3, .dims = {batch, time, WIDTH}, .data = x};
    struct apx_tensor out = {.dtype = APX_F32, .rank = 2, .dims = {batch, WIDTH}, .data = y};
    const struct apx_slice slice = {
        .inputs = &in, .outputs = &out, .row = first, .rows = rows, .symbols = symbols};
    enum apx_status status = apx_backend_cpu.run(e->lane, &slice, &error);
    if (time < 2) {
        CHECK_EQ(status, APX_EINVAL);
        CHECK_HAS(error.message, "end before it begins");
        return;
    }
    CHECK_EQ(status, APX_OK);
    for (int64_t n = 0; n < MOST_ROWS; n++) {
        for (int64_t k = 0; k < WIDTH; k++) {
            double sum = n >= first && n < first + rows ? 0 : 1e9;
            for (int64_t t = 0; t < time && sum < 1e8; t++) {
                double value = (double)x[(n * time + t) * WIDTH + k];
                sum += tanh(value) + (t < time - 2 ? 0 : value);
            }
            CHECK(fabs((double)y[n * WIDTH + k] - sum) <= 1e-4 + 1e-5 * fabs(sum));
        }
    }
}

static void runs_without_reserving(void)
{
    struct engine e = make_engine();
    run(&e, 3, 0, 3, 4);
    run(&e, 9, 2, 5, 7);
    run(&e, 3, 0, 3, 4);
    destroy_engine(&e);
}

/* The extents are known, but their arena is another one by now. */
static void follows_its_memory(void)
{
    struct engine e = make_engine();
    CHECK_EQ(reserve(&e, 3, 4), APX_OK);
    run(&e, 3, 0, 3, 4);
    CHECK_EQ(reserve(&e, MOST_ROWS, MOST_TIME), APX_OK);
    run(&e, 3, 0, 3, 4);
    destroy_engine(&e);
}

/* Neither of the two extents is the larger in all tensors: each has places of its own. */
static void stands_refusals(void)
{
    struct engine e = make_engine();
    for (int i = 0; i < 60; i++) {
        run(&e, 3, 0, 3, 12);
        for (int64_t rows = 1; rows <= i % 10; rows++)
            run(&e, rows, 0, rows, 1);
        run(&e, 9, 0, 9, 3);
    }
    destroy_engine(&e);
}

static void keeps_extents_apart(void)
{
    struct engine e = make_engine();
    for (int i = 0; i < 3000; i++) {
        int64_t batch = 1 + (int64_t)rng_below(&rng, rng_once(&rng, 3) ? MOST_ROWS : 3);
        int64_t first = (int64_t)rng_below(&rng, (size_t)batch);
        int64_t rows = 1 + (int64_t)rng_below(&rng, (size_t)(batch - first));
        int64_t time = rng_once(&rng, 9) ? MOST_TIME : 1 + (int64_t)rng_below(&rng, 4);
        if (rng_once(&rng, 20))
            reserve(&e, rows, time);
        run(&e, batch, first, rows, time);
    }
    destroy_engine(&e);
}

int main(void)
{
    RUN(runs_without_reserving);
    RUN(follows_its_memory);
    RUN(stands_refusals);
    RUN(keeps_extents_apart);
    case_end();
    return check_report();
}
