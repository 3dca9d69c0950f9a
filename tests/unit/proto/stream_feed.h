/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_PROTO_STREAM_FEED_H
#define TESTS_UNIT_PROTO_STREAM_FEED_H
/*
 * Drives a stream as a connection does, for its unit tests and its fuzz target: what is left over
 * comes again in front of the next piece, at another address. Input and assembly are exact-size
 * heap memory, so that AddressSanitizer sees one byte too many. What happened becomes a short
 * text, one item per event, and a hash of all of it:
 *
 *   T[hello] B[..] P[ping] p[pong] C1000[reason] !1002    above 64 bytes: T#size#hash
 *   zT[..] zB[..]   compressed
 *
 * Wrong behaviour that no expectation could name (room asked for bytes that never came, too much
 * left unconsumed) is a CHECK.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/close.h"
#include "proto/stream.h"

enum { FEED_TEXT_SIZE = 4096 };

struct feed {
    struct stream stream;
    const struct simd_ops *simd;
    bool doubles; /* the assembly, as the server does; otherwise it is never larger than asked */
    uint8_t *kept;
    size_t kept_size;
    size_t received; /* bytes */
    size_t copied;   /* bytes, by growing the assembly */
    size_t event_count;
    uint64_t hash;
    char text[FEED_TEXT_SIZE];
    size_t text_size;
};

static inline void feed_start(struct feed *feed, const struct stream_limits *limits,
                              const struct simd_ops *simd)
{
    memset(feed, 0, sizeof(*feed));
    feed->simd = simd;
    feed->hash = 14695981039346656037ULL;
    stream_init(&feed->stream, limits);
}

static inline void feed_end(struct feed *feed)
{
    free(stream_take_assembly(&feed->stream).data);
    free(feed->kept);
    feed->kept = NULL;
    feed->kept_size = 0;
}

static inline uint64_t feed_hash(uint64_t hash, struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        hash = (hash ^ text.data[i]) * 1099511628211ULL;
    }
    return hash;
}

static inline void feed_note(struct feed *feed, struct bytes text)
{
    const size_t room = FEED_TEXT_SIZE - 1 - feed->text_size;
    const size_t size = text.size < room ? text.size : room;

    feed->hash = feed_hash(feed->hash, text);
    if (size > 0) {
        memcpy(feed->text + feed->text_size, text.data, size);
        feed->text_size += size;
    }
}

__attribute__((format(printf, 2, 3))) static inline void feed_print(struct feed *feed,
                                                                    const char *format, ...)
{
    char text[128];
    va_list arguments;

    va_start(arguments, format);
    const int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    CHECK(size >= 0 && (size_t)size < sizeof(text));
    feed_note(feed, (struct bytes){(const uint8_t *)text, (size_t)size});
}

static inline void feed_payload(struct feed *feed, const char *kind, struct span payload)
{
    const struct bytes text = {payload.data, payload.size};

    if (text.size > 64) {
        feed_print(feed, "%s#%zu#%016llx", kind, text.size, (unsigned long long)feed_hash(7, text));
        return;
    }
    feed_print(feed, "%s[", kind);
    feed_note(feed, text);
    feed_print(feed, "]");
}

static inline void feed_event(struct feed *feed, enum stream_verdict verdict,
                              const struct stream_event *event)
{
    char kind[16];

    if (feed->event_count++ > 0) {
        feed_print(feed, " ");
    }
    switch (verdict) {
    case STREAM_MESSAGE:
        CHECK(event->opcode == FRAME_TEXT || event->opcode == FRAME_BINARY);
        (void)snprintf(kind, sizeof(kind), "%s%s", event->is_compressed ? "z" : "",
                       event->opcode == FRAME_TEXT ? "T" : "B");
        feed_payload(feed, kind, event->payload);
        return;
    case STREAM_PING:
    case STREAM_PONG:
        feed_payload(feed, verdict == STREAM_PING ? "P" : "p", event->payload);
        return;
    case STREAM_CLOSE:
        (void)snprintf(kind, sizeof(kind), "C%u", (unsigned)event->close_code);
        feed_payload(feed, kind, event->payload);
        return;
    case STREAM_PROTOCOL_ERROR:
    case STREAM_INVALID_UTF8:
    case STREAM_TOO_BIG:
    case STREAM_TOO_MANY_FRAGMENTS:
        CHECK(event->fault != NULL && strlen(event->fault) <= CLOSE_REASON_SIZE_MAX);
        feed_print(feed, "!%d", (int)close_code_for(verdict));
        return;
    case STREAM_NEED_MORE:
    case STREAM_NEED_ROOM:
        break;
    }
    NEVER("not an event");
}

static inline void feed_room(struct feed *feed, size_t needed)
{
    const struct span old = stream_assembly(&feed->stream);

    CHECK(needed > old.size);
    CHECK(needed <= feed->received); /* never for what was only declared */
    CHECK(needed <= feed->stream.limits->message_size_max);
    const size_t size = feed->doubles && needed < 2 * old.size ? 2 * old.size : needed;
    uint8_t *const data = malloc(size);
    CHECK(data != NULL);
    if (feed->stream.assembled > 0) {
        memcpy(data, old.data, feed->stream.assembled);
        feed->copied += feed->stream.assembled;
    }
    free(old.data);
    stream_give_room(&feed->stream, data, size);
}

/* The next piece of what the client sent. */
static inline void feed_bytes(struct feed *feed, const uint8_t *data, size_t size)
{
    const size_t total = feed->kept_size + size;
    uint8_t *const buffer = malloc(total + (total == 0));
    CHECK(buffer != NULL);
    if (feed->kept_size > 0) {
        memcpy(buffer, feed->kept, feed->kept_size);
    }
    if (size > 0) {
        memcpy(buffer + feed->kept_size, data, size);
    }
    free(feed->kept);
    feed->received += size;

    struct span in = {buffer, total};
    struct stream_event event = {0};
    enum stream_verdict verdict = stream_next(&feed->stream, feed->simd, &in, &event);
    while (verdict != STREAM_NEED_MORE) {
        if (verdict == STREAM_NEED_ROOM) {
            feed_room(feed, event.room_needed);
        } else {
            feed_event(feed, verdict, &event);
        }
        memset(&event, 0xa5, sizeof(event)); /* what a verdict does not set is not to be used */
        verdict = stream_next(&feed->stream, feed->simd, &in, &event);
    }
    CHECK(in.data + in.size == buffer + total);
    CHECK(in.size <= STREAM_LEFT_SIZE_MAX);
    CHECK(in.size == 0 || !feed->stream.is_over);
    feed->kept_size = in.size;
    feed->kept = malloc(in.size + (in.size == 0));
    CHECK(feed->kept != NULL);
    if (in.size > 0) {
        memcpy(feed->kept, in.data, in.size);
    }
    free(buffer);
}

#endif /* TESTS_UNIT_PROTO_STREAM_FEED_H */
