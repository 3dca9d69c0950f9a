/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON writer: what it writes, that it measures the same as it writes, that it writes nothing
 * outside of a target of each smaller size (an exact-size heap block), and that every byte that it
 * escapes comes back through the reader.
 */
#include "proto/json_writer.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"

static void write_sample(struct json_writer *writer)
{
    static const char text[] = "\"q\\ \b\f\n\r\t\x01\x1f\x7f \xc3\xa9 012345678901234567890";
    json_writer_text(writer, "{\"a\":");
    json_writer_string(writer, (struct bytes){(const uint8_t *)text, sizeof(text) - 1});
    json_writer_text(writer, ",\"b\":");
    json_writer_uint64(writer, 42);
    json_writer_text(writer, ",\"c\":");
    json_writer_bool(writer, true);
    json_writer_raw(writer, (struct bytes){(const uint8_t *)",\"d\":[]", 7});
    json_writer_raw(writer, (struct bytes){NULL, 0});
    json_writer_text(writer, "}");
}

static const char sample[] = "{\"a\":\"\\\"q\\\\ \\b\\f\\n\\r\\t\\u0001\\u001f\x7f \xc3\xa9 "
                             "012345678901234567890\",\"b\":42,\"c\":true,\"d\":[]}";

START_TEST(writes_within_every_capacity)
{
    const size_t size = sizeof(sample) - 1;
    for (size_t capacity = 0; capacity <= size + 1; capacity++) {
        uint8_t *target = malloc(capacity + (capacity == 0));
        ck_assert_ptr_nonnull(target);
        struct json_writer writer;
        json_writer_init(&writer, (struct span){target, capacity});
        write_sample(&writer);
        ck_assert_uint_eq(writer.size, size);
        ck_assert_int_eq(json_writer_fits(&writer), capacity >= size);
        if (json_writer_fits(&writer)) {
            const struct bytes written = json_writer_bytes(&writer);
            ck_assert_uint_eq(written.size, size);
            ck_assert_int_eq(memcmp(written.data, sample, size), 0);
        }
        free(target);
    }
}
END_TEST

START_TEST(measures_without_a_target)
{
    struct json_writer writer;
    json_writer_init(&writer, (struct span){NULL, 0});
    ck_assert(json_writer_fits(&writer));
    write_sample(&writer);
    ck_assert_uint_eq(writer.size, sizeof(sample) - 1);
    ck_assert(!json_writer_fits(&writer));
}
END_TEST

/* A short piece must not slip in behind a long one that did not fit. */
START_TEST(stays_full)
{
    uint8_t target[4] = "....";
    struct json_writer writer;
    json_writer_init(&writer, (struct span){target, sizeof(target)});
    json_writer_text(&writer, "ab");
    json_writer_text(&writer, "cdef");
    json_writer_text(&writer, "g");
    ck_assert(!json_writer_fits(&writer));
    ck_assert_uint_eq(writer.size, 7);
    ck_assert_int_eq(memcmp(target, "ab..", 4), 0);
}
END_TEST

START_TEST(writes_integers)
{
    static const int64_t values[] = {0,  1,   9,         10,        99,       100,
                                     -1, -10, INT32_MIN, INT64_MAX, INT64_MIN};
    char expected[32];
    uint8_t target[JSON_WRITER_INTEGER_SIZE_MAX];
    struct json_writer writer;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        json_writer_init(&writer, (struct span){target, sizeof(target)});
        json_writer_int64(&writer, values[i]);
        const int size = snprintf(expected, sizeof(expected), "%" PRId64, values[i]);
        ck_assert_uint_eq(json_writer_bytes(&writer).size, (size_t)size);
        ck_assert_int_eq(memcmp(target, expected, (size_t)size), 0);
    }
    json_writer_init(&writer, (struct span){target, sizeof(target)});
    json_writer_uint64(&writer, UINT64_MAX);
    ck_assert_uint_eq(json_writer_bytes(&writer).size, 20);
    ck_assert_int_eq(memcmp(target, "18446744073709551615", 20), 0);
}
END_TEST

/* Each byte below 0x80, at each place of a short text: written, read, decoded, the same. */
START_TEST(strings_come_back)
{
    uint8_t text[20];
    uint8_t target[sizeof(text) * JSON_WRITER_ESCAPE_SIZE_MAX + 2];
    for (size_t at = 0; at < sizeof(text); at++) {
        for (uint8_t byte = 0; byte < 0x80; byte++) {
            memset(text, 'x', sizeof(text));
            text[at] = byte;
            struct json_writer writer;
            json_writer_init(&writer, (struct span){target, sizeof(target)});
            json_writer_string(&writer, (struct bytes){text, sizeof(text)});

            struct json_reader reader;
            struct json_string string;
            size_t size = 0;
            json_reader_init(&reader, json_writer_bytes(&writer), 1);
            ck_assert_int_eq(json_read_string(&reader, &string), JSON_OK);
            ck_assert_int_eq(json_end_line(&reader), JSON_OK);
            ck_assert_int_eq(json_decode_string(string, target + 1, &size), JSON_OK);
            ck_assert_uint_eq(size, sizeof(text));
            ck_assert_int_eq(memcmp(target + 1, text, size), 0);
        }
    }
}
END_TEST

int main(void)
{
    TCase *writing = tcase_create("writing");
    tcase_add_test(writing, writes_within_every_capacity);
    tcase_add_test(writing, measures_without_a_target);
    tcase_add_test(writing, stays_full);
    tcase_add_test(writing, writes_integers);
    tcase_add_test(writing, strings_come_back);
    Suite *suite = suite_create("proto/json_writer");
    suite_add_tcase(suite, writing);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
