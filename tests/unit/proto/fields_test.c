/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of fields: every kind read and written, the names that nearly match, and that reading in
 * place touches nothing outside the values. The formats themselves: command_test.c, event_test.c.
 */
#include "proto/fields.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

struct sample {
    struct bytes text;
    struct bytes raw;
    struct bytes object;
    struct bytes array;
    uint64_t u64;
    int64_t i64;
    uint32_t u32;
    int32_t i32;
    bool flag;
    bool has_inner;
    struct bytes inner_text;
};

static const struct fields_row inner_rows[] = {
    FIELDS_ROW(struct sample, inner_text, "t", FIELDS_STRING),
};
static const struct fields_table inner_table = FIELDS_TABLE(inner_rows);

static const struct fields_row sample_rows[] = {
    FIELDS_ROW(struct sample, text, "text", FIELDS_STRING),
    FIELDS_ROW(struct sample, raw, "raw", FIELDS_RAW),
    FIELDS_ROW(struct sample, object, "object", FIELDS_RAW_OBJECT),
    FIELDS_ROW(struct sample, array, "array", FIELDS_RAW_ARRAY),
    FIELDS_ROW(struct sample, u64, "u64", FIELDS_UINT64),
    FIELDS_ROW(struct sample, i64, "i64", FIELDS_INT64),
    FIELDS_ROW(struct sample, u32, "u32", FIELDS_UINT32),
    FIELDS_ROW(struct sample, i32, "i32", FIELDS_INT32),
    FIELDS_ROW(struct sample, flag, "flag", FIELDS_BOOL),
    FIELDS_INNER(struct sample, has_inner, "inner", &inner_table),
};
static const struct fields_table sample_table = FIELDS_TABLE(sample_rows);

/* Reads `text` and writes what was read to `out`, ended by NUL. */
static enum json_verdict rewrite(const char *text, char *out, size_t out_size)
{
    const size_t size = strlen(text);
    uint8_t *copy = malloc(size);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, size);
    struct sample sample;
    memset(&sample, 0, sizeof(sample));
    struct json_reader reader;
    json_reader_init(&reader, (struct bytes){copy, size}, 8);
    const enum json_verdict verdict =
        fields_read(&reader, (struct span){copy, size}, &sample_table, &sample);
    out[0] = '\0';
    if (verdict == JSON_OK) {
        struct json_writer writer;
        json_writer_init(&writer, (struct span){(uint8_t *)out, out_size});
        fields_write(&writer, &sample_table, &sample);
        json_writer_raw(&writer, (struct bytes){(const uint8_t *)"", 1});
        ck_assert(json_writer_fits(&writer));
    }
    free(copy);
    return verdict;
}

static const struct {
    const char *text;
    enum json_verdict verdict;
    const char *written;
} cases[] = {
    {"{}", JSON_OK, "{}"},
    {"{\"text\":\"a\\u0041\",\"raw\":[\n1 ],\"object\":{\n},\"array\":[ ],\"u64\":1,\"i64\":-1,"
     "\"u32\":2,\"i32\":-2,\"flag\":true,\"inner\":{\"t\":\"x\"}}",
     JSON_OK,
     "{\"text\":\"aA\",\"raw\":[1],\"object\":{},\"array\":[ ],\"u64\":1,\"i64\":-1,"
     "\"u32\":2,\"i32\":-2,\"flag\":true,\"inner\":{\"t\":\"x\"}}"},
    {"{\"text\":\"\",\"u64\":0,\"i64\":0,\"u32\":0,\"i32\":0,\"flag\":false}", JSON_OK, "{}"},
    {"{\"text\":null,\"object\":null,\"array\":null,\"u64\":null,\"flag\":null,\"inner\":null}",
     JSON_OK, "{}"},
    {"{\"raw\":null,\"inner\":{}}", JSON_OK, "{\"raw\":null,\"inner\":{}}"},
    {"{\"te\":1,\"textt\":1,\"Text\":1,\"\":1}", JSON_OK, "{}"},
    {"{\"t\\u0065xt\":\"x\"}", JSON_OK, "{\"text\":\"x\"}"},
    {"{\"text\":nul}", JSON_BAD_SYNTAX, ""},
    {"{\"text\":}", JSON_BAD_SYNTAX, ""},
    {"{\"object\":}", JSON_BAD_SYNTAX, ""},
    {"{\"text\":1}", JSON_WRONG_TYPE, ""},
    {"{\"object\":[]}", JSON_WRONG_TYPE, ""},
    {"{\"array\":{}}", JSON_WRONG_TYPE, ""},
    {"{\"u64\":\"1\"}", JSON_WRONG_TYPE, ""},
    {"{\"flag\":0}", JSON_WRONG_TYPE, ""},
    {"{\"inner\":[]}", JSON_WRONG_TYPE, ""},
    {"[]", JSON_WRONG_TYPE, ""},
    {"{\"u32\":4294967296}", JSON_OUT_OF_RANGE, ""},
    {"{\"i32\":2147483648}", JSON_OUT_OF_RANGE, ""},
    {"{\"text\":\"\\ud800\"}", JSON_BAD_UNICODE, ""},
    {"{\"text\":\"\",\"text\":\"\"}", JSON_DUPLICATE_KEY, ""},
    {"{\"text\":null,\"text\":null}", JSON_DUPLICATE_KEY, ""},
    {"{\"inner\":{\"t\":\"\",\"t\":\"\"}}", JSON_DUPLICATE_KEY, ""},
    {"{\"raw\":[[[[[[[[", JSON_TOO_DEEP, ""},
};

START_TEST(reads_and_writes)
{
    char written[512];
    const enum json_verdict verdict = rewrite(cases[_i].text, written, sizeof(written));
    ck_assert_msg(verdict == cases[_i].verdict, "%s: %d", cases[_i].text, (int)verdict);
    ck_assert_str_eq(written, cases[_i].written);
}
END_TEST

START_TEST(finds_names)
{
    static const struct {
        const char *name;
        bool escaped;
        size_t index;
    } names[] = {
        {"text", false, 0},      {"inner", false, 9},   {"", false, 10},
        {"tex", false, 10},      {"inner2", false, 10}, {"\\u0074ext", true, 0},
        {"\\u0074ex", true, 10}, {"\\ud800", true, 10}, {"\\u0074ext\\n", true, 10},
    };
    for (int i = 0; i < COUNT(names); i++) {
        const struct json_string name = {{(const uint8_t *)names[i].name, strlen(names[i].name)},
                                         names[i].escaped};
        ck_assert_msg(fields_find(&sample_table, name) == names[i].index, "%s", names[i].name);
    }
    uint8_t endless[4096];
    memset(endless, '/', sizeof(endless));
    endless[0] = '\\';
    ck_assert_uint_eq(
        fields_find(&sample_table, (struct json_string){{endless, sizeof(endless)}, true}), 10);
}
END_TEST

int main(void)
{
    TCase *fields = tcase_create("fields");
    tcase_add_loop_test(fields, reads_and_writes, 0, COUNT(cases));
    tcase_add_test(fields, finds_names);
    Suite *suite = suite_create("proto/fields");
    suite_add_tcase(suite, fields);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
