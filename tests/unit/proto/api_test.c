/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of requests from a table: which are what, and what they say. Each is read from a heap copy
 * of exactly its size, which is what the views of a command lead into.
 */
#include "proto/api.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "proto/simd.h"

static const struct simd_ops *simd;

static uint8_t *copy_of(const char *text)
{
    const size_t size = strlen(text);
    uint8_t *copy = malloc(size + (size == 0));
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, size);
    return copy;
}

static void expect(struct bytes bytes, const char *text)
{
    ck_assert_msg(bytes.size == strlen(text) &&
                      (bytes.size == 0 || memcmp(bytes.data, text, bytes.size) == 0),
                  "%.*s, and not %s", (int)bytes.size, (const char *)bytes.data, text);
}

static const struct {
    const char *why;
    enum api_method method;
    const char *body;
    enum api_verdict verdict;
    const char *fault; /* NULL: no member is at fault */
} requests[] = {
    {"publish", API_PUBLISH, "{\"channel\":\"x\",\"data\":{}}", API_OK, NULL},
    {"null is data", API_PUBLISH, "{\"channel\":\"x\",\"data\":null}", API_OK, NULL},
    {"what is not known is nothing", API_PUBLISH, "{\"channel\":\"x\",\"data\":1,\"y\":[{}]}",
     API_OK, NULL},
    {"white space around it", API_PUBLISH, " \r\n{\"channel\":\"x\",\"data\":1}\t\n", API_OK, NULL},
    {"no channel", API_PUBLISH, "{\"data\":1}", API_BAD_REQUEST, "channel"},
    {"no data", API_PUBLISH, "{\"channel\":\"x\"}", API_BAD_REQUEST, "data"},
    {"a number for a channel", API_PUBLISH, "{\"channel\":1,\"data\":1}", API_BAD_REQUEST, NULL},
    {"nothing", API_PUBLISH, "", API_BAD_REQUEST, "channel"},
    {"cut off", API_PUBLISH, "{\"channel\":\"x\",\"data\":1", API_BAD_REQUEST, NULL},
    {"two", API_PUBLISH, "{\"channel\":\"x\",\"data\":1}{}", API_BAD_REQUEST, NULL},
    {"a list", API_PUBLISH, "[]", API_BAD_REQUEST, NULL},
    {"twice", API_PUBLISH, "{\"channel\":\"x\",\"data\":1,\"channel\":\"y\"}", API_BAD_REQUEST,
     NULL},
    {"not UTF-8", API_PUBLISH, "{\"channel\":\"x\",\"data\":\"\xff\"}", API_BAD_REQUEST, NULL},
    {"half a character", API_PUBLISH, "{\"channel\":\"x\",\"data\":1}\xc3", API_BAD_REQUEST, NULL},
    {"14 levels of data", API_PUBLISH, "{\"channel\":\"x\",\"data\":[[[[[[[[[[[[[[]]]]]]]]]]]]]]}",
     API_OK, NULL},
    {"and 15", API_PUBLISH, "{\"channel\":\"x\",\"data\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}",
     API_BAD_REQUEST, NULL},
    {"base64", API_PUBLISH, "{\"channel\":\"x\",\"b64data\":\"eyJhIjogMX0=\"}", API_OK, NULL},
    {"of no JSON", API_PUBLISH, "{\"channel\":\"x\",\"b64data\":\"aGVsbG8=\"}", API_BAD_REQUEST,
     "b64data"},
    {"of no UTF-8", API_PUBLISH, "{\"channel\":\"x\",\"b64data\":\"Iv8i\"}", API_BAD_REQUEST,
     "b64data"},
    {"not base64", API_PUBLISH, "{\"channel\":\"x\",\"b64data\":\"eyJhIjogMX0\"}", API_BAD_REQUEST,
     "b64data"},
    {"both", API_PUBLISH, "{\"channel\":\"x\",\"data\":1,\"b64data\":\"MQ==\"}", API_BAD_REQUEST,
     "b64data"},
    {"tags", API_PUBLISH, "{\"channel\":\"x\",\"data\":1,\"tags\":{\"a\":\"b\",\"c\":\"\"}}",
     API_OK, NULL},
    {"a tag that is no text", API_PUBLISH, "{\"channel\":\"x\",\"data\":1,\"tags\":{\"a\":1}}",
     API_BAD_REQUEST, "tags"},
    {"tags that are none", API_PUBLISH, "{\"channel\":\"x\",\"data\":1,\"tags\":[\"a\"]}",
     API_BAD_REQUEST, NULL},
    {"broadcast", API_BROADCAST, "{\"channels\":[\"x\",\"y\"],\"data\":1}", API_OK, NULL},
    {"to nobody is seen later", API_BROADCAST, "{\"channels\":[],\"data\":1}", API_OK, NULL},
    {"without a list", API_BROADCAST, "{\"data\":1}", API_BAD_REQUEST, "channels"},
    {"a text for a list", API_BROADCAST, "{\"channels\":\"x\",\"data\":1}", API_BAD_REQUEST, NULL},
    {"presence", API_PRESENCE, "{\"channel\":\"x\"}", API_OK, NULL},
    {"of nothing", API_PRESENCE, "{}", API_BAD_REQUEST, "channel"},
    {"presence_stats", API_PRESENCE_STATS, "{\"channel\":\"x\"}", API_OK, NULL},
    {"history", API_HISTORY, "{\"channel\":\"x\",\"limit\":-1,\"reverse\":true}", API_OK, NULL},
    {"history_remove", API_HISTORY_REMOVE, "{\"channel\":\"x\"}", API_OK, NULL},
    {"of nothing", API_HISTORY_REMOVE, "{}", API_BAD_REQUEST, "channel"},
    {"of nothing", API_HISTORY, "{\"limit\":1}", API_BAD_REQUEST, "channel"},
    {"info", API_INFO, "{}", API_OK, NULL},
    {"info without a body", API_INFO, "", API_OK, NULL},
    {"reload", API_RELOAD, "{}", API_OK, NULL},
    {"info, but no object", API_INFO, "1", API_BAD_REQUEST, NULL},
    {"channels", API_CHANNELS, "{\"pattern\":\"a*\"}", API_OK, NULL},
    {"disconnect", API_DISCONNECT, "{\"user\":\"u\"}", API_OK, NULL},
    {"a client", API_DISCONNECT, "{\"client\":\"c\"}", API_OK, NULL},
    {"nobody", API_DISCONNECT, "{\"whitelist\":[]}", API_BAD_REQUEST, "user"},
    {"with a code", API_DISCONNECT, "{\"user\":\"u\",\"disconnect\":{\"code\":4999}}", API_OK,
     NULL},
    {"of the protocol's own", API_DISCONNECT, "{\"user\":\"u\",\"disconnect\":{\"code\":2999}}",
     API_BAD_REQUEST, "disconnect.code"},
    {"too high", API_DISCONNECT, "{\"user\":\"u\",\"disconnect\":{\"code\":5000}}", API_BAD_REQUEST,
     "disconnect.code"},
    {"without one", API_DISCONNECT, "{\"user\":\"u\",\"disconnect\":{}}", API_BAD_REQUEST,
     "disconnect.code"},
    {"subscribe", API_SUBSCRIBE, "{\"user\":\"u\",\"channel\":\"x\"}", API_OK, NULL},
    {"to nothing", API_SUBSCRIBE, "{\"user\":\"u\"}", API_BAD_REQUEST, "channel"},
    {"unsubscribe nobody", API_UNSUBSCRIBE, "{\"channel\":\"x\"}", API_BAD_REQUEST, "user"},
    {"refresh", API_REFRESH, "{\"user\":\"u\",\"expire_at\":1}", API_OK, NULL},
    {"before time began", API_REFRESH, "{\"user\":\"u\",\"expire_at\":-1}", API_BAD_REQUEST,
     "expire_at"},
    {"block", API_BLOCK_USER, "{\"user\":\"u\"}", API_OK, NULL},
    {"a client only", API_BLOCK_USER, "{\"client\":\"c\"}", API_BAD_REQUEST, "user"},
    {"revoke", API_REVOKE_TOKEN, "{\"uid\":\"t\"}", API_OK, NULL},
    {"nothing", API_REVOKE_TOKEN, "{\"user\":\"u\"}", API_BAD_REQUEST, "uid"},
    {"invalidate", API_INVALIDATE_USER_TOKENS, "{\"user\":\"u\",\"issued_before\":5}", API_OK,
     NULL},
    {"rpc", API_RPC, "{\"method\":\"m\",\"params\":{}}", API_OK, NULL},
    {"of nothing", API_RPC, "{}", API_BAD_REQUEST, "method"},
    {"all of a publication", API_PUBLISH,
     "{\"channel\":\"x\",\"data\":1,\"skip_history\":true,\"delta\":true,\"version\":"
     "18446744073709551615,"
     "\"version_epoch\":\"e\"}",
     API_OK, NULL},
    {"a version below 0", API_PUBLISH, "{\"channel\":\"x\",\"data\":1,\"version\":-1}",
     API_BAD_REQUEST, NULL},
    {"a text for a bool", API_PUBLISH, "{\"channel\":\"x\",\"data\":1,\"skip_history\":\"true\"}",
     API_BAD_REQUEST, NULL},
    {"base64 beside null", API_PUBLISH, "{\"channel\":\"x\",\"data\":null,\"b64data\":\"MQ==\"}",
     API_OK, NULL},
    {"all of a subscription", API_SUBSCRIBE,
     "{\"user\":\"u\",\"channel\":\"x\",\"client\":\"c\",\"session\":\"\",\"b64info\":\"MQ==\","
     "\"b64data\":\"MQ==\",\"expire_at\":0,\"recover_since\":null,"
     "\"override\":{\"presence\":{\"value\":true}}}",
     API_OK, NULL},
    {"info twice", API_SUBSCRIBE,
     "{\"user\":\"u\",\"channel\":\"x\",\"info\":1,\"b64info\":\"MQ==\"}", API_BAD_REQUEST,
     "b64info"},
    {"data of no JSON", API_SUBSCRIBE,
     "{\"user\":\"u\",\"channel\":\"x\",\"b64data\":\"aGVsbG8=\"}", API_BAD_REQUEST, "b64data"},
    {"an override without its object", API_SUBSCRIBE,
     "{\"user\":\"u\",\"channel\":\"x\",\"override\":{\"presence\":true}}", API_BAD_REQUEST, NULL},
    {"from somewhere on", API_SUBSCRIBE,
     "{\"user\":\"u\",\"channel\":\"x\",\"recover_since\":{\"offset\":1}}", API_BAD_REQUEST,
     "recover_since"},
    {"a subscription that ends", API_SUBSCRIBE,
     "{\"user\":\"u\",\"channel\":\"x\",\"expire_at\":5}", API_BAD_REQUEST, "expire_at"},
    {"a session", API_SUBSCRIBE, "{\"user\":\"u\",\"channel\":\"x\",\"session\":\"s\"}",
     API_BAD_REQUEST, "session"},
    {"its unsubscribe", API_UNSUBSCRIBE, "{\"user\":\"u\",\"channel\":\"x\",\"session\":\"s\"}",
     API_BAD_REQUEST, "session"},
    {"its end", API_DISCONNECT, "{\"user\":\"u\",\"session\":\"s\"}", API_BAD_REQUEST, "session"},
    {"its refresh", API_REFRESH, "{\"user\":\"u\",\"session\":\"s\"}", API_BAD_REQUEST, "session"},
    {"another info", API_REFRESH, "{\"user\":\"u\",\"info\":{}}", API_BAD_REQUEST, "info"},
    {"which is none", API_REFRESH, "{\"user\":\"u\",\"info\":null}", API_OK, NULL},
    {"of one channel only", API_INVALIDATE_USER_TOKENS, "{\"user\":\"u\",\"channel\":\"x\"}",
     API_BAD_REQUEST, "channel"},
    {"a list in a glob", API_CHANNELS, "{\"pattern\":\"{a,b}*\"}", API_BAD_REQUEST, "pattern"},
    {"a class in a glob", API_CHANNELS, "{\"pattern\":\"[a-z]\"}", API_BAD_REQUEST, "pattern"},
    {"an escape in a glob", API_CHANNELS, "{\"pattern\":\"\\\\*\"}", API_BAD_REQUEST, "pattern"},
};

