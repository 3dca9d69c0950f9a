/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/command.h"

#include <string.h>

#include "core/check.h"
#include "proto/fields.h"
#include "proto/json.h"

/* clang-format off */
static const struct fields_row connect_rows[] = {
    FIELDS_ROW(struct command, connect.token, "token", FIELDS_STRING),
    FIELDS_ROW(struct command, connect.data, "data", FIELDS_RAW),
    FIELDS_ROW(struct command, connect.subs, "subs", FIELDS_RAW_OBJECT),
    FIELDS_ROW(struct command, connect.name, "name", FIELDS_STRING),
    FIELDS_ROW(struct command, connect.version, "version", FIELDS_STRING),
    FIELDS_ROW(struct command, connect.headers, "headers", FIELDS_RAW_OBJECT),
    FIELDS_ROW(struct command, connect.flag, "flag", FIELDS_INT64),
};

static const struct fields_row subscribe_rows[] = {
    FIELDS_ROW(struct command, subscribe.channel, "channel", FIELDS_STRING),
    FIELDS_ROW(struct command, subscribe.token, "token", FIELDS_STRING),
    FIELDS_ROW(struct command, subscribe.recover, "recover", FIELDS_BOOL),
    FIELDS_ROW(struct command, subscribe.epoch, "epoch", FIELDS_STRING),
    FIELDS_ROW(struct command, subscribe.offset, "offset", FIELDS_UINT64),
    FIELDS_ROW(struct command, subscribe.data, "data", FIELDS_RAW),
    FIELDS_ROW(struct command, subscribe.positioned, "positioned", FIELDS_BOOL),
    FIELDS_ROW(struct command, subscribe.recoverable, "recoverable", FIELDS_BOOL),
    FIELDS_ROW(struct command, subscribe.join_leave, "join_leave", FIELDS_BOOL),
    FIELDS_ROW(struct command, subscribe.delta, "delta", FIELDS_STRING),
    FIELDS_ROW(struct command, subscribe.tf, "tf", FIELDS_RAW_OBJECT),
    FIELDS_ROW(struct command, subscribe.flag, "flag", FIELDS_INT64),
    FIELDS_ROW(struct command, subscribe.type, "type", FIELDS_INT32),
    FIELDS_ROW(struct command, subscribe.phase, "phase", FIELDS_INT32),
    FIELDS_ROW(struct command, subscribe.cursor, "cursor", FIELDS_STRING),
    FIELDS_ROW(struct command, subscribe.limit, "limit", FIELDS_INT32),
    FIELDS_ROW(struct command, subscribe.asc, "asc", FIELDS_BOOL),
};

static const struct fields_row publish_rows[] = {
    FIELDS_ROW(struct command, publish.channel, "channel", FIELDS_STRING),
    FIELDS_ROW(struct command, publish.data, "data", FIELDS_RAW),
};

static const struct fields_row rpc_publish_rows[] = {
    FIELDS_ROW(struct command_publish, channel, "channel", FIELDS_STRING),
    FIELDS_ROW(struct command_publish, data, "data", FIELDS_RAW),
    FIELDS_ROW(struct command_publish, key, "idempotency_key", FIELDS_STRING),
};
static const struct fields_table rpc_publish_table = FIELDS_TABLE(rpc_publish_rows);

static const struct fields_row channel_rows[] = {
    FIELDS_ROW(struct command, unsubscribe.channel, "channel", FIELDS_STRING),
};

static const struct fields_row since_rows[] = {
    FIELDS_ROW(struct command, history.since_offset, "offset", FIELDS_UINT64),
    FIELDS_ROW(struct command, history.since_epoch, "epoch", FIELDS_STRING),
};
static const struct fields_table since_table = FIELDS_TABLE(since_rows);

static const struct fields_row history_rows[] = {
    FIELDS_ROW(struct command, history.channel, "channel", FIELDS_STRING),
    FIELDS_ROW(struct command, history.limit, "limit", FIELDS_INT32),
    FIELDS_INNER(struct command, history.has_since, "since", &since_table),
    FIELDS_ROW(struct command, history.reverse, "reverse", FIELDS_BOOL),
};

