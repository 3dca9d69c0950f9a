/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_API_RESULT_H
#define PROTO_API_RESULT_H
/*
 * What a back end is told: the results of the methods in api.h, and errors, in JSON. Each function
 * writes one object, without what is around it (server/api.h).
 *
 * Pure: no I/O, no allocation. ANY_THREAD. Raw members are valid JSON without '\n'.
 */
#include <stdint.h>

#include "core/bytes.h"
#include "proto/codes.h"
#include "proto/event.h"
#include "proto/json_writer.h"

/* What one process is and has. */
struct api_node {
    struct bytes uid;
    struct bytes name;
    struct bytes version;
    uint64_t client_count;
    uint64_t user_count;
    uint64_t channel_count;
    uint64_t subscription_count;
    uint64_t uptime_s;
};

/* To `publish`; an empty epoch: the channel has no history. */
void api_result_write_published(struct json_writer *writer, const struct event_accepted *result);

/* To `history`. */
void api_result_write_history(struct json_writer *writer, const struct event_history *result);

/* To `presence`: the begin, event_write_member() for each, joined by ',', and the end. */
void api_result_write_presence_begin(struct json_writer *writer);
void api_result_write_presence_end(struct json_writer *writer);

/* To `presence_stats`. */
void api_result_write_presence_stats(struct json_writer *writer, uint32_t client_count,
                                     uint32_t user_count);

/* To `channels`: the begin, "NAME":{"num_clients":N} for each, joined by ',', and the end. */
void api_result_write_channels_begin(struct json_writer *writer);
void api_result_write_channels_end(struct json_writer *writer);

/* To what changes something: {}. */
void api_result_write_done(struct json_writer *writer);

/* To `info`. */
void api_result_write_node(struct json_writer *writer, const struct api_node *node);

void api_result_write_error(struct json_writer *writer, enum codes_error code);

/* The same, because of that member, whose name needs no escapes; NULL: of none. */
void api_result_write_fault(struct json_writer *writer, enum codes_error code, const char *member);

#endif /* PROTO_API_RESULT_H */
