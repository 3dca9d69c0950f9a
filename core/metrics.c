/* SPDX-License-Identifier: Apache-2.0 */
#include "core/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/check.h"
#include "core/metrics_text.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_S  1e9

/* In the order of the enum: a family's values are those up to the next family's first. */
static const struct {
    const char *name;
    const char *type;
    const char *help;
    const char *label; /* NULL: one value without a label */
    enum metrics_id first;
} families[] = {
    {"parley_connections_open", "gauge", "Connections that are open now.", NULL,
     METRIC_CONNECTIONS_OPEN},
    {"parley_connections_accepted_total", "counter", "Connections accepted.", NULL,
     METRIC_CONNECTIONS_ACCEPTED},
    {"parley_connections_closed_total", "counter", "Connections closed, by who or what ended them.",
     "reason", METRIC_CLOSED_BY_CLIENT},
    {"parley_drain_waiting", "gauge", "Connections that wait to be closed because the server ends.",
     NULL, METRIC_DRAIN_WAITING},
    {"parley_drain_connections_total", "counter",
     "Connections closed because the server ends: told so, and of them those that did not read it.",
     "outcome", METRIC_DRAIN_TOLD},
    {"parley_handshakes_total", "counter", "WebSocket handshakes accepted.", NULL,
     METRIC_HANDSHAKES},
    {"parley_compression_offers_total", "counter",
     "Handshakes that offered permessage-deflate, by what became of it.", "result",
     METRIC_COMPRESSION_ACCEPTED},
    {"parley_tls_handshakes_total", "counter", "TLS handshakes that succeeded.", NULL,
     METRIC_TLS_HANDSHAKES},
    {"parley_tokens_rejected_total", "counter", "Tokens that were not valid, by why.", "reason",
     METRIC_TOKENS_REJECTED_TOO_LONG},
    {"parley_jwks_fetches_total", "counter", "Key sets (JWKS) fetched.", "result",
     METRIC_JWKS_FETCHES_OK},
    {"parley_http_requests_total", "counter", "Plain HTTP requests answered.", "path",
     METRIC_HTTP_HEALTH},
    {"parley_rejected_total", "counter", "What a limit or a rule refused.", "reason",
     METRIC_REJECTED_HEAD_TOO_BIG},
    {"parley_limits_dry_run_total", "counter", "What limits in a dry run would have refused.",
     "reason", METRIC_DRY_RUN_ADDRESS_CONNECTIONS},
    {"parley_command_waits_total", "counter",
     "Times commands had to wait for the rate of their address, or their user.", "reason",
     METRIC_COMMAND_WAITS_ADDRESS},
    {"parley_limited_keys", "gauge", "Addresses and users that limits keep count of.", "kind",
     METRIC_LIMITED_ADDRESSES},
    {"parley_limits_forgotten_total", "counter",
     "Addresses and users whose rate was forgotten too early, because too many others came.", NULL,
     METRIC_LIMITS_FORGOTTEN},
    {"parley_frames_received_total", "counter", "WebSocket messages and control frames received.",
     "opcode", METRIC_FRAMES_RECEIVED_TEXT},
    {"parley_frames_sent_total", "counter", "WebSocket frames queued for sending.", "kind",
     METRIC_FRAMES_SENT_REPLY},
    {"parley_bytes_received_total", "counter", "Bytes received from clients.", NULL,
     METRIC_BYTES_RECEIVED},
    {"parley_bytes_sent_total", "counter", "Bytes sent to clients.", NULL, METRIC_BYTES_SENT},
    {"parley_inflate_bytes_total", "counter",
     "Compressed messages received: their bytes, and what they became.", "of",
     METRIC_INFLATE_COMPRESSED},
    {"parley_inflate_waits_total", "counter",
     "Times a connection was not read on because enough was inflated in one iteration.", NULL,
     METRIC_INFLATE_WAITS},
    {"parley_deflate_bytes_total", "counter",
     "Messages compressed, once for all who get them: their bytes, and what they became.", "of",
     METRIC_DEFLATE_PLAIN},
    {"parley_deflate_skipped_total", "counter",
     "Messages sent as they were to who would have taken them compressed.", "reason",
     METRIC_DEFLATE_OVER_BUDGET},
    {"parley_commands_total", "counter", "Client commands, by method.", "method",
     METRIC_COMMANDS_CONNECT},
    {"parley_errors_total", "counter", "Commands answered with an error, by its code.", "code",
     METRIC_ERRORS_100},
    {"parley_api_commands_total", "counter", "Commands of back ends, by method.", "method",
     METRIC_API_COMMANDS_PUBLISH},
    {"parley_api_errors_total", "counter",
     "Commands of back ends, and publications of a broadcast, answered with an error.", "method",
     METRIC_API_ERRORS_PUBLISH},
    {"parley_tokens_total", "counter", "Tokens that were checked, by what they turned out to be.",
     "result", METRIC_TOKENS_VALID},
    {"parley_expired_total", "counter", "Ended because their token had expired.", "what",
     METRIC_EXPIRED_CONNECTIONS},
    {"parley_publications_total", "counter", "Publications accepted by the home of their channel.",
     NULL, METRIC_PUBLICATIONS},
    {"parley_deliveries_total", "counter", "Publications queued for a connection.", NULL,
     METRIC_DELIVERIES},
    {"parley_gaps_total", "counter", "Times a subscriber was told that it missed publications.",
     NULL, METRIC_GAPS},
    {"parley_publish_repeats_total", "counter",
     "Publications that were accepted before, under the same idempotency key.", NULL,
     METRIC_REPEATS},
    {"parley_publish_superseded_total", "counter",
     "Publications dropped, for the channel had one of their version or a higher one.", NULL,
     METRIC_SUPERSEDED},
    {"parley_recoveries_total", "counter", "Subscribers that came back, by whether they have all.",
     "recovered", METRIC_RECOVERIES_COMPLETE},
    {"parley_join_leave_frames_total", "counter",
     "Frames of joins and leaves, counted where the members are.", NULL, METRIC_NEWS_FRAMES},
    {"parley_join_leave_deliveries_total", "counter",
     "Frames of joins and leaves put into the queue of a connection.", NULL,
     METRIC_NEWS_DELIVERIES},
    {"parley_join_leave_told_total", "counter", "Joins and leaves in these frames.", "kind",
     METRIC_NEWS_JOINS},
    {"parley_history_evicted_total", "counter",
     "Channels that lost their history, or their position, because memory was short.", NULL,
     METRIC_HISTORY_EVICTED},
    {"parley_history_bytes", "gauge", "What channels with history hold, counted at their home.",
     NULL, METRIC_HISTORY_BYTES},
    {"parley_lags_total", "counter",
     "Times a subscriber that does not read had no room for a publication, by what was done.",
     "policy", METRIC_LAGS_RESYNC},
    {"parley_lag_missed_total", "counter",
     "Publications that subscribers which do not read were not given; with resync they recover.",
     NULL, METRIC_LAG_MISSED},
    {"parley_channels", "gauge", "Channels that are alive, counted at their home.", NULL,
     METRIC_CHANNELS},
    {"parley_rooms", "gauge", "Channels with a subscriber here, summed over reactors.", NULL,
     METRIC_ROOMS},
    {"parley_sessions", "gauge", "Clients of the chat, from their upgrade on.", NULL,
     METRIC_SESSIONS},
    {"parley_users", "gauge", "Users that are connected, each once; who has no id is none.", NULL,
     METRIC_USERS},
    {"parley_subscriptions", "gauge", "Subscriptions of all sessions.", NULL, METRIC_SUBSCRIPTIONS},
    {"parley_bus_posts_total", "counter", "Posts between threads.", NULL, METRIC_BUS_POSTS},
    {"parley_bus_wakes_total", "counter", "Threads woken for a post.", NULL, METRIC_BUS_WAKES},
    {"parley_bus_full_total", "counter", "Posts refused because there was no room.", NULL,
     METRIC_BUS_FULL},
    {"parley_memory_bytes", "gauge",
     "Memory by what it is for. Publications are those on their way, in queues and in history; tls "
     "is all that OpenSSL has: TLS connections with the ciphertext that waits to be sent, "
     "certificates, keys of tokens, what fetches key sets, and its own tables.",
     "pool", METRIC_MEMORY_CONNECTIONS},
    {"parley_slow_turns_total", "counter",
     "Turns of a reactor's loop that took longer than log.slow_turn.", NULL, METRIC_SLOW_TURNS},
    {"parley_log_dropped_total", "counter", "Log records dropped because a ring was full.", NULL,
     METRIC_LOG_DROPPED},
    {"parley_store_ready", "gauge", "1 while the durable store takes what it is given.", NULL,
     METRIC_STORE_READY},
    {"parley_store_starts_total", "counter", "Starts of the store's process.", NULL,
     METRIC_STORE_STARTS},
    {"parley_store_appends_total", "counter", "Publications stored.", NULL, METRIC_STORE_APPENDS},
    {"parley_store_bytes_total", "counter", "Bytes of the publications stored.", NULL,
     METRIC_STORE_BYTES},
    {"parley_store_runs_total", "counter",
     "What one channel gave to be stored together, by its end.", "result", METRIC_STORE_RUNS_OK},
    {"parley_store_pages_total", "counter", "Times a channel was read from the store.", NULL,
     METRIC_STORE_PAGES},
    {"parley_store_questions", "gauge", "What the store was asked and has not answered.", NULL,
     METRIC_STORE_QUESTIONS},
    {"parley_store_queue_bytes", "gauge", "Bytes not yet sent to the store's process.", NULL,
     METRIC_STORE_QUEUE_BYTES},
    {"parley_store_waiting", "gauge", "Batches and pages that the store's queue has no room for.",
     NULL, METRIC_STORE_WAITING},
    {"parley_store_table_bytes", "gauge", "Bytes of the store's tables on the disk.", NULL,
     METRIC_STORE_TABLE_BYTES},
    {"parley_store_expired_total", "counter",
     "What got too old in the store while nobody had its channel open.", "what",
     METRIC_STORE_EXPIRED_PUBLICATIONS},
    {"parley_store_repaired_total", "counter",
     "Damaged files that the store has dropped, and channels that lost something by it.", "what",
     METRIC_STORE_DAMAGED_TABLES},
    {"parley_reloads_total", "counter",
     "Times the configuration was to be read again, by whether it was good.", "outcome",
     METRIC_RELOADS_DONE},
    {"parley_config_loaded_timestamp_seconds", "gauge",
     "When the configuration that is used was read, since 1970.", NULL, METRIC_CONFIG_LOADED_S},
};

