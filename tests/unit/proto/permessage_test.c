/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of many kinds and sizes come back through every level and window, in whatever pieces
 * they went in, and are what zlib alone makes of them. A table of streams, among them those of RFC
 * 7692, gets the verdict beside it; random ones the verdict of zlib in one shot. Limits hold to the
 * byte, and what a bomb costs is counted.
 */
#include "proto/permessage.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { SIZE_MAX_HERE = 1 << 17 };

static uint64_t state = 88172645463325252ULL;

static uint32_t random_below(uint32_t bound)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % bound;
}

/* kind 0: zeros, 1: text, 2: noise. */
static void fill(uint8_t *data, size_t size, int kind)
{
    static const char words[] = "{\"push\":{\"channel\":\"chat:1\",\"pub\":{\"data\":";
    for (size_t i = 0; i < size; i++) {
        data[i] = kind == 0   ? 0
                  : kind == 1 ? (uint8_t)(i % 97 < 60 ? words[i % (sizeof(words) - 1)]
                                                      : 'a' + (int)random_below(26))
                              : (uint8_t)random_below(256);
    }
}

/* In pieces; 0: it did not fit. */
static size_t deflate_pieces(struct permessage_deflater *deflater, struct bytes message,
                             size_t piece, struct span target)
{
    permessage_deflate_begin(deflater, target);
    for (size_t at = 0; at < message.size; at += piece) {
        const size_t left = message.size - at;
        permessage_deflate_add(deflater,
                               (struct bytes){message.data + at, left < piece ? left : piece});
    }
    return permessage_deflate_end(deflater);
}

START_TEST(comes_back)
{
    static const size_t sizes[] = {0, 1, 2, 127, 4095, 4096, 4097, 8192, 65535, 65536, 100000};
    const unsigned window_bits = (unsigned)_i;
    struct permessage_inflater *inflater = permessage_inflater_create();
    uint8_t *message = malloc(SIZE_MAX_HERE);
    uint8_t *target = malloc(2 * SIZE_MAX_HERE);

    for (unsigned level = 1; level <= 9; level += 4) {
        struct permessage_deflater *deflater = permessage_deflater_create(level, window_bits);
        for (int kind = 0; kind < 3; kind++) {
            for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                const size_t size = sizes[i];
                struct span back;
                fill(message, size, kind);
                const size_t packed =
                    deflate_pieces(deflater, (struct bytes){message, size}, 1 + size / 3,
                                   (struct span){target, 2 * SIZE_MAX_HERE});
                ck_assert_uint_gt(packed, 0);
                /* Exact-size copies, so that AddressSanitizer sees what is not there. */
                uint8_t *copy = malloc(packed);
                memcpy(copy, target, packed);
                ck_assert_int_eq(
                    permessage_inflate(inflater, (struct bytes){copy, packed}, size, &back),
                    PERMESSAGE_OK);
                free(copy);
                ck_assert_uint_eq(back.size, size);
                ck_assert(size == 0 || memcmp(back.data, message, size) == 0);
                permessage_inflater_rest(inflater);
            }
        }
        permessage_deflater_destroy(deflater);
    }
    free(message);
    free(target);
    permessage_inflater_destroy(inflater);
}
END_TEST

