/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: a table of messages, and what command_write() makes of the commands that they hold, one
 * a line, with the verdict that ends them; then fields one by one, for what a round trip would not
 * notice. Each message is a heap copy of exactly its size. Whatever was read is read once more from
 * what was written, and must be written the same.
 */
#include "proto/command.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static struct span copy_of(const char *text)
{
    const size_t size = strlen(text);
    uint8_t *copy = malloc(size + (size == 0));
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, size);
    return (struct span){copy, size};
}

/* Reads all of `text`; writes each command and a '\n' to `out`, ended by NUL. */
static enum command_verdict rewrite(const char *text, char *out, size_t out_size)
{
    const struct span message = copy_of(text);
    struct command_reader reader;
    struct command command;
    struct json_writer writer;
    json_writer_init(&writer, (struct span){(uint8_t *)out, out_size});
    command_reader_init(&reader, message);

    enum command_verdict verdict = command_next(&reader, &command);
    while (verdict == COMMAND_OK) {
        command_write(&writer, &command);
        json_writer_text(&writer, "\n");
        verdict = command_next(&reader, &command);
    }
    ck_assert_int_eq(command_next(&reader, &command), verdict);
    free(message.data);
    json_writer_raw(&writer, (struct bytes){(const uint8_t *)"", 1});
    ck_assert(json_writer_fits(&writer));
    return verdict;
}