enum { FAMILY_COUNT = sizeof(families) / sizeof(families[0]) };

/* The label's value, for ids whose family has a label. */
static const char *const label_values[METRIC_COUNT] = {
    [METRIC_CLOSED_BY_CLIENT] = "client",
    [METRIC_CLOSED_BY_SERVER] = "server",
    [METRIC_CLOSED_ERROR] = "error",
    [METRIC_CLOSED_TIMEOUT] = "timeout",
    [METRIC_CLOSED_SLOW] = "slow",
    [METRIC_CLOSED_SHUTDOWN] = "shutdown",
    [METRIC_COMPRESSION_ACCEPTED] = "accepted",
    [METRIC_COMPRESSION_DECLINED] = "declined",
    [METRIC_COMPRESSION_MALFORMED] = "malformed",
    [METRIC_INFLATE_COMPRESSED] = "compressed",
    [METRIC_INFLATE_PLAIN] = "plain",
    [METRIC_DEFLATE_PLAIN] = "plain",
    [METRIC_DEFLATE_COMPRESSED] = "compressed",
    [METRIC_DEFLATE_OVER_BUDGET] = "over_budget",
    [METRIC_DEFLATE_NO_GAIN] = "no_gain",
    [METRIC_DRAIN_TOLD] = "told",
    [METRIC_DRAIN_CUT] = "cut",
    [METRIC_NEWS_JOINS] = "join",
    [METRIC_NEWS_LEAVES] = "leave",
    [METRIC_RECOVERIES_COMPLETE] = "true",
    [METRIC_RECOVERIES_IMPOSSIBLE] = "false",
    [METRIC_TOKENS_REJECTED_TOO_LONG] = "too_long",
    [METRIC_TOKENS_REJECTED_MALFORMED] = "malformed",
    [METRIC_TOKENS_REJECTED_BAD_ALGORITHM] = "bad_algorithm",
    [METRIC_TOKENS_REJECTED_UNAVAILABLE] = "unavailable",
    [METRIC_TOKENS_REJECTED_UNKNOWN_KEY] = "unknown_key",
    [METRIC_TOKENS_REJECTED_BAD_SIGNATURE] = "bad_signature",
    [METRIC_TOKENS_REJECTED_BAD_CLAIMS] = "bad_claims",
    [METRIC_TOKENS_REJECTED_WRONG_KIND] = "wrong_kind",
    [METRIC_TOKENS_REJECTED_WRONG_ISSUER] = "wrong_issuer",
    [METRIC_TOKENS_REJECTED_WRONG_AUDIENCE] = "wrong_audience",
    [METRIC_TOKENS_REJECTED_NOT_YET] = "not_yet",
    [METRIC_TOKENS_REJECTED_EXPIRED] = "expired",
    [METRIC_TOKENS_VALID] = "valid",
    [METRIC_TOKENS_EXPIRED] = "expired",
    [METRIC_TOKENS_INVALID] = "invalid",
    [METRIC_TOKENS_UNAVAILABLE] = "unavailable",
    [METRIC_EXPIRED_CONNECTIONS] = "connection",
    [METRIC_EXPIRED_SUBSCRIPTIONS] = "subscription",
    [METRIC_JWKS_FETCHES_OK] = "ok",
    [METRIC_JWKS_FETCHES_FAILED] = "failed",
    [METRIC_HTTP_HEALTH] = "health",
    [METRIC_HTTP_METRICS] = "metrics",
    [METRIC_HTTP_PAGE] = "page",
    [METRIC_HTTP_API] = "api",
    [METRIC_HTTP_OTHER] = "other",
    [METRIC_REJECTED_HEAD_TOO_BIG] = "head_too_big",
    [METRIC_REJECTED_BAD_REQUEST] = "bad_request",
    [METRIC_REJECTED_BAD_UPGRADE] = "bad_upgrade",
    [METRIC_REJECTED_BAD_ORIGIN] = "bad_origin",
    [METRIC_REJECTED_HEAD_TIMEOUT] = "head_timeout",
    [METRIC_REJECTED_MAX_CONNECTIONS] = "max_connections",
    [METRIC_REJECTED_ACCEPT_ERROR] = "accept_error",
    [METRIC_REJECTED_PROTOCOL_ERROR] = "protocol_error",
    [METRIC_REJECTED_INVALID_UTF8] = "invalid_utf8",
    [METRIC_REJECTED_INVALID_DEFLATE] = "invalid_deflate",
    [METRIC_REJECTED_MESSAGE_TOO_BIG] = "message_too_big",
    [METRIC_REJECTED_TOO_MANY_FRAGMENTS] = "too_many_fragments",
    [METRIC_REJECTED_MESSAGE_TIMEOUT] = "message_timeout",
    [METRIC_REJECTED_CONTROL_RATE] = "control_rate",
    [METRIC_REJECTED_COMMAND_RATE] = "command_rate",
    [METRIC_REJECTED_AUTH_TIMEOUT] = "auth_timeout",
    [METRIC_REJECTED_BAD_COMMAND] = "bad_command",
    [METRIC_REJECTED_UNKNOWN_CHANNEL] = "unknown_channel",
    [METRIC_REJECTED_CHANNEL_NAME] = "channel_name",
    [METRIC_REJECTED_CHANNEL_LIMIT] = "channel_limit",
    [METRIC_REJECTED_PERMISSION_DENIED] = "permission_denied",
    [METRIC_REJECTED_SLOW_CONSUMER] = "slow_consumer",
    [METRIC_REJECTED_WRITE_STALL] = "write_stall",
    [METRIC_REJECTED_NO_PONG] = "no_pong",
    [METRIC_REJECTED_OUT_OF_MEMORY] = "out_of_memory",
    [METRIC_REJECTED_PROXY_UNTRUSTED] = "proxy_untrusted",
    [METRIC_REJECTED_PROXY_BAD] = "proxy_bad",
    [METRIC_REJECTED_PROXY_TIMEOUT] = "proxy_timeout",
    [METRIC_REJECTED_TLS_HANDSHAKE] = "tls_handshake",
    [METRIC_REJECTED_TLS_TIMEOUT] = "tls_timeout",
    [METRIC_REJECTED_TLS_FAULT] = "tls_fault",
    [METRIC_REJECTED_REVOKED] = "revoked",
    [METRIC_REJECTED_API_KEY] = "api_key",
    [METRIC_REJECTED_API_REQUESTS] = "api_requests",
    [METRIC_REJECTED_BODY_TOO_BIG] = "body_too_big",
    [METRIC_REJECTED_BODY_TIMEOUT] = "body_timeout",
    [METRIC_REJECTED_DRAINING] = "draining",
    [METRIC_REJECTED_OVERLOAD_CONNECTION] = "overload_connection",
    [METRIC_REJECTED_OVERLOAD_SUBSCRIPTION] = "overload_subscription",
    [METRIC_REJECTED_OVERLOAD_QUEUE] = "overload_queue",
    [METRIC_REJECTED_ADDRESS_CONNECTIONS] = "address_connection_limit",
    [METRIC_REJECTED_ADDRESS_HANDSHAKES] = "address_handshake_rate",
    [METRIC_REJECTED_USER_CONNECTIONS] = "user_connection_limit",
    [METRIC_REJECTED_USER_CONNECTS] = "user_connect_rate",
    [METRIC_REJECTED_ADDRESS_COMMANDS] = "address_command_rate",
    [METRIC_REJECTED_USER_COMMANDS] = "user_command_rate",
    [METRIC_DRY_RUN_ADDRESS_CONNECTIONS] = "address_connection_limit",
    [METRIC_DRY_RUN_ADDRESS_HANDSHAKES] = "address_handshake_rate",
    [METRIC_DRY_RUN_USER_CONNECTIONS] = "user_connection_limit",
    [METRIC_DRY_RUN_USER_CONNECTS] = "user_connect_rate",
    [METRIC_DRY_RUN_ADDRESS_COMMANDS] = "address_command_rate",
    [METRIC_DRY_RUN_USER_COMMANDS] = "user_command_rate",
    [METRIC_COMMAND_WAITS_ADDRESS] = "address_command_rate",
    [METRIC_COMMAND_WAITS_USER] = "user_command_rate",
    [METRIC_LIMITED_ADDRESSES] = "address",
    [METRIC_LIMITED_USERS] = "user",
    [METRIC_LAGS_RESYNC] = "resync",
    [METRIC_LAGS_LATEST] = "latest",
    [METRIC_LAGS_DROP] = "drop",
    [METRIC_LAGS_DISCONNECT] = "disconnect",
    [METRIC_FRAMES_RECEIVED_TEXT] = "text",
    [METRIC_FRAMES_RECEIVED_BINARY] = "binary",
    [METRIC_FRAMES_RECEIVED_CLOSE] = "close",
    [METRIC_FRAMES_RECEIVED_PING] = "ping",
    [METRIC_FRAMES_RECEIVED_PONG] = "pong",
    [METRIC_FRAMES_SENT_REPLY] = "reply",
    [METRIC_FRAMES_SENT_PUSH] = "push",
    [METRIC_FRAMES_SENT_ECHO] = "echo",
    [METRIC_FRAMES_SENT_CLOSE] = "close",
    [METRIC_FRAMES_SENT_PING] = "ping",
    [METRIC_FRAMES_SENT_PONG] = "pong",
    [METRIC_COMMANDS_CONNECT] = "connect",
    [METRIC_COMMANDS_SUBSCRIBE] = "subscribe",
    [METRIC_COMMANDS_UNSUBSCRIBE] = "unsubscribe",
    [METRIC_COMMANDS_PUBLISH] = "publish",
    [METRIC_COMMANDS_PRESENCE] = "presence",
    [METRIC_COMMANDS_PRESENCE_STATS] = "presence_stats",
    [METRIC_COMMANDS_HISTORY] = "history",
    [METRIC_COMMANDS_PING] = "ping",
    [METRIC_COMMANDS_SEND] = "send",
    [METRIC_COMMANDS_RPC] = "rpc",
    [METRIC_COMMANDS_REFRESH] = "refresh",
    [METRIC_COMMANDS_SUB_REFRESH] = "sub_refresh",
    [METRIC_API_COMMANDS_PUBLISH] = "publish",
    [METRIC_API_COMMANDS_BROADCAST] = "broadcast",
    [METRIC_API_COMMANDS_PRESENCE] = "presence",
    [METRIC_API_COMMANDS_PRESENCE_STATS] = "presence_stats",
    [METRIC_API_COMMANDS_HISTORY] = "history",
    [METRIC_API_COMMANDS_HISTORY_REMOVE] = "history_remove",
    [METRIC_API_COMMANDS_CHANNELS] = "channels",
    [METRIC_API_COMMANDS_INFO] = "info",
    [METRIC_API_COMMANDS_RPC] = "rpc",
    [METRIC_API_COMMANDS_SUBSCRIBE] = "subscribe",
    [METRIC_API_COMMANDS_UNSUBSCRIBE] = "unsubscribe",
    [METRIC_API_COMMANDS_DISCONNECT] = "disconnect",
    [METRIC_API_COMMANDS_REFRESH] = "refresh",
    [METRIC_API_COMMANDS_BLOCK_USER] = "block_user",
    [METRIC_API_COMMANDS_UNBLOCK_USER] = "unblock_user",
    [METRIC_API_COMMANDS_REVOKE_TOKEN] = "revoke_token",
    [METRIC_API_COMMANDS_INVALIDATE_USER_TOKENS] = "invalidate_user_tokens",
    [METRIC_API_COMMANDS_RELOAD] = "reload",
    [METRIC_API_ERRORS_PUBLISH] = "publish",
    [METRIC_API_ERRORS_BROADCAST] = "broadcast",
    [METRIC_API_ERRORS_PRESENCE] = "presence",
    [METRIC_API_ERRORS_PRESENCE_STATS] = "presence_stats",
    [METRIC_API_ERRORS_HISTORY] = "history",
    [METRIC_API_ERRORS_HISTORY_REMOVE] = "history_remove",
    [METRIC_API_ERRORS_CHANNELS] = "channels",
    [METRIC_API_ERRORS_INFO] = "info",
    [METRIC_API_ERRORS_RPC] = "rpc",
    [METRIC_API_ERRORS_SUBSCRIBE] = "subscribe",
    [METRIC_API_ERRORS_UNSUBSCRIBE] = "unsubscribe",
    [METRIC_API_ERRORS_DISCONNECT] = "disconnect",
    [METRIC_API_ERRORS_REFRESH] = "refresh",
    [METRIC_API_ERRORS_BLOCK_USER] = "block_user",
    [METRIC_API_ERRORS_UNBLOCK_USER] = "unblock_user",
    [METRIC_API_ERRORS_REVOKE_TOKEN] = "revoke_token",
    [METRIC_API_ERRORS_INVALIDATE_USER_TOKENS] = "invalidate_user_tokens",
    [METRIC_API_ERRORS_RELOAD] = "reload",
    [METRIC_API_ERRORS_UNKNOWN] = "unknown",
    [METRIC_ERRORS_100] = "100",
    [METRIC_ERRORS_101] = "101",
    [METRIC_ERRORS_102] = "102",
    [METRIC_ERRORS_103] = "103",
    [METRIC_ERRORS_104] = "104",
    [METRIC_ERRORS_105] = "105",
    [METRIC_ERRORS_106] = "106",
    [METRIC_ERRORS_107] = "107",
    [METRIC_ERRORS_108] = "108",
    [METRIC_ERRORS_109] = "109",
    [METRIC_ERRORS_110] = "110",
    [METRIC_ERRORS_111] = "111",
    [METRIC_ERRORS_112] = "112",
    [METRIC_ERRORS_113] = "113",
    [METRIC_MEMORY_CONNECTIONS] = "connections",
    [METRIC_MEMORY_SESSIONS] = "sessions",
    [METRIC_MEMORY_ROOMS] = "rooms",
    [METRIC_MEMORY_SEND_QUEUES] = "send_queues",
    [METRIC_MEMORY_PUBLICATIONS] = "publications",
    [METRIC_MEMORY_BUS] = "bus",
    [METRIC_MEMORY_TLS] = "tls",
    [METRIC_STORE_RUNS_OK] = "stored",
    [METRIC_STORE_RUNS_REFUSED] = "refused",
    [METRIC_STORE_RUNS_LOST] = "lost",
    [METRIC_STORE_EXPIRED_PUBLICATIONS] = "publication",
    [METRIC_STORE_EXPIRED_CHANNELS] = "channel",
    [METRIC_STORE_DAMAGED_TABLES] = "file",
    [METRIC_STORE_DAMAGED_CHANNELS] = "channel",
    [METRIC_RELOADS_DONE] = "done",
    [METRIC_RELOADS_FAILED] = "failed",
};

