/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_CHAT_HISTORY_WORLD_H
#define TESTS_UNIT_CHAT_HISTORY_WORLD_H
/*
 * Hubs (hub_world.h) and one channel with history, whose home is reactor 0. One client publishes
 * numbers to it, which are their offsets; so every answer can be compared to the last byte.
 */
#include <stdio.h>

#include "chat/hub.h"
#include "chat/session.h"
#include "tests/unit/chat/hub_world.h"

enum {
    EPOCH_SIZE = 17, /* with its NUL */
    LINE_MAX_SIZE = 16384,
};

static char name[NAME_SIZE];     /* of the channel */
static char epoch[EPOCH_SIZE];   /* of it, as text */
static struct client *publisher; /* on reactor 0 */
static int published;            /* the channel's top */
static const uint64_t second_ns = 1000000000;

/* -- what is expected -------------------------------------------------------------------------- */

/* {"data":N,"info":{"client":"..."},"offset":N} */
static inline size_t put_publication(char *target, int number)
{
    uint8_t id[SESSION_ID_TEXT_SIZE];
    session_write_id(publisher->session, id);
    return (size_t)sprintf(target, "{\"data\":%d,\"info\":{\"client\":\"%.*s\"},\"offset\":%d}",
                           number, (int)sizeof(id), (const char *)id, number);
}

/* "publications":[...] with a comma behind it; nothing for none. Falling where first > last + 1. */
static inline size_t put_publications(char *target, int first, int last)
{
    const int step = last + 1 >= first ? 1 : -1;
    size_t size = 0;
    if (first == last + 1) {
        return 0;
    }
    size += (size_t)sprintf(target, "\"publications\":[");
    for (int number = first; number != last + step; number += step) {
        size += put_publication(target + size, number);
        target[size++] = ',';
    }
    target[size - 1] = ']';
    target[size++] = ',';
    target[size] = '\0';
    return size;
}

/* The next event, as it came. */
static inline void hear_text(struct client *client, const char *expected)
{
    const struct bytes text = unread(client);
    const uint8_t *end = text.size == 0 ? NULL : memchr(text.data, '\n', text.size);
    ck_assert_msg(end != NULL, "nothing, and not %s", expected);
    const struct bytes line = {text.data, (size_t)(end - text.data)};
    ck_assert_msg(is_text(line, expected), "%.*s\nand not\n%s", (int)line.size,
                  (const char *)line.data, expected);
    client->read += line.size + 1;
}

/* "offset":N, which is left out for 0 */
static inline size_t put_offset(char *target, int offset)
{
    return offset == 0 ? 0 : (size_t)sprintf(target, "\"offset\":%d,", offset);
}

/* It has been given [first, last], or nothing; and goes on from there. */
static inline void hear_recovered(struct client *client, uint32_t id, int first, int last)
{
    char line[LINE_MAX_SIZE];
    size_t size = (size_t)sprintf(
        line, "{\"id\":%u,\"subscribe\":{\"recoverable\":true,\"epoch\":\"%s\",", id, epoch);
    size += put_publications(line + size, first, last);
    size += (size_t)sprintf(line + size, "\"recovered\":true,");
    size += put_offset(line + size, first - 1);
    (void)sprintf(line + size, "\"positioned\":true,\"was_recovering\":true}}");
    hear_text(client, line);
}

/* It has lost something, and begins behind `offset`. */
static inline void hear_lost(struct client *client, uint32_t id, int offset)
{
    char line[LINE_MAX_SIZE];
    size_t size = (size_t)sprintf(
        line, "{\"id\":%u,\"subscribe\":{\"recoverable\":true,\"epoch\":\"%s\",", id, epoch);
    size += put_offset(line + size, offset);
    (void)sprintf(line + size, "\"positioned\":true,\"was_recovering\":true}}");
    hear_text(client, line);
}