static const struct fields_row send_rows[] = {
    FIELDS_ROW(struct command, send.data, "data", FIELDS_RAW),
};

static const struct fields_row rpc_rows[] = {
    FIELDS_ROW(struct command, rpc.data, "data", FIELDS_RAW),
    FIELDS_ROW(struct command, rpc.method, "method", FIELDS_STRING),
};

static const struct fields_row refresh_rows[] = {
    FIELDS_ROW(struct command, refresh.token, "token", FIELDS_STRING),
};

static const struct fields_row sub_refresh_rows[] = {
    FIELDS_ROW(struct command, sub_refresh.channel, "channel", FIELDS_STRING),
    FIELDS_ROW(struct command, sub_refresh.token, "token", FIELDS_STRING),
};

static const struct fields_table connect_table = FIELDS_TABLE(connect_rows);
static const struct fields_table subscribe_table = FIELDS_TABLE(subscribe_rows);
static const struct fields_table publish_table = FIELDS_TABLE(publish_rows);
static const struct fields_table channel_table = FIELDS_TABLE(channel_rows);
static const struct fields_table history_table = FIELDS_TABLE(history_rows);
static const struct fields_table ping_table = {.rows = NULL, .count = 0};
static const struct fields_table send_table = FIELDS_TABLE(send_rows);
static const struct fields_table rpc_table = FIELDS_TABLE(rpc_rows);
static const struct fields_table refresh_table = FIELDS_TABLE(refresh_rows);
static const struct fields_table sub_refresh_table = FIELDS_TABLE(sub_refresh_rows);

/*
 * Only names and tables are used: which request counts is decided here, not by fields_read().
 * A request is at the place of its method; the id has that of the pong, which has no name.
 */
#define REQUEST(name, table) FIELDS_INNER(struct command, method, name, table)
static const struct fields_row command_rows[COMMAND_METHOD_COUNT] = {
    [COMMAND_PONG] = FIELDS_ROW(struct command, id, "id", FIELDS_UINT32),
    [COMMAND_CONNECT] = REQUEST("connect", &connect_table),
    [COMMAND_SUBSCRIBE] = REQUEST("subscribe", &subscribe_table),
    [COMMAND_UNSUBSCRIBE] = REQUEST("unsubscribe", &channel_table),
    [COMMAND_PUBLISH] = REQUEST("publish", &publish_table),
    [COMMAND_PRESENCE] = REQUEST("presence", &channel_table),
    [COMMAND_PRESENCE_STATS] = REQUEST("presence_stats", &channel_table),
    [COMMAND_HISTORY] = REQUEST("history", &history_table),
    [COMMAND_PING] = REQUEST("ping", &ping_table),
    [COMMAND_SEND] = REQUEST("send", &send_table),
    [COMMAND_RPC] = REQUEST("rpc", &rpc_table),
    [COMMAND_REFRESH] = REQUEST("refresh", &refresh_table),
    [COMMAND_SUB_REFRESH] = REQUEST("sub_refresh", &sub_refresh_table),
};
/* clang-format on */

static const struct fields_table command_table = FIELDS_TABLE(command_rows);

_Static_assert((int)COMMAND_METHOD_COUNT <= (int)FIELDS_COUNT_MAX,
               "one bit for each name that was seen");

static enum command_verdict judge(enum json_verdict verdict)
{
    switch (verdict) {
    case JSON_OK:
        return COMMAND_OK;
    case JSON_END:
        break;
    case JSON_BAD_SYNTAX:
    case JSON_BAD_STRING:
    case JSON_BAD_NUMBER:
        return COMMAND_BAD_JSON;
    case JSON_BAD_UNICODE:
        return COMMAND_BAD_UNICODE;
    case JSON_TOO_DEEP:
        return COMMAND_TOO_DEEP;
    case JSON_WRONG_TYPE:
        return COMMAND_BAD_TYPE;
    case JSON_OUT_OF_RANGE:
        return COMMAND_OUT_OF_RANGE;
    case JSON_DUPLICATE_KEY:
        return COMMAND_DUPLICATE_KEY;
    }
    NEVER("a verdict that is not about a value");
}