/* Relaxed, and not one instruction: there is one writer. */
static void count_in(struct metrics_histogram *histogram, unsigned bucket, uint64_t value)
{
    const uint64_t before = atomic_load_explicit(&histogram->buckets[bucket], memory_order_relaxed);
    atomic_store_explicit(&histogram->buckets[bucket], before + 1, memory_order_relaxed);
    const uint64_t total = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    atomic_store_explicit(&histogram->sum, total + value, memory_order_relaxed);
}

void metrics_observe(struct metrics_histogram *histogram, uint64_t duration_ns)
{
    CHECK(histogram != NULL);

    unsigned bucket = 0;
    while (bucket < METRICS_BUCKET_COUNT - 1 && duration_ns > NS_PER_US << bucket) {
        bucket++;
    }
    count_in(histogram, bucket, duration_ns);
}

void metrics_observe_bytes(struct metrics_histogram *histogram, uint64_t bytes)
{
    /* By the highest bit, without a loop: this is asked for each send. */
    const uint64_t steps = bytes == 0 ? 0 : (bytes - 1) / METRICS_BYTES_FIRST;
    const unsigned bucket = steps == 0 ? 0 : 64 - (unsigned)__builtin_clzll(steps);
    count_in(histogram, bucket < METRICS_BUCKET_COUNT ? bucket : METRICS_BUCKET_COUNT - 1, bytes);
}

