/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/upgrade.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"

enum {
    KEY_SIZE = 24,     /* bytes: 16 random ones in base64, section 4.1 */
    KEY_DIGITS = 22,   /* of them; the rest is "==" */
    PORT_SIZE_MAX = 5, /* digits */
    PORT_UNKNOWN = 0,  /* no port given, and no default for the scheme */
};

/* Section 1.3: says that whoever answers has understood the question. */
#define HANDSHAKE_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_Static_assert(UPGRADE_ACCEPT_SIZE == (SHA_DIGEST_LENGTH + 2) / 3 * 4, "SHA-1 in base64");

struct origin {
    struct bytes scheme;
    struct bytes host;
    uint32_t port; /* 1 .. 65535, or PORT_UNKNOWN */
};

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool equal_without_case(struct bytes a, struct bytes b)
{
    if (a.size != b.size) {
        return false;
    }
    for (size_t i = 0; i < a.size; i++) {
        const bool same = a.data[i] == b.data[i];
        const bool same_letter = is_letter(a.data[i]) && (a.data[i] ^ b.data[i]) == 0x20;
        if (!same && !same_letter) {
            return false;
        }
    }
    return true;
}

/* Is the element in any of the headers of that name, all of them being lists? */
static bool lists(const struct http_request *request, const char *name, const char *expected)
{
    const struct http_header *header = NULL;
    while ((header = http_next_header(request, name, header)) != NULL) {
        struct bytes list = header->value;
        struct bytes element;
        while (http_next_element(&list, &element)) {
            if (http_name_is(element, expected)) {
                return true;
            }
        }
    }
    return false;
}

/* The header's value if it is there exactly once, {NULL, 0} if it is not there. False: twice. */
static bool take_single(const struct http_request *request, const char *name, struct bytes *value)
{
    const struct http_header *const header = http_next_header(request, name, NULL);

    *value = header != NULL ? header->value : (struct bytes){NULL, 0};
    return header == NULL || http_next_header(request, name, header) == NULL;
}

/* Unused bits of the last digit are not looked at: some clients set them. */
static bool is_key(struct bytes value)
{
    if (value.size != KEY_SIZE) {
        return false;
    }
    for (size_t i = 0; i < KEY_DIGITS; i++) {
        const uint8_t byte = value.data[i];
        if (!is_letter(byte) && !is_digit(byte) && byte != '+' && byte != '/') {
            return false;
        }
    }
    return value.data[KEY_DIGITS] == '=' && value.data[KEY_DIGITS + 1] == '=';
}

/* One pass over the offers, however long; the first thing that is wrong ends it. */
static bool take_protocols(const struct http_request *request, struct upgrade *upgrade)
{
    const struct http_header *header = NULL;
    while ((header = http_next_header(request, "sec-websocket-protocol", header)) != NULL) {
        struct bytes list = header->value;
        struct bytes element;
        while (http_next_element(&list, &element)) {
            if (upgrade->protocol_count == UPGRADE_PROTOCOL_COUNT_MAX || !http_is_token(element)) {
                return false;
            }
            upgrade->protocols[upgrade->protocol_count++] = element;
        }
    }
    return true;
}

enum upgrade_verdict upgrade_judge(const struct http_request *request, struct upgrade *upgrade)
{
    CHECK(request != NULL);
    CHECK(upgrade != NULL);

    if (!lists(request, "upgrade", "websocket")) {
        return UPGRADE_NONE;
    }
    if (request->body != HTTP_BODY_NONE) {
        return UPGRADE_HAS_BODY;
    }
    if (request->method != HTTP_GET) {
        return UPGRADE_BAD_METHOD;
    }

    struct upgrade found = {.host = request->host};
    struct bytes version;
    if (!lists(request, "connection", "upgrade") ||
        !take_single(request, "sec-websocket-version", &version) ||
        !take_single(request, "sec-websocket-key", &found.key) ||
        !take_single(request, "origin", &found.origin)) {
        return UPGRADE_BAD_REQUEST;
    }
    if (version.size != 2 || memcmp(version.data, "13", 2) != 0) {
        return UPGRADE_BAD_VERSION;
    }
    if (!is_key(found.key) || !take_protocols(request, &found)) {
        return UPGRADE_BAD_REQUEST;
    }
    *upgrade = found;
    return UPGRADE_OK;
}