static const struct {
    const char *why;
    const char *text;
    const char *written; /* each command, and '\n' */
    enum command_verdict verdict;
} cases[] = {
    /* What clients send. */
    {"pong", "{}", "{}\n", COMMAND_END},
    {"pong with zero id", "{\"id\":0}", "{}\n", COMMAND_END},
    {"space inside", "{ \"id\" : 1 ,\n\"publish\" : { } }", "{\"id\":1,\"publish\":{}}\n",
     COMMAND_END},
    {"first frame of the JavaScript SDK",
     "{\"connect\":{\"name\":\"js\"},\"id\":1}\n"
     "{\"subscribe\":{\"channel\":\"a\",\"flag\":1},\"id\":2}",
     "{\"id\":1,\"connect\":{\"name\":\"js\"}}\n"
     "{\"id\":2,\"subscribe\":{\"channel\":\"a\",\"flag\":1}}\n",
     COMMAND_END},
    {"newline at the end", "{}\n", "{}\n", COMMAND_END},
    {"three at once", "{}\n{}\n{}", "{}\n{}\n{}\n", COMMAND_END},
    {"connect, whole",
     "{\"id\":4294967295,\"connect\":{\"token\":\"t\",\"data\":{\"a\":[1]},\"subs\":{\"c\":{"
     "\"recover\":true}},\"name\":\"n\",\"version\":\"v\",\"headers\":{\"h\":\"x\"},\"flag\":-1}}",
     "{\"id\":4294967295,\"connect\":{\"token\":\"t\",\"data\":{\"a\":[1]},\"subs\":{\"c\":{"
     "\"recover\":true}},\"name\":\"n\",\"version\":\"v\",\"headers\":{\"h\":\"x\"},"
     "\"flag\":-1}}\n",
     COMMAND_END},
    {"subscribe, whole",
     "{\"id\":1,\"subscribe\":{\"channel\":\"c\",\"token\":\"t\",\"recover\":true,\"epoch\":\"e\","
     "\"offset\":18446744073709551615,\"data\":null,\"positioned\":true,\"recoverable\":true,"
     "\"join_leave\":true,\"delta\":\"fossil\",\"tf\":{\"op\":\"\"},\"flag\":1,\"type\":-2,"
     "\"phase\":3,\"cursor\":\"u\",\"limit\":5,\"asc\":true}}",
     "{\"id\":1,\"subscribe\":{\"channel\":\"c\",\"token\":\"t\",\"recover\":true,\"epoch\":\"e\","
     "\"offset\":18446744073709551615,\"data\":null,\"positioned\":true,\"recoverable\":true,"
     "\"join_leave\":true,\"delta\":\"fossil\",\"tf\":{\"op\":\"\"},\"flag\":1,\"type\":-2,"
     "\"phase\":3,\"cursor\":\"u\",\"limit\":5,\"asc\":true}}\n",
     COMMAND_END},
    {"unsubscribe", "{\"id\":3,\"unsubscribe\":{\"channel\":\"c\"}}",
     "{\"id\":3,\"unsubscribe\":{\"channel\":\"c\"}}\n", COMMAND_END},
    {"publish", "{\"id\":3,\"publish\":{\"channel\":\"c\",\"data\":\"hi\"}}",
     "{\"id\":3,\"publish\":{\"channel\":\"c\",\"data\":\"hi\"}}\n", COMMAND_END},
    {"presence", "{\"id\":3,\"presence\":{\"channel\":\"c\"}}",
     "{\"id\":3,\"presence\":{\"channel\":\"c\"}}\n", COMMAND_END},
    {"presence_stats", "{\"id\":3,\"presence_stats\":{\"channel\":\"c\"}}",
     "{\"id\":3,\"presence_stats\":{\"channel\":\"c\"}}\n", COMMAND_END},
    {"history",
     "{\"id\":3,\"history\":{\"channel\":\"c\",\"limit\":-1,\"since\":{\"offset\":9,\"epoch\":"
     "\"e\"},\"reverse\":true}}",
     "{\"id\":3,\"history\":{\"channel\":\"c\",\"limit\":-1,\"since\":{\"offset\":9,\"epoch\":"
     "\"e\"},\"reverse\":true}}\n",
     COMMAND_END},
    {"history since the beginning is not history since nothing",
     "{\"id\":3,\"history\":{\"since\":{}}}\n{\"id\":4,\"history\":{\"since\":null}}",
     "{\"id\":3,\"history\":{\"since\":{}}}\n{\"id\":4,\"history\":{}}\n", COMMAND_END},
    {"ping", "{\"id\":3,\"ping\":{}}", "{\"id\":3,\"ping\":{}}\n", COMMAND_END},
    {"send has no id", "{\"send\":{\"data\":[]}}", "{\"send\":{\"data\":[]}}\n", COMMAND_END},
    {"send with an id", "{\"id\":3,\"send\":{\"data\":1}}", "{\"id\":3,\"send\":{\"data\":1}}\n",
     COMMAND_END},
    {"rpc", "{\"id\":3,\"rpc\":{\"method\":\"m\",\"data\":0}}",
     "{\"id\":3,\"rpc\":{\"data\":0,\"method\":\"m\"}}\n", COMMAND_END},
    {"refresh", "{\"id\":3,\"refresh\":{\"token\":\"t\"}}",
     "{\"id\":3,\"refresh\":{\"token\":\"t\"}}\n", COMMAND_END},
    {"sub_refresh", "{\"id\":3,\"sub_refresh\":{\"channel\":\"c\",\"token\":\"t\"}}",
     "{\"id\":3,\"sub_refresh\":{\"channel\":\"c\",\"token\":\"t\"}}\n", COMMAND_END},
    {"unknown fields are skipped",
     "{\"new\":[{}],\"id\":1,\"publish\":{\"x\":{\"channel\":\"no\"},\"channel\":\"c\",\"y\":1}}",
     "{\"id\":1,\"publish\":{\"channel\":\"c\"}}\n", COMMAND_END},
    {"unknown fields may be there twice", "{\"x\":1,\"x\":2,\"id\":1,\"ping\":{}}",
     "{\"id\":1,\"ping\":{}}\n", COMMAND_END},
    {"null is nothing", "{\"id\":1,\"connect\":null,\"publish\":{\"channel\":null}}",
     "{\"id\":1,\"publish\":{}}\n", COMMAND_END},
    {"of two requests the first of the schema counts",
     "{\"id\":1,\"publish\":{\"channel\":\"p\"},\"subscribe\":{\"channel\":\"s\"}}",
     "{\"id\":1,\"subscribe\":{\"channel\":\"s\"}}\n", COMMAND_END},
    {"whichever is first in the text",
     "{\"subscribe\":{\"channel\":\"s\"},\"publish\":{\"channel\":\"p\"},\"id\":1}",
     "{\"id\":1,\"subscribe\":{\"channel\":\"s\"}}\n", COMMAND_END},
    {"escapes in text", "{\"id\":1,\"publish\":{\"channel\":\"\\u0061\\u00e9\\ud83d\\ude00\\n\"}}",
     "{\"id\":1,\"publish\":{\"channel\":\"a\xc3\xa9\xf0\x9f\x98\x80\\n\"}}\n", COMMAND_END},
    {"escapes in names", "{\"\\u0069d\":1,\"publ\\u0069sh\":{\"\\u0063hannel\":\"c\"}}",
     "{\"id\":1,\"publish\":{\"channel\":\"c\"}}\n", COMMAND_END},
    {"escapes stay in data", "{\"id\":1,\"publish\":{\"data\":\"\\u0061\\ud800\\n\"}}",
     "{\"id\":1,\"publish\":{\"data\":\"\\u0061\\ud800\\n\"}}\n", COMMAND_END},
    {"newlines do not stay in data",
     "{\"id\":1,\"publish\":{\"data\":{\n \"a b\": [1,\r\n 2]\n},\"channel\":\"c\"}}\n{}",
     "{\"id\":1,\"publish\":{\"channel\":\"c\",\"data\":{\"a b\":[1,2]}}}\n{}\n", COMMAND_END},
    {"space without newlines stays", "{\"id\":1,\"publish\":{\"data\":[1, 2]}}",
     "{\"id\":1,\"publish\":{\"data\":[1, 2]}}\n", COMMAND_END},
    {"16 levels", "{\"id\":1,\"send\":{\"data\":[[[[[[[[[[[[[[]]]]]]]]]]]]]]}}",
     "{\"id\":1,\"send\":{\"data\":[[[[[[[[[[[[[[]]]]]]]]]]]]]]}}\n", COMMAND_END},

    /* What nobody may send. */
    {"empty message", "", "", COMMAND_NOTHING},
    {"newline alone", "\n", "", COMMAND_BAD_JSON},
    {"space before", " {}", "", COMMAND_BAD_JSON},
    {"array", "[]", "", COMMAND_BAD_JSON},
    {"string", "\"{}\"", "", COMMAND_BAD_JSON},
    {"null", "null", "", COMMAND_BAD_JSON},
    {"two newlines between", "{}\n\n{}", "{}\n", COMMAND_BAD_JSON},
    {"two newlines at the end", "{}\n\n", "{}\n", COMMAND_BAD_JSON},
    {"space behind", "{} ", "", COMMAND_BAD_SEPARATOR},
    {"carriage return", "{}\r\n{}", "", COMMAND_BAD_SEPARATOR},
    {"nothing between", "{}{}", "", COMMAND_BAD_SEPARATOR},
    {"comma between", "{},{}", "", COMMAND_BAD_SEPARATOR},
    {"good one before a bad one", "{\"id\":1,\"ping\":{}}\n{\"id\":2", "{\"id\":1,\"ping\":{}}\n",
     COMMAND_BAD_JSON},
    {"cut off", "{\"id\":1,\"publish\":{\"channel\":\"c", "", COMMAND_BAD_JSON},
    {"trailing comma", "{\"id\":1,}", "", COMMAND_BAD_JSON},
    {"bad JSON in data", "{\"id\":1,\"publish\":{\"data\":{\"a\":01}}}", "", COMMAND_BAD_JSON},
    {"bad JSON in what is skipped", "{\"id\":1,\"x\":[1,],\"ping\":{}}", "", COMMAND_BAD_JSON},
    {"bad JSON in a request that does not count",
     "{\"id\":1,\"connect\":{},\"rpc\":{\"data\":tru}}", "", COMMAND_BAD_JSON},
    {"raw newline in text", "{\"id\":1,\"publish\":{\"channel\":\"a\nb\"}}", "", COMMAND_BAD_JSON},
    {"lone surrogate in text", "{\"id\":1,\"publish\":{\"channel\":\"\\udc00\"}}", "",
     COMMAND_BAD_UNICODE},
    {"17 levels", "{\"id\":1,\"send\":{\"data\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}}", "",
     COMMAND_TOO_DEEP},
    {"17 levels in what is skipped", "{\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", "",
     COMMAND_TOO_DEEP},
    {"id as text", "{\"id\":\"1\",\"ping\":{}}", "", COMMAND_BAD_TYPE},
    {"id as object", "{\"id\":{},\"ping\":{}}", "", COMMAND_BAD_TYPE},
    {"request as text", "{\"id\":1,\"ping\":\"\"}", "", COMMAND_BAD_TYPE},
    {"request as array", "{\"id\":1,\"connect\":[]}", "", COMMAND_BAD_TYPE},
    {"channel as number", "{\"id\":1,\"publish\":{\"channel\":1}}", "", COMMAND_BAD_TYPE},
    {"wrong type in a request that does not count",
     "{\"id\":1,\"connect\":{},\"publish\":{\"channel\":1}}", "", COMMAND_BAD_TYPE},
    {"boolean as number", "{\"id\":1,\"subscribe\":{\"recover\":1}}", "", COMMAND_BAD_TYPE},
    {"subs as array", "{\"id\":1,\"connect\":{\"subs\":[]}}", "", COMMAND_BAD_TYPE},
    {"headers as text", "{\"id\":1,\"connect\":{\"headers\":\"\"}}", "", COMMAND_BAD_TYPE},
    {"since as number", "{\"id\":1,\"history\":{\"since\":1}}", "", COMMAND_BAD_TYPE},
    {"id too large", "{\"id\":4294967296,\"ping\":{}}", "", COMMAND_OUT_OF_RANGE},
    {"negative id", "{\"id\":-1,\"ping\":{}}", "", COMMAND_OUT_OF_RANGE},
    {"id with a fraction", "{\"id\":1.0,\"ping\":{}}", "", COMMAND_OUT_OF_RANGE},
    {"negative offset", "{\"id\":1,\"subscribe\":{\"offset\":-1}}", "", COMMAND_OUT_OF_RANGE},
    {"limit too large", "{\"id\":1,\"history\":{\"limit\":2147483648}}", "", COMMAND_OUT_OF_RANGE},
    {"id twice", "{\"id\":1,\"id\":1,\"ping\":{}}", "", COMMAND_DUPLICATE_KEY},
    {"id twice, once in disguise", "{\"id\":1,\"i\\u0064\":1,\"ping\":{}}", "",
     COMMAND_DUPLICATE_KEY},
    {"request twice", "{\"id\":1,\"ping\":{},\"ping\":{}}", "", COMMAND_DUPLICATE_KEY},
    {"request twice, once null", "{\"id\":1,\"ping\":null,\"ping\":{}}", "", COMMAND_DUPLICATE_KEY},
    {"field twice", "{\"id\":1,\"publish\":{\"channel\":\"a\",\"channel\":\"b\"}}", "",
     COMMAND_DUPLICATE_KEY},
    {"field twice, inside", "{\"id\":1,\"history\":{\"since\":{\"offset\":1,\"offset\":1}}}", "",
     COMMAND_DUPLICATE_KEY},
    {"no id", "{\"connect\":{}}", "", COMMAND_NO_ID},
    {"id 0", "{\"id\":0,\"publish\":{\"channel\":\"c\"}}", "", COMMAND_NO_ID},
    {"id null", "{\"id\":null,\"rpc\":{}}", "", COMMAND_NO_ID},
    {"id alone", "{\"id\":1}", "", COMMAND_EMPTY},
    {"request is null", "{\"id\":1,\"connect\":null}", "", COMMAND_EMPTY},
    {"unknown request", "{\"id\":1,\"dance\":{}}", "", COMMAND_EMPTY},
    {"unknown request without an id is no pong", "{\"dance\":{}}", "", COMMAND_EMPTY},
    {"names are told apart by case", "{\"id\":1,\"Ping\":{}}", "", COMMAND_EMPTY},
    {"and by length", "{\"id\":1,\"pin\":{},\"pingg\":{}}", "", COMMAND_EMPTY},
    {"names that cannot be decoded are none that we know",
     "{\"id\":1,\"\\ud800\":{},\"\\u0070\\u0069\\u006e\\u0067\\u0070\\u0069\\u006e\\u0067\\u0070"
     "\\u0069\\u006e\\u0067\\u0070\\u0069\\u006e\\u0067\\u0070\":{}}",
     "", COMMAND_EMPTY},
};

