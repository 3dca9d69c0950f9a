/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members of each method, by which a body is read.
 */
#include "proto/api.h"
#include "proto/api_private.h"
#include "proto/fields.h"

/* clang-format off */
#define PUBLICATION_ROWS \
    FIELDS_ROW(struct api_command, publish.data, "data", FIELDS_RAW), \
    FIELDS_ROW(struct api_command, publish.b64data, "b64data", FIELDS_STRING), \
    FIELDS_ROW(struct api_command, publish.tags, "tags", FIELDS_RAW_OBJECT), \
    FIELDS_ROW(struct api_command, publish.key, "idempotency_key", FIELDS_STRING), \
    FIELDS_ROW(struct api_command, publish.skip_history, "skip_history", FIELDS_BOOL), \
    FIELDS_ROW(struct api_command, publish.delta, "delta", FIELDS_BOOL), \
    FIELDS_ROW(struct api_command, publish.version, "version", FIELDS_UINT64), \
    FIELDS_ROW(struct api_command, publish.version_epoch, "version_epoch", FIELDS_STRING)

static const struct fields_row publish_rows[] = {
    FIELDS_ROW(struct api_command, publish.channel, "channel", FIELDS_STRING),
    PUBLICATION_ROWS,
};

static const struct fields_row broadcast_rows[] = {
    FIELDS_ROW(struct api_command, publish.channels, "channels", FIELDS_RAW_ARRAY),
    PUBLICATION_ROWS,
};

static const struct fields_row channel_rows[] = {
    FIELDS_ROW(struct api_command, presence.channel, "channel", FIELDS_STRING),
};

static const struct fields_row since_rows[] = {
    FIELDS_ROW(struct api_command, history.since_offset, "offset", FIELDS_UINT64),
    FIELDS_ROW(struct api_command, history.since_epoch, "epoch", FIELDS_STRING),
};
static const struct fields_table since_table = FIELDS_TABLE(since_rows);

static const struct fields_row history_rows[] = {
    FIELDS_ROW(struct api_command, history.channel, "channel", FIELDS_STRING),
    FIELDS_ROW(struct api_command, history.limit, "limit", FIELDS_INT32),
    FIELDS_INNER(struct api_command, history.has_since, "since", &since_table),
    FIELDS_ROW(struct api_command, history.reverse, "reverse", FIELDS_BOOL),
};

static const struct fields_row pattern_rows[] = {
    FIELDS_ROW(struct api_command, channels.channel, "pattern", FIELDS_STRING),
};

static const struct fields_row rpc_rows[] = {
    FIELDS_ROW(struct api_command, rpc.method, "method", FIELDS_STRING),
};

static const struct fields_row reason_rows[] = {
    FIELDS_ROW(struct api_command, user.code, "code", FIELDS_UINT32),
    FIELDS_ROW(struct api_command, user.reason, "reason", FIELDS_STRING),
};
static const struct fields_table reason_table = FIELDS_TABLE(reason_rows);
static const struct fields_table empty_table = {.rows = NULL, .count = 0};

#define OVERRIDE_TABLE(name) \
    static const struct fields_row name##_rows[] = { \
        FIELDS_ROW(struct api_command, user.overrides.name.value, "value", FIELDS_BOOL)}; \
    static const struct fields_table name##_table = FIELDS_TABLE(name##_rows)