int upgrade_choose_protocol(const struct upgrade *upgrade, const char *const *supported,
                            size_t supported_count)
{
    for (size_t i = 0; i < upgrade->protocol_count; i++) {
        const struct bytes offer = upgrade->protocols[i];
        for (size_t k = 0; k < supported_count; k++) {
            if (offer.size == strlen(supported[k]) &&
                memcmp(offer.data, supported[k], offer.size) == 0) {
                return (int)k;
            }
        }
    }
    return -1;
}

bool upgrade_accept_key(struct bytes key, char accept[UPGRADE_ACCEPT_SIZE])
{
    CHECK(key.size == KEY_SIZE);

    uint8_t text[KEY_SIZE + sizeof(HANDSHAKE_GUID) - 1];
    memcpy(text, key.data, KEY_SIZE);
    memcpy(text + KEY_SIZE, HANDSHAKE_GUID, sizeof(HANDSHAKE_GUID) - 1);
    uint8_t digest[SHA_DIGEST_LENGTH];
    if (SHA1(text, sizeof(text), digest) == NULL) {
        return false;
    }
    uint8_t encoded[UPGRADE_ACCEPT_SIZE + 1]; /* EVP_EncodeBlock ends it with a zero */
    const int size = EVP_EncodeBlock(encoded, digest, sizeof(digest));
    CHECK(size == UPGRADE_ACCEPT_SIZE);
    memcpy(accept, encoded, UPGRADE_ACCEPT_SIZE);
    return true;
}

size_t upgrade_write_response(const struct upgrade *upgrade, const char *protocol,
                              const char *extension, uint8_t *target)
{
    CHECK(target != NULL);
    CHECK(protocol == NULL || strlen(protocol) <= UPGRADE_PROTOCOL_SIZE_MAX);
    CHECK(extension == NULL || strlen(extension) <= UPGRADE_EXTENSION_SIZE_MAX);

    char accept[UPGRADE_ACCEPT_SIZE];
    if (!upgrade_accept_key(upgrade->key, accept)) {
        return 0;
    }
    const bool has_protocol = protocol != NULL;
    const bool has_extension = extension != NULL;
    const int size =
        snprintf((char *)target, UPGRADE_RESPONSE_SIZE_MAX,
                 "HTTP/1.1 101 Switching Protocols\r\n"
                 "Upgrade: websocket\r\n"
                 "Connection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %.*s\r\n"
                 "%s%s%s%s%s%s\r\n",
                 UPGRADE_ACCEPT_SIZE, accept, has_protocol ? "Sec-WebSocket-Protocol: " : "",
                 has_protocol ? protocol : "", has_protocol ? "\r\n" : "",
                 has_extension ? "Sec-WebSocket-Extensions: " : "", has_extension ? extension : "",
                 has_extension ? "\r\n" : "");
    CHECK(size > 0 && size < UPGRADE_RESPONSE_SIZE_MAX);
    return (size_t)size;
}

size_t upgrade_write_refusal(enum upgrade_verdict fault, uint8_t *target)
{
    CHECK(target != NULL);

    struct http_response response = {.status = 400, .close = true};
    switch (fault) {
    case UPGRADE_BAD_REQUEST:
    case UPGRADE_HAS_BODY:
        break;
    case UPGRADE_BAD_METHOD:
        response.status = 405;
        response.extra = "Allow: GET\r\n";
        break;
    case UPGRADE_BAD_VERSION:
        response.status = 426;
        response.extra = "Upgrade: websocket\r\n"
                         "Connection: Upgrade\r\n"
                         "Sec-WebSocket-Version: 13\r\n";
        break;
    case UPGRADE_OK:
    case UPGRADE_NONE:
        NEVER("a verdict that is not a fault");
    }
    const size_t size =
        http_write_response(&response, (struct span){target, UPGRADE_RESPONSE_SIZE_MAX});
    CHECK(size > 0);
    return size;
}

