/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_read_header: every verdict from a table; a strict prefix of an accepted header only asks
 * for more; and the lengths at which readers of this format went wrong before (LIMITS.md row 25),
 * in each of the three encodings, under several limits, at every split, against a judgement
 * written down apart from the code. Then the writers, and the payload of what they began.
 */
#include "proto/frame.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const struct frame_limits plain = {.payload_size_max = 1 << 20, .rsv1_allowed = false};

static const struct {
    const char *why;
    enum frame_verdict verdict;
    uint8_t wire[FRAME_HEADER_SIZE_MAX];
    size_t wire_size;
    uint64_t payload_size;
} header_cases[] = {
    {"empty text", FRAME_OK, {0x81, 0x80, 1, 2, 3, 4}, 6, 0},
    {"125: last short length", FRAME_OK, {0x82, 0xfd, 1, 2, 3, 4}, 6, 125},
    {"126: first 16-bit length", FRAME_OK, {0x82, 0xfe, 0, 126, 1, 2, 3, 4}, 8, 126},
    {"65536: first 64-bit", FRAME_OK, {0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}, 14, 65536},
    {"125 in 16 bits", FRAME_BAD_LENGTH, {0x82, 0xfe, 0, 125, 1, 2, 3, 4}, 8, 0},
    {"65535 in 64 bits", FRAME_BAD_LENGTH, {0x82, 0xff, 0, 0, 0, 0, 0, 0, 255, 255}, 14, 0},
    {"64-bit, top bit", FRAME_BAD_LENGTH, {0x82, 0xff, 0x80}, 14, 0},
    {"above the limit", FRAME_TOO_BIG, {0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1}, 14, 0},
    {"server frame from a client", FRAME_NOT_MASKED, {0x81, 0x05}, 2, 0},
    {"opcode 3", FRAME_BAD_OPCODE, {0x83, 0x80}, 2, 0},
    {"fragmented ping", FRAME_BAD_CONTROL, {0x09, 0x80}, 2, 0},
    {"126-byte ping", FRAME_BAD_CONTROL, {0x89, 0xfe}, 2, 0},
    {"continuation, not the last", FRAME_OK, {0x00, 0x81, 1, 2, 3, 4}, 6, 1},
    {"125-byte pong", FRAME_OK, {0x8a, 0xfd, 1, 2, 3, 4}, 6, 125},
    {"opcode 11", FRAME_BAD_OPCODE, {0x8b, 0x80}, 2, 0},
    {"127: ping of a 64-bit length", FRAME_BAD_CONTROL, {0x89, 0xff}, 2, 0},
    {"rsv1 on a ping", FRAME_BAD_RESERVED_BITS, {0xc9, 0x80}, 2, 0},
    {"rsv2", FRAME_BAD_RESERVED_BITS, {0xa1, 0x80}, 2, 0},
    {"rsv3", FRAME_BAD_RESERVED_BITS, {0x91, 0x80}, 2, 0},
    {"rsv1 not negotiated", FRAME_BAD_RESERVED_BITS, {0xc1, 0x80}, 2, 0},
};

START_TEST(reads_header)
{
    const struct bytes in = {header_cases[_i].wire, header_cases[_i].wire_size};
    struct frame_header header = {0};

    ck_assert_msg(frame_read_header(in, plain, &header) == header_cases[_i].verdict, "%s",
                  header_cases[_i].why);
    ck_assert_uint_eq(header.payload_size, header_cases[_i].payload_size);
}
END_TEST

START_TEST(prefix_asks_for_more)
{
    if (header_cases[_i].verdict != FRAME_OK) {
        return;
    }
    for (size_t size = 0; size < header_cases[_i].wire_size; size++) {
        /* An exact-size heap copy lets AddressSanitizer see a read past the prefix. */
        uint8_t *prefix = malloc(size + (size == 0));
        ck_assert_ptr_nonnull(prefix);
        memcpy(prefix, header_cases[_i].wire, size);
        struct frame_header header = {.payload_size = 77};

        ck_assert_int_eq(frame_read_header((struct bytes){prefix, size}, plain, &header),
                         FRAME_NEED_MORE);
        ck_assert_uint_eq(header.payload_size, 77);
        free(prefix);
    }
}
END_TEST

START_TEST(writes_shortest_length)
{
    static const struct {
        uint64_t payload_size;
        size_t header_size;
    } cases[] = {{0, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}, {INT64_MAX, 10}};
    uint8_t wire[FRAME_HEADER_SIZE_MAX];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_uint_eq(frame_write_header(FRAME_TEXT, cases[i].payload_size, wire),
                          cases[i].header_size);
        ck_assert_uint_eq(wire[0], 0x81);
    }
}
END_TEST

