/* SPDX-License-Identifier: Apache-2.0 */
#include "server/client_address.h"

#include <stdio.h>
#include <string.h>

#include "net/cidr.h"
#include "proto/http.h"
#include "server/config.h"

enum {
    ENTRIES_MAX = 32, /* the last ones of X-Forwarded-For; more proxies are in no row */
    SINGLE_MAX = 128, /* the prefix of one address */
};

struct client_address client_address_of(const struct address *address)
{
    struct client_address client = {.port = address_port(address)};
    address_ip(address, client.ip);
    return client;
}

bool client_address_is_unix(const struct client_address *client)
{
    static const struct client_address nowhere = {{0}, 0};
    return memcmp(client, &nowhere, sizeof(nowhere)) == 0;
}

bool client_address_is_trusted(const struct client_address *client,
                               const struct config_networks *trusted)
{
    return client_address_is_unix(client) ||
           cidr_any_has(trusted->items, trusted->count, client->ip);
}

/* "ADDRESS", "[ADDRESS]", and both with a port, which is not looked at: some proxies write one. */
static bool read_entry(struct bytes entry, struct client_address *client)
{
    char text[CIDR_TEXT_SIZE_MAX];
    struct cidr cidr;
    const uint8_t *end = entry.data + entry.size;

    if (entry.size == 0) {
        return false;
    }
    if (entry.data[0] == '[') {
        entry.data++;
        end = memchr(entry.data, ']', (size_t)(end - entry.data));
    } else {
        const uint8_t *colon = memchr(entry.data, ':', entry.size);
        const bool has_port =
            colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon) - 1) == NULL;
        end = has_port ? colon : end;
    }
    const size_t size = end == NULL ? 0 : (size_t)(end - entry.data);
    if (size == 0 || size >= sizeof(text) || memchr(entry.data, '\0', size) != NULL) {
        return false;
    }
    memcpy(text, entry.data, size);
    text[size] = '\0';
    if (strchr(text, '/') != NULL || cidr_parse(text, &cidr) != 0) {
        return false;
    }
    *client = (struct client_address){.port = 0};
    memcpy(client->ip, cidr.ip, sizeof(client->ip));
    return true;
}

/* The last entries of all the headers of that name, the oldest at `count % ENTRIES_MAX`. */
static size_t collect(const struct http_request *request, struct bytes entries[ENTRIES_MAX])
{
    size_t count = 0;
    const struct http_header *header = http_next_header(request, "x-forwarded-for", NULL);

    for (; header != NULL; header = http_next_header(request, "x-forwarded-for", header)) {
        struct bytes list = header->value;
        struct bytes element;
        while (http_next_element(&list, &element)) {
            entries[count++ % ENTRIES_MAX] = element;
        }
    }
    return count;
}

struct client_address client_address_forwarded(const struct client_address *sender,
                                               const struct http_request *request,
                                               const struct config_networks *trusted)
{
    struct bytes entries[ENTRIES_MAX];
    struct client_address client = *sender;

    if (!client_address_is_trusted(sender, trusted)) {
        return client;
    }
    const size_t count = collect(request, entries);
    const size_t oldest = count > ENTRIES_MAX ? count - ENTRIES_MAX : 0;
    for (size_t i = count; i > oldest && client_address_is_trusted(&client, trusted); i--) {
        if (!read_entry(entries[(i - 1) % ENTRIES_MAX], &client)) {
            break;
        }
    }
    const struct http_header *real = http_next_header(request, "x-real-ip", NULL);
    if (count == 0 && real != NULL) {
        (void)read_entry(real->value, &client); /* else it stays as it is */
    }
    return client;
}

void client_address_format(const struct client_address *client, char text[CLIENT_ADDRESS_TEXT_SIZE])
{
    struct cidr single = {.prefix = SINGLE_MAX};
    char host[CIDR_TEXT_SIZE_MAX];

    if (client_address_is_unix(client)) {
        (void)snprintf(text, CLIENT_ADDRESS_TEXT_SIZE, "unix");
        return;
    }
    memcpy(single.ip, client->ip, sizeof(single.ip));
    (void)cidr_format(&single, host);
    *strchr(host, '/') = '\0';
    const bool is_six = strchr(host, ':') != NULL;
    if (client->port == 0) {
        (void)snprintf(text, CLIENT_ADDRESS_TEXT_SIZE, "%s", host);
    } else {
        (void)snprintf(text, CLIENT_ADDRESS_TEXT_SIZE, is_six ? "[%s]:%u" : "%s:%u", host,
                       (unsigned)client->port);
    }
}