/* It did not ask, and may the next time. */
static inline void hear_subscribed(struct client *client, uint32_t id, int offset)
{
    char line[LINE_MAX_SIZE];
    size_t size = (size_t)sprintf(
        line, "{\"id\":%u,\"subscribe\":{\"recoverable\":true,\"epoch\":\"%s\",", id, epoch);
    size += put_offset(line + size, offset);
    (void)sprintf(line + size, "\"positioned\":true}}");
    hear_text(client, line);
}

/* It is to subscribe again, from where it is. */
static inline void hear_unsubscribed(struct client *client)
{
    const struct event event = hear(client, EVENT_UNSUBSCRIBE_PUSH, 0);
    ck_assert_uint_eq(event.code, CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
    ck_assert(is_text(event.channel, name));
}

static inline void hear_number(struct client *client, int number)
{
    const struct event event = hear(client, EVENT_PUBLICATION, 0);
    char data[16];
    (void)snprintf(data, sizeof(data), "%d", number);
    ck_assert(is_text(event.channel, name));
    ck_assert_msg(is_text(event.data, data), "%.*s, and not %d", (int)event.data.size,
                  (const char *)event.data.data, number);
    ck_assert_uint_eq(event.offset, (uint64_t)number);
}

static inline void hear_numbers(struct client *client, int first, int last)
{
    for (int number = first; number <= last; number++) {
        hear_number(client, number);
    }
    hear_nothing(client);
}

/* -- acting ------------------------------------------------------------------------------------ */

static inline void subscribe(struct client *client, uint32_t id)
{
    ask(client, "{\"id\":%u,\"subscribe\":{\"channel\":\"%s\"}}", id, name);
}

static inline void unsubscribe(struct client *client, uint32_t id)
{
    ask(client, "{\"id\":%u,\"unsubscribe\":{\"channel\":\"%s\"}}", id, name);
}

static inline void come_back(struct client *client, uint32_t id, int since)
{
    ask(client,
        "{\"id\":%u,\"subscribe\":{\"channel\":\"%s\",\"recover\":true,\"recoverable\":true,"
        "\"epoch\":\"%s\",\"offset\":%d}}",
        id, name, epoch, since);
}

/* The next ones, up to that number; nothing runs. */
static inline void publish_to(int last)
{
    while (published < last) {
        published++;
        ask(publisher, "{\"id\":1000,\"publish\":{\"channel\":\"%s\",\"data\":%d}}", name,
            published);
    }
}

/* A channel whose home is that reactor; another one for each number. */
static inline void choose_name(const char *space, uint16_t home, int number)
{
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "%s:%d.%d", space, number, i);
        if (ids_home_of(table_hash(&world_key, view(name)), world.hub_count) == home) {
            return;
        }
    }
    ck_abort_msg("no name for home %u", home);
}

/* Anybody who may is told it. */
static inline void learn_epoch(void)
{
    struct client *client = connected_client(0);
    ask(client,
        "{\"id\":2,\"subscribe\":{\"channel\":\"%s\",\"recoverable\":true,\"positioned\":true}}",
        name);
    (void)run(0);
    const struct event event = hear(client, EVENT_SUBSCRIBED, 2);
    ck_assert_uint_eq(event.epoch.size, EPOCH_SIZE - 1);
    memcpy(epoch, event.epoch.data, event.epoch.size);
    hang_up(client);
}

/* The namespace, and how many there are to begin with. */
static inline void open_history_of(struct world_options options, const char *space, int count)
{
    options.reserve = options.reserve > 0 ? options.reserve : 16;
    open_world(options);
    choose_name(space, 0, 0);
    publisher = connected_client(0);
    published = 0;
    publish_to(count);
    settle();
    learn_epoch();
}

static inline void open_history(uint16_t hub_count, int count)
{
    open_history_of((struct world_options){.hub_count = hub_count}, "hist", count);
}

#endif /* TESTS_UNIT_CHAT_HISTORY_WORLD_H */
