/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/table.h"
#include "tests/harness/check.h"

#include <math.h>
#include <unistd.h>

static char path[] = "/tmp/npy_test_XXXXXX";

/* A file of version `major` with this header and data; returns its size. */
static size_t make(char *to, int major, const char *header, const void *data, size_t bytes)
{
    size_t length = strlen(header), at = 8;
    memcpy(to, "\x93NUMPY", 6);
    to[6] = (char)major;
    to[7] = 0;
    for (int i = 0; i < (major == 1 ? 2 : 4); i++)
        to[at++] = (char)(length >> (8 * i) & 255);
    memcpy(to + at, header, length);
    memcpy(to + at + length, data, bytes);
    return at + length + bytes;
}

static enum apx_status parse(int major, const char *header, const void *data, size_t bytes,
                             struct apx_tensor *tensor, struct apx_error *error)
{
    char file[1024];
    return apx_npy_parse(file, make(file, major, header, data, bytes), tensor, error);
}

/* As numpy.save writes numpy.asfortranarray(x). */
static void reads_fortran_order(void)
{
    static const float columns[6] = {1, 4, 2, 5, 3, 6}, rows[6] = {1, 2, 3, 4, 5, 6};
    static const int8_t cube[12] = {0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11};
    struct apx_tensor tensor;
    struct apx_error error;
    CHECK_EQ(parse(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n", columns,
                   sizeof columns, &tensor, &error),
             APX_OK);
    CHECK(memcmp(tensor.data, rows, sizeof rows) == 0);
    free(tensor.data);
    CHECK_EQ(parse(1, "{'descr': '|i1', 'fortran_order': True, 'shape': (2, 2, 3), }\n", cube,
                   sizeof cube, &tensor, &error),
             APX_OK);
    for (int i = 0; i < 12; i++)
        CHECK_EQ(((const int8_t *)tensor.data)[i], i);
    free(tensor.data);
    CHECK_EQ(parse(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (0, 3), }\n", columns, 0,
                   &tensor, &error),
             APX_OK);
    free(tensor.data);
}

static void reads_all_versions(void)
{
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    struct apx_tensor tensor;
    struct apx_error error;
    for (int major = 1; major <= 3; major++) {
        CHECK_EQ(parse(major, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", x,
                       sizeof x, &tensor, &error),
                 APX_OK);
        CHECK_EQ(tensor.dtype, APX_F32);
        CHECK_EQ(tensor.rank, 2);
        CHECK_EQ(tensor.dims[0], 2);
        CHECK_EQ(tensor.dims[1], 3);
        CHECK_EQ(tensor.bytes, sizeof x);
        CHECK(memcmp(tensor.data, x, sizeof x) == 0);
        free(tensor.data);
    }
    CHECK_EQ(parse(1, "{\"shape\":(6),'fortran_order':True,'descr':'=f4'}", x, sizeof x, &tensor,
                   &error),
             APX_OK);
    CHECK_EQ(tensor.rank, 1);
    free(tensor.data);
    CHECK_EQ(parse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", x, 4, &tensor,
                   &error),
             APX_OK);
    CHECK_EQ(tensor.rank, 0);
    free(tensor.data);
    CHECK_EQ(
        parse(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807), }\n",
              x, 0, &tensor, &error),
        APX_OK);
    CHECK_EQ(tensor.bytes, 0);
    free(tensor.data);
}

static void refuses(void)
{
    static const struct {
        const char *header;
        size_t bytes;
        enum apx_status status;
        const char *part;
    } bad[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", 4, APX_EUNSUPPORTED, ">f4"},
        {"{'descr': '>f2', 'fortran_order': False, 'shape': (1,), }", 2, APX_EUNSUPPORTED, ">f2"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }", 4, APX_EFORMAT, "asks for 2"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", 8, APX_EUNSUPPORTED,
         "save the array as float16, float32"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 8, APX_EUNSUPPORTED, "|O"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4, APX_EFORMAT,
         "structured"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }", 4,
         APX_EUNSUPPORTED, "8 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 4, APX_EFORMAT, "asks for 8"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 5, APX_EFORMAT, "holds 5"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 0,
         APX_EFORMAT, "asks for"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 0,
         APX_EFORMAT, "damaged"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 4, APX_EFORMAT, "damaged"},
        {"{'descr': '<f4', 'fortran_order': False}", 4, APX_EFORMAT, "damaged"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", 4, APX_EFORMAT, "damaged"},
        {"{'descr': '<f4', 'shape': (1,), 'fortran_order': False, 'x': 1}", 4, APX_EFORMAT,
         "damaged"},
        {"{'descr': '<f4' 'shape': (1,), 'fortran_order': False}", 4, APX_EFORMAT, "damaged"},
        {"{'descr': '<f4", 4, APX_EFORMAT, "damaged"},
        {"", 4, APX_EFORMAT, "damaged"},
        {"{'descr': '|b1', 'fortran_order': False, 'shape': (4,), }", 4, APX_EFORMAT, "bool"},
    };
    static const char data[16] = {0, 1, 2, 3};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct apx_tensor tensor;
        struct apx_error error = {0};
        CHECK_EQ(parse(1, bad[i].header, data, bad[i].bytes, &tensor, &error), bad[i].status);
        CHECK_HAS(error.message, bad[i].part);
        CHECK(tensor.data == NULL);
    }
}