#define OVERRIDE(name) \
    FIELDS_INNER(struct api_command, user.overrides.name.is_there, #name, &name##_table)

OVERRIDE_TABLE(presence);
OVERRIDE_TABLE(join_leave);
OVERRIDE_TABLE(force_recovery);
OVERRIDE_TABLE(force_positioning);
OVERRIDE_TABLE(force_push_join_leave);

static const struct fields_row override_rows[] = {
    OVERRIDE(presence),
    OVERRIDE(join_leave),
    OVERRIDE(force_recovery),
    OVERRIDE(force_positioning),
    OVERRIDE(force_push_join_leave),
};
static const struct fields_table override_table = FIELDS_TABLE(override_rows);

/* Whose connections it is about. */
#define WHOSE_ROWS \
    FIELDS_ROW(struct api_command, user.user, "user", FIELDS_STRING), \
    FIELDS_ROW(struct api_command, user.client, "client", FIELDS_STRING), \
    FIELDS_ROW(struct api_command, user.session, "session", FIELDS_STRING)

static const struct fields_row subscribe_rows[] = {
    WHOSE_ROWS,
    FIELDS_ROW(struct api_command, user.channel, "channel", FIELDS_STRING),
    FIELDS_ROW(struct api_command, user.info, "info", FIELDS_RAW),
    FIELDS_ROW(struct api_command, user.b64info, "b64info", FIELDS_STRING),
    FIELDS_ROW(struct api_command, user.data, "data", FIELDS_RAW),
    FIELDS_ROW(struct api_command, user.b64data, "b64data", FIELDS_STRING),
    FIELDS_ROW(struct api_command, user.expire_at_s, "expire_at", FIELDS_INT64),
    FIELDS_INNER(struct api_command, user.has_position, "recover_since", &empty_table),
    FIELDS_INNER(struct api_command, user.has_override, "override", &override_table),
};

static const struct fields_row unsubscribe_rows[] = {
    WHOSE_ROWS,
    FIELDS_ROW(struct api_command, user.channel, "channel", FIELDS_STRING),
};

static const struct fields_row disconnect_rows[] = {
    WHOSE_ROWS,
    FIELDS_ROW(struct api_command, user.whitelist, "whitelist", FIELDS_RAW_ARRAY),
    FIELDS_INNER(struct api_command, user.has_disconnect, "disconnect", &reason_table),
};

static const struct fields_row refresh_rows[] = {
    WHOSE_ROWS,
    FIELDS_ROW(struct api_command, user.expired, "expired", FIELDS_BOOL),
    FIELDS_ROW(struct api_command, user.expire_at_s, "expire_at", FIELDS_INT64),
    FIELDS_ROW(struct api_command, user.info, "info", FIELDS_RAW),
};

/* What is forbidden: each method looks at what is its own. */
static const struct fields_row rule_rows[] = {
    FIELDS_ROW(struct api_command, user.user, "user", FIELDS_STRING),
    FIELDS_ROW(struct api_command, user.uid, "uid", FIELDS_STRING),
    FIELDS_ROW(struct api_command, user.channel, "channel", FIELDS_STRING),
    FIELDS_ROW(struct api_command, user.expire_at_s, "expire_at", FIELDS_INT64),
    FIELDS_ROW(struct api_command, user.issued_before_s, "issued_before", FIELDS_INT64),
};

static const struct fields_row batch_rows[] = {
    FIELDS_ROW(struct api_batch, commands, "commands", FIELDS_RAW_ARRAY),
    FIELDS_ROW(struct api_batch, parallel, "parallel", FIELDS_BOOL),
};
const struct fields_table api_batch_fields = FIELDS_TABLE(batch_rows);

static const struct fields_table publish_table = FIELDS_TABLE(publish_rows);
static const struct fields_table broadcast_table = FIELDS_TABLE(broadcast_rows);
static const struct fields_table channel_table = FIELDS_TABLE(channel_rows);
static const struct fields_table history_table = FIELDS_TABLE(history_rows);
static const struct fields_table pattern_table = FIELDS_TABLE(pattern_rows);
static const struct fields_table rpc_table = FIELDS_TABLE(rpc_rows);
static const struct fields_table subscribe_table = FIELDS_TABLE(subscribe_rows);
static const struct fields_table unsubscribe_table = FIELDS_TABLE(unsubscribe_rows);
static const struct fields_table disconnect_table = FIELDS_TABLE(disconnect_rows);
static const struct fields_table refresh_table = FIELDS_TABLE(refresh_rows);
static const struct fields_table rule_table = FIELDS_TABLE(rule_rows);

/* Only names and tables are used: which of them counts is decided here, not by fields_read(). */
#define METHOD(name, table) FIELDS_INNER(struct api_command, method, name, table)
static const struct fields_row method_rows[API_METHOD_COUNT] = {
    [API_PUBLISH] = METHOD("publish", &publish_table),
    [API_BROADCAST] = METHOD("broadcast", &broadcast_table),
    [API_PRESENCE] = METHOD("presence", &channel_table),
    [API_PRESENCE_STATS] = METHOD("presence_stats", &channel_table),
    [API_HISTORY] = METHOD("history", &history_table),
    [API_INFO] = METHOD("info", &empty_table),
    [API_HISTORY_REMOVE] = METHOD("history_remove", &channel_table),
    [API_CHANNELS] = METHOD("channels", &pattern_table),
    [API_RPC] = METHOD("rpc", &rpc_table),
    [API_SUBSCRIBE] = METHOD("subscribe", &subscribe_table),
    [API_UNSUBSCRIBE] = METHOD("unsubscribe", &unsubscribe_table),
    [API_DISCONNECT] = METHOD("disconnect", &disconnect_table),
    [API_REFRESH] = METHOD("refresh", &refresh_table),
    [API_BLOCK_USER] = METHOD("block_user", &rule_table),
    [API_UNBLOCK_USER] = METHOD("unblock_user", &rule_table),
    [API_REVOKE_TOKEN] = METHOD("revoke_token", &rule_table),
    [API_INVALIDATE_USER_TOKENS] = METHOD("invalidate_user_tokens", &rule_table),
    [API_RELOAD] = METHOD("reload", &empty_table),
};
/* clang-format on */

const struct fields_table api_methods = FIELDS_TABLE(method_rows);

_Static_assert((int)API_METHOD_COUNT <= (int)FIELDS_COUNT_MAX, "they are the rows of a table");
