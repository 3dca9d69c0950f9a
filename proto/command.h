/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_COMMAND_H
#define PROTO_COMMAND_H
/*
 * What a client may ask, in JSON: from the bytes of one WebSocket text message, and back.
 *
 * Pure: no I/O, no allocation. ANY_THREAD. Format: PROTOCOL.md sections 2 and 3.
 * Views     a command borrows the message. Text with escapes is decoded in place, and newlines in
 *           embedded JSON are removed in place: nothing of what was read can be read a second time.
 * Absent    a text or value that was not sent has size 0.
 * Not here: limits of single fields, which channel names there are, who may do what: chat/.
 *           Members of `headers` and `tf` are only known to be valid JSON, and so are those of
 *           `subs` until command_subs_next().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/json.h"
#include "proto/json_writer.h"

/* Open objects and arrays, counted from the command, so embedded data has 14 of its own. */
enum { COMMAND_DEPTH_MAX = 16 };

/* In the order of the schema: of several requests in one command the first of these counts. */
enum command_method {
    COMMAND_PONG = 0, /* the empty object */
    COMMAND_CONNECT,
    COMMAND_SUBSCRIBE,
    COMMAND_UNSUBSCRIBE,
    COMMAND_PUBLISH,
    COMMAND_PRESENCE,
    COMMAND_PRESENCE_STATS,
    COMMAND_HISTORY,
    COMMAND_PING,
    COMMAND_SEND,
    COMMAND_RPC,
    COMMAND_REFRESH,
    COMMAND_SUB_REFRESH,
};

enum { COMMAND_METHOD_COUNT = COMMAND_SUB_REFRESH + 1 };

/* Everything after COMMAND_END costs the connection: close with 3501. */
enum command_verdict {
    COMMAND_OK = 0,
    COMMAND_END,           /* nothing was left to read */
    COMMAND_NOTHING,       /* the message is empty */
    COMMAND_BAD_JSON,      /* not a JSON object by RFC 8259 */
    COMMAND_BAD_UNICODE,   /* an escaped lone surrogate in a text that we have to read */
    COMMAND_BAD_SEPARATOR, /* something else than one '\n' behind an object */
    COMMAND_TOO_DEEP,      /* above COMMAND_DEPTH_MAX */
    COMMAND_BAD_TYPE,      /* a field that we know, and another type than it has */
    COMMAND_OUT_OF_RANGE,  /* a number that its field cannot hold */
    COMMAND_DUPLICATE_KEY, /* a field that we know, twice in one object */
    COMMAND_NO_ID,         /* a request that is answered, without an id */
    COMMAND_EMPTY,         /* no request that we know, but not a pong either */
};

struct command_connect {
    struct bytes token;
    struct bytes data; /* JSON */
    struct bytes name;
    struct bytes version;
    struct bytes subs;    /* JSON object */
    struct bytes headers; /* JSON object */
    int64_t flag;
};

struct command_subscribe {
    struct bytes channel;
    struct bytes token;
    struct bytes epoch;
    struct bytes data; /* JSON */
    struct bytes delta;
    struct bytes tf; /* JSON object: tag filter */
    struct bytes cursor;
    uint64_t offset;
    int64_t flag;
    int32_t type;
    int32_t phase;
    int32_t limit;
    bool recover;
    bool positioned;
    bool recoverable;
    bool join_leave;
    bool asc;
};

struct command_publish {
    struct bytes channel;
    struct bytes data; /* JSON */
    struct bytes key;  /* for idempotency; only by rpc */
};

struct command_history {
    struct bytes channel;
    struct bytes since_epoch;
    uint64_t since_offset;
    int32_t limit; /* 0: the position only; -1: as many as there are */
    bool has_since;
    bool reverse;
};

struct command_rpc {
    struct bytes method;
    struct bytes data; /* JSON */
};

/* unsubscribe, presence, presence_stats; sub_refresh has a token too. */
struct command_channel {
    struct bytes channel;
    struct bytes token;
};

struct command {
    uint32_t id; /* 0 only for pong and send */
    enum command_method method;
    union {
        struct command_connect connect;
        struct command_subscribe subscribe;
        struct command_channel unsubscribe;
        struct command_publish publish;
        struct command_channel presence;
        struct command_channel presence_stats;
        struct command_history history;
        struct command_publish send; /* data only */
        struct command_rpc rpc;
        struct command_connect refresh; /* token only */
        struct command_channel sub_refresh;
    };
};

/* One message on its way through command_next(). Only command.c looks inside. */
struct command_reader {
    struct span message;
    size_t offset; /* bytes read */
    enum command_verdict verdict;
};

/* The message is valid UTF-8, and lent for reading and writing as long as a command is in use. */
void command_reader_init(struct command_reader *reader, struct span message);

/*
 * The next command. Only COMMAND_OK fills it. A fault is final: it is given again and again, and
 * what was not yet read of the message is never looked at.
 */
NODISCARD enum command_verdict command_next(struct command_reader *reader, struct command *command);

/* What command_next() has not read yet; a reader of its own may go on with it, or with a copy. */
NODISCARD struct span command_reader_rest(const struct command_reader *reader);

/* Is the next one an answer to our ping, as clients write it? Nothing is read for it. */
NODISCARD bool command_reader_is_at_pong(const struct command_reader *reader);

/*
 * The data of an rpc `publish`: {"channel", "data", "idempotency_key"}, which are what they are in
 * `publish`. It is a part of the message that was read. COMMAND_OK, or a fault of that data.
 */
NODISCARD enum command_verdict command_read_publish(struct bytes data,
                                                    struct command_publish *publish);

/* On its way through the `subs` of a connect. Only command.c looks inside. */
struct command_subs {
    struct json_reader json;
    struct span lent;
    enum command_verdict verdict;
};

/* `text` is what command_next() gave, or nothing; it is a part of the message that was read. */
void command_subs_init(struct command_subs *subs, struct bytes text);

/*
 * The next subscription that the client had: recover, epoch and offset of its channel. COMMAND_END:
 * there is none; a fault is final. Can be read once.
 */
NODISCARD enum command_verdict command_subs_next(struct command_subs *subs, struct bytes *channel,
                                                 struct command_subscribe *wanted);

/*
 * What a client says, without '\n'. Raw values are valid JSON without '\n'. For clients of ours:
 * the load generator, the simulation, tests.
 */
void command_write(struct json_writer *writer, const struct command *command);

/* The name of the method as it is on the wire; "pong" for the pong. */
NODISCARD const char *command_method_name(enum command_method method);

#endif /* PROTO_COMMAND_H */
