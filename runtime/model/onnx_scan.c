/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_scan.c - walk the wire format before protobuf-c sees it.
 *
 * protobuf-c recurses once per nested message without a bound, cuts strings at an embedded NUL and
 * takes any bytes for text. This walker follows the descriptors, so it knows a message from a
 * string, and refuses what is too deep, truncated, or not text. Fields that the descriptors do not
 * know are skipped by their wire type, as protobuf-c does. */
#include "runtime/base/fail.h"
#include "runtime/model/onnx_reader.h"

#include <string.h>

struct cursor {
    const uint8_t *at, *end;
};

static bool read_varint(struct cursor *c, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 70 && c->at < c->end; shift += 7) {
        uint8_t byte = *c->at++;
        if (shift < 64)
            *value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return true;
    }
    return false;
}

static bool is_text(const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        uint8_t lead = *at++;
        if (lead == 0)
            return false;
        if (lead < 0x80)
            continue;
        int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        uint32_t code = lead & (0x3fu >> more);
        if (lead < 0xc2 || lead > 0xf4 || end - at < more)
            return false;
        for (int i = 0; i < more; i++, at++) {
            if ((*at & 0xc0) != 0x80)
                return false;
            code = code << 6 | (*at & 0x3f);
        }
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return false;
    }
    return true;
}

static enum apx_status scan_message(struct cursor c, const ProtobufCMessageDescriptor *descriptor,
                                    int depth, struct apx_error *error)
{
    const char *where = descriptor->short_name;
    if (depth > APX_LIMIT_NESTING)
        return apx_fail(error, APX_ELIMIT, where,
                        "messages are nested deeper than APX_LIMIT_NESTING (%d)",
                        APX_LIMIT_NESTING);
    while (c.at < c.end) {
        uint64_t key, length;
        if (!read_varint(&c, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff)
            return apx_fail(error, APX_EFORMAT, where, "not an ONNX file: damaged field key");
        switch (key & 7) {
        case 0:
            if (!read_varint(&c, &length))
                return apx_fail(error, APX_EFORMAT, where, "not an ONNX file: damaged number");
            continue;
        case 1:
        case 5:
            length = (key & 7) == 1 ? 8 : 4;
            break;
        case 2:
            if (!read_varint(&c, &length))
                length = UINT64_MAX;
            break;
        default:
            return apx_fail(error, APX_EFORMAT, where, "not an ONNX file: wire type %d",
                            (int)(key & 7));
        }
        if (length > (uint64_t)(c.end - c.at))
            return apx_fail(error, APX_EFORMAT, where, "the file is cut short or damaged");
        struct cursor inner = {c.at, c.at + length};
        c.at = inner.end;
        const ProtobufCFieldDescriptor *field =
            (key & 7) == 2
                ? protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(key >> 3))
                : NULL;
        if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE) {
            enum apx_status status = scan_message(inner, field->descriptor, depth + 1, error);
            if (status != APX_OK)
                return status;
        } else if (field != NULL && field->type == PROTOBUF_C_TYPE_STRING &&
                   !is_text(inner.at, inner.end)) {
            return apx_fail(error, APX_EFORMAT, where, "%s is not UTF-8 text", field->name);
        }
    }
    return APX_OK;
}

enum apx_status apx_onnx_scan(const ProtobufCMessageDescriptor *descriptor, const void *data,
                              size_t bytes, struct apx_error *error)
{
    struct cursor c = {data, (const uint8_t *)data + bytes};
    return scan_message(c, descriptor, 1, error);
}
