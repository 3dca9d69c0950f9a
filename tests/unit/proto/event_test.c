/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: what each writer writes, to the byte, because the SDKs parse it; that the way back gives
 * the same; publications around data in a block of exactly the size that was announced; and what a
 * client of ours refuses.
 */
#include "proto/event.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static uint8_t memory[4096];

static struct json_writer new_writer(void)
{
    struct json_writer writer;
    json_writer_init(&writer, (struct span){memory, sizeof(memory)});
    return writer;
}

static struct bytes view(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static bool is_text(struct bytes bytes, const char *text)
{
    /* A view of nothing may be NULL, which memcmp() must not see. */
    return bytes.size == strlen(text) &&
           (bytes.size == 0 || memcmp(bytes.data, text, bytes.size) == 0);
}

/* Is this what was written, and is it one JSON value without '\n'? */
static void wrote(const struct json_writer *writer, const char *text)
{
    const struct bytes written = json_writer_bytes(writer);
    ck_assert_msg(is_text(written, text), "%.*s", (int)written.size, (const char *)written.data);
    ck_assert_int_eq(json_validate(written, EVENT_DEPTH_MAX), JSON_OK);
    ck_assert_ptr_null(memchr(written.data, '\n', written.size));
}

/* Reads the only event of `text`, from a copy of exactly its size, which the caller frees. */
static uint8_t *read_one(const char *text, struct event *event)
{
    const size_t size = strlen(text);
    uint8_t *copy = malloc(size + (size == 0));
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, size);
    struct event_reader reader;
    event_reader_init(&reader, (struct span){copy, size});
    ck_assert_msg(event_next(&reader, event) == EVENT_OK, "%s", text);
    struct event after = {.id = 77};
    ck_assert_int_eq(event_next(&reader, &after), EVENT_END);
    ck_assert_uint_eq(after.id, 77);
    return copy;
}

/* --- Replies --- */

START_TEST(writes_connected)
{
    struct json_writer writer = new_writer();
    event_write_connected(&writer, 1, &(struct event_connected){0});
    wrote(&writer, "{\"id\":1,\"connect\":{}}");

    const char *text =
        "{\"id\":4294967295,\"connect\":{\"client\":\"c1\",\"version\":\"parley 1\","
        "\"expires\":true,\"ttl\":60,\"data\":{\"a\":1},\"subs\":{\"s\":{}},\"ping\":25,"
        "\"pong\":true,\"session\":\"s1\",\"node\":\"n1\",\"time\":1700000000000}}";
    writer = new_writer();
    event_write_connected(&writer, UINT32_MAX,
                          &(struct event_connected){
                              .client = view("c1"),
                              .version = view("parley 1"),
                              .data = view("{\"a\":1}"),
                              .subs = view("{\"s\":{}}"),
                              .session = view("s1"),
                              .node = view("n1"),
                              .time_ms = 1700000000000,
                              .ttl_s = 60,
                              .ping_s = 25,
                              .pong = true,
                              .expires = true,
                          });
    wrote(&writer, text);

    struct event event;
    uint8_t *copy = read_one(text, &event);
    ck_assert_int_eq(event.kind, EVENT_CONNECTED);
    ck_assert_uint_eq(event.id, UINT32_MAX);
    ck_assert(is_text(event.client, "c1") && is_text(event.version, "parley 1"));
    ck_assert(is_text(event.data, "{\"a\":1}") && is_text(event.subs, "{\"s\":{}}"));
    ck_assert(is_text(event.session, "s1") && is_text(event.node, "n1"));
    ck_assert_int_eq(event.time_ms, 1700000000000);
    ck_assert_uint_eq(event.ttl_s, 60);
    ck_assert_uint_eq(event.ping_s, 25);
    ck_assert(event.pong && event.expires);
    free(copy);
}
END_TEST

START_TEST(writes_history)
{
    struct json_writer writer = new_writer();
    event_write_history(&writer, 9, &(struct event_history){.epoch = view("e")});
    wrote(&writer, "{\"id\":9,\"history\":{\"epoch\":\"e\"}}");

    writer = new_writer();
    event_write_history(&writer, 9,
                        &(struct event_history){
                            .epoch = view("e"),
                            .publications = view("{\"data\":1},{\"data\":2}"),
                            .offset = 2,
                        });
    wrote(&writer, "{\"id\":9,\"history\":{\"publications\":[{\"data\":1},{\"data\":2}],"
                   "\"epoch\":\"e\",\"offset\":2}}");
}
END_TEST