/* Types that no tensor has become the next that holds them. */
static void widens_integers(void)
{
    static const int16_t i2[4] = {-32768, 32767, -1, 258};
    static const uint16_t u2[4] = {0, 65535, 1, 258};
    static const uint32_t u4[4] = {0, 4294967295u, 1, 2147483648u};
    static const uint64_t u8[4] = {0, INT64_MAX, 1, (uint64_t)INT64_MAX + 1};
    static const struct {
        const char *descr;
        const void *data;
        size_t size;
        enum apx_dtype dtype;
        int64_t values[4];
    } cases[] = {
        {"<i2", i2, 2, APX_I32, {-32768, 32767, -1, 258}},
        {"<u2", u2, 2, APX_I32, {0, 65535, 1, 258}},
        {"<u4", u4, 4, APX_I64, {0, 4294967295, 1, 2147483648}},
        {"<u8", u8, 8, APX_I64, {0, INT64_MAX, 1, 0}},
    };
    char header[128];
    struct apx_tensor tensor;
    struct apx_error error;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int fortran = 0; fortran < 2; fortran++) {
            const size_t count = cases[i].size == 8 ? 3 : 4;
            const int64_t rows = count == 4 ? 2 : 1, columns = (int64_t)count / rows;
            snprintf(header, sizeof header,
                     "{'descr': '%s', 'fortran_order': %s, 'shape': (%d, %d), }", cases[i].descr,
                     fortran ? "True" : "False", (int)rows, (int)columns);
            CHECK_EQ(parse(1, header, cases[i].data, count * cases[i].size, &tensor, &error),
                     APX_OK);
            CHECK_EQ(tensor.dtype, cases[i].dtype);
            CHECK_EQ(tensor.bytes, count * apx_dtype_size(tensor.dtype));
            for (size_t k = 0; k < count; k++) {
                size_t at = fortran && rows == 2 ? k % 2 * 2 + k / 2 : k;
                CHECK_EQ(tensor.dtype == APX_I32 ? ((const int32_t *)tensor.data)[k]
                                                 : ((const int64_t *)tensor.data)[k],
                         cases[i].values[at]);
            }
            free(tensor.data);
        }
    CHECK_EQ(parse(1, "{'descr': '<u8', 'fortran_order': False, 'shape': (4,), }", u8, sizeof u8,
                   &tensor, &error),
             APX_EUNSUPPORTED);
    CHECK_HAS(error.message, "element 3, a uint64, is beyond 2^63 - 1");
    CHECK(tensor.data == NULL);
}

/* All of them: compared with the definition of the format. */
static void widens_halves(void)
{
    enum { HALVES = 65536 };
    static uint16_t halves[HALVES];
    static char file[HALVES * 2 + 256];
    struct apx_tensor tensor;
    struct apx_error error;
    for (int i = 0; i < HALVES; i++)
        halves[i] = (uint16_t)i;
    size_t bytes = make(file, 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (256, 256), }",
                        halves, sizeof halves);
    CHECK_EQ(apx_npy_parse(file, bytes, &tensor, &error), APX_OK);
    REQUIRE(tensor.data != NULL);
    CHECK_EQ(tensor.dtype, APX_F32);
    CHECK_EQ(tensor.bytes, HALVES * sizeof(float));
    int wrong = 0;
    for (int i = 0; i < HALVES; i++) {
        const int exponent = i >> 10 & 31, fraction = i & 1023;
        const double size = exponent == 31  ? (fraction != 0 ? NAN : INFINITY)
                            : exponent == 0 ? ldexp(fraction, -24)
                                            : ldexp(1024 + fraction, exponent - 25);
        const double is = (double)((const float *)tensor.data)[i];
        wrong += isnan(size) ? !isnan(is) : is != (i >> 15 ? -size : size);
        wrong += !isnan(size) && (signbit(is) != 0) != (i >> 15 != 0);
    }
    CHECK_EQ(wrong, 0);
    free(tensor.data);
    /* and in Fortran's order */
    static const uint16_t four[4] = {0x3c00, 0x4000, 0xc200, 0x0001}; /* 1, 2, -3, 2^-24 */
    CHECK_EQ(parse(1, "{'descr': '<f2', 'fortran_order': True, 'shape': (2, 2), }", four,
                   sizeof four, &tensor, &error),
             APX_OK);
    static const float expected[4] = {1, -3, 2, 0x1p-24f};
    CHECK(memcmp(tensor.data, expected, sizeof expected) == 0);
    free(tensor.data);
}