/* What the members of one command object said, before it is known whether they make a command. */
struct draft {
    uint32_t seen; /* bit i: command_rows[i] */
    bool unknown;  /* a name that we do not know */
};

/*
 * Reads a request into a command of its own: another one may stand in the same object, and which
 * of them counts does not depend on their order there.
 */
static enum json_verdict read_request(struct json_reader *reader, struct span message,
                                      enum command_method method, struct command *command)
{
    struct command request;
    memset(&request, 0, sizeof(request));
    const enum json_verdict verdict =
        fields_read(reader, message, command_rows[method].inner, &request);
    if (verdict == JSON_OK && (command->method == COMMAND_PONG || method < command->method)) {
        request.id = command->id;
        request.method = method;
        *command = request;
    }
    return verdict;
}

static enum json_verdict read_member(struct json_reader *reader, struct span message,
                                     struct draft *draft, struct command *command)
{
    struct json_string name;
    const enum json_verdict verdict = json_next_member(reader, &name);
    if (verdict != JSON_OK) {
        return verdict;
    }
    const size_t index = fields_find(&command_table, name);
    if (index == command_table.count) {
        draft->unknown = true;
        return json_skip_value(reader);
    }
    const uint32_t bit = UINT32_C(1) << index;
    if ((draft->seen & bit) != 0) {
        return JSON_DUPLICATE_KEY;
    }
    draft->seen |= bit;
    if (json_peek(reader) == JSON_NULL) {
        return json_skip_value(reader);
    }
    if (index == COMMAND_PONG) {
        return json_read_uint32(reader, &command->id);
    }
    return read_request(reader, message, (enum command_method)index, command);
}

static enum command_verdict read_command(struct json_reader *reader, struct span message,
                                         struct command *command)
{
    struct draft draft = {0};
    memset(command, 0, sizeof(*command));

    enum json_verdict verdict = json_open_object(reader);
    while (verdict == JSON_OK) {
        verdict = read_member(reader, message, &draft, command);
    }
    if (verdict != JSON_END) {
        return judge(verdict);
    }
    if (command->method == COMMAND_PONG) {
        return command->id != 0 || draft.unknown ? COMMAND_EMPTY : COMMAND_OK;
    }
    if (command->id == 0 && command->method != COMMAND_SEND) {
        return COMMAND_NO_ID;
    }
    return COMMAND_OK;
}

void command_reader_init(struct command_reader *reader, struct span message)
{
    CHECK(reader != NULL);
    CHECK(message.data != NULL || message.size == 0);
    *reader = (struct command_reader){
        .message = message,
        .verdict = message.size > 0 ? COMMAND_OK : COMMAND_NOTHING,
    };
}

struct span command_reader_rest(const struct command_reader *reader)
{
    return (struct span){reader->message.data + reader->offset,
                         reader->message.size - reader->offset};
}

bool command_reader_is_at_pong(const struct command_reader *reader)
{
    const struct span rest = command_reader_rest(reader);
    return rest.size >= 2 && rest.data[0] == '{' && rest.data[1] == '}';
}

enum command_verdict command_next(struct command_reader *reader, struct command *command)
{
    CHECK(reader->offset <= reader->message.size);
    if (reader->verdict != COMMAND_OK) {
        return reader->verdict;
    }
    const struct bytes rest = {reader->message.data + reader->offset,
                               reader->message.size - reader->offset};
    if (rest.size == 0) {
        return COMMAND_END;
    }
    /* White space is for the inside of objects; outside only the '\n' that separates them. */
    if (rest.data[0] != '{') {
        reader->verdict = COMMAND_BAD_JSON;
        return reader->verdict;
    }

