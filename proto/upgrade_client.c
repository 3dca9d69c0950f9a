/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/upgrade_client.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "proto/http.h"
#include "proto/upgrade.h"

enum {
    KEY_SIZE = 24, /* base 64 of the nonce */
    STATUS_LINE_SIZE = sizeof("HTTP/1.1 101") - 1,
};

static const char offer[] = "Sec-WebSocket-Extensions: permessage-deflate; "
                            "server_no_context_takeover; client_no_context_takeover\r\n";

static void write_key(const struct upgrade_client_request *request, char key[KEY_SIZE + 1])
{
    const int size =
        EVP_EncodeBlock((unsigned char *)key, request->nonce, UPGRADE_CLIENT_NONCE_SIZE);
    CHECK(size == KEY_SIZE);
}

size_t upgrade_client_write(const struct upgrade_client_request *request, struct span target)
{
    char key[KEY_SIZE + 1];
    write_key(request, key);

    const bool has_protocol = request->protocol != NULL;
    const int size = snprintf((char *)target.data, target.size,
                              "GET %s HTTP/1.1\r\n"
                              "Host: %s\r\n"
                              "Upgrade: websocket\r\n"
                              "Connection: Upgrade\r\n"
                              "Sec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: %s\r\n"
                              "%s%s%s%s%s\r\n",
                              request->path, request->host, key, request->compression ? offer : "",
                              has_protocol ? "Sec-WebSocket-Protocol: " : "",
                              has_protocol ? request->protocol : "", has_protocol ? "\r\n" : "",
                              request->extra == NULL ? "" : request->extra);
    return size > 0 && (size_t)size < target.size ? (size_t)size : 0;
}

/* Bytes up to the empty line and with it; 0: it is not there. */
static size_t find_head(struct bytes in)
{
    const size_t most =
        in.size < UPGRADE_CLIENT_HEAD_SIZE_MAX ? in.size : UPGRADE_CLIENT_HEAD_SIZE_MAX;
    const uint8_t *end = memmem(in.data, most, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - in.data) + 4;
}

/* "HTTP/1.1 101" and what follows on the line. False: it is no status line. */
static bool read_status(struct bytes head, unsigned *status)
{
    if (head.size < STATUS_LINE_SIZE + 2 || memcmp(head.data, "HTTP/1.", 7) != 0 ||
        head.data[8] != ' ' ||
        (head.data[STATUS_LINE_SIZE] != ' ' && head.data[STATUS_LINE_SIZE] != '\r')) {
        return false;
    }
    unsigned value = 0;
    for (size_t i = 9; i < STATUS_LINE_SIZE; i++) {
        if (head.data[i] < '0' || head.data[i] > '9') {
            return false;
        }
        value = 10 * value + (unsigned)(head.data[i] - '0');
    }
    *status = value;
    return true;
}

/* What a 101 has to say, once each. */
struct answer {
    bool upgrade;
    bool connection;
    bool accept;
    bool protocol;
    bool compression;
    bool is_bad;
};

static bool lists(struct bytes value, const char *expected)
{
    struct bytes element;
    while (http_next_element(&value, &element)) {
        if (http_name_is(element, expected)) {
            return true;
        }
    }
    return false;
}

static bool equals(struct bytes value, const char *expected, size_t size)
{
    return value.size == size && memcmp(value.data, expected, size) == 0;
}