START_TEST(reads_messages)
{
    char written[4096];
    const enum command_verdict verdict = rewrite(cases[_i].text, written, sizeof(written));
    ck_assert_msg(verdict == cases[_i].verdict, "%s: %d", cases[_i].why, (int)verdict);
    ck_assert_msg(strcmp(written, cases[_i].written) == 0, "%s: %s", cases[_i].why, written);
}
END_TEST

START_TEST(reads_what_it_wrote)
{
    char written[4096];
    if (cases[_i].written[0] != '\0') {
        ck_assert_int_eq(rewrite(cases[_i].written, written, sizeof(written)), COMMAND_END);
        ck_assert_str_eq(written, cases[_i].written);
    }
}
END_TEST

/* Cut anywhere, nothing is a command that was none before the cut, but for a bad separator's. */
START_TEST(reads_no_prefix)
{
    char text[1024];
    char written[4096];
    const size_t size = strlen(cases[_i].text);
    ck_assert_uint_lt(size, sizeof(text));
    for (size_t end = 1; end < size; end++) {
        memcpy(text, cases[_i].text, end);
        text[end] = '\0';
        (void)rewrite(text, written, sizeof(written)); /* most cuts are a fault, some are not */
        const size_t common = strlen(written);
        ck_assert_msg(strncmp(written, cases[_i].written, common) == 0 ||
                          cases[_i].verdict == COMMAND_BAD_SEPARATOR,
                      "%s: %s", cases[_i].why, text);
    }
}
END_TEST