uint64_t metrics_observed(const struct metrics_histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < METRICS_BUCKET_COUNT; i++) {
        count += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
    }
    return count;
}

static uint64_t sum(const struct metrics *const *all, size_t count, enum metrics_id id)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value += metrics_read(all[i], id);
    }
    return value;
}

static void add_family(struct metrics_text *text, size_t family, const struct metrics *const *all,
                       size_t count)
{
    const char *name = families[family].name;
    const char *label = families[family].label;
    const unsigned end =
        family + 1 < FAMILY_COUNT ? (unsigned)families[family + 1].first : METRIC_COUNT;

    metrics_text_begin(text, name, families[family].type, families[family].help);
    for (unsigned id = families[family].first; id < end; id++) {
        const uint64_t value = sum(all, count, (enum metrics_id)id);
        if (label == NULL) {
            metrics_text_add(text, "%s %" PRIu64 "\n", name, value);
        } else {
            CHECK(label_values[id] != NULL);
            metrics_text_add(text, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, label_values[id],
                             value);
        }
    }
}

/* A histogram's values at one moment, or those of several. */
struct reading {
    uint64_t buckets[METRICS_BUCKET_COUNT];
    uint64_t sum;
};

static void read_histogram(struct reading *reading, const struct metrics_histogram *histogram)
{
    for (unsigned i = 0; i < METRICS_BUCKET_COUNT; i++) {
        reading->buckets[i] += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
    }
    reading->sum += atomic_load_explicit(&histogram->sum, memory_order_relaxed);
}

