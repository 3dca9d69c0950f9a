/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api_gate.h"

#include <string.h>

#include "net/tls_memory.h"
#include "proto/http.h"

static const char lines_type[] = "application/x-ndjson";

static bool is_text(struct bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

/* Media types may have parameters, which say nothing to us. */
static bool is_of_lines(const struct http_request *request)
{
    const struct http_header *header = http_next_header(request, "content-type", NULL);
    if (header == NULL || header->value.size == 0) {
        return false;
    }
    struct bytes type = header->value;
    const uint8_t *end = memchr(type.data, ';', type.size);
    type.size = end == NULL ? type.size : (size_t)(end - type.data);
    while (type.size > 0 && type.data[type.size - 1] == ' ') {
        type.size--;
    }
    return http_name_is(type, lines_type);
}

static unsigned find_target(const struct http_request *request, struct api_gate_target *target,
                            const char **why)
{
    static const size_t prefix_size = sizeof("/api/") - 1;

    *target = (struct api_gate_target){API_FORM_STREAM, (enum api_method)API_METHOD_COUNT, false};
    if (request->path.size < prefix_size) {
        *why = "expected Content-Type: application/x-ndjson\n";
        return is_of_lines(request) ? 0 : 415;
    }
    const struct bytes name = {request->path.data + prefix_size, request->path.size - prefix_size};
    if (is_text(name, "batch")) {
        target->form = API_FORM_BATCH;
        return 0;
    }
    *why = "there is no such method\n";
    target->form = API_FORM_ONE;
    target->method = api_find_method(name);
    return (int)target->method < API_METHOD_COUNT ? 0 : 404;
}

/* Without keys nothing says who asks: then no page in a browser may, which could be any. */
static unsigned judge_asker(const struct api_gate *gate, const struct http_request *request,
                            const char **why)
{
    if (gate->insecure) {
        *why = "no page in a browser is asked with http_api.insecure\n";
        return http_next_header(request, "origin", NULL) == NULL ? 0 : 403;
    }
    if (!gate->key.is_set) {
        *why = "the server API is off: http_api.key is not set\n";
        return 404;
    }
    const uint64_t refused = tls_memory_refused();
    if (api_key_is_shown(&gate->key, request)) {
        return 0;
    }
    const bool is_out = tls_memory_refused() != refused;
    *why = is_out ? "no memory\n" : "X-API-Key is missing or wrong\n";
    return is_out ? 503 : 401;
}

unsigned api_gate_judge(const struct api_gate *gate, const struct http_request *request,
                        struct api_gate_target *target, const char **why)
{
    unsigned status = judge_asker(gate, request, why);
    if (status != 0) {
        return status;
    }
    if (request->method != HTTP_POST) {
        *why = "POST only\n";
        return 405;
    }
    status = find_target(request, target, why);
    if (status != 0) {
        return status;
    }
    const struct http_header *expect = http_next_header(request, "expect", NULL);
    target->expects_continue = expect != NULL && http_name_is(expect->value, "100-continue");
    if (expect != NULL && !target->expects_continue) {
        *why = "expected 100-continue\n";
        return 417;
    }
    if (target->form != API_FORM_STREAM && request->body == HTTP_BODY_SIZED &&
        request->content_length > gate->body_bytes_max) {
        *why = "the body is above http_api.max_body_bytes\n";
        return 413;
    }
    return 0;
}