static bool is_text(struct bytes view, const char *text)
{
    /* A view of nothing may be NULL, which memcmp() must not see. */
    return view.size == strlen(text) && (view.size == 0 || memcmp(view.data, text, view.size) == 0);
}

START_TEST(a_fault_leaves_the_command)
{
    const struct span message = copy_of("{\"id\":5,\"rpc\":{\"method\":1}}");
    struct command_reader reader;
    struct command command = {.id = 77, .method = COMMAND_PING};
    command_reader_init(&reader, message);
    ck_assert_int_eq(command_next(&reader, &command), COMMAND_BAD_TYPE);
    ck_assert_uint_eq(command.id, 77);
    ck_assert_int_eq(command.method, COMMAND_PING);
    free(message.data);
}
END_TEST

START_TEST(knows_a_pong_before_it_is_read)
{
    const struct span message = copy_of("{\"id\":1,\"ping\":{}}\n{}\n{\"id\":2,\"ping\":{}}");
    struct command_reader reader;
    struct command command;
    command_reader_init(&reader, message);

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(command_reader_is_at_pong(&reader), i == 1);
        ck_assert_int_eq(command_next(&reader, &command), COMMAND_OK);
        ck_assert_int_eq(command.method == COMMAND_PONG, i == 1);
    }
    ck_assert(!command_reader_is_at_pong(&reader));
    free(message.data);
}
END_TEST

