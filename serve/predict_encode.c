/* SPDX-License-Identifier: Apache-2.0 */
/* predict_encode.c - the reply's form, written by hand for the same reason as the decoder. */
#include "serve/predict_encode.h"

#include <string.h>

#include "runtime/base/fail.h"

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };
enum {
    FIELD_MODEL = 1,
    FIELD_VERSION = 2,
    FIELD_ROWS = 3,
    FIELD_OUTPUTS = 4,
    FIELD_VALUES = 5,
    FIELD_STATUS = 6,
    FIELD_QUEUE_US = 8,
    FIELD_COMPUTE_US = 9,
    FIELD_TOTAL_US = 10,
    FIELD_VALUE_TYPE = 16,
};
enum { VALUE_TYPE_FLOAT64 = 2 };
enum { TIMES_BYTES = 3 * 11 };

/* Where bytes go; `to` NULL only counts them, so that planning and writing cannot disagree. */
struct writer {
    uint8_t *to;
    size_t size;
};

static void put_varint(struct writer *writer, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)(value >= 0x80 ? value | 0x80 : value);
        if (writer->to != NULL)
            writer->to[writer->size] = byte;
        writer->size++;
        value >>= 7;
    } while (value > 0);
}

static void put_number(struct writer *writer, unsigned field, uint64_t value)
{
    if (value == 0) /* proto3: that is the default */
        return;
    put_varint(writer, field << 3 | WIRE_VARINT);
    put_varint(writer, value);
}

/* data NULL: leave room. */
static void put_bytes(struct writer *writer, unsigned field, const void *data, size_t bytes)
{
    if (bytes == 0)
        return;
    put_varint(writer, field << 3 | WIRE_BYTES);
    put_varint(writer, bytes);
    if (writer->to != NULL && data != NULL)
        memcpy(writer->to + writer->size, data, bytes);
    writer->size += bytes;
}

static size_t values_bytes(const struct apx_reply_plan *plan)
{
    return (size_t)plan->rows * plan->width * apx_dtype_size(plan->value_type);
}

static void put_head(struct writer *writer, const struct apx_reply_plan *plan)
{
    put_bytes(writer, FIELD_MODEL, plan->model, strlen(plan->model));
    put_bytes(writer, FIELD_VERSION, plan->version, strlen(plan->version));
    put_number(writer, FIELD_ROWS, plan->rows);
    put_number(writer, FIELD_OUTPUTS, plan->width);
    /* Ahead of the values, out of the order of numbers: float32 is not said, as ever. */
    put_number(writer, FIELD_VALUE_TYPE, plan->value_type == APX_F64 ? VALUE_TYPE_FLOAT64 : 0);
    put_bytes(writer, FIELD_VALUES, NULL, values_bytes(plan));
}

enum apx_status apx_reply_plan(struct apx_reply_plan *plan, struct apx_error *error)
{
    size_t row_bytes = (size_t)plan->width * apx_dtype_size(plan->value_type) + 1;
    if (plan->keys_bytes > APX_LIMIT_REPLY_BYTES / 2 ||
        row_bytes > (APX_LIMIT_REPLY_BYTES / 2 - 1024) / (plan->rows > 0 ? plan->rows : 1))
        return apx_fail(error, APX_ELIMIT, "rows",
                        "the reply to %u rows of %u values would be too large; send fewer",
                        plan->rows, plan->width);
    struct writer writer = {0};
    put_head(&writer, plan);
    plan->values_at = writer.size - values_bytes(plan);
    put_bytes(&writer, FIELD_STATUS, NULL, plan->rows);
    plan->status_at = writer.size - plan->rows;
    plan->tail_at = writer.size;
    plan->capacity = writer.size + plan->keys_bytes + TIMES_BYTES;
    return APX_OK;
}

void apx_reply_begin(const struct apx_reply_plan *plan, const uint8_t *keys, uint8_t *reply)
{
    struct writer writer = {.to = reply};
    put_head(&writer, plan);
    put_bytes(&writer, FIELD_STATUS, NULL, plan->rows);
    if (plan->keys_bytes > 0)
        memcpy(reply + plan->tail_at, keys, plan->keys_bytes);
}

size_t apx_reply_end(const struct apx_reply_plan *plan, uint64_t queue_us, uint64_t compute_us,
                     uint64_t total_us, uint8_t *reply)
{
    struct writer writer = {.to = reply, .size = plan->tail_at + plan->keys_bytes};
    put_number(&writer, FIELD_QUEUE_US, queue_us);
    put_number(&writer, FIELD_COMPUTE_US, compute_us);
    put_number(&writer, FIELD_TOTAL_US, total_us);
    return writer.size;
}