/* Prometheus wants seconds and bytes. */
struct unit {
    double first; /* the first bucket's bound */
    double one;   /* how many of ours it is */
};

static const struct unit of_time = {(double)NS_PER_US / NS_PER_S, NS_PER_S};
static const struct unit of_bytes = {METRICS_BYTES_FIRST, 1};

/* `label` is empty, or name="value". */
static void add_histogram(struct metrics_text *text, const struct reading *reading,
                          struct unit unit, const char *name, const char *label)
{
    const bool labelled = label[0] != '\0';
    const char *comma = labelled ? "," : "";
    const char *open = labelled ? "{" : "";
    const char *close = labelled ? "}" : "";

    uint64_t total = 0;
    for (unsigned i = 0; i < METRICS_BUCKET_COUNT - 1; i++) {
        total += reading->buckets[i];
        metrics_text_add(text, "%s_bucket{%s%sle=\"%.9g\"} %" PRIu64 "\n", name, label, comma,
                         unit.first * (double)(UINT64_C(1) << i), total);
    }
    total += reading->buckets[METRICS_BUCKET_COUNT - 1];
    metrics_text_add(text, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma, total);
    metrics_text_add(text, "%s_sum%s%s%s %.9f\n", name, open, label, close,
                     (double)reading->sum / unit.one);
    metrics_text_add(text, "%s_count%s%s%s %" PRIu64 "\n", name, open, label, close, total);
}

