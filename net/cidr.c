/* SPDX-License-Identifier: Apache-2.0 */
#include "net/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"

enum {
    IP_BITS = 128,
    MAPPED_BITS = 96,
    LIMIT_BYTES = 8, /* of an IPv6 address */
    PREFIX_DIGITS_MAX = 3,
};

static const uint8_t mapped_prefix[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};

static bool is_mapped(const uint8_t ip[ADDRESS_IP_SIZE])
{
    return memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

/* A number up to `max` without a leading zero. */
static int parse_prefix(const char *text, unsigned max, unsigned *prefix)
{
    const size_t size = strlen(text);
    if (size == 0 || size > PREFIX_DIGITS_MAX || strspn(text, "0123456789") != size ||
        (text[0] == '0' && size > 1)) {
        return -EINVAL;
    }
    unsigned value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    if (value > max) {
        return -EINVAL;
    }
    *prefix = value;
    return 0;
}

/* Whether everything behind the prefix is zero. */
static bool is_clean(const struct cidr *cidr)
{
    for (unsigned bit = cidr->prefix; bit < IP_BITS; bit++) {
        if ((cidr->ip[bit / 8] & (0x80U >> bit % 8)) != 0) {
            return false;
        }
    }
    return true;
}

int cidr_parse(const char *text, struct cidr *cidr)
{
    char host[CIDR_TEXT_SIZE_MAX];
    const char *slash = strchr(text, '/');
    const size_t size = slash == NULL ? strlen(text) : (size_t)(slash - text);
    if (size >= sizeof(host)) {
        return -EINVAL;
    }
    memcpy(host, text, size);
    host[size] = '\0';

    struct cidr parsed = {{0}, 0};
    const bool is_six = memchr(host, ':', size) != NULL;
    const unsigned offset = is_six ? 0 : MAPPED_BITS;
    unsigned prefix = IP_BITS - offset;
    if (!is_six) {
        memcpy(parsed.ip, mapped_prefix, sizeof(mapped_prefix));
    }
    if (inet_pton(is_six ? AF_INET6 : AF_INET, host, parsed.ip + offset / 8) != 1 ||
        (slash != NULL && parse_prefix(slash + 1, IP_BITS - offset, &prefix) != 0)) {
        return -EINVAL;
    }
    parsed.prefix = (uint8_t)(offset + prefix);
    if (!is_clean(&parsed)) {
        return -EINVAL;
    }
    *cidr = parsed;
    return 0;
}

size_t cidr_format(const struct cidr *cidr, char text[CIDR_TEXT_SIZE_MAX])
{
    char host[INET6_ADDRSTRLEN] = "";
    const bool is_four = cidr->prefix >= MAPPED_BITS && is_mapped(cidr->ip);
    const unsigned offset = is_four ? MAPPED_BITS : 0;

    CHECK(inet_ntop(is_four ? AF_INET : AF_INET6, cidr->ip + offset / 8, host, sizeof(host)) !=
          NULL);
    const int length =
        snprintf(text, CIDR_TEXT_SIZE_MAX, "%s/%u", host, (unsigned)cidr->prefix - offset);
    CHECK(length > 0 && length < CIDR_TEXT_SIZE_MAX);
    return (size_t)length;
}

bool cidr_has(const struct cidr *cidr, const uint8_t ip[ADDRESS_IP_SIZE])
{
    const size_t whole = cidr->prefix / 8;
    const uint8_t mask = (uint8_t)(0xff00U >> cidr->prefix % 8);

    return memcmp(cidr->ip, ip, whole) == 0 &&
           (whole == ADDRESS_IP_SIZE || ((cidr->ip[whole] ^ ip[whole]) & mask) == 0);
}

bool cidr_any_has(const struct cidr *cidrs, size_t count, const uint8_t ip[ADDRESS_IP_SIZE])
{
    for (size_t i = 0; i < count; i++) {
        if (cidr_has(&cidrs[i], ip)) {
            return true;
        }
    }
    return false;
}

void cidr_limit_key(const uint8_t ip[ADDRESS_IP_SIZE], uint8_t key[ADDRESS_IP_SIZE])
{
    const size_t size = is_mapped(ip) ? ADDRESS_IP_SIZE : LIMIT_BYTES;

    memset(key, 0, ADDRESS_IP_SIZE);
    memcpy(key, ip, size);
}