static struct bytes trim(struct bytes text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = (struct bytes){text.data + 1, text.size - 1};
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

/*
 * RFC 7692 section 7.1: what we offered has to be agreed to; the server may name its window, and
 * may not ask for one of ours.
 */
static bool agrees_to_compress(struct bytes value)
{
    static const char window[] = "server_max_window_bits=";
    bool no_takeover = false;

    for (bool is_name = true;; is_name = false) {
        const uint8_t *const end = memchr(value.data, ';', value.size);
        const size_t size = end == NULL ? value.size : (size_t)(end - value.data);
        const struct bytes part = trim((struct bytes){value.data, size});
        if (is_name) {
            if (!http_name_is(part, "permessage-deflate")) {
                return false;
            }
        } else if (http_name_is(part, "server_no_context_takeover")) {
            no_takeover = true;
        } else if (!http_name_is(part, "client_no_context_takeover") &&
                   (part.size < sizeof(window) ||
                    memcmp(part.data, window, sizeof(window) - 1) != 0)) {
            return false;
        }
        if (end == NULL) {
            return no_takeover;
        }
        value = (struct bytes){end + 1, value.size - size - 1};
    }
}

static void take_header(const struct upgrade_client_request *request, struct bytes name,
                        struct bytes value, struct answer *answer)
{
    if (http_name_is(name, "Upgrade")) {
        answer->upgrade = http_name_is(value, "websocket");
    } else if (http_name_is(name, "Connection")) {
        answer->connection = answer->connection || lists(value, "Upgrade");
    } else if (http_name_is(name, "Sec-WebSocket-Accept")) {
        char key[KEY_SIZE + 1];
        char expected[UPGRADE_ACCEPT_SIZE];
        write_key(request, key);
        answer->accept =
            !answer->accept &&
            upgrade_accept_key((struct bytes){(const uint8_t *)key, KEY_SIZE}, expected) &&
            equals(value, expected, UPGRADE_ACCEPT_SIZE);
    } else if (http_name_is(name, "Sec-WebSocket-Protocol")) {
        answer->protocol = !answer->protocol && request->protocol != NULL &&
                           equals(value, request->protocol, strlen(request->protocol));
        answer->is_bad = answer->is_bad || !answer->protocol;
    } else if (http_name_is(name, "Sec-WebSocket-Extensions")) {
        const bool was_agreed = answer->compression;
        answer->compression = request->compression && value.size > 0 && agrees_to_compress(value);
        answer->is_bad = answer->is_bad || was_agreed || (value.size > 0 && !answer->compression);
    }
}

/* The header lines of `head`, which ends with the empty line. */
static struct answer read_headers(struct bytes head, const struct upgrade_client_request *request)
{
    struct answer answer = {0};
    const uint8_t *const end = head.data + head.size - 2;
    const uint8_t *line = (const uint8_t *)memchr(head.data, '\n', head.size) + 1;

    while (line < end) {
        const uint8_t *next = (const uint8_t *)memchr(line, '\n', (size_t)(end - line)) + 1;
        const uint8_t *colon = memchr(line, ':', (size_t)(next - line));
        if (colon == NULL || next[-2] != '\r') {
            answer.is_bad = true;
            break;
        }
        const struct bytes name = {line, (size_t)(colon - line)};
        const struct bytes value = {colon + 1, (size_t)(next - 2 - (colon + 1))};
        answer.is_bad = answer.is_bad || !http_is_token(name);
        take_header(request, name, trim(value), &answer);
        line = next;
    }
    return answer;
}

enum upgrade_client_verdict upgrade_client_read(struct bytes in,
                                                const struct upgrade_client_request *request,
                                                size_t *head_size, unsigned *status)
{
    unsigned said = 0;
    const size_t size = find_head(in);
    if (size == 0) {
        return in.size < UPGRADE_CLIENT_HEAD_SIZE_MAX ? UPGRADE_CLIENT_NEED_MORE
                                                      : UPGRADE_CLIENT_BAD_ANSWER;
    }
    const struct bytes head = {in.data, size};
    if (!read_status(head, &said)) {
        return UPGRADE_CLIENT_BAD_ANSWER;
    }
    if (said != 101) {
        *status = said;
        return UPGRADE_CLIENT_REFUSED;
    }
    const struct answer answer = read_headers(head, request);
    if (answer.is_bad || !answer.upgrade || !answer.connection || !answer.accept ||
        (request->protocol != NULL && !answer.protocol) ||
        (request->compression && !answer.compression)) {
        return UPGRADE_CLIENT_BAD_ANSWER;
    }
    *head_size = size;
    return UPGRADE_CLIENT_OK;
}