/* One that all threads share. */
static void add_sum(struct metrics_text *text, const struct reading *reading, struct unit unit,
                    const char *name, const char *help)
{
    metrics_text_begin(text, name, "histogram", help);
    add_histogram(text, reading, unit, name, "");
}

/* Whether connections spread over the reactors. */
static void add_spread(struct metrics_text *text, const struct metrics *const *all,
                       const char *const *names, size_t count)
{
    metrics_text_begin(text, "parley_reactor_connections", "gauge",
                       "Connections that are open now, by reactor.");
    for (size_t i = 0; i < count; i++) {
        if (names[i] != NULL) {
            metrics_text_add(text, "parley_reactor_connections{reactor=\"%.32s\"} %" PRIu64 "\n",
                             names[i], metrics_read(all[i], METRIC_CONNECTIONS_OPEN));
        }
    }
}

void metrics_render(const struct metrics *const *all, const char *const *names, size_t count,
                    struct metrics_text *text)
{
    CHECK(all != NULL || count == 0);
    CHECK(names != NULL || count == 0);

    for (size_t family = 0; family < FAMILY_COUNT; family++) {
        add_family(text, family, all, count);
    }
    add_spread(text, all, names, count);
    metrics_text_begin(text, "parley_loop_seconds", "histogram",
                       "Time of one turn of a reactor's loop, its sleep left out.");
    struct reading store = {.sum = 0};
    struct reading delivery = {.sum = 0};
    struct reading queues = {.sum = 0};
    for (size_t i = 0; i < count; i++) {
        read_histogram(&store, &all[i]->store);
        read_histogram(&delivery, &all[i]->delivery);
        read_histogram(&queues, &all[i]->queues);
        if (names[i] != NULL) {
            char label[48];
            struct reading loop = {.sum = 0};
            (void)snprintf(label, sizeof(label), "reactor=\"%.32s\"", names[i]);
            read_histogram(&loop, &all[i]->loop);
            add_histogram(text, &loop, of_time, "parley_loop_seconds", label);
        }
    }
    add_sum(text, &store, of_time, "parley_store_seconds",
            "Time from a run's way into the store to its answer.");
    add_sum(text, &delivery, of_time, "parley_delivery_seconds",
            "Time from a publication's arrival to its way to the subscribers of one reactor.");
    add_sum(text, &queues, of_bytes, "parley_send_queue_bytes",
            "Bytes that a connection has to be sent, looked at before each send, and while one "
            "waits whenever more is queued.");
}