/* Section 7.2.3, and what others send, or should not. */
static const struct {
    const char *why;
    enum permessage_verdict verdict;
    const char *message; /* PERMESSAGE_OK */
    size_t size;
    const char *stream;
} streams[] = {
    {"7.2.3.1", PERMESSAGE_OK, "Hello", 7, "\xf2\x48\xcd\xc9\xc9\x07\x00"},
    {"7.2.3.3, a stored block", PERMESSAGE_OK, "Hello", 11,
     "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"},
    {"7.2.3.4, a last block", PERMESSAGE_OK, "Hello", 8, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"},
    {"7.2.3.5, two blocks", PERMESSAGE_OK, "Hello", 13,
     "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"},
    {"7.2.3.6, empty", PERMESSAGE_OK, "", 1, "\x00"},
    {"empty with a block of codes", PERMESSAGE_OK, "", 2, "\x02\x00"},
    {"a last block and more behind it", PERMESSAGE_OK, "HelloHello", 14,
     "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00"},
    {"empty blocks in a chain", PERMESSAGE_OK, "Hello", 17,
     "\x00\x00\x00\xff\xff\x00\x00\x00\xff\xff\xf2\x48\xcd\xc9\xc9\x07\x00"},
    {"a stored block that counts the tail", PERMESSAGE_OK, "\0\0\xff\xff", 5,
     "\x00\x04\x00\xfb\xff"},
    {"nothing", PERMESSAGE_INVALID, NULL, 0, ""},
    {"a last block without the byte behind it", PERMESSAGE_INVALID, NULL, 7,
     "\xf3\x48\xcd\xc9\xc9\x07\x00"},
    {"the tail was left in it", PERMESSAGE_INVALID, NULL, 11,
     "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff"},
    {"cut off", PERMESSAGE_INVALID, NULL, 4, "\xf2\x48\xcd\xc9"},
    {"a stored block cut off", PERMESSAGE_INVALID, NULL, 8, "\x00\x50\x00\xaf\xff\x48\x65\x6c"},
    {"a stored block whose size is not", PERMESSAGE_INVALID, NULL, 6, "\x00\x05\x00\xfa\xfe\x48"},
    {"block type 3", PERMESSAGE_INVALID, NULL, 2, "\x06\x00"},
    {"bad code lengths", PERMESSAGE_INVALID, NULL, 4, "\xfc\xff\xff\xff"},
    {"a distance before the begin", PERMESSAGE_INVALID, NULL, 5, "\x02\x04\x40\x00\x00"},
    {"bytes behind it", PERMESSAGE_INVALID, NULL, 9, "\xf2\x48\xcd\xc9\xc9\x07\x00\xff\xff"},
    {"a zlib header", PERMESSAGE_INVALID, NULL, 9, "\x78\x9c\xf2\x48\xcd\xc9\xc9\x07\x00"},
};

START_TEST(judges_streams)
{
    struct permessage_inflater *inflater = permessage_inflater_create();
    uint8_t *copy = malloc(streams[_i].size + 1);
    struct span message = {NULL, 0};

    memcpy(copy, streams[_i].stream, streams[_i].size);
    copy = realloc(copy, streams[_i].size + (streams[_i].size == 0));
    const enum permessage_verdict verdict =
        permessage_inflate(inflater, (struct bytes){copy, streams[_i].size}, 1000, &message);
    ck_assert_msg(verdict == streams[_i].verdict, "%s: %d", streams[_i].why, (int)verdict);
    if (verdict == PERMESSAGE_OK) {
        const size_t size = streams[_i].message[0] == '\0' && streams[_i].size == 5
                                ? 4
                                : strlen(streams[_i].message);
        ck_assert_msg(message.size == size && memcmp(message.data, streams[_i].message, size) == 0,
                      "%s", streams[_i].why);
    }
    free(copy);
    permessage_inflater_destroy(inflater);
}
END_TEST

/* After a fault the next message knows nothing of it, nor of the one before. */
START_TEST(forgets)
{
    struct permessage_inflater *inflater = permessage_inflater_create();
    struct span message;

    for (size_t before = 0; before < sizeof(streams) / sizeof(streams[0]); before++) {
        const struct bytes first = {(const uint8_t *)streams[before].stream, streams[before].size};
        ck_assert_int_ne(permessage_inflate(inflater, first, 3, &message), PERMESSAGE_NO_MEMORY);
        const struct bytes good = {(const uint8_t *)streams[0].stream, streams[0].size};
        ck_assert_int_eq(permessage_inflate(inflater, good, 5, &message), PERMESSAGE_OK);
        ck_assert(message.size == 5 && memcmp(message.data, "Hello", 5) == 0);
        /* A match that reaches back into the message before, which context takeover would allow. */
        const struct bytes takeover = {(const uint8_t *)"\xf2\x00\x11\x00\x00", 5};
        ck_assert_int_eq(permessage_inflate(inflater, takeover, 5, &message), PERMESSAGE_INVALID);
    }
    permessage_inflater_destroy(inflater);
}
END_TEST

/* LIMITS.md row 31: the limit holds to the byte, whatever the step, and a bomb costs no more. */
START_TEST(stops_at_the_limit)
{
    static const size_t limits[] = {0, 1, 5, 4095, 4096, 4097, 8191, 8192, 65535, 65536};
    struct permessage_inflater *inflater = permessage_inflater_create();
    struct permessage_deflater *deflater = permessage_deflater_create(9, 15);
    uint8_t *zeros = calloc(1, 1 << 24);
    uint8_t *target = malloc(1 << 16);
    struct span message;

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        for (size_t more = 0; more < 2; more++) {
            const size_t packed = deflate_pieces(deflater, (struct bytes){zeros, limits[i] + more},
                                                 1 << 16, (struct span){target, 1 << 16});
            ck_assert_uint_gt(packed, 0);
            ck_assert_int_eq(
                permessage_inflate(inflater, (struct bytes){target, packed}, limits[i], &message),
                more == 0 ? PERMESSAGE_OK : PERMESSAGE_TOO_BIG);
        }
    }
    const size_t packed = deflate_pieces(deflater, (struct bytes){zeros, 1 << 24}, 1 << 20,
                                         (struct span){target, 1 << 16});
    ck_assert_uint_gt(packed, 0);
    ck_assert_int_eq(permessage_inflate(inflater, (struct bytes){target, packed}, 65536, &message),
                     PERMESSAGE_TOO_BIG);
    free(zeros);
    free(target);
    permessage_deflater_destroy(deflater);
    permessage_inflater_destroy(inflater);
}
END_TEST