static uint32_t default_port(struct bytes scheme)
{
    if (http_name_is(scheme, "https")) {
        return 443;
    }
    return http_name_is(scheme, "http") ? 80 : PORT_UNKNOWN;
}

static bool read_port(struct bytes text, uint32_t *port)
{
    if (text.size == 0 || text.size > PORT_SIZE_MAX) {
        return false;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.data[i])) {
            return false;
        }
        value = value * 10 + (uint32_t)(text.data[i] - '0');
    }
    *port = value;
    return value >= 1 && value <= UINT16_MAX;
}

/* Names and IPv4 addresses; between brackets, what IPv6 addresses are made of. */
static bool is_host_name(struct bytes host)
{
    const bool is_literal = host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    const struct bytes inner = is_literal ? (struct bytes){host.data + 1, host.size - 2} : host;

    for (size_t i = 0; i < inner.size; i++) {
        const uint8_t byte = inner.data[i];
        const bool is_mark = byte == '.' || (is_literal ? byte == ':' : byte == '-' || byte == '_');
        if (!is_letter(byte) && !is_digit(byte) && !is_mark) {
            return false;
        }
    }
    return inner.size > 0;
}

/* host [":" port]: `origin->port` keeps its value where there is none. */
static bool read_authority(struct bytes text, struct origin *origin)
{
    const uint8_t *const bracket = text.size > 0 ? memrchr(text.data, ']', text.size) : NULL;
    const size_t from = bracket == NULL ? 0 : (size_t)(bracket - text.data);
    const uint8_t *const colon =
        text.size > 0 ? memchr(text.data + from, ':', text.size - from) : NULL;

    origin->host = text;
    if (colon != NULL) {
        origin->host.size = (size_t)(colon - text.data);
        const struct bytes port = {colon + 1, text.size - origin->host.size - 1};
        if (!read_port(port, &origin->port)) {
            return false;
        }
    }
    return is_host_name(origin->host);
}

static bool read_origin(struct bytes text, struct origin *origin)
{
    size_t size = 0;
    while (size < text.size && (is_letter(text.data[size]) ||
                                (size > 0 && (is_digit(text.data[size]) || text.data[size] == '-' ||
                                              text.data[size] == '+' || text.data[size] == '.')))) {
        size++;
    }
    if (size == 0 || text.size - size < 3 || memcmp(text.data + size, "://", 3) != 0) {
        return false;
    }
    origin->scheme = (struct bytes){text.data, size};
    origin->port = default_port(origin->scheme);
    return read_authority((struct bytes){text.data + size + 3, text.size - size - 3}, origin);
}

static bool origins_are_equal(const struct origin *a, const struct origin *b)
{
    return equal_without_case(a->scheme, b->scheme) && equal_without_case(a->host, b->host) &&
           a->port == b->port;
}

bool upgrade_origin_is_valid(struct bytes text)
{
    struct origin origin;
    return read_origin(text, &origin);
}

bool upgrade_origin_is_allowed(const struct upgrade *upgrade, const struct bytes *allowed,
                               size_t allowed_count)
{
    struct origin origin;

    if (upgrade->origin.data == NULL) {
        return true;
    }
    if (!read_origin(upgrade->origin, &origin)) {
        return false;
    }
    for (size_t i = 0; i < allowed_count; i++) {
        struct origin candidate;
        const struct bytes text = allowed[i];
        if (read_origin(text, &candidate) && origins_are_equal(&origin, &candidate)) {
            return true;
        }
    }
    if (allowed_count > 0) {
        return false;
    }
    /* The page came from here. Behind a balancer Host has no port, hence the page's own default. */
    struct origin own = {.scheme = origin.scheme, .port = default_port(origin.scheme)};
    return own.port != PORT_UNKNOWN && read_authority(upgrade->host, &own) &&
           origins_are_equal(&origin, &own);
}