/* Every prefix of a file is refused. */
static void cut_files(void)
{
    char file[256];
    struct apx_tensor tensor;
    for (int major = 1; major <= 2; major++) {
        size_t bytes = make(file, major,
                            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "abcd", 4);
        for (size_t cut = 0; cut < bytes; cut++)
            CHECK_EQ(apx_npy_parse(file, cut, &tensor, NULL), APX_EFORMAT);
    }
    file[6] = 9;
    CHECK_EQ(apx_npy_parse(file, sizeof file, &tensor, NULL), APX_EUNSUPPORTED);
}

static void round_trips(void)
{
    static const enum apx_dtype dtypes[] = {APX_F32, APX_F64,  APX_I32, APX_I64,
                                            APX_U8,  APX_BOOL, APX_I8};
    char data[8 * 24];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i & 1);
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        for (int rank = 0; rank <= 3; rank++) {
            struct apx_tensor out = {.dtype = dtypes[i],
                                     .rank = rank,
                                     .dims = {2, 3, 4},
                                     .data = data},
                              in;
            struct apx_error error;
            size_t bytes = apx_dtype_size(dtypes[i]);
            for (int d = 0; d < rank; d++)
                bytes *= (size_t)out.dims[d];
            CHECK_EQ(apx_npy_write(path, &out, &error), APX_OK);
            REQUIRE(apx_npy_read(path, &in, &error) == APX_OK);
            CHECK_EQ(in.dtype, out.dtype);
            CHECK_EQ(in.rank, rank);
            for (int d = 0; d < rank; d++)
                CHECK_EQ(in.dims[d], out.dims[d]);
            CHECK_EQ(in.bytes, bytes);
            CHECK(memcmp(in.data, data, bytes) == 0);
            free(in.data);
        }
    struct apx_tensor text = {.dtype = APX_STRING};
    CHECK_EQ(apx_npy_write(path, &text, NULL), APX_EUNSUPPORTED);
}

/* numpy.save of numpy.array([["né", "\U0001f600a"], ["", "né"]]): four bytes a character, filled up
 * with zeros. Bytes that are no UTF-8 become U+FFFD. */
static void writes_words(void)
{
    static const char *const words[] = {"", "n\xc3\xa9",
                                        "\xf0\x9f\x98\x80"
                                        "a",
                                        "\xff\xc3"};
    static const int64_t places[4] = {1, 2, 0, 1}, odd[1] = {3};
    static const uint32_t expected[8] = {'n', 0xe9, 0x1f600, 'a', 0, 0, 'n', 0xe9};
    struct apx_tensor tensor = {
        .dtype = APX_I64, .rank = 2, .dims = {2, 2}, .data = (void *)(uintptr_t)places};
    char found[256];
    REQUIRE(apx_npy_write_words(path, &tensor, words, 4, NULL) == APX_OK);
    FILE *file = fopen(path, "rb");
    CHECK_EQ(fread(found, 1, sizeof found, file), 128 + sizeof expected);
    fclose(file);
    CHECK(memcmp(found + 128, expected, sizeof expected) == 0);
    static const char header[] = "{'descr': '<U2', 'fortran_order': False, 'shape': (2, 2), }";
    CHECK(memcmp(found + 10, header, strlen(header)) == 0);
    tensor.rank = 1;
    tensor.dims[0] = 1;
    tensor.data = (void *)(uintptr_t)odd;
    REQUIRE(apx_npy_write_words(path, &tensor, words, 4, NULL) == APX_OK);
    file = fopen(path, "rb");
    CHECK_EQ(fread(found, 1, sizeof found, file), 128 + 8);
    fclose(file);
    CHECK(memcmp(found + 128, (uint32_t[2]){0xfffd, 0xfffd}, 8) == 0);
}

/* Byte for byte what NumPy 1.24 saves for numpy.arange(3, dtype="f4"). */
static void writes_what_numpy_writes(void)
{
    static const float x[3] = {0, 1, 2};
    struct apx_tensor tensor = {
        .dtype = APX_F32, .rank = 1, .dims = {3}, .data = (void *)(uintptr_t)x};
    char expected[140], found[141];
    memcpy(expected, "\x93NUMPY\1\0\x76\0", 10);
    memset(expected + 10, ' ', 118);
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }";
    memcpy(expected + 10, header, strlen(header));
    expected[127] = '\n';
    memcpy(expected + 128, x, sizeof x);
    REQUIRE(apx_npy_write(path, &tensor, NULL) == APX_OK);
    FILE *file = fopen(path, "rb");
    CHECK_EQ(fread(found, 1, sizeof found, file), sizeof expected);
    fclose(file);
    CHECK(memcmp(found, expected, sizeof expected) == 0);
}

int main(void)
{
    int file = mkstemp(path);
    REQUIRE(file >= 0);
    close(file);
    RUN(reads_all_versions);
    RUN(reads_fortran_order);
    RUN(widens_integers);
    RUN(refuses);
    RUN(widens_halves);
    RUN(cut_files);
    RUN(round_trips);
    RUN(writes_what_numpy_writes);
    RUN(writes_words);
    unlink(path);
    return check_report();
}