START_TEST(reads)
{
    const char *body = requests[_i].body;
    uint8_t *copy = copy_of(body);
    struct api_command command;
    const enum api_verdict verdict =
        api_read(simd, requests[_i].method, (struct span){copy, strlen(body)}, &command);

    ck_assert_msg(verdict == requests[_i].verdict, "%s: %d", requests[_i].why, (int)verdict);
    ck_assert_pstr_eq(command.fault, requests[_i].fault);
    if (verdict == API_OK) {
        ck_assert_int_eq(command.method, requests[_i].method);
    }
    free(copy);
}
END_TEST

START_TEST(says_what_was_said)
{
    static const char publish[] =
        "{\"data\" : { \"a\" :\n [1, 2] },\"channel\":\"\\u0078:y\",\"idempotency_key\":\"k\","
        "\"tags\":{\"t\": \"v\"}}";
    uint8_t *copy = copy_of(publish);
    struct api_command command;
    ck_assert_int_eq(api_read(simd, API_PUBLISH, (struct span){copy, strlen(publish)}, &command),
                     API_OK);
    expect(command.publish.channel, "x:y");
    expect(command.publish.data, "{\"a\":[1,2]}"); /* no '\n' goes out to clients */
    expect(command.publish.key, "k");
    expect(command.publish.tags, "{\"t\": \"v\"}");
    free(copy);

    static const char encoded[] = "{\"channel\":\"x\",\"b64data\":\"eyJhIjogMX0=\"}";
    copy = copy_of(encoded);
    ck_assert_int_eq(api_read(simd, API_PUBLISH, (struct span){copy, strlen(encoded)}, &command),
                     API_OK);
    expect(command.publish.data, "{\"a\":1}");
    free(copy);

    static const char version[] =
        "{\"channel\":\"x\",\"data\":1,\"skip_history\":true,\"version\":7,"
        "\"version_epoch\":\"\\u0065\"}";
    copy = copy_of(version);
    ck_assert_int_eq(api_read(simd, API_PUBLISH, (struct span){copy, strlen(version)}, &command),
                     API_OK);
    ck_assert(command.publish.skip_history && !command.publish.delta);
    ck_assert_uint_eq(command.publish.version, 7);
    expect(command.publish.version_epoch, "e");
    free(copy);

    static const char subscribe[] =
        "{\"user\":\"u\",\"channel\":\"x\",\"b64info\":\"eyJhIjogMX0=\",\"override\":"
        "{\"join_leave\":{\"value\":true},\"force_recovery\":{},\"presence\":null}}";
    copy = copy_of(subscribe);
    ck_assert_int_eq(
        api_read(simd, API_SUBSCRIBE, (struct span){copy, strlen(subscribe)}, &command), API_OK);
    expect(command.user.info, "{\"a\":1}");
    ck_assert(command.user.overrides.join_leave.is_there &&
              command.user.overrides.join_leave.value);
    ck_assert(command.user.overrides.force_recovery.is_there);
    ck_assert(!command.user.overrides.force_recovery.value);
    ck_assert(!command.user.overrides.presence.is_there);
    free(copy);

    static const char history[] =
        "{\"channel\":\"x\",\"limit\":7,\"since\":{\"offset\":3,\"epoch\":\"e\"},\"reverse\":true}";
    copy = copy_of(history);
    ck_assert_int_eq(api_read(simd, API_HISTORY, (struct span){copy, strlen(history)}, &command),
                     API_OK);
    ck_assert_int_eq(command.history.limit, 7);
    ck_assert(command.history.has_since && command.history.reverse);
    ck_assert_uint_eq(command.history.since_offset, 3);
    expect(command.history.since_epoch, "e");
    free(copy);
}
END_TEST

