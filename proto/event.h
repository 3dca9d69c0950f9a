/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_EVENT_H
#define PROTO_EVENT_H
/*
 * What a client is told, in JSON: replies and pushes, and for clients of ours the way back.
 *
 * Pure: no I/O, no allocation. ANY_THREAD. Format: PROTOCOL.md sections 2 to 4.
 * Joining   each function writes one object. Several in one WebSocket message are joined by '\n',
 *           which is the caller's to write.
 * Raw       members noted as JSON are written as they are: valid, and without '\n'. What
 *           command_next() gave is both.
 * Zero      values that are zero or empty are left out, but a result that is empty is there, as {}.
 * Not here: the WebSocket frame around it (frame.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/codes.h"
#include "proto/json.h"
#include "proto/json_writer.h"

/*
 * Open objects and arrays that event_next() follows. A publication may be inside of a subscribe
 * result inside of a connect result: 6 levels around data that had 2 around it as a command.
 */
enum { EVENT_DEPTH_MAX = 24 };

/* The result of `connect`. */
struct event_connected {
    struct bytes client;
    struct bytes version;
    struct bytes data; /* JSON */
    struct bytes subs; /* JSON object */
    struct bytes session;
    struct bytes node;
    int64_t time_ms; /* since 1970 */
    uint32_t ttl_s;  /* until the token expires */
    uint32_t ping_s; /* how often the server pings */
    bool pong;       /* the server wants an answer to its pings */
    bool expires;
};

/* The result of `subscribe`. */
struct event_subscribed {
    struct bytes epoch;
    struct bytes publications; /* JSON: event_find_publication() each, joined by ',' */
    struct bytes data;         /* JSON */
    uint64_t offset;
    uint32_t ttl_s;
    bool expires;
    bool recoverable;
    bool recovered;
    bool positioned;
    bool was_recovering;
    bool delta;
};

/* The result of `history`. */
struct event_history {
    struct bytes epoch;
    struct bytes publications; /* as above */
    uint64_t offset;           /* of the last publication that there is */
};

/* The result of the rpc `publish`, as its data. */
struct event_accepted {
    struct bytes epoch;
    uint64_t offset;
};

/* The results that are always empty. */
enum event_empty {
    EVENT_EMPTY_UNSUBSCRIBE = 0,
    EVENT_EMPTY_PUBLISH,
    EVENT_EMPTY_PING,
};

/* Who published. */
struct event_client_info {
    struct bytes user;
    struct bytes client;
    struct bytes conn_info; /* JSON */
    struct bytes chan_info; /* JSON */
};

/* What is written around the data of a publication. */
struct event_publication {
    struct bytes channel;
    struct bytes info; /* JSON: what event_write_client_info() wrote; empty: nobody */
    struct bytes tags; /* JSON object of strings; empty: none */
    uint64_t offset;   /* 0: the channel has no history */
    int64_t time_ms;   /* since 1970; 0: left out */
};

void event_write_connected(struct json_writer *writer, uint32_t id,
                           const struct event_connected *result);
/* Of it, what is true after a refresh: client, version, expires, ttl_s. */
void event_write_refreshed(struct json_writer *writer, uint32_t id,
                           const struct event_connected *result);
/* Of a subscription: expires, ttl_s. */
void event_write_sub_refreshed(struct json_writer *writer, uint32_t id,
                               const struct event_subscribed *result);
/* One member of `subs` in the result of `connect`: "channel":{...} */
void event_write_subscription(struct json_writer *writer, struct bytes channel,
                              const struct event_subscribed *result);
/* A subscription that the server made: of the result what is not about recovery. */
void event_write_subscribe_push(struct json_writer *writer, struct bytes channel,
                                const struct event_subscribed *result);
void event_write_subscribed(struct json_writer *writer, uint32_t id,
                            const struct event_subscribed *result);
void event_write_history(struct json_writer *writer, uint32_t id,
                         const struct event_history *result);
void event_write_accepted(struct json_writer *writer, uint32_t id,
                          const struct event_accepted *result);
void event_write_empty(struct json_writer *writer, uint32_t id, enum event_empty result);
void event_write_error(struct json_writer *writer, uint32_t id, enum codes_error code);

/* The server's ping; the client answers with the same. */
void event_write_ping(struct json_writer *writer);

void event_write_unsubscribe_push(struct json_writer *writer, struct bytes channel,
                                  enum codes_unsubscribe code);
/* The connection ends in so many seconds; 0: it does not. */
void event_write_refresh_push(struct json_writer *writer, uint32_t ttl_s);
void event_write_message_push(struct json_writer *writer, struct bytes data);

/* Only where there is no close frame to say it. */
void event_write_disconnect_push(struct json_writer *writer, enum codes_disconnect code);

void event_write_client_info(struct json_writer *writer, const struct event_client_info *info);

/* Who came into a channel, and who went. */
void event_write_join_push(struct json_writer *writer, struct bytes channel,
                           const struct event_client_info *info);
void event_write_leave_push(struct json_writer *writer, struct bytes channel,
                            const struct event_client_info *info);

/*
 * The result of `presence`: its begin, event_write_member() for each, joined by ',', and its end;
 * of `presence_stats`: how many connections, and how many users they are.
 */
void event_write_presence_begin(struct json_writer *writer, uint32_t id);
void event_write_member(struct json_writer *writer, const struct event_client_info *info);
void event_write_presence_end(struct json_writer *writer);
void event_write_presence_stats(struct json_writer *writer, uint32_t id, uint32_t client_count,
                                uint32_t user_count);