START_TEST(views_are_in_the_message)
{
    const struct span message =
        copy_of("{\"id\":9,\"publish\":{\"channel\":\"room\",\"data\":{\"t\":1}}}\n"
                "{\"id\":10,\"connect\":{\"name\":\"a\\tb\",\"version\":\"\"}}");
    struct command_reader reader;
    struct command command;
    command_reader_init(&reader, message);

    ck_assert_int_eq(command_next(&reader, &command), COMMAND_OK);
    ck_assert_uint_eq(command.id, 9);
    ck_assert_int_eq(command.method, COMMAND_PUBLISH);
    ck_assert(is_text(command.publish.channel, "room"));
    ck_assert(is_text(command.publish.data, "{\"t\":1}"));
    ck_assert(command.publish.data.data > message.data &&
              command.publish.data.data < message.data + message.size);

    ck_assert_int_eq(command_next(&reader, &command), COMMAND_OK);
    ck_assert_uint_eq(command.id, 10);
    ck_assert_int_eq(command.method, COMMAND_CONNECT);
    ck_assert(is_text(command.connect.name, "a\tb"));
    ck_assert_uint_eq(command.connect.version.size, 0);
    ck_assert_uint_eq(command.connect.token.size, 0);
    ck_assert_ptr_null(command.connect.token.data);
    ck_assert_int_eq(command_next(&reader, &command), COMMAND_END);
    free(message.data);
}
END_TEST

