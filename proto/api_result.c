/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/api_result.h"

#include "proto/fields.h"

/* clang-format off */
static const struct fields_row published_rows[] = {
    FIELDS_ROW(struct event_accepted, offset, "offset", FIELDS_UINT64),
    FIELDS_ROW(struct event_accepted, epoch, "epoch", FIELDS_STRING),
};
static const struct fields_table published_table = FIELDS_TABLE(published_rows);
/* clang-format on */

/* ,"name":N: zeros are written too, for they are what was asked for. */
static void write_number(struct json_writer *writer, const char *name, uint64_t number)
{
    json_writer_text(writer, ",\"");
    json_writer_text(writer, name);
    json_writer_text(writer, "\":");
    json_writer_uint64(writer, number);
}

void api_result_write_published(struct json_writer *writer, const struct event_accepted *result)
{
    fields_write(writer, &published_table, result);
}

void api_result_write_history(struct json_writer *writer, const struct event_history *result)
{
    json_writer_text(writer, "{\"publications\":[");
    json_writer_raw(writer, result->publications);
    json_writer_text(writer, "],\"epoch\":");
    json_writer_string(writer, result->epoch);
    write_number(writer, "offset", result->offset);
    json_writer_text(writer, "}");
}

void api_result_write_presence_begin(struct json_writer *writer)
{
    json_writer_text(writer, "{\"presence\":{");
}

void api_result_write_presence_end(struct json_writer *writer)
{
    json_writer_text(writer, "}}");
}

void api_result_write_presence_stats(struct json_writer *writer, uint32_t client_count,
                                     uint32_t user_count)
{
    json_writer_text(writer, "{\"num_clients\":");
    json_writer_uint64(writer, client_count);
    write_number(writer, "num_users", user_count);
    json_writer_text(writer, "}");
}

void api_result_write_channels_begin(struct json_writer *writer)
{
    json_writer_text(writer, "{\"channels\":{");
}

void api_result_write_channels_end(struct json_writer *writer)
{
    json_writer_text(writer, "}}");
}

void api_result_write_done(struct json_writer *writer)
{
    json_writer_text(writer, "{}");
}

void api_result_write_node(struct json_writer *writer, const struct api_node *node)
{
    json_writer_text(writer, "{\"nodes\":[{\"uid\":");
    json_writer_string(writer, node->uid);
    json_writer_text(writer, ",\"name\":");
    json_writer_string(writer, node->name);
    json_writer_text(writer, ",\"version\":");
    json_writer_string(writer, node->version);
    write_number(writer, "num_clients", node->client_count);
    write_number(writer, "num_users", node->user_count);
    write_number(writer, "num_channels", node->channel_count);
    write_number(writer, "num_subs", node->subscription_count);
    write_number(writer, "uptime", node->uptime_s);
    json_writer_text(writer, "}]}");
}

void api_result_write_fault(struct json_writer *writer, enum codes_error code, const char *member)
{
    json_writer_text(writer, "{\"code\":");
    json_writer_uint64(writer, code);
    json_writer_text(writer, ",\"message\":\"");
    json_writer_text(writer, codes_error_text(code));
    if (member != NULL) {
        json_writer_text(writer, ": ");
        json_writer_text(writer, member);
    }
    json_writer_text(writer, "\"}");
}

void api_result_write_error(struct json_writer *writer, enum codes_error code)
{
    api_result_write_fault(writer, code, NULL);
}