/*
 * A publication push is written AROUND its data, which stays where it is:
 *
 *     | frame header | prefix | data | suffix |
 *                             ^ data           the caller left room on both sides
 *
 * event_put_prefix() writes what ends just before `data` and returns its size, which is what
 * event_prefix_size() says; event_put_suffix() writes to `target`, the first byte behind the data.
 * Whoever needs to reserve room before the offset is known adds EVENT_SUFFIX_GROWTH_MAX.
 */
enum { EVENT_SUFFIX_GROWTH_MAX = 64 }; /* bytes that offset and time_ms can add to the suffix */

NODISCARD size_t event_prefix_size(const struct event_publication *publication);
NODISCARD size_t event_suffix_size(const struct event_publication *publication);
NODISCARD size_t event_put_prefix(const struct event_publication *publication, uint8_t *data);
NODISCARD size_t event_put_suffix(const struct event_publication *publication, uint8_t *target);

/* The publication alone, as history has it, inside of the push that was written around its data. */
NODISCARD struct bytes event_find_publication(struct bytes channel, struct bytes push);

/* What a client of ours got. The first that is there, in this order. */
enum event_kind {
    EVENT_PING = 0,         /* no id, no push */
    EVENT_ERROR,            /* id, code, text, temporary */
    EVENT_PUBLICATION,      /* channel, data, offset, time_ms, user, client, ... */
    EVENT_JOIN,             /* channel, user, client, ... */
    EVENT_LEAVE,            /* the same */
    EVENT_UNSUBSCRIBE_PUSH, /* channel, code, text */
    EVENT_MESSAGE_PUSH,     /* data */
    EVENT_SUBSCRIBE_PUSH,   /* channel, recoverable, epoch, offset, positioned, data */
    EVENT_DISCONNECT_PUSH,  /* code, text, reconnect */
    EVENT_REFRESH_PUSH,     /* expires, ttl_s */
    EVENT_OTHER_PUSH,       /* one that we do not know: ignore it */
    EVENT_CONNECTED,        /* id, client, version, ping_s, pong, ... */
    EVENT_SUBSCRIBED,       /* id, recovered, publications, ... */
    EVENT_UNSUBSCRIBED,     /* id */
    EVENT_PUBLISHED,        /* id */
    EVENT_HISTORY,          /* id, publications, epoch, offset */
    EVENT_PONG,             /* id */
    EVENT_RPC,              /* id, data */
    EVENT_PRESENCE,         /* id, members */
    EVENT_PRESENCE_STATS,   /* id, client_count, user_count */
    EVENT_REFRESHED,        /* id, client, version, expires, ttl_s */
    EVENT_SUB_REFRESHED,    /* id, expires, ttl_s */
    EVENT_OTHER_REPLY,      /* id: one that we do not know; ignore it */
};

/* Faults of the server, seen by a client. */
enum event_verdict {
    EVENT_OK = 0,
    EVENT_END,       /* nothing was left to read */
    EVENT_BAD_JSON,  /* not objects joined by '\n', too deep, or not even Unicode */
    EVENT_BAD_FIELD, /* a field of another type or range, or twice */
};

/* Views into the message; what is not there is zero. */
struct event {
    enum event_kind kind;
    uint32_t id;
    uint32_t code;
    uint32_t ping_s;
    uint32_t ttl_s;
    uint64_t offset;
    int64_t time_ms;
    struct bytes text; /* error message, or reason */
    struct bytes channel;
    struct bytes data;      /* JSON */
    struct bytes user;      /* who did it */
    struct bytes client;    /* the same, or who we are (connect) */
    struct bytes conn_info; /* JSON */
    struct bytes chan_info; /* JSON */
    struct bytes tags;      /* JSON object */
    struct bytes version;
    struct bytes session;
    struct bytes node;
    struct bytes epoch;
    struct bytes subs;         /* JSON object */
    struct bytes publications; /* JSON array */
    struct bytes members;      /* JSON object: client info by client id */
    uint32_t client_count;
    uint32_t user_count;
    bool temporary;
    bool reconnect;
    bool pong;
    bool expires;
    bool recoverable;
    bool recovered;
    bool positioned;
    bool was_recovering;
    bool delta;

    /* Which objects were there. For event.c: `kind` says it better. */
    struct event_parts {
        bool error, push, info;
        bool pub, join, leave, unsubscribe, message, subscribe, disconnect, refresh;
        bool connected, subscribed, unsubscribed, published, history, ping, rpc;
        bool presence, presence_stats, refreshed, sub_refreshed;
    } parts;
};

/* One message on its way through event_next(). Only event.c looks inside. */
struct event_reader {
    struct span message;
    size_t offset; /* bytes read */
    enum event_verdict verdict;
};

/* Lends the message for reading and writing, as command_reader_init() does. */
void event_reader_init(struct event_reader *reader, struct span message);

/* The next event. Only EVENT_OK fills it; a fault is final. */
NODISCARD enum event_verdict event_next(struct event_reader *reader, struct event *event);

/* Publications of a result, one after the other. Only event.c looks inside. */
struct event_page {
    struct span array;
    struct json_reader json;
    enum event_verdict verdict;
};

/* Lends event->publications; if there are none, there is nothing to read. */
void event_page_init(struct event_page *page, struct span publications);

/* The next one, as EVENT_PUBLICATION without a channel. Only EVENT_OK fills it. */
NODISCARD enum event_verdict event_page_next(struct event_page *page, struct event *event);

#endif /* PROTO_EVENT_H */
