/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CLIENT_ADDRESS_H
#define SERVER_CLIENT_ADDRESS_H
/*
 * Where a client is, for logs and limits: at the other end of its connection, or where a proxy that
 * is trusted says it is.
 *
 * Pure values. ANY_THREAD.
 * Not here  the PROXY protocol, which net/ reads; what limits count by (net/cidr.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "net/address.h"

struct config_networks;
struct http_request;

enum { CLIENT_ADDRESS_TEXT_SIZE = ADDRESS_TEXT_SIZE_MAX }; /* bytes, with the NUL */

/* All zero: at the other end of a unix socket. */
struct client_address {
    uint8_t ip[ADDRESS_IP_SIZE]; /* as address_ip() has it */
    uint16_t port;               /* 0: not known */
};

struct client_address client_address_of(const struct address *address);

NODISCARD bool client_address_is_unix(const struct client_address *client);

/* It may speak for others: its network is trusted, or it came by a unix socket. */
NODISCARD bool client_address_is_trusted(const struct client_address *client,
                                         const struct config_networks *trusted);

/*
 * For whom `sender` asks: X-Forwarded-For from the right, as long as who wrote an entry is trusted;
 * without one X-Real-IP. Of an entry that is no address, and from a sender that is not trusted,
 * nothing is believed. Proxies append, so what is further left is what the client wrote itself.
 */
NODISCARD struct client_address client_address_forwarded(const struct client_address *sender,
                                                         const struct http_request *request,
                                                         const struct config_networks *trusted);

/* For people: "192.0.2.1:80", "192.0.2.1", "[2001:db8::1]:80", "2001:db8::1", "unix". */
void client_address_format(const struct client_address *client,
                           char text[CLIENT_ADDRESS_TEXT_SIZE]);

#endif /* SERVER_CLIENT_ADDRESS_H */