START_TEST(goes_through_channels)
{
    static const char body[] =
        "{\"channels\":[ \"a\",\"\\u0062\" , 3,\"\\ud800\",\"\"],\"data\":1}";
    uint8_t *copy = copy_of(body);
    struct api_command command;
    struct api_list list;
    struct bytes channel;
    ck_assert_int_eq(api_read(simd, API_BROADCAST, (struct span){copy, strlen(body)}, &command),
                     API_OK);
    api_list_init(&list, command.publish.channels);
    ck_assert_int_eq(api_list_next_text(&list, &channel), API_OK);
    expect(channel, "a");
    ck_assert_int_eq(api_list_next_text(&list, &channel), API_OK);
    expect(channel, "b");
    ck_assert_int_eq(api_list_next_text(&list, &channel), API_BAD_REQUEST);
    ck_assert_int_eq(api_list_next_text(&list, &channel), API_BAD_REQUEST);
    ck_assert_int_eq(api_list_next_text(&list, &channel), API_OK);
    expect(channel, "");
    ck_assert_int_eq(api_list_next_text(&list, &channel), API_END);
    free(copy);
}
END_TEST

static const struct {
    const char *why;
    const char *text;
    enum api_verdict verdict;
    enum api_method method;
} commands[] = {
    {"publish", "{\"publish\":{\"channel\":\"x\",\"data\":1}}", API_OK, API_PUBLISH},
    {"info", " {\"info\":{}} ", API_OK, API_INFO},
    {"what is not known is nothing", "{\"id\":3,\"info\":{}}", API_OK, API_INFO},
    {"the first of two, whatever their order",
     "{\"info\":{},\"publish\":{\"channel\":\"x\",\"data\":1}}", API_OK, API_PUBLISH},
    {"null is nothing", "{\"publish\":null,\"info\":{}}", API_OK, API_INFO},
    {"none", "{}", API_NO_METHOD, 0},
    {"no method", "{\"fly\":{}}", API_NO_METHOD, 0},
    {"no object", "{\"info\":1}", API_BAD_REQUEST, 0},
    {"no command", "1", API_BAD_REQUEST, 0},
    {"two lines", "{\"info\":{}}\n{\"info\":{}}", API_BAD_REQUEST, 0},
    {"not UTF-8", "{\"publish\":{\"channel\":\"x\",\"data\":\"\xff\"}}", API_BAD_REQUEST, 0},
    {"cut off", "{\"info\":{}", API_BAD_REQUEST, 0},
    {"14 levels of data", "{\"publish\":{\"channel\":\"x\",\"data\":[[[[[[[[[[[[[[]]]]]]]]]]]]]]}}",
     API_OK, API_PUBLISH},
    {"and 15", "{\"publish\":{\"channel\":\"x\",\"data\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}}",
     API_BAD_REQUEST, 0},
};

