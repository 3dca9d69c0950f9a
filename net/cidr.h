/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_CIDR_H
#define NET_CIDR_H
/*
 * Blocks of IP addresses: "10.0.0.0/8", "2001:db8::/32"; an address alone is a block of one. And
 * what of an address limits count by.
 *
 * Pure values. ANY_THREAD.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "net/address.h"

enum { CIDR_TEXT_SIZE_MAX = 50 }; /* bytes of the longest text, its NUL included */

/* As address_ip() has them: IPv4 is ::ffff:a.b.c.d, and its prefix 96 bits longer. */
struct cidr {
    uint8_t ip[ADDRESS_IP_SIZE];
    uint8_t prefix; /* bits that count, 0 to 128 */
};

/* Reads `text`, which ends with a NUL. -EINVAL for anything else, or bits behind the prefix. */
NODISCARD int cidr_parse(const char *text, struct cidr *cidr);

/* Writes the text with a NUL and returns its length without it. */
size_t cidr_format(const struct cidr *cidr, char text[CIDR_TEXT_SIZE_MAX]);

NODISCARD bool cidr_has(const struct cidr *cidr, const uint8_t ip[ADDRESS_IP_SIZE]);

/* It is in one of `count` blocks. */
NODISCARD bool cidr_any_has(const struct cidr *cidrs, size_t count,
                            const uint8_t ip[ADDRESS_IP_SIZE]);

/*
 * Whose an address is, for limits: a whole IPv4 address, the /64 of an IPv6 one, for that is what
 * one subscriber is given.
 */
void cidr_limit_key(const uint8_t ip[ADDRESS_IP_SIZE], uint8_t key[ADDRESS_IP_SIZE]);

#endif /* NET_CIDR_H */