static const uint64_t lengths[] = {0,
                                   125,
                                   126,
                                   127,
                                   65535,
                                   65536,
                                   (1ULL << 31) - 1,
                                   1ULL << 31,
                                   (1ULL << 32) - 1,
                                   (1ULL << 63) - 1,
                                   1ULL << 63,
                                   UINT64_MAX};
static const uint64_t limits_tried[] = {1, 125, 65535, 65536, 1ULL << 31, INT64_MAX};

/* `form` is 0, 2 or 8 bytes of extended length; the length must fit. Returns the header's size. */
static size_t write_client_header(uint64_t length, size_t form, uint8_t wire[FRAME_HEADER_SIZE_MAX])
{
    wire[0] = 0x82;
    wire[1] = (uint8_t)(0x80 | (form == 0 ? length : form == 2 ? 126 : 127));
    for (size_t i = 0; i < form; i++) {
        wire[2 + i] = (uint8_t)(length >> (8 * (form - 1 - i)));
    }
    memcpy(wire + 2 + form, "mask", 4);
    return 2 + form + 4;
}

static enum frame_verdict expected_for(uint64_t length, size_t form, uint64_t limit)
{
    const size_t shortest = length < 126 ? 0 : length < 65536 ? 2 : 8;
    if (form != shortest || length >> 63 != 0) {
        return FRAME_BAD_LENGTH;
    }
    return length > limit ? FRAME_TOO_BIG : FRAME_OK;
}

START_TEST(judges_every_length_at_every_split)
{
    static const size_t forms[] = {0, 2, 8};
    const uint64_t length = lengths[_i];

    for (size_t f = 0; f < 3; f++) {
        if ((forms[f] == 0 && length > 125) || (forms[f] == 2 && length > 65535)) {
            continue;
        }
        for (size_t l = 0; l < sizeof(limits_tried) / sizeof(limits_tried[0]); l++) {
            const struct frame_limits limits = {.payload_size_max = limits_tried[l]};
            uint8_t wire[FRAME_HEADER_SIZE_MAX];
            const size_t size = write_client_header(length, forms[f], wire);
            for (size_t cut = 0; cut <= size; cut++) {
                uint8_t *copy = malloc(cut + (cut == 0));
                ck_assert_ptr_nonnull(copy);
                memcpy(copy, wire, cut);
                struct frame_header header = {0};
                const enum frame_verdict verdict =
                    frame_read_header((struct bytes){copy, cut}, limits, &header);
                free(copy);
                ck_assert_int_eq(verdict, cut < size
                                              ? FRAME_NEED_MORE
                                              : expected_for(length, forms[f], limits_tried[l]));
                if (verdict == FRAME_OK) {
                    ck_assert_uint_eq(header.payload_size, length);
                    ck_assert_uint_eq(header.header_size, size);
                    ck_assert_mem_eq(header.mask_key, "mask", 4);
                }
            }
        }
    }
}
END_TEST

START_TEST(control_frames_have_their_own_limit)
{
    const struct frame_limits small = {.payload_size_max = 1};
    const uint8_t wire[] = {0x89, 0xfd, 1, 2, 3, 4};
    struct frame_header header = {0};

    ck_assert_int_eq(frame_read_header((struct bytes){wire, sizeof(wire)}, small, &header),
                     FRAME_OK);
    ck_assert_uint_eq(header.payload_size, 125);
}
END_TEST

START_TEST(rsv1_only_where_negotiated)
{
    const struct frame_limits deflated = {.payload_size_max = 1 << 20, .rsv1_allowed = true};
    struct frame_header header = {0};

    const uint8_t text[] = {0xc1, 0x80, 1, 2, 3, 4};
    ck_assert_int_eq(frame_read_header((struct bytes){text, sizeof(text)}, deflated, &header),
                     FRAME_OK);
    ck_assert(header.rsv1);
    const uint8_t ping[] = {0xc9, 0x80, 1, 2, 3, 4};
    ck_assert_int_eq(frame_read_header((struct bytes){ping, sizeof(ping)}, deflated, &header),
                     FRAME_BAD_CONTROL);
}
END_TEST

static const struct frame_limits of_server = {.payload_size_max = 1 << 20, .from_server = true};

START_TEST(reads_what_a_server_writes)
{
    static const uint64_t sizes[] = {0, 1, 125, 126, 65535, 65536, 1 << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t wire[FRAME_HEADER_SIZE_MAX];
        struct frame_header header = {.mask_key = {1, 2, 3, 4}};
        const size_t size = frame_write_header(FRAME_TEXT, sizes[i], wire);
        uint8_t *exact = malloc(size);
        ck_assert_ptr_nonnull(exact);
        memcpy(exact, wire, size);
        ck_assert_int_eq(frame_read_header((struct bytes){exact, size}, of_server, &header),
                         FRAME_OK);
        ck_assert_uint_eq(header.payload_size, sizes[i]);
        ck_assert_uint_eq(header.header_size, size);
        ck_assert_mem_eq(header.mask_key, "\0\0\0\0", 4);
        ck_assert_int_eq(frame_read_header((struct bytes){exact, size - 1}, of_server, &header),
                         FRAME_NEED_MORE);
        ck_assert_int_eq(frame_read_header((struct bytes){exact, size}, plain, &header),
                         FRAME_NOT_MASKED);
        free(exact);
    }
}
END_TEST