START_TEST(reads_commands)
{
    const char *text = commands[_i].text;
    uint8_t *copy = copy_of(text);
    struct api_command command;
    const enum api_verdict verdict =
        api_read_command(simd, (struct span){copy, strlen(text)}, &command);

    ck_assert_msg(verdict == commands[_i].verdict, "%s: %d", commands[_i].why, (int)verdict);
    if (verdict == API_OK) {
        ck_assert_int_eq(command.method, commands[_i].method);
    }
    free(copy);
}
END_TEST

START_TEST(reads_a_batch)
{
    static const char body[] =
        "{\"commands\":[{\"publish\":{\"channel\":\"x\",\"data\":[[[[[[[[[[[[[[]]]]]]]]]]]]]]}},\n"
        " 3, {\"info\":{}}],\"parallel\":true}";
    static const char *const bad[] = {
        "", "{}", "{\"commands\":1}", "[]", "{\"commands\":[}", "{\"commands\":[],\"parallel\":1}"};
    uint8_t *copy = copy_of(body);
    struct api_batch batch;
    struct api_command command;
    struct api_list list;
    struct span text;
    ck_assert_int_eq(api_read_batch(simd, (struct span){copy, strlen(body)}, &batch), API_OK);
    ck_assert(batch.parallel);
    api_list_init(&list, batch.commands);
    ck_assert_int_eq(api_list_next(&list, &text), API_OK);
    ck_assert_int_eq(api_read_command(simd, text, &command), API_OK);
    expect(command.publish.data, "[[[[[[[[[[[[[[]]]]]]]]]]]]]]");
    ck_assert_int_eq(api_list_next(&list, &text), API_OK);
    ck_assert_int_eq(api_read_command(simd, text, &command), API_BAD_REQUEST);
    ck_assert_int_eq(api_list_next(&list, &text), API_OK);
    ck_assert_int_eq(api_read_command(simd, text, &command), API_OK);
    ck_assert_int_eq(api_list_next(&list, &text), API_END);
    free(copy);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        copy = copy_of(bad[i]);
        ck_assert_msg(api_read_batch(simd, (struct span){copy, strlen(bad[i])}, &batch) ==
                          API_BAD_REQUEST,
                      "%s", bad[i]);
        free(copy);
    }
}
END_TEST

START_TEST(methods_have_names)
{
    for (int i = 0; i < API_METHOD_COUNT; i++) {
        const char *name = api_method_name((enum api_method)i);
        const struct bytes text = {(const uint8_t *)name, strlen(name)};
        ck_assert_int_eq(api_find_method(text), i);
    }
    ck_assert_int_eq(api_find_method((struct bytes){(const uint8_t *)"publis", 6}),
                     API_METHOD_COUNT);
    ck_assert_int_eq(api_find_method((struct bytes){(const uint8_t *)"", 0}), API_METHOD_COUNT);
}
END_TEST

int main(void)
{
    simd = simd_choose(cpu_simd_best());
    TCase *tests = tcase_create("api");
    tcase_add_loop_test(tests, reads, 0, (int)(sizeof(requests) / sizeof(requests[0])));
    tcase_add_loop_test(tests, reads_commands, 0, (int)(sizeof(commands) / sizeof(commands[0])));
    tcase_add_test(tests, says_what_was_said);
    tcase_add_test(tests, goes_through_channels);
    tcase_add_test(tests, reads_a_batch);
    tcase_add_test(tests, methods_have_names);
    Suite *suite = suite_create("proto/api");
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
