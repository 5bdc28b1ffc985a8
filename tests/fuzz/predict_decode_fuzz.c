/* SPDX-License-Identifier: Apache-2.0 */
/* predict_decode_fuzz.c - any bytes to the BatchPredict decoder: what it accepts keeps the promises
 * of its header, and how the network cuts the message makes no difference. */
#include "serve/predict_decode.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(bool kept)
{
    if (!kept)
        abort();
}

static void check(const struct apx_predict_request *request)
{
    uint64_t steps = request->steps > 0 ? request->steps : 1;
    promise(request->model[0] != '\0' && request->features > 0);
    promise(request->value_type == APX_F32 || request->value_type == APX_F64);
    promise(request->output_type == APX_F32 || request->output_type == APX_F64);
    promise(request->values_bytes ==
            apx_dtype_size(request->value_type) * request->rows * steps * request->features);
    promise(request->nan_policy <= APX_NAN_PROPAGATE);
    for (uint32_t row = 0; request->lengths != NULL && row < request->rows; row++)
        promise(request->lengths[row] >= 1 && request->lengths[row] <= steps);
    uint32_t keys = 0;
    for (size_t at = 0; at < request->keys_bytes; keys++) {
        promise(request->keys[at++] == 0x3a); /* field 7, bytes */
        size_t length = request->keys[at] & 0x7f;
        if (request->keys[at++] >= 0x80)
            length |= (size_t)request->keys[at++] << 7;
        at += length;
        promise(length <= APX_LIMIT_KEY_BYTES && at <= request->keys_bytes);
    }
    promise(keys == 0 || keys == request->rows);
}

/* All values, fetched in two parts; the caller frees them. */
static uint8_t *fetch(const struct apx_predict_request *request)
{
    uint8_t *values = malloc(request->values_bytes + 1);
    size_t half = request->values_bytes / 3;
    promise(values != NULL);
    apx_values_fetch(request, half, request->values_bytes - half, values + half);
    apx_values_fetch(request, 0, half, values);
    return values;
}

static void compare(const struct apx_predict_request *a, const struct apx_predict_request *b)
{
    promise(strcmp(a->model, b->model) == 0 && strcmp(a->version, b->version) == 0 &&
            strcmp(a->output, b->output) == 0);
    promise(a->value_type == b->value_type && a->output_type == b->output_type);
    promise(a->rows == b->rows && a->steps == b->steps && a->features == b->features);
    promise(a->values_bytes == b->values_bytes && a->keys_bytes == b->keys_bytes);
    promise((a->lengths == NULL) == (b->lengths == NULL));
    promise(a->keys_bytes == 0 || memcmp(a->keys, b->keys, a->keys_bytes) == 0);
    uint8_t *of_a = fetch(a), *of_b = fetch(b);
    promise(memcmp(of_a, of_b, a->values_bytes) == 0);
    free(of_a);
    free(of_b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct apx_predict_request whole, cut;
    struct apx_error error;
    /* The first byte says where to cut; each piece has memory of its own, so that a sanitizer sees
     * a step beyond its end. */
    size_t at = size > 0 ? data[0] : 0;
    if (size > 0) {
        data++;
        size--;
    }
    at = at < size ? at : size;
    uint8_t *first = malloc(at + 1), *second = malloc(size - at + 1);
    promise(first != NULL && second != NULL);
    memcpy(first, data, at);
    memcpy(second, data + at, size - at);
    const struct apx_span one = {data, size};
    const struct apx_span two[] = {{first, at}, {NULL, 0}, {second, size - at}};
    enum apx_status status = apx_predict_decode(&one, 1, &whole, &error);
    promise(apx_predict_decode(two, 3, &cut, &error) == status);
    if (status == APX_OK) {
        check(&whole);
        compare(&whole, &cut);
        apx_predict_request_fini(&whole);
        apx_predict_request_fini(&cut);
    }
    free(first);
    free(second);
    return 0;
}