    struct json_reader json;
    struct command read;
    json_reader_init(&json, rest, COMMAND_DEPTH_MAX);
    reader->verdict = read_command(&json, reader->message, &read);
    if (reader->verdict == COMMAND_OK && json_end_line(&json) != JSON_OK) {
        reader->verdict = COMMAND_BAD_SEPARATOR;
    }
    if (reader->verdict == COMMAND_OK) {
        reader->offset = reader->message.size - (size_t)(json.end - json.at);
        *command = read;
    }
    return reader->verdict;
}

_Static_assert(sizeof(struct span) == sizeof(struct bytes), "they differ by a const");

enum command_verdict command_read_publish(struct bytes data, struct command_publish *publish)
{
    struct json_reader json;
    struct command_publish read;
    struct span lent; /* the message was lent to write to, and the view is a part of it */
    memset(&read, 0, sizeof(read));
    memcpy(&lent, &data, sizeof(lent));
    json_reader_init(&json, data, COMMAND_DEPTH_MAX);
    const enum json_verdict verdict = fields_read(&json, lent, &rpc_publish_table, &read);
    if (verdict != JSON_OK) {
        return judge(verdict);
    }
    *publish = read;
    return COMMAND_OK;
}

void command_subs_init(struct command_subs *subs, struct bytes text)
{
    *subs = (struct command_subs){.verdict = COMMAND_END};
    if (text.size > 0) {
        memcpy(&subs->lent, &text, sizeof(subs->lent));
        json_reader_init(&subs->json, text, COMMAND_DEPTH_MAX);
        subs->verdict = judge(json_open_object(&subs->json));
    }
}

/* The channel's name, decoded where it stands. */
static enum json_verdict read_name(struct span lent, struct json_string key, struct bytes *name)
{
    uint8_t *const at = lent.data + (key.raw.data - lent.data);
    size_t size = key.raw.size;
    const enum json_verdict verdict = key.escaped ? json_decode_string(key, at, &size) : JSON_OK;
    *name = (struct bytes){at, size};
    return verdict;
}

enum command_verdict command_subs_next(struct command_subs *subs, struct bytes *channel,
                                       struct command_subscribe *wanted)
{
    struct json_string key;
    struct command read;

    if (subs->verdict != COMMAND_OK) {
        return subs->verdict;
    }
    enum json_verdict verdict = json_next_member(&subs->json, &key);
    if (verdict == JSON_END) {
        subs->verdict = COMMAND_END;
        return COMMAND_END;
    }
    memset(&read, 0, sizeof(read));
    if (verdict == JSON_OK) {
        verdict = read_name(subs->lent, key, channel);
    }
    if (verdict == JSON_OK) {
        verdict = fields_read(&subs->json, subs->lent, &subscribe_table, &read);
    }
    if (verdict != JSON_OK) {
        subs->verdict = judge(verdict);
        return subs->verdict;
    }
    *wanted = (struct command_subscribe){
        .recover = read.subscribe.recover,
        .epoch = read.subscribe.epoch,
        .offset = read.subscribe.offset,
    };
    return COMMAND_OK;
}

void command_write(struct json_writer *writer, const struct command *command)
{
    CHECK((int)command->method < COMMAND_METHOD_COUNT);
    if (command->method == COMMAND_PONG) {
        json_writer_text(writer, "{}");
        return;
    }
    json_writer_text(writer, "{");
    if (command->id != 0) {
        json_writer_text(writer, "\"id\":");
        json_writer_uint64(writer, command->id);
        json_writer_text(writer, ",");
    }
    json_writer_text(writer, "\"");
    json_writer_text(writer, command_rows[command->method].name);
    json_writer_text(writer, "\":");
    fields_write(writer, command_rows[command->method].inner, command);
    json_writer_text(writer, "}");
}

const char *command_method_name(enum command_method method)
{
    CHECK((int)method < COMMAND_METHOD_COUNT);
    return method == COMMAND_PONG ? "pong" : command_rows[method].name;
}
