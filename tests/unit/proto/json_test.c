/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON reader: tables of texts that RFC 8259 allows and of those that it does not, each from a
 * heap copy of exactly its size, so that AddressSanitizer sees a read past the end. Then each
 * strict prefix of each accepted text, the limits at their borders, typed readers, and compaction.
 */
#include "proto/json.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array)  ((int)(sizeof(array) / sizeof((array)[0])))
/* A text with its size, NULs inside included. */
#define TEXT(literal) literal, sizeof(literal) - 1

enum { DEPTH = 16 };

static uint8_t *copy_of(const void *data, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    ck_assert_ptr_nonnull(copy);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static enum json_verdict validate(const void *data, size_t size)
{
    uint8_t *copy = copy_of(data, size);
    const enum json_verdict verdict = json_validate((struct bytes){copy, size}, DEPTH);
    free(copy);
    return verdict;
}

static const struct {
    const char *why;
    const char *text;
    size_t size;
} accepted[] = {
    {"empty object", TEXT("{}")},
    {"empty array", TEXT("[]")},
    {"space inside empty", TEXT("{ \t\r\n}")},
    {"space around", TEXT(" \t\r\n[ 1 , 2 ]\n ")},
    {"members", TEXT("{\"a\":1,\"b\":[true,false,null],\"c\":{\"d\":\"e\"}}")},
    {"the same name twice, which is not ours to judge", TEXT("{\"a\":1,\"a\":2}")},
    {"empty name", TEXT("{\"\":0}")},
    {"empty containers one after another", TEXT("[[],[],{},{}]")},
    {"value after a container", TEXT("{\"a\":[],\"b\":{},\"c\":1}")},
    {"lone string", TEXT("\"a\"")},
    {"lone empty string", TEXT("\"\"")},
    {"lone true", TEXT("true")},
    {"lone false", TEXT("false")},
    {"lone null", TEXT("null")},
    {"zero", TEXT("0")},
    {"minus zero", TEXT("-0")},
    {"integer", TEXT("1234567890")},
    {"fraction", TEXT("0.0")},
    {"negative fraction", TEXT("-12.34")},
    {"exponent", TEXT("1e1")},
    {"large exponent", TEXT("1E+400")},
    {"zero with exponent", TEXT("0e-1")},
    {"fraction and exponent", TEXT("-1.5E-10")},
    {"two-letter escapes", TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")},
    {"code unit, both cases", TEXT("\"\\u00e9\\u00E9\"")},
    {"NUL as an escape", TEXT("\"\\u0000\"")},
    {"surrogate pair", TEXT("\"\\ud83d\\ude00\"")},
    {"lone surrogate is grammar", TEXT("\"\\ud800\"")},
    {"DEL", TEXT("\"\x7f\"")},
    {"UTF-8 of 2, 3 and 4 bytes", TEXT("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"")},
    {"brackets inside strings", TEXT("[\"]\",\"}\",\"[{\"]")},
    {"quote behind an escaped backslash", TEXT("[\"\\\\\",1]")},
    {"16 levels", TEXT("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]")},
    {"16 levels twice", TEXT("[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]],[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]")},
    {"16 levels, mixed", TEXT("[{\"a\":[{\"a\":[{\"a\":[{\"a\":[{\"a\":[{\"a\":[{\"a\":[{\"a\":1}"
                              "]}]}]}]}]}]}]}]")},
};

static const struct {
    const char *why;
    enum json_verdict verdict;
    const char *text;
    size_t size;
} refused[] = {
    {"nothing", JSON_BAD_SYNTAX, TEXT("")},
    {"only space", JSON_BAD_SYNTAX, TEXT(" \n")},
    {"byte order mark", JSON_BAD_SYNTAX, TEXT("\xef\xbb\xbf{}")},
    {"NUL", JSON_BAD_SYNTAX, TEXT("\0")},
    {"form feed is no space", JSON_BAD_SYNTAX, TEXT("\f1")},
    {"vertical tab is no space", JSON_BAD_SYNTAX, TEXT("[1\v]")},
    {"no-break space", JSON_BAD_SYNTAX,
     TEXT("\xc2\xa0"
          "1")},
    {"two values", JSON_BAD_SYNTAX, TEXT("1 2")},
    {"two objects", JSON_BAD_SYNTAX, TEXT("{}{}")},
    {"NUL behind", JSON_BAD_SYNTAX, TEXT("{}\0")},
    {"closing without opening", JSON_BAD_SYNTAX, TEXT("]")},
    {"one too many", JSON_BAD_SYNTAX, TEXT("[]]")},
    {"closed as another, array", JSON_BAD_SYNTAX, TEXT("[}")},
    {"closed as another, object", JSON_BAD_SYNTAX, TEXT("{]")},
    {"closed as another, inside", JSON_BAD_SYNTAX, TEXT("{\"a\":[1}")},
    {"open array", JSON_BAD_SYNTAX, TEXT("[")},
    {"open array after a value", JSON_BAD_SYNTAX, TEXT("[1")},
    {"open array after a comma", JSON_BAD_SYNTAX, TEXT("[1,")},
    {"open object", JSON_BAD_SYNTAX, TEXT("{")},
    {"open object after a name", JSON_BAD_SYNTAX, TEXT("{\"a\"")},
    {"open object after a colon", JSON_BAD_SYNTAX, TEXT("{\"a\":")},
    {"open object after a value", JSON_BAD_SYNTAX, TEXT("{\"a\":1")},
    {"trailing comma, array", JSON_BAD_SYNTAX, TEXT("[1,]")},
    {"trailing comma, object", JSON_BAD_SYNTAX, TEXT("{\"a\":1,}")},
    {"leading comma, array", JSON_BAD_SYNTAX, TEXT("[,1]")},
    {"leading comma, object", JSON_BAD_SYNTAX, TEXT("{,\"a\":1}")},
    {"only a comma", JSON_BAD_SYNTAX, TEXT("[,]")},
    {"two commas", JSON_BAD_SYNTAX, TEXT("[1,,2]")},
    {"no comma, array", JSON_BAD_SYNTAX, TEXT("[1 2]")},
    {"no comma, object", JSON_BAD_SYNTAX, TEXT("{\"a\":1 \"b\":2}")},
    {"no comma after an empty container", JSON_BAD_SYNTAX, TEXT("[[] 1]")},
    {"no colon", JSON_BAD_SYNTAX, TEXT("{\"a\" 1}")},
    {"two colons", JSON_BAD_SYNTAX, TEXT("{\"a\"::1}")},
    {"colon in an array", JSON_BAD_SYNTAX, TEXT("[\"a\":1]")},
    {"no value", JSON_BAD_SYNTAX, TEXT("{\"a\":}")},
    {"no colon and value", JSON_BAD_SYNTAX, TEXT("{\"a\"}")},
    {"name without quotes", JSON_BAD_SYNTAX, TEXT("{a:1}")},
    {"name in single quotes", JSON_BAD_SYNTAX, TEXT("{'a':1}")},
    {"a number as name", JSON_BAD_SYNTAX, TEXT("{1:1}")},
    {"null as name", JSON_BAD_SYNTAX, TEXT("{null:1}")},
    {"single quotes", JSON_BAD_SYNTAX, TEXT("'a'")},
    {"line comment", JSON_BAD_SYNTAX, TEXT("[1]//")},
    {"comment", JSON_BAD_SYNTAX, TEXT("[/**/1]")},
    {"True", JSON_BAD_SYNTAX, TEXT("True")},
    {"tru", JSON_BAD_SYNTAX, TEXT("tru")},
    {"truth", JSON_BAD_SYNTAX, TEXT("truth")},
    {"truee", JSON_BAD_SYNTAX, TEXT("truee")},
    {"nul", JSON_BAD_SYNTAX, TEXT("[nul]")},
    {"fals", JSON_BAD_SYNTAX, TEXT("fals")},
    {"NaN", JSON_BAD_SYNTAX, TEXT("NaN")},
    {"nan", JSON_BAD_SYNTAX, TEXT("nan")},
    {"Infinity", JSON_BAD_SYNTAX, TEXT("Infinity")},
    {"-Infinity", JSON_BAD_NUMBER, TEXT("-Infinity")},
    {"-NaN", JSON_BAD_NUMBER, TEXT("-NaN")},
    {"plus", JSON_BAD_SYNTAX, TEXT("+1")},
    {"minus alone", JSON_BAD_NUMBER, TEXT("-")},
    {"two minus", JSON_BAD_NUMBER, TEXT("--1")},
    {"space after minus", JSON_BAD_NUMBER, TEXT("- 1")},
    {"leading zero", JSON_BAD_SYNTAX, TEXT("01")},
    {"leading zero, negative", JSON_BAD_SYNTAX, TEXT("[-01]")},
    {"two zeros", JSON_BAD_SYNTAX, TEXT("00")},
    {"no digit before the point", JSON_BAD_SYNTAX, TEXT(".5")},
    {"no digit between minus and point", JSON_BAD_NUMBER, TEXT("-.5")},
    {"no digit after the point", JSON_BAD_NUMBER, TEXT("[1.]")},
    {"exponent after the point", JSON_BAD_NUMBER, TEXT("1.e1")},
    {"no digit in the exponent", JSON_BAD_NUMBER, TEXT("1e")},
    {"only a sign in the exponent", JSON_BAD_NUMBER, TEXT("[1e+]")},
    {"fraction in the exponent", JSON_BAD_SYNTAX, TEXT("1e1.5")},
    {"two exponents", JSON_BAD_SYNTAX, TEXT("1e1e1")},
    {"hexadecimal", JSON_BAD_SYNTAX, TEXT("0x1")},
    {"letters behind", JSON_BAD_SYNTAX, TEXT("[1a]")},
    {"full-width digit", JSON_BAD_SYNTAX, TEXT("[\xef\xbc\x91]")},
    {"no closing quote", JSON_BAD_STRING, TEXT("\"a")},
    {"only a quote", JSON_BAD_STRING, TEXT("\"")},
    {"escape at the end", JSON_BAD_STRING, TEXT("\"\\")},
    {"escaped closing quote", JSON_BAD_STRING, TEXT("\"a\\\"")},
    {"raw NUL", JSON_BAD_STRING, TEXT("\"\0\"")},
    {"raw newline", JSON_BAD_STRING, TEXT("\"a\nb\"")},
    {"raw tab", JSON_BAD_STRING, TEXT("\"\t\"")},
    {"raw 0x1f", JSON_BAD_STRING, TEXT("\"0123456789\x1f\"")},
    {"raw newline in a name", JSON_BAD_STRING, TEXT("{\"a\n\":1}")},
    {"unknown escape", JSON_BAD_STRING, TEXT("\"\\a\"")},
    {"\\x", JSON_BAD_STRING, TEXT("\"\\x41\"")},
    {"\\0", JSON_BAD_STRING, TEXT("\"\\0\"")},
    {"\\'", JSON_BAD_STRING, TEXT("\"\\'\"")},
    {"\\U", JSON_BAD_STRING, TEXT("\"\\U0041\"")},
    {"escaped newline", JSON_BAD_STRING, TEXT("\"\\\n\"")},
    {"code unit of 3", JSON_BAD_STRING, TEXT("\"\\u123\"")},
    {"code unit of 0", JSON_BAD_STRING, TEXT("\"\\u\"")},
    {"code unit, not hexadecimal", JSON_BAD_STRING, TEXT("\"\\u12g4\"")},
    {"code unit with a sign", JSON_BAD_STRING, TEXT("\"\\u+123\"")},
    {"code unit cut off", JSON_BAD_STRING, TEXT("\"\\u12")},
    {"17 levels", JSON_TOO_DEEP, TEXT("[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]")},
    {"17 levels, object inside", JSON_TOO_DEEP, TEXT("[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]")},
};

START_TEST(accepts)
{
    ck_assert_msg(validate(accepted[_i].text, accepted[_i].size) == JSON_OK, "%s",
                  accepted[_i].why);
}
END_TEST

START_TEST(accepts_no_prefix)
{
    const char *text = accepted[_i].text;
    size_t end = accepted[_i].size;
    /* A prefix of a number is a number, and space behind a value is not missed. */
    while (end > 0 && strchr(" \t\r\n", text[end - 1]) != NULL) {
        end--;
    }
    if (text[0] == '-' || (text[0] >= '0' && text[0] <= '9')) {
        return;
    }
    for (size_t size = 0; size < end; size++) {
        ck_assert_msg(validate(text, size) != JSON_OK, "%s: %zu", accepted[_i].why, size);
    }
}
END_TEST

START_TEST(refuses)
{
    const enum json_verdict verdict = validate(refused[_i].text, refused[_i].size);
    ck_assert_msg(verdict == refused[_i].verdict, "%s: %d", refused[_i].why, (int)verdict);
}
END_TEST

/* What is refused alone is refused inside of other values, too. */
START_TEST(refuses_inside)
{
    static const char *const around[][2] = {{"[", "]"}, {"{\"a\":", "}"}, {"[1,", ",2]"}};
    char text[256];
    if (memchr(refused[_i].text, 0, refused[_i].size) != NULL ||
        strspn(refused[_i].text, " \n") == refused[_i].size) {
        return; /* not for snprintf, and nothing at all is fine between brackets */
    }
    for (size_t i = 0; i < 3; i++) {
        const int size =
            snprintf(text, sizeof(text), "%s%s%s", around[i][0], refused[_i].text, around[i][1]);
        ck_assert_msg(validate(text, (size_t)size) != JSON_OK, "%s", text);
    }
}
END_TEST

START_TEST(bounds_depth_and_numbers)
{
    enum { SIZE = 65536 };
    uint8_t *text = malloc(SIZE);
    ck_assert_ptr_nonnull(text);

    memset(text, '[', SIZE);
    ck_assert_int_eq(validate(text, SIZE), JSON_TOO_DEEP);
    ck_assert_int_eq(json_validate((struct bytes){text, SIZE}, JSON_DEPTH_MAX), JSON_TOO_DEEP);
    for (uint32_t depth = 1; depth <= JSON_DEPTH_MAX; depth++) {
        memset(text + depth, ']', depth);
        ck_assert_int_eq(json_validate((struct bytes){text, 2 * depth}, depth), JSON_OK);
        if (depth > 1) {
            ck_assert_int_eq(json_validate((struct bytes){text, 2 * depth}, depth - 1),
                             JSON_TOO_DEEP);
        }
        memset(text, '[', 2 * (size_t)JSON_DEPTH_MAX);
    }
    memset(text, '1', SIZE);
    ck_assert_int_eq(validate(text, JSON_NUMBER_SIZE_MAX), JSON_OK);
    ck_assert_int_eq(validate(text, JSON_NUMBER_SIZE_MAX + 1), JSON_BAD_NUMBER);
    ck_assert_int_eq(validate(text, SIZE), JSON_BAD_NUMBER);
    free(text);
}
END_TEST

/* Each byte value at each place of a string of each short size: the word loop and its tail. */
START_TEST(finds_what_ends_a_string)
{
    uint8_t text[48];
    for (size_t size = 2; size <= 40; size++) {
        for (size_t at = 1; at + 1 < size; at++) {
            for (int byte = 0; byte < 256; byte++) {
                memset(text, 'a', sizeof(text));
                text[0] = '"';
                text[size - 1] = '"';
                text[at] = (uint8_t)byte;
                const enum json_verdict verdict = validate(text, size);
                if (byte == '"') {
                    ck_assert_int_eq(verdict, JSON_BAD_SYNTAX);
                } else if (byte < 0x20 || byte == '\\') {
                    ck_assert_int_eq(verdict, JSON_BAD_STRING);
                } else {
                    ck_assert_int_eq(verdict, JSON_OK);
                }
            }
        }
    }
}
END_TEST

/* --- Strings --- */

static const struct {
    const char *why;
    enum json_verdict verdict;
    const char *raw;
    size_t raw_size;
    const char *text;
    size_t size;
} decoded[] = {
    {"nothing", JSON_OK, TEXT(""), TEXT("")},
    {"no escape", JSON_OK, TEXT("abc"), TEXT("abc")},
    {"two-letter escapes", JSON_OK, TEXT("\\\"\\\\\\/\\b\\f\\n\\r\\t"), TEXT("\"\\/\b\f\n\r\t")},
    {"between text", JSON_OK, TEXT("0123456789\\n0123456789"), TEXT("0123456789\n0123456789")},
    {"NUL", JSON_OK, TEXT("a\\u0000b"), TEXT("a\0b")},
    {"last of one byte", JSON_OK, TEXT("\\u007f"), TEXT("\x7f")},
    {"first of two bytes", JSON_OK, TEXT("\\u0080"), TEXT("\xc2\x80")},
    {"last of two bytes", JSON_OK, TEXT("\\u07FF"), TEXT("\xdf\xbf")},
    {"first of three bytes", JSON_OK, TEXT("\\u0800"), TEXT("\xe0\xa0\x80")},
    {"before the surrogates", JSON_OK, TEXT("\\ud7ff"), TEXT("\xed\x9f\xbf")},
    {"behind the surrogates", JSON_OK, TEXT("\\ue000"), TEXT("\xee\x80\x80")},
    {"last of three bytes", JSON_OK, TEXT("\\uffff"), TEXT("\xef\xbf\xbf")},
    {"first pair", JSON_OK, TEXT("\\ud800\\udc00"), TEXT("\xf0\x90\x80\x80")},
    {"last pair", JSON_OK, TEXT("\\uDBFF\\uDFFF"), TEXT("\xf4\x8f\xbf\xbf")},
    {"pair in text", JSON_OK, TEXT("a\\ud83d\\ude00b"),
     TEXT("a\xf0\x9f\x98\x80"
          "b")},
    {"raw UTF-8", JSON_OK, TEXT("\xc3\xa9\\n"), TEXT("\xc3\xa9\n")},
    {"high alone", JSON_BAD_UNICODE, TEXT("\\ud800"), TEXT("")},
    {"high before text", JSON_BAD_UNICODE, TEXT("\\ud800abcdef"), TEXT("")},
    {"high before a short escape", JSON_BAD_UNICODE, TEXT("\\ud800\\n1234"), TEXT("")},
    {"high before high", JSON_BAD_UNICODE, TEXT("\\ud800\\ud800"), TEXT("")},
    {"high before another", JSON_BAD_UNICODE, TEXT("\\ud800\\u0041"), TEXT("")},
    {"low alone", JSON_BAD_UNICODE, TEXT("\\udc00"), TEXT("")},
    {"low before high", JSON_BAD_UNICODE, TEXT("\\udc00\\ud800"), TEXT("")},
    /* The reader never gives these; the decoder must not trust that. */
    {"cut in an escape", JSON_BAD_STRING, TEXT("a\\"), TEXT("")},
    {"cut in a code unit", JSON_BAD_STRING, TEXT("\\u00"), TEXT("")},
    {"raw quote", JSON_BAD_STRING, TEXT("a\"b"), TEXT("")},
    {"unknown escape", JSON_BAD_STRING, TEXT("\\q12345"), TEXT("")},
};

START_TEST(decodes_in_place)
{
    uint8_t *copy = copy_of(decoded[_i].raw, decoded[_i].raw_size);
    size_t size = 99;
    const struct json_string string = {{copy, decoded[_i].raw_size}, true};
    ck_assert_msg(json_decode_string(string, copy, &size) == decoded[_i].verdict, "%s",
                  decoded[_i].why);
    if (decoded[_i].verdict == JSON_OK) {
        ck_assert_uint_eq(size, decoded[_i].size);
        ck_assert_int_eq(memcmp(copy, decoded[_i].text, size), 0);
    } else {
        ck_assert_uint_eq(size, 99);
    }
    free(copy);
}
END_TEST

START_TEST(gives_strings)
{
    static const char text[] = "[\"plain\", \"esc\\n\", \"\"]";
    struct json_reader reader;
    struct json_string string;
    json_reader_init(&reader, (struct bytes){(const uint8_t *)text, sizeof(text) - 1}, DEPTH);

    ck_assert_int_eq(json_open_array(&reader), JSON_OK);
    ck_assert_int_eq(json_next_element(&reader), JSON_OK);
    ck_assert_int_eq(json_read_string(&reader, &string), JSON_OK);
    ck_assert_ptr_eq(string.raw.data, (const uint8_t *)text + 2);
    ck_assert_uint_eq(string.raw.size, 5);
    ck_assert(!string.escaped);
    ck_assert_int_eq(json_next_element(&reader), JSON_OK);
    ck_assert_int_eq(json_read_string(&reader, &string), JSON_OK);
    ck_assert_uint_eq(string.raw.size, 5);
    ck_assert(string.escaped);
    ck_assert_int_eq(json_next_element(&reader), JSON_OK);
    ck_assert_int_eq(json_read_string(&reader, &string), JSON_OK);
    ck_assert_uint_eq(string.raw.size, 0);
    ck_assert_int_eq(json_next_element(&reader), JSON_END);
    ck_assert_int_eq(json_end_line(&reader), JSON_OK);
}
END_TEST

/* --- Numbers and booleans --- */

enum reader_kind { AS_UINT32, AS_UINT64, AS_INT32, AS_INT64, AS_BOOL };

static const struct {
    const char *text;
    enum reader_kind kind;
    enum json_verdict verdict;
    uint64_t value; /* as two's complement */
} typed[] = {
    {"0", AS_UINT32, JSON_OK, 0},
    {" 7", AS_UINT32, JSON_OK, 7},
    {"4294967295", AS_UINT32, JSON_OK, UINT32_MAX},
    {"4294967296", AS_UINT32, JSON_OUT_OF_RANGE, 0},
    {"42949672950", AS_UINT32, JSON_OUT_OF_RANGE, 0},
    {"99999999999999999999999999", AS_UINT32, JSON_OUT_OF_RANGE, 0},
    {"-0", AS_UINT32, JSON_OK, 0},
    {"-1", AS_UINT32, JSON_OUT_OF_RANGE, 0},
    {"1.0", AS_UINT32, JSON_OUT_OF_RANGE, 0},
    {"1e0", AS_UINT32, JSON_OUT_OF_RANGE, 0},
    {"1.", AS_UINT32, JSON_BAD_NUMBER, 0},
    {"\"1\"", AS_UINT32, JSON_WRONG_TYPE, 0},
    {"null", AS_UINT32, JSON_WRONG_TYPE, 0},
    {"", AS_UINT32, JSON_BAD_SYNTAX, 0},
    {"x", AS_UINT32, JSON_BAD_SYNTAX, 0},
    {"18446744073709551615", AS_UINT64, JSON_OK, UINT64_MAX},
    {"18446744073709551616", AS_UINT64, JSON_OUT_OF_RANGE, 0},
    {"18446744073709551620", AS_UINT64, JSON_OUT_OF_RANGE, 0},
    {"2147483647", AS_INT32, JSON_OK, INT32_MAX},
    {"2147483648", AS_INT32, JSON_OUT_OF_RANGE, 0},
    {"-2147483648", AS_INT32, JSON_OK, (uint64_t)INT32_MIN},
    {"-2147483649", AS_INT32, JSON_OUT_OF_RANGE, 0},
    {"-1", AS_INT32, JSON_OK, UINT64_MAX},
    {"9223372036854775807", AS_INT64, JSON_OK, INT64_MAX},
    {"9223372036854775808", AS_INT64, JSON_OUT_OF_RANGE, 0},
    {"-9223372036854775808", AS_INT64, JSON_OK, (uint64_t)INT64_MIN},
    {"-9223372036854775809", AS_INT64, JSON_OUT_OF_RANGE, 0},
    {"[1]", AS_INT64, JSON_WRONG_TYPE, 0},
    {"true", AS_BOOL, JSON_OK, 1},
    {"false", AS_BOOL, JSON_OK, 0},
    {"tru", AS_BOOL, JSON_BAD_SYNTAX, 0},
    {"1", AS_BOOL, JSON_WRONG_TYPE, 0},
    {"\"true\"", AS_BOOL, JSON_WRONG_TYPE, 0},
};

static enum json_verdict read_typed(struct json_reader *reader, enum reader_kind kind,
                                    uint64_t *value)
{
    uint32_t u32 = 77;
    int32_t i32 = 77;
    int64_t i64 = 77;
    bool boolean = false;
    enum json_verdict verdict = JSON_END;
    switch (kind) {
    case AS_UINT32:
        verdict = json_read_uint32(reader, &u32);
        *value = u32;
        break;
    case AS_UINT64:
        verdict = json_read_uint64(reader, value);
        break;
    case AS_INT32:
        verdict = json_read_int32(reader, &i32);
        *value = (uint64_t)(int64_t)i32;
        break;
    case AS_INT64:
        verdict = json_read_int64(reader, &i64);
        *value = (uint64_t)i64;
        break;
    case AS_BOOL:
        verdict = json_read_bool(reader, &boolean);
        *value = verdict == JSON_OK ? boolean : 77;
        break;
    }
    return verdict;
}

START_TEST(reads_typed)
{
    const size_t size = strlen(typed[_i].text);
    uint8_t *copy = copy_of(typed[_i].text, size);
    struct json_reader reader;
    uint64_t value = 77;
    json_reader_init(&reader, (struct bytes){copy, size}, DEPTH);
    ck_assert_msg(read_typed(&reader, typed[_i].kind, &value) == typed[_i].verdict, "%s",
                  typed[_i].text);
    ck_assert_uint_eq(value, typed[_i].verdict == JSON_OK ? typed[_i].value : 77);
    free(copy);
}
END_TEST

/* --- Around values --- */

START_TEST(peeks)
{
    static const struct {
        const char *text;
        enum json_type type;
    } cases[] = {
        {"{", JSON_OBJECT}, {"[", JSON_ARRAY},   {"\"", JSON_STRING}, {"0", JSON_NUMBER},
        {"-", JSON_NUMBER}, {" 9", JSON_NUMBER}, {"t", JSON_BOOL},    {"f", JSON_BOOL},
        {"\tn", JSON_NULL}, {"", JSON_NOTHING},  {"+", JSON_NOTHING}, {",", JSON_NOTHING},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        struct json_reader reader;
        json_reader_init(&reader,
                         (struct bytes){(const uint8_t *)cases[i].text, strlen(cases[i].text)}, 1);
        ck_assert_int_eq(json_peek(&reader), cases[i].type);
    }
    struct json_reader reader;
    json_reader_init(&reader, (struct bytes){NULL, 0}, 1);
    ck_assert_int_eq(json_peek(&reader), JSON_NOTHING);
    ck_assert_int_eq(json_end_line(&reader), JSON_OK);
}
END_TEST

START_TEST(gives_raw_values_and_lines)
{
    static const char text[] = "{\"a\" : [1, {\"b\":2}] ,\"c\":3}\n{}";
    struct json_reader reader;
    struct json_string key;
    struct bytes raw;
    json_reader_init(&reader, (struct bytes){(const uint8_t *)text, sizeof(text) - 1}, DEPTH);

    ck_assert_int_eq(json_open_object(&reader), JSON_OK);
    ck_assert_int_eq(json_next_member(&reader, &key), JSON_OK);
    ck_assert_int_eq(json_read_raw(&reader, &raw), JSON_OK);
    ck_assert_uint_eq(raw.size, strlen("[1, {\"b\":2}]"));
    ck_assert_int_eq(memcmp(raw.data, "[1, {\"b\":2}]", raw.size), 0);
    ck_assert_int_eq(json_next_member(&reader, &key), JSON_OK);
    ck_assert_int_eq(json_skip_value(&reader), JSON_OK);
    ck_assert_int_eq(json_next_member(&reader, &key), JSON_END);
    ck_assert_int_eq(json_end_line(&reader), JSON_OK);
    ck_assert_int_eq(json_skip_value(&reader), JSON_OK);
    ck_assert_int_eq(json_end_line(&reader), JSON_OK);

    json_reader_init(&reader, (struct bytes){(const uint8_t *)"{} \n", 4}, DEPTH);
    ck_assert_int_eq(json_skip_value(&reader), JSON_OK);
    ck_assert_int_eq(json_end_line(&reader), JSON_BAD_SYNTAX);
}
END_TEST

START_TEST(opening_says_what_is_wrong)
{
    struct json_reader reader;
    json_reader_init(&reader, (struct bytes){(const uint8_t *)"[]", 2}, DEPTH);
    ck_assert_int_eq(json_open_object(&reader), JSON_WRONG_TYPE);
    json_reader_init(&reader, (struct bytes){(const uint8_t *)"{}", 2}, DEPTH);
    ck_assert_int_eq(json_open_array(&reader), JSON_WRONG_TYPE);
    json_reader_init(&reader, (struct bytes){(const uint8_t *)"}", 1}, DEPTH);
    ck_assert_int_eq(json_open_object(&reader), JSON_BAD_SYNTAX);
}
END_TEST

START_TEST(compacts)
{
    static const struct {
        const char *text;
        const char *compact;
    } cases[] = {
        {"", ""},
        {" \n\t\r", ""},
        {"{}", "{}"},
        {"{ \"a\" :\n[ 1 ,\t2 ]\r}\n", "{\"a\":[1,2]}"},
        {"\" a \"", "\" a \""},
        {"[\"a \\\" b\" , \"\\\\\" , 1]", "[\"a \\\" b\",\"\\\\\",1]"},
        {"\" cut \\", "\" cut \\"}, /* not JSON, and no reason to read on */
    };
    for (int i = 0; i < COUNT(cases); i++) {
        const size_t size = strlen(cases[i].text);
        uint8_t *copy = copy_of(cases[i].text, size);
        const size_t once = json_compact((struct span){copy, size});
        ck_assert_uint_eq(once, strlen(cases[i].compact));
        ck_assert_int_eq(memcmp(copy, cases[i].compact, once), 0);
        ck_assert_uint_eq(json_compact((struct span){copy, once}), once);
        free(copy);
    }
}
END_TEST

START_TEST(compacting_keeps_what_is_accepted)
{
    uint8_t *copy = copy_of(accepted[_i].text, accepted[_i].size);
    const size_t size = json_compact((struct span){copy, accepted[_i].size});
    ck_assert_int_eq(validate(copy, size), JSON_OK);
    ck_assert_ptr_null(memchr(copy, '\n', size));
    free(copy);
}
END_TEST

int main(void)
{
    TCase *texts = tcase_create("texts");
    tcase_add_loop_test(texts, accepts, 0, COUNT(accepted));
    tcase_add_loop_test(texts, accepts_no_prefix, 0, COUNT(accepted));
    tcase_add_loop_test(texts, compacting_keeps_what_is_accepted, 0, COUNT(accepted));
    tcase_add_loop_test(texts, refuses, 0, COUNT(refused));
    tcase_add_loop_test(texts, refuses_inside, 0, COUNT(refused));
    tcase_add_test(texts, bounds_depth_and_numbers);
    tcase_add_test(texts, finds_what_ends_a_string);
    TCase *values = tcase_create("values");
    tcase_add_loop_test(values, decodes_in_place, 0, COUNT(decoded));
    tcase_add_loop_test(values, reads_typed, 0, COUNT(typed));
    tcase_add_test(values, gives_strings);
    tcase_add_test(values, peeks);
    tcase_add_test(values, gives_raw_values_and_lines);
    tcase_add_test(values, opening_says_what_is_wrong);
    tcase_add_test(values, compacts);
    Suite *suite = suite_create("proto/json");
    suite_add_tcase(suite, texts);
    suite_add_tcase(suite, values);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
