/* SPDX-License-Identifier: Apache-2.0 */
/* lt_product.cu - products by cuBLASLt, one kernel a product and device.
 *
 * The library thinks in columns: seen so, W is [outputs, inner], x and y have a column for each row
 * of the batch, and y = W x. The number of columns is what a kernel must not depend on, so the
 * choice is kept beside the product, and a handle for each device, until the process ends.
 * Descriptors are made for each launch: it is captured into a graph, and a graph runs without
 * them. */
#include <pthread.h>

#include <initializer_list>

#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/lt_product.h"
#include "kernels/cuda/simt.cuh"

namespace
{
enum {
    DEVICES = 64,
    CHOICES = 512,       /* shapes of layers, of all models of a process */
    MOST_ROWS = 1 << 16, /* of one call of the library; more are several calls */
    ASKED = 16,          /* kernels that the library is asked to name */
};

/* One for all devices of a kind, which share a batch. */
struct choice {
    int capability; /* 90: 9.0 */
    struct apx_lt_product product;
    bool can; /* else there is no algo */
    struct apx_lt_algo algo;
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
struct {
    bool is_asked;
    void *handle; /* NULL for good if the library gave none */
} devices[DEVICES];
struct choice choices[CHOICES];
size_t choice_count;

/* ---- what the library wants to be told ------------------------------------------------------- */

struct call {
    void *desc, *w, *x, *y;
};

void call_destroy(const struct apx_lt_library *lt, struct call *call)
{
    if (call->desc != nullptr)
        lt->desc_destroy(call->desc);
    for (void *layout : {call->w, call->x, call->y})
        if (layout != nullptr)
            lt->layout_destroy(layout);
}

/* Destroy it in any case. */
int call_create(const struct apx_lt_library *lt, const struct apx_lt_product *product,
                const struct apx_lt_arrays *arrays, struct call *out)
{
    const uint32_t epilogue = APX_LT_EPILOGUE_BIAS;
    *out = {};
    int status = lt->desc_create(&out->desc, APX_LT_FLOAT_PEDANTIC, APX_LT_FLOAT);
    if (status == 0 && product->has_bias)
        status = lt->desc_set(out->desc, APX_LT_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (status == 0 && product->has_bias)
        status = lt->desc_set(out->desc, APX_LT_DESC_BIAS, &arrays->bias, sizeof arrays->bias);
    if (status == 0)
        status = lt->layout_create(&out->w, APX_LT_FLOAT, product->outputs, product->inner,
                                   (int64_t)product->w_row);
    if (status == 0)
        status = lt->layout_create(&out->x, APX_LT_FLOAT, product->inner, arrays->rows,
                                   (int64_t)arrays->x_row);
    if (status == 0)
        status = lt->layout_create(&out->y, APX_LT_FLOAT, product->outputs, arrays->rows,
                                   (int64_t)arrays->y_row);
    return status;
}

/* Rows as far apart as the product's arrays may have them, and no further: a kernel that wants
 * more of them is none for it. */
struct apx_lt_arrays imagine(const struct apx_lt_product *product, size_t rows)
{
    struct apx_lt_arrays arrays = {};
    const auto distance = [&](size_t width) {
        return (ptrdiff_t)(product->alignment == 16 ? (width + 3) / 4 * 4 : width | 1);
    };
    arrays.bias = (const float *)256; /* the library looks at its alignment */
    arrays.rows = rows;
    arrays.x_row = distance(product->inner);
    arrays.y_row = distance(product->outputs);
    return arrays;
}

/* ---- the choice ------------------------------------------------------------------------------ */

bool is_whole(const struct apx_lt_library *lt, const struct apx_lt_result *result)
{
    int32_t split = 0;
    uint32_t reduction = 0;
    size_t written;
    return result->status == 0 && result->workspace == 0 &&
           lt->config_get(&result->algo, APX_LT_CONFIG_SPLIT, &split, sizeof split, &written) ==
               0 &&
           lt->config_get(&result->algo, APX_LT_CONFIG_REDUCTION, &reduction, sizeof reduction,
                          &written) == 0 &&
           split <= 1 && reduction == APX_LT_REDUCTION_NONE;
}

bool holds_for(const struct apx_lt_library *lt, void *handle, const struct apx_lt_product *product,
               const struct apx_lt_arrays *arrays, const struct apx_lt_algo *algo)
{
    struct call call;
    struct apx_lt_result result;
    const bool holds =
        call_create(lt, product, arrays, &call) == 0 &&
        lt->check(handle, call.desc, call.w, call.x, call.y, call.y, algo, &result) == 0 &&
        result.workspace == 0;
    call_destroy(lt, &call);
    return holds;
}

/* Of these sizes any other can be put together: those of three significant bits, up to MOST_ROWS.
 */
bool holds_for_all(const struct apx_lt_library *lt, void *handle,
                   const struct apx_lt_product *product, const struct apx_lt_algo *algo)
{
    bool holds = true;
    for (size_t rows = 1, step = 1; rows <= MOST_ROWS && holds; rows += step) {
        const struct apx_lt_arrays arrays = imagine(product, rows);
        holds = holds_for(lt, handle, product, &arrays, algo);
        if (rows == 8 * step)
            step *= 2;
    }
    return holds;
}

/* The largest of them that is no larger than this one. */
size_t known_size(size_t rows)
{
    unsigned bits = 0;
    while (rows >> bits >= 8)
        bits++;
    return rows >> bits << bits;
}

int preference_create(const struct apx_lt_library *lt, const struct apx_lt_product *product,
                      void **out)
{
    const uint64_t workspace = 0;
    const uint32_t reductions = APX_LT_REDUCTION_NONE;
    *out = nullptr;
    int status = lt->preference_create(out);
    if (status == 0)
        status = lt->preference_set(*out, APX_LT_PREFER_WORKSPACE, &workspace, sizeof workspace);
    if (status == 0)
        status = lt->preference_set(*out, APX_LT_PREFER_REDUCTIONS, &reductions, sizeof reductions);
    for (int attribute = APX_LT_PREFER_ALIGN_A; attribute <= APX_LT_PREFER_ALIGN_D && status == 0;
         attribute++) {
        const uint32_t bytes =
            attribute == APX_LT_PREFER_ALIGN_A ? product->w_alignment : product->alignment;
        status = lt->preference_set(*out, attribute, &bytes, sizeof bytes);
    }
    return status;
}

/* The library's first kernel that the contract permits. */
bool ask(const struct apx_lt_library *lt, void *handle, const struct apx_lt_product *product,
         struct apx_lt_algo *out)
{
    struct apx_lt_result results[ASKED];
    struct call call;
    void *preference;
    int count = 0;
    const struct apx_lt_arrays arrays = imagine(product, product->usual_rows);
    bool found = call_create(lt, product, &arrays, &call) == 0;
    found = preference_create(lt, product, &preference) == 0 && found;
    found = found && lt->heuristic(handle, call.desc, call.w, call.x, call.y, call.y, preference,
                                   ASKED, results, &count) == 0;
    if (preference != nullptr)
        lt->preference_destroy(preference);
    call_destroy(lt, &call);
    for (int i = 0; i < count && found; i++)
        if (is_whole(lt, &results[i]) && holds_for_all(lt, handle, product, &results[i].algo)) {
            *out = results[i].algo;
            return true;
        }
    return false;
}

bool is_same(const struct apx_lt_product *a, const struct apx_lt_product *b)
{
    return a->inner == b->inner && a->outputs == b->outputs && a->w_row == b->w_row &&
           a->usual_rows == b->usual_rows && a->w_alignment == b->w_alignment &&
           a->alignment == b->alignment && a->has_bias == b->has_bias;
}

/* The device must be the current one when it is first asked for. */
void *handle_of(const struct apx_lt_library *lt, const struct apx_cuda_device *device)
{
    auto &own = devices[device->index];
    if (!own.is_asked && lt->create(&own.handle) != 0)
        own.handle = nullptr;
    own.is_asked = true;
    return own.handle;
}

/* Known, or found out now; NULL: it cannot. *handle is the device's. */
const struct choice *choose(const struct apx_lt_library *lt, const struct apx_cuda_device *device,
                            const struct apx_lt_product *product, void **handle)
{
    const int capability = 10 * device->major + device->minor;
    *handle = handle_of(lt, device);
    if (*handle == nullptr)
        return nullptr;
    for (size_t i = 0; i < choice_count; i++)
        if (choices[i].capability == capability && is_same(&choices[i].product, product))
            return choices[i].can ? &choices[i] : nullptr;
    if (choice_count == CHOICES)
        return nullptr;
    struct choice *made = &choices[choice_count++];
    made->capability = capability;
    made->product = *product;
    made->can = ask(lt, *handle, product, &made->algo);
    return made->can ? made : nullptr;
}

/* In CUDA's words. What the library refuses is no failure of the device. */
int cuda_error(int status)
{
    switch (status) {
    case 0:
        return 0;
    case APX_LT_STATUS_NOT_ALLOCATED:
        return SIMT_NO_MEMORY;
    case APX_LT_STATUS_EXECUTION_FAILED:
        return SIMT_LAUNCH_FAILED;
    case APX_LT_STATUS_INVALID_VALUE:
    case APX_LT_STATUS_NOT_SUPPORTED:
        return APX_CUDA_CANNOT;
    default:
        return SIMT_UNKNOWN;
    }
}
} // namespace

bool apx_lt_can(const struct apx_cuda_device *device, const struct apx_lt_product *product)
{
    const struct apx_lt_library *lt = apx_lt_library();
    void *handle;
    int before;
    if (lt == nullptr || device->index < 0 || device->index >= DEVICES ||
        !simt_enter(device->index, &before))
        return false;
    pthread_mutex_lock(&mutex);
    const bool can = choose(lt, device, product, &handle) != nullptr;
    pthread_mutex_unlock(&mutex);
    simt_leave(before);
    return can;
}

int apx_lt_launch(const struct apx_cuda_device *device, const struct apx_lt_product *product,
                  const struct apx_lt_arrays *arrays, void *stream)
{
    const struct apx_lt_library *lt = apx_lt_library();
    const float one = 1.0f, zero = 0.0f;
    void *handle;
    pthread_mutex_lock(&mutex);
    const struct choice *choice = choose(lt, device, product, &handle);
    pthread_mutex_unlock(&mutex);
    if (choice == nullptr)
        return APX_CUDA_CANNOT;
    int status = 0;
    for (size_t first = 0; first < arrays->rows && status == 0;) {
        struct apx_lt_arrays part = *arrays;
        struct call call;
        part.rows = arrays->rows - first < MOST_ROWS ? arrays->rows - first : (size_t)MOST_ROWS;
        part.x += (ptrdiff_t)first * arrays->x_row;
        part.y += (ptrdiff_t)first * arrays->y_row;
        if (known_size(part.rows) != part.rows &&
            !holds_for(lt, handle, product, &part, &choice->algo))
            part.rows = known_size(part.rows);
        first += part.rows;
        status = call_create(lt, product, &part, &call);
        if (status == 0)
            status = lt->matmul(handle, call.desc, &one, part.w, call.w, part.x, call.x, &zero,
                                part.y, call.y, part.y, call.y, &choice->algo, nullptr, 0, stream);
        call_destroy(lt, &call);
    }
    return cuda_error(status);
}

/* Tiles of 128 outputs and 64 rows, multiply-adds at three quarters of the rate, and 2 us for a
 * tile's beginning and end. Not measured. */
double apx_lt_seconds(const struct apx_cuda_device *device, const struct apx_lt_product *product,
                      size_t rows)
{
    const double tiles = (double)((rows + 63) / 64) * (double)((product->outputs + 127) / 128);
    const double rounds = (double)(size_t)((tiles - 1.0) / device->multiprocessors + 1.0);
    const double cycles = (double)product->inner * 128.0 * 64.0 / (128.0 * 0.75);
    const double bytes = 4.0 * ((double)rows * (double)(product->inner + product->outputs) +
                                (double)product->inner * (double)product->outputs);
    const double products = rounds * cycles / device->clock, moved = bytes / device->memory_rate;
    return (products > moved ? products : moved) + 2e-6;
}
