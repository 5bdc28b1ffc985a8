/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/sha256.h"
#include "tests/harness/check.h"

static void published_vectors(void)
{
    static const struct {
        const char *text, *hex;
    } known[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrl"
         "mnop"
         "qrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    char hex[65];
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        apx_sha256_of(known[i].text, strlen(known[i].text), hex);
        CHECK_STR(hex, known[i].hex);
    }
}

static void million_of_a(void)
{
    static char a[1000000];
    char hex[65];
    memset(a, 'a', sizeof a);
    apx_sha256_of(a, sizeof a, hex);
    CHECK_STR(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Every length around the block's edge, in pieces of every size: the same as at once. */
static void pieces_give_the_same(void)
{
    unsigned char data[200];
    char whole[65], parts[65];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 37 + 11);
    for (size_t length = 0; length <= sizeof data; length++) {
        apx_sha256_of(data, length, whole);
        for (size_t piece = 1; piece <= 130; piece += 43) {
            struct apx_sha256 hash;
            apx_sha256_init(&hash);
            for (size_t at = 0; at < length; at += piece)
                apx_sha256_add(&hash, data + at, piece < length - at ? piece : length - at);
            apx_sha256_hex(&hash, parts);
            CHECK_STR(parts, whole);
        }
    }
}

int main(void)
{
    RUN(published_vectors);
    RUN(million_of_a);
    RUN(pieces_give_the_same);
    return check_report();
}
