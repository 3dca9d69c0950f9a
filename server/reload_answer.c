/* SPDX-License-Identifier: Apache-2.0 */
#include "server/reload_answer.h"

#include <string.h>

#include "core/blob.h"
#include "core/bytes.h"
#include "core/check.h"
#include "proto/codes.h"
#include "proto/json_writer.h"
#include "server/config.h"
#include "server/config_change.h"

enum {
    AROUND_SIZE_MAX = 256, /* bytes around names, or around an error */
    NAME_SIZE_MIN = 8,     /* bytes of a name, with its NUL */
    ESCAPED_SIZE_MAX = 6,  /* bytes of an escaped one */
    /* A name has quotes and a comma, where its NUL was. */
    CHANGES_SIZE_MAX = 2 * (CONFIG_CHANGE_TEXT_SIZE + 2 * CONFIG_CHANGE_TEXT_SIZE / NAME_SIZE_MIN) +
                       AROUND_SIZE_MAX,
    ERROR_SIZE_MAX = ESCAPED_SIZE_MAX * CONFIG_ERROR_SIZE + AROUND_SIZE_MAX,
};

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static struct json_writer begin(struct blob *blob, size_t size)
{
    struct json_writer writer;
    json_writer_init(&writer, (struct span){blob->data, size});
    return writer;
}

static struct blob *end(struct blob *blob, const struct json_writer *writer)
{
    CHECK(json_writer_fits(writer));
    blob->end = (uint32_t)json_writer_bytes(writer).size;
    return blob;
}

static void write_names(struct json_writer *writer, const struct config_names *names)
{
    const char *comma = "";

    json_writer_text(writer, "[");
    for (const char *name = config_change_next_name(names, NULL); name != NULL;
         name = config_change_next_name(names, name)) {
        json_writer_text(writer, comma);
        json_writer_string(writer, bytes_of(name));
        comma = ",";
    }
    json_writer_text(writer, "]");
}

struct blob *reload_answer_changes(struct blob_pool *pool, const struct config_changes *changes)
{
    struct blob *blob = blob_create(pool, CHANGES_SIZE_MAX);
    if (blob == NULL) {
        return NULL;
    }
    const uint64_t left_out = (uint64_t)changes->changed.left_out + changes->needs_restart.left_out;
    struct json_writer writer = begin(blob, CHANGES_SIZE_MAX);
    json_writer_text(&writer, "{\"changed\":");
    write_names(&writer, &changes->changed);
    json_writer_text(&writer, ",\"needs_restart\":");
    write_names(&writer, &changes->needs_restart);
    if (left_out > 0) {
        json_writer_text(&writer, ",\"left_out\":");
        json_writer_uint64(&writer, left_out);
    }
    json_writer_text(&writer, "}");
    return end(blob, &writer);
}

struct blob *reload_answer_error(struct blob_pool *pool, const char *why)
{
    struct blob *blob = blob_create(pool, ERROR_SIZE_MAX);
    if (blob == NULL) {
        return NULL;
    }
    struct json_writer writer = begin(blob, ERROR_SIZE_MAX);
    json_writer_text(&writer, "{\"code\":");
    json_writer_uint64(&writer, CODES_ERROR_BAD_REQUEST);
    json_writer_text(&writer, ",\"message\":");
    json_writer_string(&writer, bytes_of(why));
    json_writer_text(&writer, "}");
    return end(blob, &writer);
}