START_TEST(reads_pages)
{
    static const char text[] = "{\"id\":9,\"history\":{\"publications\":[{\"data\":{\"a\":[1]},"
                               "\"info\":{\"client\":\"c\"},\"offset\":1}, {\"data\":\"\\n\"}]}}";
    struct event event;
    uint8_t *copy = read_one(text, &event);
    ck_assert_int_eq(event.kind, EVENT_HISTORY);
    struct event_page page;
    struct event publication;
    event_page_init(
        &page, (struct span){copy + (event.publications.data - copy), event.publications.size});
    ck_assert_int_eq(event_page_next(&page, &publication), EVENT_OK);
    ck_assert_int_eq(publication.kind, EVENT_PUBLICATION);
    ck_assert(is_text(publication.data, "{\"a\":[1]}"));
    ck_assert(is_text(publication.client, "c"));
    ck_assert_uint_eq(publication.offset, 1);
    ck_assert_int_eq(event_page_next(&page, &publication), EVENT_OK);
    ck_assert(is_text(publication.data, "\"\\n\""));
    ck_assert_uint_eq(publication.offset, 0);
    ck_assert_int_eq(event_page_next(&page, &publication), EVENT_END);
    ck_assert_int_eq(event_page_next(&page, &publication), EVENT_END);
    free(copy);

    event_page_init(&page, (struct span){NULL, 0});
    ck_assert_int_eq(event_page_next(&page, &publication), EVENT_END);
    uint8_t wrong[] = "[{\"offset\":\"1\"}]";
    event_page_init(&page, (struct span){wrong, sizeof(wrong) - 1});
    ck_assert_int_eq(event_page_next(&page, &publication), EVENT_BAD_FIELD);
    ck_assert_int_eq(event_page_next(&page, &publication), EVENT_BAD_FIELD);
}
END_TEST

START_TEST(writes_subscribed)
{
    struct json_writer writer = new_writer();
    event_write_subscribed(&writer, 2, &(struct event_subscribed){0});
    wrote(&writer, "{\"id\":2,\"subscribe\":{}}");

    const char *text =
        "{\"id\":2,\"subscribe\":{\"expires\":true,\"ttl\":5,\"recoverable\":true,\"epoch\":\"e\","
        "\"publications\":[{\"data\":1}],\"recovered\":true,\"offset\":18446744073709551615,"
        "\"positioned\":true,\"data\":\"d\",\"was_recovering\":true,\"delta\":true}}";
    writer = new_writer();
    event_write_subscribed(&writer, 2,
                           &(struct event_subscribed){
                               .epoch = view("e"),
                               .publications = view("{\"data\":1}"),
                               .data = view("\"d\""),
                               .offset = UINT64_MAX,
                               .ttl_s = 5,
                               .expires = true,
                               .recoverable = true,
                               .recovered = true,
                               .positioned = true,
                               .was_recovering = true,
                               .delta = true,
                           });
    wrote(&writer, text);

    struct event event;
    uint8_t *copy = read_one(text, &event);
    ck_assert_int_eq(event.kind, EVENT_SUBSCRIBED);
    ck_assert(is_text(event.epoch, "e") && is_text(event.publications, "[{\"data\":1}]"));
    ck_assert(is_text(event.data, "\"d\""));
    ck_assert_uint_eq(event.offset, UINT64_MAX);
    ck_assert(event.expires && event.recoverable && event.recovered && event.positioned);
    ck_assert(event.was_recovering && event.delta);
    free(copy);
}
END_TEST

