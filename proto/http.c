/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/http.h"

#include <stdio.h>
#include <string.h>

#include "core/check.h"

enum {
    METHOD_SIZE_MAX = 7,          /* "OPTIONS" */
    VERSION_SIZE = 8,             /* "HTTP/1.1" */
    CONTENT_LENGTH_SIZE_MAX = 18, /* digits: always below INT64_MAX */
};

static const struct {
    const char *name;
    enum http_method method;
} methods[] = {
    {"GET", HTTP_GET},
    {"HEAD", HTTP_HEAD},
    {"POST", HTTP_POST},
    {"OPTIONS", HTTP_OPTIONS},
};

static const struct {
    unsigned status;
    const char *text;
} statuses[] = {
    {200, "OK"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static uint8_t to_lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

static bool is_alphanumeric(uint8_t byte)
{
    const uint8_t lower = to_lower(byte);
    return is_digit(byte) || (lower >= 'a' && lower <= 'z');
}

static bool is_one_of(uint8_t byte, const char *set)
{
    return byte != 0 && byte < 0x80 && strchr(set, byte) != NULL;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct bytes trim(struct bytes text)
{
    while (text.size > 0 && is_space(text.data[text.size - 1])) {
        text.size--;
    }
    while (text.size > 0 && is_space(text.data[0])) {
        text.data++;
        text.size--;
    }
    return text;
}

static bool is_exactly(struct bytes text, const char *expected)
{
    return text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

bool http_is_token(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!is_alphanumeric(text.data[i]) && !is_one_of(text.data[i], "!#$%&'*+-.^_`|~")) {
            return false;
        }
    }
    return text.size > 0;
}

bool http_name_is(struct bytes name, const char *expected)
{
    if (name.size != strlen(expected)) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        if (to_lower(name.data[i]) != to_lower((uint8_t)expected[i])) {
            return false;
        }
    }
    return true;
}

bool http_next_element(struct bytes *list, struct bytes *element)
{
    if (list->data == NULL) {
        return false;
    }
    const uint8_t *const comma = list->size > 0 ? memchr(list->data, ',', list->size) : NULL;
    if (comma == NULL) {
        *element = trim(*list);
        *list = (struct bytes){NULL, 0};
        return true;
    }
    const size_t size = (size_t)(comma - list->data);
    *element = trim((struct bytes){list->data, size});
    *list = (struct bytes){comma + 1, list->size - size - 1};
    return true;
}

const struct http_header *http_next_header(const struct http_request *request, const char *name,
                                           const struct http_header *after)
{
    const struct http_header *const end = request->headers + request->header_count;
    const struct http_header *header = after == NULL ? request->headers : after + 1;

    for (; header < end; header++) {
        if (http_name_is(header->name, name)) {
            return header;
        }
    }
    return NULL;
}

/* Origin-form only. Visible ASCII, but for '#', which never travels. */
static bool read_target(struct bytes target, struct http_request *request)
{
    if (target.size == 0 || target.data[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < target.size; i++) {
        if (target.data[i] <= ' ' || target.data[i] >= 0x7f || target.data[i] == '#') {
            return false;
        }
    }
    const uint8_t *const mark = memchr(target.data, '?', target.size);
    const size_t path_size = mark == NULL ? target.size : (size_t)(mark - target.data);
    const size_t query_at = mark == NULL ? path_size : path_size + 1;
    request->path = (struct bytes){target.data, path_size};
    request->query = (struct bytes){target.data + query_at, target.size - query_at};
    return true;
}

static bool is_version(struct bytes text)
{
    return text.size == VERSION_SIZE && memcmp(text.data, "HTTP/", 5) == 0 &&
           is_digit(text.data[5]) && text.data[6] == '.' && is_digit(text.data[7]);
}

static enum http_verdict read_request_line(struct bytes line, const struct http_limits *limits,
                                           struct http_request *request)
{
    const uint8_t *const first = line.size > 0 ? memchr(line.data, ' ', line.size) : NULL;
    if (first == NULL) {
        return HTTP_BAD_REQUEST;
    }
    const struct bytes method = {line.data, (size_t)(first - line.data)};
    const struct bytes rest = {first + 1, line.size - method.size - 1};
    const uint8_t *const second = rest.size > 0 ? memchr(rest.data, ' ', rest.size) : NULL;
    if (second == NULL) {
        return HTTP_BAD_REQUEST;
    }
    const struct bytes target = {rest.data, (size_t)(second - rest.data)};
    const struct bytes version = {second + 1, rest.size - target.size - 1};

    if (!http_is_token(method) || !is_version(version) || !read_target(target, request)) {
        return HTTP_BAD_REQUEST;
    }
    if (target.size > limits->target_size_max) {
        return HTTP_URI_TOO_LONG;
    }
    if (!is_exactly(version, "HTTP/1.1")) {
        return HTTP_BAD_VERSION;
    }
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (is_exactly(method, methods[i].name)) {
            request->method = methods[i].method;
            return HTTP_OK;
        }
    }
    return HTTP_UNKNOWN_METHOD;
}

/* A folded line fails here too: it begins with a space, which is in no name. */
static bool read_header_line(struct bytes line, struct http_header *header)
{
    const uint8_t *const colon = memchr(line.data, ':', line.size);
    if (colon == NULL) {
        return false;
    }
    const size_t name_size = (size_t)(colon - line.data);
    header->name = (struct bytes){line.data, name_size};
    header->value = trim((struct bytes){colon + 1, line.size - name_size - 1});
    for (size_t i = 0; i < header->value.size; i++) {
        const uint8_t byte = header->value.data[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return http_is_token(header->name);
}

static enum http_verdict read_line(struct http_reader *reader, struct bytes line,
                                   const struct http_limits *limits, struct http_request *request)
{
    if (line.size == 0 || line.data[line.size - 1] != '\r') {
        return HTTP_BAD_REQUEST;
    }
    line.size--;
    reader->looked_at += (uint32_t)line.size;
    if (reader->line_start == 0) {
        return read_request_line(line, limits, request);
    }
    if (line.size == 0) {
        request->header_count = reader->header_count;
        return HTTP_OK;
    }
    struct http_header header;
    if (!read_header_line(line, &header)) {
        return HTTP_BAD_REQUEST;
    }
    if (reader->header_count == limits->header_count_max) {
        return HTTP_HEAD_TOO_BIG;
    }
    request->headers[reader->header_count++] = header;
    return HTTP_OK;
}

/*
 * Goes on to the empty line. A fault shows at the same byte however the head is cut: too long a
 * request line before too big a head, and both before what a line says.
 */
static enum http_verdict scan(struct http_reader *reader, struct bytes in,
                              const struct http_limits *limits, struct http_request *request)
{
    const size_t end = in.size < limits->head_size_max ? in.size : limits->head_size_max;
    const size_t request_line_end_max =
        (size_t)limits->target_size_max + METHOD_SIZE_MAX + 1 + 1 + VERSION_SIZE + 1;

    while (reader->scanned < end) {
        const uint8_t *const from = in.data + reader->scanned;
        const uint8_t *const feed = memchr(from, '\n', end - reader->scanned);
        const size_t line_end = feed == NULL ? end : (size_t)(feed - in.data);
        reader->looked_at += (uint32_t)(line_end - reader->scanned);
        if (reader->line_start == 0 && line_end > request_line_end_max) {
            return HTTP_URI_TOO_LONG;
        }
        if (feed == NULL) {
            reader->scanned = (uint32_t)end;
            break;
        }
        const struct bytes line = {in.data + reader->line_start, line_end - reader->line_start};
        const bool is_empty = line.size == 1;
        const enum http_verdict verdict = read_line(reader, line, limits, request);
        if (verdict != HTTP_OK) {
            return verdict;
        }
        reader->scanned = (uint32_t)line_end + 1;
        reader->line_start = reader->scanned;
        if (is_empty) {
            request->head_size = reader->scanned;
            return HTTP_OK;
        }
    }
    return in.size >= limits->head_size_max ? HTTP_HEAD_TOO_BIG : HTTP_NEED_MORE;
}

/* No comma: two Hosts that somebody joined into one are no host. */
static bool is_host(struct bytes value)
{
    for (size_t i = 0; i < value.size; i++) {
        if (!is_alphanumeric(value.data[i]) && !is_one_of(value.data[i], "-._~!$&'()*+;=%:[]")) {
            return false;
        }
    }
    return value.size > 0;
}

static bool read_content_length(struct bytes value, struct http_request *request)
{
    if (value.size == 0 || value.size > CONTENT_LENGTH_SIZE_MAX) {
        return false;
    }
    uint64_t length = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (!is_digit(value.data[i])) {
            return false;
        }
        length = length * 10 + (uint64_t)(value.data[i] - '0');
    }
    request->content_length = length;
    return true;
}

static bool read_connection(struct bytes list, struct http_request *request)
{
    struct bytes element;
    while (http_next_element(&list, &element)) {
        if (element.size > 0 && !http_is_token(element)) {
            return false;
        }
        if (http_name_is(element, "close")) {
            request->close = true;
        }
    }
    return true;
}

/* What a header means to us. A second Host or body framing is refused even if it says the same. */
static bool settle_header(const struct http_header *header, struct http_request *request)
{
    if (http_name_is(header->name, "host")) {
        if (request->host.data != NULL) {
            return false;
        }
        request->host = header->value;
        return is_host(header->value);
    }
    if (http_name_is(header->name, "content-length")) {
        if (request->body != HTTP_BODY_NONE) {
            return false;
        }
        request->body = HTTP_BODY_SIZED;
        return read_content_length(header->value, request);
    }
    if (http_name_is(header->name, "transfer-encoding")) {
        if (request->body != HTTP_BODY_NONE) {
            return false;
        }
        request->body = HTTP_BODY_CHUNKED;
        return http_name_is(header->value, "chunked");
    }
    if (http_name_is(header->name, "connection")) {
        return read_connection(header->value, request);
    }
    if (http_name_is(header->name, "upgrade")) {
        request->close = true;
    }
    return true;
}

static enum http_verdict settle(struct http_request *request)
{
    request->body = HTTP_BODY_NONE;
    request->content_length = 0;
    request->host = (struct bytes){NULL, 0};
    request->close = false;
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (!settle_header(&request->headers[i], request)) {
            return HTTP_BAD_REQUEST;
        }
    }
    return request->host.data != NULL ? HTTP_OK : HTTP_BAD_REQUEST;
}

enum http_verdict http_read_head(struct http_reader *reader, struct bytes in,
                                 const struct http_limits *limits, struct http_request *request)
{
    CHECK(in.data != NULL || in.size == 0);
    CHECK(limits->header_count_max > 0);
    CHECK(limits->header_count_max <= HTTP_HEADER_COUNT_LIMIT);
    CHECK(limits->head_size_max <= HTTP_HEAD_SIZE_LIMIT);
    CHECK(limits->target_size_max <= HTTP_HEAD_SIZE_LIMIT);
    CHECK(reader->scanned <= in.size);

    /* No method begins otherwise. TLS and other foreign talk need not wait for the time limit. */
    if (in.size > 0 && (in.data[0] < 'A' || in.data[0] > 'Z')) {
        return HTTP_BAD_REQUEST;
    }
    const bool is_first_line = reader->line_start == 0;
    enum http_verdict verdict = scan(reader, in, limits, request);
    if (verdict != HTTP_OK) {
        return verdict;
    }
    if (!is_first_line) {
        /* The lines of earlier calls were judged, but kept nowhere: once more, and only now. */
        *reader = (struct http_reader){.looked_at = reader->looked_at};
        verdict = scan(reader, in, limits, request);
        CHECK(verdict == HTTP_OK);
    }
    verdict = settle(request);
    if (verdict == HTTP_OK) {
        *reader = (struct http_reader){.looked_at = reader->looked_at};
    }
    return verdict;
}

unsigned http_status_for(enum http_verdict fault)
{
    switch (fault) {
    case HTTP_BAD_REQUEST:
        return 400;
    case HTTP_URI_TOO_LONG:
        return 414;
    case HTTP_HEAD_TOO_BIG:
        return 431;
    case HTTP_UNKNOWN_METHOD:
        return 501;
    case HTTP_BAD_VERSION:
        return 505;
    case HTTP_OK:
    case HTTP_NEED_MORE:
        break;
    }
    NEVER("a verdict that is not a fault");
}

static const char *status_text(unsigned status)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].status == status) {
            return statuses[i].text;
        }
    }
    return "Other"; /* the text means nothing to a client, section 4 of RFC 9112 */
}

size_t http_write_response(const struct http_response *response, struct span target)
{
    CHECK(response->status >= 200 && response->status <= 599);
    CHECK(target.data != NULL);

    const bool has_type = response->content_type != NULL;
    char length[48] = "";
    if (response->status != 204) { /* RFC 9110 section 8.6 forbids it there */
        const int printed = response->chunked
                                ? snprintf(length, sizeof(length), "Transfer-Encoding: chunked\r\n")
                                : snprintf(length, sizeof(length), "Content-Length: %llu\r\n",
                                           (unsigned long long)response->body_size);
        CHECK(printed > 0 && (size_t)printed < sizeof(length));
    }
    const int size =
        snprintf((char *)target.data, target.size, "HTTP/1.1 %u %s\r\n%s%s%s%s%s%s\r\n",
                 response->status, status_text(response->status), has_type ? "Content-Type: " : "",
                 has_type ? response->content_type : "", has_type ? "\r\n" : "", length,
                 response->extra != NULL ? response->extra : "",
                 response->close ? "Connection: close\r\n" : "");
    return size > 0 && (size_t)size < target.size ? (size_t)size : 0;
}