START_TEST(fields_go_where_they_belong)
{
    const struct span message =
        copy_of("{\"id\":1,\"subscribe\":{\"channel\":\"c\",\"token\":\"t\",\"epoch\":\"e\","
                "\"offset\":7,\"recover\":true,\"positioned\":false,\"recoverable\":true,"
                "\"join_leave\":true,\"delta\":\"d\",\"cursor\":\"u\",\"limit\":-5,\"asc\":true}}\n"
                "{\"id\":2,\"history\":{\"channel\":\"c\",\"limit\":-1,\"since\":{\"epoch\":\"x\","
                "\"offset\":3},\"reverse\":true}}\n"
                "{\"id\":3,\"sub_refresh\":{\"channel\":\"c\",\"token\":\"t\"}}\n"
                "{\"id\":4,\"presence\":{\"channel\":\"p\"}}");
    struct command_reader reader;
    struct command command;
    command_reader_init(&reader, message);

    ck_assert_int_eq(command_next(&reader, &command), COMMAND_OK);
    ck_assert(is_text(command.subscribe.channel, "c") && is_text(command.subscribe.token, "t"));
    ck_assert(is_text(command.subscribe.epoch, "e") && is_text(command.subscribe.delta, "d"));
    ck_assert(is_text(command.subscribe.cursor, "u"));
    ck_assert(command.subscribe.recover && !command.subscribe.positioned);
    ck_assert(command.subscribe.recoverable && command.subscribe.join_leave);
    ck_assert_uint_eq(command.subscribe.offset, 7);
    ck_assert_int_eq(command.subscribe.limit, -5);

    ck_assert_int_eq(command_next(&reader, &command), COMMAND_OK);
    ck_assert(is_text(command.history.channel, "c") && is_text(command.history.since_epoch, "x"));
    ck_assert(command.history.has_since && command.history.reverse);
    ck_assert_uint_eq(command.history.since_offset, 3);
    ck_assert_int_eq(command.history.limit, -1);

    ck_assert_int_eq(command_next(&reader, &command), COMMAND_OK);
    ck_assert(is_text(command.sub_refresh.channel, "c") && is_text(command.sub_refresh.token, "t"));
    ck_assert_int_eq(command_next(&reader, &command), COMMAND_OK);
    ck_assert(is_text(command.presence.channel, "p"));
    free(message.data);
}
END_TEST

START_TEST(methods_have_names)
{
    static const char *const names[] = {
        "pong",    "connect", "subscribe", "unsubscribe", "publish", "presence",   "presence_stats",
        "history", "ping",    "send",      "rpc",         "refresh", "sub_refresh"};
    ck_assert_int_eq(COUNT(names), COMMAND_METHOD_COUNT);
    for (int i = 0; i < COMMAND_METHOD_COUNT; i++) {
        ck_assert_str_eq(command_method_name((enum command_method)i), names[i]);
    }
}
END_TEST

int main(void)
{
    TCase *commands = tcase_create("commands");
    tcase_add_loop_test(commands, reads_messages, 0, COUNT(cases));
    tcase_add_loop_test(commands, reads_what_it_wrote, 0, COUNT(cases));
    tcase_add_loop_test(commands, reads_no_prefix, 0, COUNT(cases));
    tcase_add_test(commands, a_fault_leaves_the_command);
    tcase_add_test(commands, knows_a_pong_before_it_is_read);
    tcase_add_test(commands, views_are_in_the_message);
    tcase_add_test(commands, fields_go_where_they_belong);
    tcase_add_test(commands, methods_have_names);
    Suite *suite = suite_create("proto/command");
    suite_add_tcase(suite, commands);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
