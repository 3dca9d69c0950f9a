/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A finished publication is one whole WebSocket frame around one event that says what was put in:
 * for awkward names, at each border of the frame header's length, and with nothing written outside
 * of the blob.
 */
#include "chat/publication.h"

#include "proto/event.h"
#include "tests/unit/chat/testing.h"

enum { POOL_BYTES = 1 << 20 };

/* RFC 6455 section 5.2, as clients read it: one final, unmasked text frame of minimal length. */
static struct bytes payload_of(struct bytes frame, size_t *header_size)
{
    ck_assert_uint_ge(frame.size, 2);
    ck_assert_uint_eq(frame.data[0], 0x81);
    size_t size = frame.data[1];
    *header_size = 2;
    if (size == 126) {
        *header_size = 4;
    } else if (size == 127) {
        *header_size = 10;
    }
    if (*header_size > 2) {
        size = 0;
        for (size_t i = 2; i < *header_size; i++) {
            size = size << 8 | frame.data[i];
        }
        ck_assert_uint_gt(size, *header_size == 4 ? 125 : 65535);
    }
    ck_assert_uint_eq(frame.size, *header_size + size);
    return (struct bytes){frame.data + *header_size, size};
}

/* The only event of a payload, read from a copy, which the caller frees. */
static uint8_t *read_event(struct bytes payload, struct event *event)
{
    uint8_t *copy = copy_of(payload);
    struct event_reader reader;
    event_reader_init(&reader, (struct span){copy, payload.size});
    ck_assert_int_eq(event_next(&reader, event), EVENT_OK);
    struct event none;
    ck_assert_int_eq(event_next(&reader, &none), EVENT_END);
    return copy;
}

static bool same(struct bytes a, struct bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* Made, carried, finished, read: returns the size of the payload. */
static size_t round_trip(struct blob_pool *pool, struct bytes channel, struct bytes data,
                         struct bytes info)
{
    struct blob *blob = publication_create(
        pool, &(struct publication_source){.channel = channel, .data = data, .info = info});
    ck_assert_ptr_nonnull(blob);
    ck_assert(same(publication_channel(blob, (uint16_t)channel.size), channel));
    publication_finish(blob, channel, 0);
    ck_assert_uint_le(blob->end, blob->capacity);

    size_t header_size;
    const struct bytes payload = payload_of(blob_bytes(blob), &header_size);
    struct event event;
    uint8_t *copy = read_event(payload, &event);
    ck_assert_int_eq(event.kind, EVENT_PUBLICATION);
    ck_assert(same(event.channel, channel));
    ck_assert(same(event.data, data));
    ck_assert_uint_eq(event.offset, 0); /* no history, no offset */
    ck_assert_int_eq(event.parts.info, info.size > 0);
    ck_assert(info.size == 0 || is_text(event.client, "c1"));
    free(copy);
    const size_t size = payload.size;
    blob_drop(blob, pool);
    return size;
}

static struct blob_pool *new_pool(void)
{
    struct blob_pool *pool = blob_pool_create(POOL_BYTES);
    ck_assert_ptr_nonnull(pool);
    return pool;
}

static void end_pool(struct blob_pool *pool)
{
    ck_assert_uint_eq(blob_pool_count(pool), 0);
    blob_pool_destroy(pool);
}

START_TEST(writes_what_clients_parse)
{
    struct blob_pool *pool = new_pool();
    struct blob *blob = publication_create(pool, &(struct publication_source){
                                                     .channel = view("lobby"),
                                                     .data = view("{\"text\":\"hi\"}"),
                                                     .info = view("{\"client\":\"c1\"}"),
                                                 });
    ck_assert_ptr_nonnull(blob);
    publication_finish(blob, view("lobby"), 9);
    size_t header_size;
    ck_assert(is_text(payload_of(blob_bytes(blob), &header_size),
                      "{\"push\":{\"channel\":\"lobby\",\"pub\":{\"data\":{\"text\":\"hi\"},"
                      "\"info\":{\"client\":\"c1\"},\"offset\":9}}}"));
    ck_assert(is_text(publication_alone(blob, view("lobby")),
                      "{\"data\":{\"text\":\"hi\"},\"info\":{\"client\":\"c1\"},\"offset\":9}"));
    ck_assert_uint_eq(header_size, 2);
    blob_drop(blob, pool);
    end_pool(pool);
}
END_TEST

START_TEST(carries_awkward_names)
{
    static const char *const names[] = {"a",        "a\"b\\c",    "\"",
                                        "\\\\\\\\", "ns:room#1$", "{\"push\":{}}"};
    struct blob_pool *pool = new_pool();
    for (int i = 0; i < COUNT(names); i++) {
        (void)round_trip(pool, view(names[i]), view("1"), view(""));
        (void)round_trip(pool, view(names[i]), view("[]"), view("{\"client\":\"c1\"}"));
    }
    /* The longest, and as long as it can become by escapes. */
    uint8_t longest[255];
    memset(longest, 'n', sizeof(longest));
    (void)round_trip(pool, (struct bytes){longest, sizeof(longest)}, view("\"x\""), view(""));
    memset(longest, '"', sizeof(longest));
    (void)round_trip(pool, (struct bytes){longest, sizeof(longest)}, view("\"x\""),
                     view("{\"client\":\"c1\"}"));
    end_pool(pool);
}
END_TEST

/* Data so long that the payload has exactly each of these sizes. */
START_TEST(header_at_its_borders)
{
    static const size_t sizes[] = {124, 125, 126, 127, 128, 65534, 65535, 65536, 65537};
    static uint8_t data[65536];
    struct blob_pool *pool = new_pool();
    const size_t around =
        round_trip(pool, view("r"), view("\"\""), view("{\"client\":\"c1\"}")) - 2;

    memset(data, 'd', sizeof(data));
    for (int i = 0; i < COUNT(sizes); i++) {
        const size_t size = sizes[i] - around;
        data[0] = '"';
        data[size - 1] = '"';
        uint8_t *copy = copy_of((struct bytes){data, size});
        ck_assert_uint_eq(
            round_trip(pool, view("r"), (struct bytes){copy, size}, view("{\"client\":\"c1\"}")),
            sizes[i]);
        free(copy);
        data[size - 1] = 'd';
    }
    end_pool(pool);
}
END_TEST

START_TEST(no_memory_is_an_answer)
{
    struct blob_pool *pool = blob_pool_create(1024);
    static uint8_t data[2048];
    memset(data, '1', sizeof(data));
    ck_assert_ptr_null(publication_create(pool, &(struct publication_source){
                                                    .channel = view("r"),
                                                    .data = {data, sizeof(data)},
                                                }));
    ck_assert_uint_eq(blob_pool_count(pool), 0);
    ck_assert_uint_eq(blob_pool_bytes(pool), 0);
    (void)round_trip(pool, view("r"), view("1"), view(""));
    end_pool(pool);
}
END_TEST

int main(void)
{
    TCase *publication = tcase_create("publication");
    tcase_add_test(publication, writes_what_clients_parse);
    tcase_add_test(publication, carries_awkward_names);
    tcase_add_test(publication, header_at_its_borders);
    tcase_add_test(publication, no_memory_is_an_answer);
    Suite *suite = suite_create("chat/publication");
    suite_add_tcase(suite, publication);
    return run_suite(suite);
}
