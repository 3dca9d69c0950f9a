/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/api.h"

#include <string.h>

#include "core/check.h"
#include "proto/api_private.h"
#include "proto/fields.h"

enum {
    REQUEST_DEPTH_MAX = API_DATA_DEPTH_MAX + 1, /* {"data": ...} */
    COMMAND_LEVELS = REQUEST_DEPTH_MAX + 1,     /* {"publish": {"data": ...}} */
    BATCH_DEPTH_MAX = COMMAND_LEVELS + 2,       /* {"commands": [{"publish": ...}]} */
};

enum api_method api_find_method(struct bytes name)
{
    return (enum api_method)fields_find(&api_methods, (struct json_string){.raw = name});
}

const char *api_method_name(enum api_method method)
{
    CHECK((int)method < API_METHOD_COUNT);
    return api_methods.rows[method].name;
}

/* One object, with nothing but white space around it. */
static bool read_object(struct span text, const struct fields_table *table, uint32_t depth_max,
                        void *target)
{
    struct json_reader json;
    json_reader_init(&json, (struct bytes){text.data, text.size}, depth_max);
    return fields_read(&json, text, table, target) == JSON_OK && json_peek(&json) == JSON_NOTHING &&
           json.at == json.end;
}

/* -- requests ---------------------------------------------------------------------------------- */

enum api_verdict api_read(const struct simd_ops *simd, enum api_method method, struct span body,
                          struct api_command *command)
{
    CHECK((int)method < API_METHOD_COUNT);
    struct api_command read;
    memset(&read, 0, sizeof(read));

    command->fault = NULL;
    if (body.size > 0 &&
        (!api_is_utf8(simd, (struct bytes){body.data, body.size}) ||
         !read_object(body, api_methods.rows[method].inner, REQUEST_DEPTH_MAX, &read))) {
        return API_BAD_REQUEST;
    }
    read.method = method;
    command->fault = api_find_fault(simd, &read);
    if (command->fault != NULL) {
        return API_BAD_REQUEST;
    }
    *command = read;
    return API_OK;
}

enum api_verdict api_read_batch(const struct simd_ops *simd, struct span body,
                                struct api_batch *batch)
{
    struct api_batch read;
    memset(&read, 0, sizeof(read));

    if (body.size == 0 || !api_is_utf8(simd, (struct bytes){body.data, body.size}) ||
        !read_object(body, &api_batch_fields, BATCH_DEPTH_MAX, &read) || read.commands.size == 0) {
        return API_BAD_REQUEST;
    }
    *batch = read;
    return API_OK;
}

/* The first member that is a method we know; `null` is the same as nothing. */
static enum api_verdict find_request(struct span text, enum api_method *method,
                                     struct bytes *request)
{
    struct json_reader json;
    struct json_string name;
    json_reader_init(&json, (struct bytes){text.data, text.size}, COMMAND_LEVELS);

    *method = (enum api_method)API_METHOD_COUNT;
    enum json_verdict verdict = json_open_object(&json);
    while (verdict == JSON_OK) {
        struct bytes value;
        verdict = json_next_member(&json, &name);
        if (verdict != JSON_OK) {
            break;
        }
        const bool is_null = json_peek(&json) == JSON_NULL;
        verdict = json_read_raw(&json, &value);
        const size_t index = fields_find(&api_methods, name);
        if (verdict == JSON_OK && !is_null && index < (size_t)*method) {
            *method = (enum api_method)index;
            *request = value;
        }
    }
    if (verdict != JSON_END || json_peek(&json) != JSON_NOTHING || json.at != json.end) {
        return API_BAD_REQUEST;
    }
    return (int)*method == API_METHOD_COUNT ? API_NO_METHOD : API_OK;
}

enum api_verdict api_read_command(const struct simd_ops *simd, struct span text,
                                  struct api_command *command)
{
    enum api_method method;
    struct bytes request = {NULL, 0};
    const enum api_verdict verdict = find_request(text, &method, &request);

    command->fault = NULL;
    return verdict == API_OK ? api_read(simd, method, api_lent(request), command) : verdict;
}

/* -- lists ------------------------------------------------------------------------------------- */

void api_list_init(struct api_list *list, struct bytes array)
{
    *list = (struct api_list){.array = api_lent(array)};
    json_reader_init(&list->json, array, BATCH_DEPTH_MAX);
}

static enum api_verdict next(struct api_list *list)
{
    if (!list->is_open) {
        list->is_open = true;
        const enum json_verdict opened = json_open_array(&list->json);
        CHECK(opened == JSON_OK); /* the body was read, and this was an array in it */
    }
    const enum json_verdict verdict = json_next_element(&list->json);
    CHECK(verdict == JSON_OK || verdict == JSON_END);
    return verdict == JSON_OK ? API_OK : API_END;
}

enum api_verdict api_list_next_text(struct api_list *list, struct bytes *text)
{
    struct json_string string;
    const enum api_verdict verdict = next(list);

    if (verdict != API_OK) {
        return verdict;
    }
    if (json_peek(&list->json) != JSON_STRING) {
        const enum json_verdict skipped = json_skip_value(&list->json);
        CHECK(skipped == JSON_OK);
        return API_BAD_REQUEST;
    }
    const enum json_verdict read = json_read_string(&list->json, &string);
    CHECK(read == JSON_OK);
    *text = string.raw;
    return !string.escaped ||
                   json_decode_string(string, api_lent(string.raw).data, &text->size) == JSON_OK
               ? API_OK
               : API_BAD_REQUEST;
}

enum api_verdict api_list_next(struct api_list *list, struct span *value)
{
    struct bytes raw;
    const enum api_verdict verdict = next(list);

    if (verdict == API_OK) {
        const enum json_verdict skipped = json_read_raw(&list->json, &raw);
        CHECK(skipped == JSON_OK);
        *value = api_lent(raw);
    }
    return verdict;
}