START_TEST(reads_what_a_client_writes)
{
    static const uint64_t sizes[] = {0, 125, 126, 65535, 65536, 1 << 20};
    static const uint8_t key[4] = {9, 8, 7, 6};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t wire[FRAME_HEADER_SIZE_MAX];
        struct frame_header header;
        const size_t size = frame_write_client_header(FRAME_BINARY, sizes[i], key, wire);
        const struct bytes in = {wire, size};
        ck_assert_int_eq(frame_read_header(in, plain, &header), FRAME_OK);
        ck_assert_uint_eq(header.payload_size, sizes[i]);
        ck_assert_uint_eq(header.header_size, size);
        ck_assert_mem_eq(header.mask_key, key, 4);
        ck_assert_int_eq(frame_read_header(in, of_server, &header), FRAME_MASKED);
    }
}
END_TEST

/* At each border of the length's form, in memory that ends where the frame does. */
START_TEST(finds_the_payload)
{
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t header[FRAME_HEADER_SIZE_MAX];
        const size_t header_size = frame_write_header(FRAME_TEXT, sizes[i], header);
        const struct bytes frame = {malloc(header_size + sizes[i]), header_size + sizes[i]};
        ck_assert_ptr_nonnull(frame.data);
        memcpy((uint8_t *)frame.data, header, header_size);

        const struct bytes payload = frame_payload(frame);
        ck_assert_ptr_eq(payload.data, frame.data + header_size);
        ck_assert_uint_eq(payload.size, sizes[i]);
        free((uint8_t *)frame.data);
    }
}
END_TEST

static const struct {
    const char *why;
    struct bytes frame;
} no_frames[] = {
    {"not even a header", {(const uint8_t *)"\x81", 1}},
    {"half of a 16 bit length", {(const uint8_t *)"\x81\x7e\x01", 3}},
    {"half of a 64 bit length", {(const uint8_t *)"\x81\x7f\0\0\0\0\0\1\0", 9}},
    {"a client's", {(const uint8_t *)"\x81\x80mask", 6}},
};

START_TEST(a_frame_that_is_none_is_a_bug)
{
    const struct bytes payload = frame_payload(no_frames[_i].frame);
    ck_abort_msg("%s: %zu bytes", no_frames[_i].why, payload.size);
}
END_TEST

START_TEST(writes_control_frames)
{
    uint8_t payload[FRAME_CONTROL_PAYLOAD_MAX];
    memset(payload, 'p', sizeof(payload));

    for (size_t size = 0; size <= sizeof(payload); size++) {
        uint8_t *wire = malloc(2 + size);
        ck_assert_ptr_nonnull(wire);
        ck_assert_uint_eq(frame_write_control(FRAME_PONG, (struct bytes){payload, size}, wire),
                          2 + size);
        ck_assert_uint_eq(wire[0], 0x8a);
        ck_assert_uint_eq(wire[1], size);
        ck_assert(memcmp(wire + 2, payload, size) == 0);
        free(wire);
    }
}
END_TEST

int main(void)
{
    const int case_count = (int)(sizeof(header_cases) / sizeof(header_cases[0]));
    TCase *headers = tcase_create("header");
    tcase_add_loop_test(headers, reads_header, 0, case_count);
    tcase_add_loop_test(headers, prefix_asks_for_more, 0, case_count);
    tcase_add_loop_test(headers, judges_every_length_at_every_split, 0,
                        (int)(sizeof(lengths) / sizeof(lengths[0])));
    tcase_add_test(headers, control_frames_have_their_own_limit);
    tcase_add_test(headers, rsv1_only_where_negotiated);
    tcase_add_test(headers, writes_shortest_length);
    tcase_add_test(headers, reads_what_a_server_writes);
    tcase_add_test(headers, reads_what_a_client_writes);
    tcase_add_test(headers, finds_the_payload);
    tcase_add_loop_test_raise_signal(headers, a_frame_that_is_none_is_a_bug, SIGABRT, 0,
                                     (int)(sizeof(no_frames) / sizeof(no_frames[0])));
    tcase_add_test(headers, writes_control_frames);
    Suite *suite = suite_create("proto/frame");
    suite_add_tcase(suite, headers);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
