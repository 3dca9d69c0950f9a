/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H
/*
 * IP addresses with ports: "192.0.2.1:80", "[2001:db8::1]:80". Numbers only, no names: nothing
 * here asks a resolver or blocks.
 *
 * Pure values. ANY_THREAD.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    ADDRESS_TEXT_SIZE_MAX = 56, /* bytes of the longest text, its NUL included */
    ADDRESS_IP_SIZE = 16,       /* bytes */
};

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t size; /* bytes used */
};

/* Reads `text`, which ends with a NUL. -EINVAL when it is anything else; `address` is untouched. */
NODISCARD int address_parse(const char *text, struct address *address) ANY_THREAD;

/* Writes the text with a NUL and returns its length without it. */
size_t address_format(const struct address *address, char text[ADDRESS_TEXT_SIZE_MAX]) ANY_THREAD;

/*
 * The IP alone, as 16 bytes for a table: IPv4 as ::ffff:a.b.c.d, so that one client is one key
 * whichever socket it came through.
 */
void address_ip(const struct address *address, uint8_t ip[ADDRESS_IP_SIZE]) ANY_THREAD;

/* 127.0.0.0/8 (mapped, too) and ::1. */
NODISCARD bool address_is_loopback(const struct address *address) ANY_THREAD;

NODISCARD uint16_t address_port(const struct address *address) ANY_THREAD;

#endif /* NET_ADDRESS_H */
