/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_external.c - tensor payloads that an ONNX file keeps in other files.
 *
 * The file names the place, so the name is hostile until shown otherwise: it must be relative, hold
 * no "..", and every step from the model's directory on is opened without following symbolic
 * links. The last step must be a regular file long enough for what is asked. */
#include "runtime/base/fail.h"
#include "runtime/model/onnx_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    const char *location;
    uint64_t offset;
    uint64_t length;
    bool has_length;
};

static bool parse_number(const char *text, uint64_t *value)
{
    *value = 0;
    if (text[0] == '\0')
        return false;
    for (; *text != '\0'; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*text - '0'), value))
            return false;
    return true;
}

static enum apx_status find_place(const struct apx_onnx_reader *reader,
                                  const Onnx__TensorProto *tensor, const char *name,
                                  struct place *place)
{
    *place = (struct place){0};
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const char *key = apx_onnx_or_empty(tensor->external_data[i]->key);
        const char *value = apx_onnx_or_empty(tensor->external_data[i]->value);
        bool ok = true;
        if (strcmp(key, "location") == 0)
            place->location = value;
        else if (strcmp(key, "offset") == 0)
            ok = parse_number(value, &place->offset);
        else if (strcmp(key, "length") == 0)
            ok = place->has_length = parse_number(value, &place->length);
        if (!ok)
            return apx_fail(reader->error, APX_EFORMAT, name, "external data: %s is no number",
                            key);
    }
    if (place->location == NULL || place->location[0] == '\0')
        return apx_fail(reader->error, APX_EFORMAT, name, "external data without a location");
    return APX_OK;
}

/* Open `path` below `directory`, one step at a time; -1 with errno. EXDEV: it leads outside. */
static int open_below(const char *directory, const char *path)
{
    int at = open(directory[0] != '\0' ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0) {
        size_t length = strcspn(path, "/");
        bool last = path[length] == '\0';
        char step[256]; /* NAME_MAX and its zero */
        int next = -1, reason = 0;
        if (length >= sizeof step || (length == 0 && last)) {
            reason = ENOENT;
        } else if (length == 2 && path[0] == '.' && path[1] == '.') {
            reason = EXDEV;
        } else {
            memcpy(step, path, length);
            step[length] = '\0';
            /* Without O_NONBLOCK, opening a FIFO would wait for a writer. */
            next =
                openat(at, length == 0 ? "." : step,
                       O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (last ? 0 : O_DIRECTORY));
            if (next < 0)
                reason = errno == ELOOP || (errno == ENOTDIR && !last) ? EXDEV : errno;
        }
        close(at);
        at = next;
        if (at < 0)
            errno = reason;
        if (at < 0 || last)
            break;
        path += length + 1;
    }
    return at;
}

static enum apx_status read_exactly(const struct apx_onnx_reader *reader, int file,
                                    const struct place *place, const char *name, size_t bytes,
                                    char *data)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t got = pread(file, data + done, bytes - done, (off_t)(place->offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return apx_fail(reader->error, APX_EIO, name, "cannot read %s: %s", place->location,
                            got < 0 ? strerror(errno) : "it became shorter");
        done += (size_t)got;
    }
    return APX_OK;
}

/* Who writes files wants to know which ones the model is made of. */
static enum apx_status note_file(struct apx_onnx_reader *reader, int file, const char *name)
{
    struct stat about;
    if (reader->graph == NULL || fstat(file, &about) != 0)
        return APX_OK;
    const struct apx_file_id id = {
        .device = about.st_dev, .inode = about.st_ino, .bytes = (uint64_t)about.st_size};
    return apx_graph_add_file(reader->graph, &id)
               ? APX_OK
               : apx_fail(reader->error, APX_ENOMEM, name, "out of memory");
}

bool apx_onnx_is_external(const Onnx__TensorProto *tensor)
{
    return tensor->has_data_location &&
           tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

static enum apx_status check_place(const struct apx_onnx_reader *reader, const struct place *place,
                                   const char *name, size_t bytes)
{
    if (reader->directory == NULL)
        return apx_fail(reader->error, APX_EUNSUPPORTED, name,
                        "its data is in the file %s, and a model in memory has no directory; "
                        "save it with its data inside (torch.onnx.export: external_data=False)",
                        place->location);
    if (place->location[0] == '/')
        return apx_fail(reader->error, APX_EFORMAT, name,
                        "external data must lie beside the model, not at %s", place->location);
    if (place->has_length && place->length != bytes)
        return apx_fail(reader->error, APX_EFORMAT, name,
                        "external data has %llu bytes, the shape asks for %zu",
                        (unsigned long long)place->length, bytes);
    if (bytes > APX_LIMIT_FILE_BYTES - reader->external_bytes)
        return apx_fail(reader->error, APX_ELIMIT, name,
                        "more external data than APX_LIMIT_FILE_BYTES (2 GiB)");
    return APX_OK;
}

/* *file is open at APX_OK, and holds the bytes. */
static enum apx_status open_payload(const struct apx_onnx_reader *reader,
                                    const Onnx__TensorProto *tensor, const char *name, size_t bytes,
                                    struct place *place, int *file)
{
    struct stat about;
    enum apx_status status = find_place(reader, tensor, name, place);
    if (status == APX_OK)
        status = check_place(reader, place, name, bytes);
    if (status != APX_OK)
        return status;
    *file = open_below(reader->directory, place->location);
    if (*file < 0 && errno == EXDEV)
        return apx_fail(reader->error, APX_EFORMAT, name,
                        "external data must lie beside the model, not at %s", place->location);
    if (*file < 0)
        return apx_fail(reader->error, APX_EIO, name, "cannot open %s: %s", place->location,
                        strerror(errno));
    if (fstat(*file, &about) == 0 && S_ISREG(about.st_mode) &&
        place->offset <= (uint64_t)about.st_size &&
        bytes <= (uint64_t)about.st_size - place->offset)
        return APX_OK;
    close(*file);
    return apx_fail(reader->error, APX_EFORMAT, name,
                    "%s is too short: %zu bytes from %llu on are asked for", place->location, bytes,
                    (unsigned long long)place->offset);
}

enum apx_status apx_onnx_check_external(const struct apx_onnx_reader *reader,
                                        const Onnx__TensorProto *tensor, const char *name,
                                        size_t bytes)
{
    struct place place;
    int file;
    enum apx_status status = open_payload(reader, tensor, name, bytes, &place, &file);
    if (status == APX_OK)
        close(file);
    return status;
}

enum apx_status apx_onnx_read_external(struct apx_onnx_reader *reader,
                                       const Onnx__TensorProto *tensor, const char *name,
                                       size_t bytes, void *data)
{
    struct place place;
    int file;
    enum apx_status status = open_payload(reader, tensor, name, bytes, &place, &file);
    if (status != APX_OK)
        return status;
    status = note_file(reader, file, name);
    if (status == APX_OK)
        status = read_exactly(reader, file, &place, name, bytes, data);
    close(file);
    reader->external_bytes += bytes;
    return status;
}