/* Whatever the target's size: what is written is whole or 0, and nothing behind it is touched. */
START_TEST(fits_or_does_not)
{
    struct permessage_deflater *deflater = permessage_deflater_create(1, 15);
    struct permessage_inflater *inflater = permessage_inflater_create();
    uint8_t text[600];
    uint8_t large[1000];

    fill(text, sizeof(text), 1);
    const struct bytes message = {text, sizeof(text)};
    const size_t whole = deflate_pieces(deflater, message, 100, (struct span){large, 1000});
    ck_assert_uint_gt(whole, 0);
    for (size_t size = 0; size < whole + 20; size++) {
        uint8_t *target = malloc(size + (size == 0));
        struct span back;
        const size_t packed = deflate_pieces(deflater, message, 100, (struct span){target, size});
        ck_assert(packed == 0 || packed == whole);
        ck_assert(packed == 0 || size >= whole + PERMESSAGE_TAIL_SIZE);
        ck_assert(packed != 0 || size <= whole + PERMESSAGE_TAIL_SIZE);
        ck_assert(packed == 0 || permessage_inflate(inflater, (struct bytes){target, packed}, 600,
                                                    &back) == PERMESSAGE_OK);
        free(target);
    }
    permessage_inflater_destroy(inflater);
    permessage_deflater_destroy(deflater);
}
END_TEST

/* zlib in one shot, as RFC 7692 section 7.2.2 has it; -1: not a whole stream of blocks. */
static int inflate_once(const uint8_t *data, size_t size, uint8_t *target, size_t room)
{
    uint8_t in[4096];
    z_stream zlib = {0};
    memcpy(in, data, size);
    memcpy(in + size, "\x00\x00\xff\xff", 4);
    zlib.next_in = in;
    zlib.avail_in = (uInt)size + 4;
    zlib.next_out = target;
    zlib.avail_out = (uInt)room;
    ck_assert_int_eq(inflateInit2(&zlib, -15), Z_OK);
    int result = inflate(&zlib, Z_SYNC_FLUSH);
    while (result == Z_STREAM_END && zlib.avail_in > 0) {
        ck_assert_int_eq(inflateReset(&zlib), Z_OK);
        result = inflate(&zlib, Z_SYNC_FLUSH);
    }
    ck_assert_uint_gt(zlib.avail_out, 0);
    const bool is_whole = (result == Z_OK || result == Z_BUF_ERROR) && zlib.avail_in == 0 &&
                          (zlib.data_type & 128) != 0;
    (void)inflateEnd(&zlib);
    return is_whole ? (int)(room - zlib.avail_out) : -1;
}

/* Good streams with a few bits turned over, and noise. */
START_TEST(agrees_with_zlib)
{
    enum { ROOM = 1 << 22 };
    struct permessage_inflater *inflater = permessage_inflater_create();
    struct permessage_deflater *deflater = permessage_deflater_create(6, 15);
    uint8_t *expected = malloc(ROOM);
    size_t good = 0;

    for (int round = 0; round < 20000; round++) {
        uint8_t message[1500];
        uint8_t stream[2000];
        const size_t size = random_below(sizeof(message));
        struct span got = {NULL, 0};
        fill(message, size, round % 3);
        size_t packed = deflate_pieces(deflater, (struct bytes){message, size}, 1 + size,
                                       (struct span){stream, sizeof(stream)});
        for (uint32_t turns = random_below(3); turns > 0; turns--) {
            stream[random_below((uint32_t)packed)] ^= (uint8_t)(1U << random_below(8));
        }
        packed -= random_below(4) == 0 ? random_below((uint32_t)packed) : 0;
        const int once = inflate_once(stream, packed, expected, ROOM);
        const enum permessage_verdict verdict =
            permessage_inflate(inflater, (struct bytes){stream, packed}, ROOM, &got);
        ck_assert_int_eq(verdict, once < 0 ? PERMESSAGE_INVALID : PERMESSAGE_OK);
        if (once >= 0) {
            good++;
            ck_assert_uint_eq(got.size, (size_t)once);
            ck_assert(once == 0 || memcmp(got.data, expected, (size_t)once) == 0);
        }
    }
    ck_assert_uint_gt(good, 5000);
    ck_assert_uint_lt(good, 19000);
    free(expected);
    permessage_deflater_destroy(deflater);
    permessage_inflater_destroy(inflater);
}
END_TEST

int main(void)
{
    TCase *message = tcase_create("permessage");
    tcase_add_loop_test(message, comes_back, 9, 16);
    tcase_add_loop_test(message, judges_streams, 0, (int)(sizeof(streams) / sizeof(streams[0])));
    tcase_add_test(message, forgets);
    tcase_add_test(message, stops_at_the_limit);
    tcase_add_test(message, fits_or_does_not);
    tcase_add_test(message, agrees_with_zlib);
    Suite *suite = suite_create("proto/permessage");
    suite_add_tcase(suite, message);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
