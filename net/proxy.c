/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <string.h>

enum {
    HEAD_SIZE = 16, /* of version 2: signature, version and command, family, length */
    SIGNATURE_SIZE = 12,
    IP_TEXT_MAX = 39, /* bytes of an address in version 1 */
    PORT_DIGITS_MAX = 5,
    TCP4_SIZE = 12, /* of version 2: two addresses, two ports */
    TCP6_SIZE = 36,
};

static const uint8_t signature[SIGNATURE_SIZE] = "\r\n\r\n\0\r\nQUIT\n";

/* `in` is the beginning of `whole`, or `whole` and more. */
static bool agrees(struct bytes in, const void *whole, size_t size)
{
    return memcmp(in.data, whole, in.size < size ? in.size : size) == 0;
}

static struct address make_v4(const uint8_t ip[4], uint16_t port)
{
    struct address address = {.size = sizeof(struct sockaddr_in)};
    address.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&address.v4.sin_addr, ip, 4);
    return address;
}

static struct address make_v6(const uint8_t ip[16], uint16_t port)
{
    struct address address = {.size = sizeof(struct sockaddr_in6)};
    address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&address.v6.sin6_addr, ip, 16);
    return address;
}

/* --- Version 1: a line of text --------------------------------------------------------------- */

/* Takes what is before the next space, or all of it when it is the last one. */
static bool take_word(struct bytes *line, bool is_last, struct bytes *word)
{
    const uint8_t *space = line->size == 0 ? NULL : memchr(line->data, ' ', line->size);
    if ((space == NULL) != is_last) {
        return false;
    }
    word->data = line->data;
    word->size = is_last ? line->size : (size_t)(space - line->data);
    const size_t used = is_last ? line->size : word->size + 1;
    *line = (struct bytes){line->data + used, line->size - used};
    return word->size > 0;
}

static bool read_ip(struct bytes word, bool is_six, uint8_t ip[16])
{
    char text[IP_TEXT_MAX + 1];
    if (word.size > IP_TEXT_MAX || memchr(word.data, '\0', word.size) != NULL) {
        return false;
    }
    memcpy(text, word.data, word.size);
    text[word.size] = '\0';
    return inet_pton(is_six ? AF_INET6 : AF_INET, text, ip) == 1;
}

static bool read_port(struct bytes word, uint16_t *port)
{
    uint32_t value = 0;
    if (word.size > PORT_DIGITS_MAX || (word.data[0] == '0' && word.size > 1)) {
        return false;
    }
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(word.data[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

/* "SOURCE DESTINATION PORT PORT" */
static enum proxy_verdict read_addresses(struct bytes line, bool is_six,
                                         struct proxy_header *header)
{
    struct bytes words[4];
    uint8_t source[16];
    uint8_t destination[16];
    uint16_t ports[2];

    for (size_t i = 0; i < 4; i++) {
        if (!take_word(&line, i == 3, &words[i])) {
            return PROXY_BAD;
        }
    }
    if (!read_ip(words[0], is_six, source) || !read_ip(words[1], is_six, destination) ||
        !read_port(words[2], &ports[0]) || !read_port(words[3], &ports[1])) {
        return PROXY_BAD;
    }
    header->has_address = true;
    header->client = is_six ? make_v6(source, ports[0]) : make_v4(source, ports[0]);
    return PROXY_OK;
}

static enum proxy_verdict read_v1(struct bytes in, struct proxy_header *header)
{
    static const char tcp4[] = "PROXY TCP4 ";
    static const char tcp6[] = "PROXY TCP6 ";
    static const char unknown[] = "PROXY UNKNOWN";
    const size_t looked = in.size < PROXY_V1_SIZE_MAX ? in.size : PROXY_V1_SIZE_MAX;
    const uint8_t *end = memmem(in.data, looked, "\r\n", 2);

    if (!agrees(in, tcp4, sizeof(tcp4) - 1) && !agrees(in, tcp6, sizeof(tcp6) - 1) &&
        !agrees(in, unknown, sizeof(unknown) - 1)) {
        return PROXY_BAD;
    }
    if (end == NULL) {
        return looked == PROXY_V1_SIZE_MAX ? PROXY_BAD : PROXY_NEED_MORE;
    }
    const size_t size = (size_t)(end - in.data);
    *header = (struct proxy_header){.size = size + 2};
    if (in.data[6] == 'U') {
        /* What follows is for nobody to read. */
        return size == sizeof(unknown) - 1 || in.data[sizeof(unknown) - 1] == ' ' ? PROXY_OK
                                                                                  : PROXY_BAD;
    }
    const struct bytes rest = {in.data + sizeof(tcp4) - 1, size - (sizeof(tcp4) - 1)};
    return read_addresses(rest, in.data[9] == '6', header);
}

/* --- Version 2: binary ----------------------------------------------------------------------- */

static uint16_t read_16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* The addresses of a PROXY command; what is not TCP over IP has none that we know. */
static enum proxy_verdict read_family(uint8_t family, struct bytes body,
                                      struct proxy_header *header)
{
    switch (family) {
    case 0x00: /* unspecified */
    case 0x31: /* a stream over a unix socket */
        return PROXY_OK;
    case 0x11:
        if (body.size < TCP4_SIZE) {
            return PROXY_BAD;
        }
        header->client = make_v4(body.data, read_16(body.data + 8));
        break;
    case 0x21:
        if (body.size < TCP6_SIZE) {
            return PROXY_BAD;
        }
        header->client = make_v6(body.data, read_16(body.data + 32));
        break;
    default: /* datagrams, and what nobody knows */
        return PROXY_BAD;
    }
    header->has_address = true;
    return PROXY_OK;
}

static enum proxy_verdict read_v2(struct bytes in, struct proxy_header *header)
{
    if (!agrees(in, signature, SIGNATURE_SIZE)) {
        return PROXY_BAD;
    }
    if (in.size > SIGNATURE_SIZE && in.data[12] != 0x20 && in.data[12] != 0x21) {
        return PROXY_BAD;
    }
    if (in.size < HEAD_SIZE) {
        return PROXY_NEED_MORE;
    }
    const size_t size = HEAD_SIZE + (size_t)read_16(in.data + 14);
    if (size > PROXY_V2_SIZE_MAX) {
        return PROXY_BAD;
    }
    if (in.size < size) {
        return PROXY_NEED_MORE;
    }
    *header = (struct proxy_header){.size = size};
    if (in.data[12] == 0x20) { /* LOCAL: the proxy itself, to see whether we live */
        return PROXY_OK;
    }
    const struct bytes body = {in.data + HEAD_SIZE, size - HEAD_SIZE};
    return read_family(in.data[13], body, header);
}

enum proxy_verdict proxy_read(struct bytes in, struct proxy_header *header)
{
    if (in.size == 0) {
        return PROXY_NEED_MORE;
    }
    return in.data[0] == 'P' ? read_v1(in, header) : read_v2(in, header);
}