START_TEST(writes_small_ones)
{
    struct json_writer writer = new_writer();
    event_write_empty(&writer, 3, EVENT_EMPTY_UNSUBSCRIBE);
    wrote(&writer, "{\"id\":3,\"unsubscribe\":{}}");
    writer = new_writer();
    event_write_empty(&writer, 3, EVENT_EMPTY_PUBLISH);
    wrote(&writer, "{\"id\":3,\"publish\":{}}");
    writer = new_writer();
    event_write_empty(&writer, 3, EVENT_EMPTY_PING);
    wrote(&writer, "{\"id\":3,\"ping\":{}}");
    writer = new_writer();
    event_write_ping(&writer);
    wrote(&writer, "{}");
    writer = new_writer();
    event_write_error(&writer, 4, CODES_ERROR_NOT_AVAILABLE);
    wrote(&writer, "{\"id\":4,\"error\":{\"code\":108,\"message\":\"not available\"}}");
    writer = new_writer();
    event_write_error(&writer, 4, CODES_ERROR_INTERNAL);
    wrote(&writer, "{\"id\":4,\"error\":{\"code\":100,\"message\":\"internal server error\","
                   "\"temporary\":true}}");
}
END_TEST

START_TEST(writes_pushes)
{
    struct json_writer writer = new_writer();
    event_write_unsubscribe_push(&writer, view("a\"b"), CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
    wrote(&writer, "{\"push\":{\"channel\":\"a\\\"b\",\"unsubscribe\":{\"code\":2500,"
                   "\"reason\":\"insufficient state\"}}}");
    writer = new_writer();
    event_write_message_push(&writer, view("[1]"));
    wrote(&writer, "{\"push\":{\"message\":{\"data\":[1]}}}");
    writer = new_writer();
    event_write_refresh_push(&writer, 60);
    wrote(&writer, "{\"push\":{\"refresh\":{\"expires\":true,\"ttl\":60}}}");
    writer = new_writer();
    event_write_refresh_push(&writer, 0);
    wrote(&writer, "{\"push\":{\"refresh\":{}}}");
    writer = new_writer();
    event_write_disconnect_push(&writer, CODES_DISCONNECT_SHUTDOWN);
    wrote(&writer, "{\"push\":{\"disconnect\":{\"code\":3001,\"reason\":\"shutdown\","
                   "\"reconnect\":true}}}");
    writer = new_writer();
    event_write_disconnect_push(&writer, CODES_DISCONNECT_STALE);
    wrote(&writer, "{\"push\":{\"disconnect\":{\"code\":3502,\"reason\":\"stale\"}}}");
}
END_TEST

/* --- Publications --- */

/* The SDKs parse all of these; what comes back is what went in. */
START_TEST(writes_presence)
{
    const struct event_client_info first = {
        .user = view("u\"1"),
        .client = view("c1"),
        .conn_info = view("{\"n\":1}"),
        .chan_info = view("[2]"),
    };
    const struct event_client_info second = {.client = view("c2")};
    struct event event;

    struct json_writer writer = new_writer();
    event_write_presence_begin(&writer, 7);
    event_write_presence_end(&writer);
    wrote(&writer, "{\"id\":7,\"presence\":{\"presence\":{}}}");

    const char *text = "{\"id\":7,\"presence\":{\"presence\":{\"c1\":{\"user\":\"u\\\"1\","
                       "\"client\":\"c1\",\"conn_info\":{\"n\":1},\"chan_info\":[2]},"
                       "\"c2\":{\"client\":\"c2\"}}}}";
    writer = new_writer();
    event_write_presence_begin(&writer, 7);
    event_write_member(&writer, &first);
    json_writer_text(&writer, ",");
    event_write_member(&writer, &second);
    event_write_presence_end(&writer);
    wrote(&writer, text);
    uint8_t *copy = read_one(text, &event);
    ck_assert_int_eq(event.kind, EVENT_PRESENCE);
    ck_assert_uint_eq(event.id, 7);
    ck_assert_uint_eq(event.members.size, strlen(text) - strlen("{\"id\":7,\"presence\":"
                                                                "{\"presence\":}}"));
    free(copy);

    text = "{\"id\":8,\"presence_stats\":{\"num_clients\":0,\"num_users\":0}}";
    writer = new_writer();
    event_write_presence_stats(&writer, 8, 0, 0);
    wrote(&writer, text);
    text = "{\"id\":8,\"presence_stats\":{\"num_clients\":4294967295,\"num_users\":3}}";
    writer = new_writer();
    event_write_presence_stats(&writer, 8, UINT32_MAX, 3);
    wrote(&writer, text);
    copy = read_one(text, &event);
    ck_assert_int_eq(event.kind, EVENT_PRESENCE_STATS);
    ck_assert_uint_eq(event.client_count, UINT32_MAX);
    ck_assert_uint_eq(event.user_count, 3);
    free(copy);
}
END_TEST

START_TEST(writes_joins_and_leaves)
{
    const struct event_client_info info = {.user = view("u"), .client = view("c1")};
    struct event event;

    const char *text = "{\"push\":{\"channel\":\"a\\\"b\",\"join\":{\"info\":{\"user\":\"u\","
                       "\"client\":\"c1\"}}}}";
    struct json_writer writer = new_writer();
    event_write_join_push(&writer, view("a\"b"), &info);
    wrote(&writer, text);
    uint8_t *copy = read_one(text, &event);
    ck_assert_int_eq(event.kind, EVENT_JOIN);
    ck_assert(is_text(event.channel, "a\"b") && is_text(event.user, "u"));
    ck_assert(is_text(event.client, "c1"));
    free(copy);

    text = "{\"push\":{\"channel\":\"a\",\"leave\":{\"info\":{\"user\":\"u\",\"client\":\"c1\"}}}}";
    writer = new_writer();
    event_write_leave_push(&writer, view("a"), &info);
    wrote(&writer, text);
    copy = read_one(text, &event);
    ck_assert_int_eq(event.kind, EVENT_LEAVE);
    ck_assert(is_text(event.channel, "a") && is_text(event.client, "c1"));
    free(copy);
}
END_TEST

static const struct {
    const char *why;
    const char *channel;
    const char *info;
    uint64_t offset;
    int64_t time_ms;
    const char *data;
    const char *text;
} publications[] = {
    {"bare", "c", "", 0, 0, "1", "{\"push\":{\"channel\":\"c\",\"pub\":{\"data\":1}}}"},
    {"with all", "room:1", "{\"user\":\"u\",\"client\":\"x\"}", 7, 1700000000000, "{\"t\":\"hi\"}",
     "{\"push\":{\"channel\":\"room:1\",\"pub\":{\"data\":{\"t\":\"hi\"},\"info\":{\"user\":\"u\","
     "\"client\":\"x\"},\"offset\":7,\"time\":1700000000000}}}"},
    {"largest numbers", "c", "", UINT64_MAX, INT64_MIN, "[]",
     "{\"push\":{\"channel\":\"c\",\"pub\":{\"data\":[],\"offset\":18446744073709551615,"
     "\"time\":-9223372036854775808}}}"},
    {"a channel with escapes", "\"\\\n", "", 0, 0, "null",
     "{\"push\":{\"channel\":\"\\\"\\\\\\n\",\"pub\":{\"data\":null}}}"},
};

START_TEST(writes_around_data)
{
    const struct event_publication publication = {
        .channel = view(publications[_i].channel),
        .info = view(publications[_i].info),
        .offset = publications[_i].offset,
        .time_ms = publications[_i].time_ms,
    };
    const size_t data_size = strlen(publications[_i].data);
    const size_t prefix_size = event_prefix_size(&publication);
    const size_t suffix_size = event_suffix_size(&publication);
    const size_t size = prefix_size + data_size + suffix_size;
    uint8_t *block = malloc(size);
    ck_assert_ptr_nonnull(block);
    memcpy(block + prefix_size, publications[_i].data, data_size);

    ck_assert_uint_eq(event_put_suffix(&publication, block + prefix_size + data_size), suffix_size);
    ck_assert_uint_eq(event_put_prefix(&publication, block + prefix_size), prefix_size);
    ck_assert_msg(is_text((struct bytes){block, size}, publications[_i].text), "%s: %.*s",
                  publications[_i].why, (int)size, (const char *)block);

    /* The same without its channel: what is between "pub": and the last two braces. */
    const struct bytes alone =
        event_find_publication(publication.channel, (struct bytes){block, size});
    const char *const begin = strstr(publications[_i].text, "{\"data\"");
    ck_assert_uint_eq(alone.size, strlen(begin) - 2);
    ck_assert_mem_eq(alone.data, begin, alone.size);

    const struct event_publication without = {.channel = publication.channel,
                                              .info = publication.info};
    ck_assert_uint_le(suffix_size, event_suffix_size(&without) + EVENT_SUFFIX_GROWTH_MAX);
    free(block);
}
END_TEST

START_TEST(publications_come_back)
{
    struct event event;
    uint8_t *copy = read_one(publications[_i].text, &event);
    ck_assert_int_eq(event.kind, EVENT_PUBLICATION);
    ck_assert(is_text(event.channel, publications[_i].channel));
    ck_assert(is_text(event.data, publications[_i].data));
    ck_assert_uint_eq(event.offset, publications[_i].offset);
    ck_assert_int_eq(event.time_ms, publications[_i].time_ms);
    free(copy);
}
END_TEST

START_TEST(writes_client_info)
{
    struct json_writer writer = new_writer();
    event_write_client_info(&writer, &(struct event_client_info){0});
    wrote(&writer, "{}");
    writer = new_writer();
    event_write_client_info(&writer, &(struct event_client_info){
                                         .user = view("4\"2"),
                                         .client = view("x"),
                                         .conn_info = view("{\"n\":\"Bob\"}"),
                                         .chan_info = view("[]"),
                                     });
    wrote(&writer, "{\"user\":\"4\\\"2\",\"client\":\"x\",\"conn_info\":{\"n\":\"Bob\"},"
                   "\"chan_info\":[]}");
}
END_TEST

/* --- The way back --- */

static const struct {
    const char *text;
    enum event_kind kind;
    uint32_t id;
    uint32_t code;
    const char *what; /* the text, the client or the data */
    const char *channel;
} events[] = {
    {"{}", EVENT_PING, 0, 0, "", ""},
    {"{\"id\":4,\"error\":{\"code\":109,\"message\":\"token expired\"}}", EVENT_ERROR, 4, 109,
     "token expired", ""},
    {"{\"id\":4,\"error\":{\"code\":100},\"publish\":{}}", EVENT_ERROR, 4, 100, "", ""},
    {"{\"id\":5,\"unsubscribe\":{}}", EVENT_UNSUBSCRIBED, 5, 0, "", ""},
    {"{\"id\":5,\"publish\":{\"new\":[]}}", EVENT_PUBLISHED, 5, 0, "", ""},
    {"{\"id\":5,\"ping\":{}}", EVENT_PONG, 5, 0, "", ""},
    {"{\"id\":5,\"rpc\":{\"data\":true}}", EVENT_RPC, 5, 0, "true", ""},
    {"{\"id\":5,\"history\":{\"publications\":[],\"epoch\":\"e\"}}", EVENT_HISTORY, 5, 0, "", ""},
    {"{\"id\":5,\"presence\":{}}", EVENT_PRESENCE, 5, 0, "", ""},
    {"{\"id\":5,\"unheard_of\":{}}", EVENT_OTHER_REPLY, 5, 0, "", ""},
    {"{\"push\":{\"channel\":\"c\",\"join\":{\"info\":{\"client\":\"x\"}}}}", EVENT_JOIN, 0, 0, "x",
     "c"},
    {"{\"push\":{\"channel\":\"c\",\"leave\":{\"info\":{\"client\":\"x\"}}}}", EVENT_LEAVE, 0, 0,
     "x", "c"},
    {"{\"push\":{\"channel\":\"c\",\"unsubscribe\":{\"code\":2500,\"reason\":\"r\"}}}",
     EVENT_UNSUBSCRIBE_PUSH, 0, 2500, "r", "c"},
    {"{\"push\":{\"message\":{\"data\":[1,\n2]}}}", EVENT_MESSAGE_PUSH, 0, 0, "[1,2]", ""},
    {"{\"push\":{\"channel\":\"c\",\"subscribe\":{\"data\":1}}}", EVENT_SUBSCRIBE_PUSH, 0, 0, "1",
     "c"},
    {"{\"push\":{\"disconnect\":{\"code\":3001,\"reason\":\"r\",\"reconnect\":true}}}",
     EVENT_DISCONNECT_PUSH, 0, 3001, "r", ""},
    {"{\"push\":{\"refresh\":{\"expires\":true}}}", EVENT_REFRESH_PUSH, 0, 0, "", ""},
    {"{\"push\":{\"channel\":\"\\u0063\",\"later\":{}}}", EVENT_OTHER_PUSH, 0, 0, "", "c"},
    {"{\"push\":{\"channel\":\"c\",\"pub\":{\"data\":1,\"info\":{\"client\":\"x\"},\"tags\":{}}}}",
     EVENT_PUBLICATION, 0, 0, "x", "c"},
};

START_TEST(reads_events)
{
    struct event event;
    uint8_t *copy = read_one(events[_i].text, &event);
    ck_assert_msg(event.kind == events[_i].kind, "%s", events[_i].text);
    ck_assert_uint_eq(event.id, events[_i].id);
    ck_assert_uint_eq(event.code, events[_i].code);
    ck_assert(is_text(event.channel, events[_i].channel));
    const struct bytes what = event.text.size > 0     ? event.text
                              : event.client.size > 0 ? event.client
                                                      : event.data;
    ck_assert_msg(is_text(what, events[_i].what), "%s", events[_i].text);
    free(copy);
}
END_TEST

START_TEST(refuses_events)
{
    static const struct {
        const char *text;
        enum event_verdict verdict;
    } cases[] = {
        {"[]", EVENT_BAD_FIELD},
        {"{", EVENT_BAD_JSON},
        {"{}{}", EVENT_BAD_JSON},
        {"{\"id\":\"1\"}", EVENT_BAD_FIELD},
        {"{\"id\":1,\"id\":1}", EVENT_BAD_FIELD},
        {"{\"id\":-1}", EVENT_BAD_FIELD},
        {"{\"push\":{\"channel\":\"\\ud800\"}}", EVENT_BAD_JSON},
        {"{\"push\":[]}", EVENT_BAD_FIELD},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[", EVENT_BAD_FIELD},
        {"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[", EVENT_BAD_JSON},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        uint8_t *copy = malloc(strlen(cases[i].text));
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, cases[i].text, strlen(cases[i].text));
        struct event_reader reader;
        struct event event = {.id = 77};
        event_reader_init(&reader, (struct span){copy, strlen(cases[i].text)});
        enum event_verdict verdict = event_next(&reader, &event);
        if (verdict == EVENT_OK) {
            event.id = 77;
            verdict = event_next(&reader, &event);
        }
        ck_assert_msg(verdict == cases[i].verdict, "%s", cases[i].text);
        ck_assert_int_eq(event_next(&reader, &event), verdict);
        ck_assert_uint_eq(event.id, 77);
        free(copy);
    }
}
END_TEST

START_TEST(reads_several)
{
    char text[] = "{\"id\":1,\"connect\":{\"client\":\"x\"}}\n{\"id\":2,\"subscribe\":{}}\n"
                  "{\"push\":{\"channel\":\"c\",\"pub\":{\"data\":1}}}\n{}\n";
    struct event_reader reader;
    struct event event;
    event_reader_init(&reader, (struct span){(uint8_t *)text, sizeof(text) - 1});
    static const enum event_kind kinds[] = {EVENT_CONNECTED, EVENT_SUBSCRIBED, EVENT_PUBLICATION,
                                            EVENT_PING};
    for (int i = 0; i < COUNT(kinds); i++) {
        ck_assert_int_eq(event_next(&reader, &event), EVENT_OK);
        ck_assert_int_eq(event.kind, kinds[i]);
    }
    ck_assert_int_eq(event_next(&reader, &event), EVENT_END);
    event_reader_init(&reader, (struct span){NULL, 0});
    ck_assert_int_eq(event_next(&reader, &event), EVENT_END);
}
END_TEST

int main(void)
{
    TCase *writing = tcase_create("writing");
    tcase_add_test(writing, writes_history);
    tcase_add_test(writing, writes_connected);
    tcase_add_test(writing, writes_subscribed);
    tcase_add_test(writing, writes_small_ones);
    tcase_add_test(writing, writes_pushes);
    tcase_add_test(writing, writes_presence);
    tcase_add_test(writing, writes_joins_and_leaves);
    tcase_add_test(writing, writes_client_info);
    tcase_add_loop_test(writing, writes_around_data, 0, COUNT(publications));
    TCase *reading = tcase_create("reading");
    tcase_add_loop_test(reading, publications_come_back, 0, COUNT(publications));
    tcase_add_loop_test(reading, reads_events, 0, COUNT(events));
    tcase_add_test(reading, refuses_events);
    tcase_add_test(reading, reads_several);
    tcase_add_test(reading, reads_pages);
    Suite *suite = suite_create("proto/event");
    suite_add_tcase(suite, writing);
    suite_add_tcase(suite, reading);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
