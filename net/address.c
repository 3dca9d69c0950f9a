/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"

enum {
    PORT_DIGITS_MAX = 5,
    HOST_SIZE_MAX = 46, /* bytes, with the NUL */
};

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* 1 to 5 digits, at most 65535, and nothing after them. */
static int parse_port(const char *text, uint16_t *port)
{
    const size_t size = strlen(text);
    if (size == 0 || size > PORT_DIGITS_MAX) {
        return -EINVAL;
    }
    uint32_t value = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -EINVAL;
        }
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    if (value > UINT16_MAX) {
        return -EINVAL;
    }
    *port = (uint16_t)value;
    return 0;
}

/* Copies [begin, end) as a string. */
static int copy_host(const char *begin, const char *end, char host[HOST_SIZE_MAX])
{
    const size_t size = (size_t)(end - begin);
    if (size == 0 || size >= HOST_SIZE_MAX) {
        return -EINVAL;
    }
    memcpy(host, begin, size);
    host[size] = '\0';
    return 0;
}

static int parse_v6(const char *text, struct address *address)
{
    const char *bracket = strchr(text, ']');
    char host[HOST_SIZE_MAX];
    uint16_t port = 0;
    struct in6_addr ip;

    if (bracket == NULL || bracket[1] != ':' || copy_host(text + 1, bracket, host) != 0 ||
        parse_port(bracket + 2, &port) != 0 || inet_pton(AF_INET6, host, &ip) != 1) {
        return -EINVAL;
    }
    *address = (struct address){.size = sizeof(struct sockaddr_in6)};
    address->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    address->v6.sin6_addr = ip;
    return 0;
}

static int parse_v4(const char *text, struct address *address)
{
    const char *colon = strchr(text, ':');
    char host[HOST_SIZE_MAX];
    uint16_t port = 0;
    struct in_addr ip;

    if (colon == NULL || copy_host(text, colon, host) != 0 || parse_port(colon + 1, &port) != 0 ||
        inet_pton(AF_INET, host, &ip) != 1) {
        return -EINVAL;
    }
    *address = (struct address){.size = sizeof(struct sockaddr_in)};
    address->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    address->v4.sin_addr = ip;
    return 0;
}

int address_parse(const char *text, struct address *address)
{
    CHECK(text != NULL);
    CHECK(address != NULL);

    return text[0] == '[' ? parse_v6(text, address) : parse_v4(text, address);
}

size_t address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE_MAX])
{
    char host[HOST_SIZE_MAX] = "";
    int length = 0;

    if (address->any.sa_family == AF_INET6) {
        CHECK(inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host)) != NULL);
        length = snprintf(text, ADDRESS_TEXT_SIZE_MAX, "[%s]:%u", host,
                          (unsigned)ntohs(address->v6.sin6_port));
    } else {
        CHECK(address->any.sa_family == AF_INET);
        CHECK(inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host)) != NULL);
        length = snprintf(text, ADDRESS_TEXT_SIZE_MAX, "%s:%u", host,
                          (unsigned)ntohs(address->v4.sin_port));
    }
    CHECK(length > 0 && length < ADDRESS_TEXT_SIZE_MAX);
    return (size_t)length;
}

void address_ip(const struct address *address, uint8_t ip[ADDRESS_IP_SIZE])
{
    if (address->any.sa_family == AF_INET6) {
        memcpy(ip, &address->v6.sin6_addr, ADDRESS_IP_SIZE);
        return;
    }
    CHECK(address->any.sa_family == AF_INET);
    memcpy(ip, mapped_prefix, sizeof(mapped_prefix));
    memcpy(ip + sizeof(mapped_prefix), &address->v4.sin_addr, 4);
}

bool address_is_loopback(const struct address *address)
{
    static const uint8_t loopback_v6[ADDRESS_IP_SIZE] = {[15] = 1};
    uint8_t ip[ADDRESS_IP_SIZE];

    address_ip(address, ip);
    if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        return ip[sizeof(mapped_prefix)] == 127;
    }
    return memcmp(ip, loopback_v6, sizeof(loopback_v6)) == 0;
}

uint16_t address_port(const struct address *address)
{
    return ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
}
