/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/target.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

enum {
    PORT_WS = 80,
    PORT_WSS = 443,
};

static bool refuse(char error[TARGET_ERROR_SIZE], const char *expected, const char *url)
{
    (void)snprintf(error, TARGET_ERROR_SIZE, "expected %s, found \"%.80s\"", expected, url);
    return false;
}

/* Only what may stand in a request line. */
static bool is_path(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~' || *text == '#') {
            return false;
        }
    }
    return true;
}

/* `host` without its port, and an address of version 6 without its brackets. */
static void read_name(const char *host, char name[TARGET_HOST_SIZE_MAX])
{
    const bool is_bracketed = host[0] == '[';
    const char *begin = is_bracketed ? host + 1 : host;
    const size_t size = strcspn(begin, is_bracketed ? "]" : ":");
    memcpy(name, begin, size);
    name[size] = '\0';
}

/* The port behind the last ':', or the default one; 0 there: it has to be given. */
static bool read_port(const char *host, unsigned port_default, uint16_t *port)
{
    const char *bracket = strrchr(host, ']');
    const char *colon = strchr(bracket == NULL ? host : bracket, ':');
    char *end = NULL;

    if (colon == NULL) {
        *port = (uint16_t)port_default;
        return port_default != 0 && (bracket == NULL || bracket[1] == '\0');
    }
    const unsigned long read = strtoul(colon + 1, &end, 10);
    *port = (uint16_t)read;
    return colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && read > 0 && read <= UINT16_MAX &&
           (bracket == NULL || colon == bracket + 1);
}

/* What may be asked for: letters, digits, '-', '_' and '.'. */
static bool is_name(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_.";
    return *text != '\0' && text[strspn(text, allowed)] == '\0';
}

/* Host and port of a URL: as an address where it is one, else as a name. */
static bool read_authority(struct target *target, unsigned port_default)
{
    char text[TARGET_HOST_SIZE_MAX + 32];

    if (!read_port(target->host, port_default, &target->port)) {
        return false;
    }
    read_name(target->host, target->name);
    const bool is_bracketed = target->host[0] == '[';
    const bool is_local = strcmp(target->name, "localhost") == 0;
    (void)snprintf(text, sizeof(text), is_bracketed ? "[%s]:%u" : "%s:%u",
                   is_local ? "127.0.0.1" : target->name, target->port);
    return address_parse(text, &target->address) == 0 || (!is_bracketed && is_name(target->name));
}

/* The scheme, and what is behind it. NULL: it is none of ours. */
static const char *read_scheme(const char *url, enum target_scheme *scheme)
{
    static const struct {
        const char *text;
        enum target_scheme scheme;
    } schemes[] = {{"ws://", TARGET_WS}, {"wss://", TARGET_WSS}, {"tcp://", TARGET_TCP}};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const size_t size = strlen(schemes[i].text);
        if (strncmp(url, schemes[i].text, size) == 0) {
            *scheme = schemes[i].scheme;
            return url + size;
        }
    }
    return NULL;
}

static unsigned port_of(enum target_scheme scheme)
{
    switch (scheme) {
    case TARGET_WS:
        return PORT_WS;
    case TARGET_WSS:
        return PORT_WSS;
    case TARGET_TCP:
        return 0; /* it has to be given */
    }
    return 0;
}

bool target_parse(const char *url, struct target *target, char error[TARGET_ERROR_SIZE])
{
    struct target read = {0};
    const char *rest = read_scheme(url, &read.scheme);

    if (rest == NULL) {
        return refuse(error, "ws://, wss:// or tcp://", url);
    }
    const size_t host_size = strcspn(rest, "/?");
    const char *path = rest + host_size;
    if (host_size == 0 || host_size >= TARGET_HOST_SIZE_MAX ||
        memchr(rest, '@', host_size) != NULL) {
        return refuse(error, "an address and a port behind ://", url);
    }
    memcpy(read.host, rest, host_size);
    if (!read_authority(&read, port_of(read.scheme))) {
        return refuse(error, "127.0.0.1:8000, [::1]:8000 or name:8000 behind ://", url);
    }
    if (read.scheme == TARGET_TCP && *path != '\0') {
        return refuse(error, "no path: tcp:// has none", url);
    }
    if (!is_path(path) || strlen(path) + 2 > TARGET_PATH_SIZE_MAX) {
        return refuse(error, "a path of at most 1,022 printable characters", url);
    }
    (void)snprintf(read.path, sizeof(read.path), "%s%s", *path == '/' ? "" : "/", path);
    *target = read;
    return true;
}

bool target_resolve(struct target *target, char error[TARGET_ERROR_SIZE])
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char port[8];

    if (target->address.size > 0) {
        return true;
    }
    (void)snprintf(port, sizeof(port), "%u", target->port);
    const int result = getaddrinfo(target->name, port, &hints, &found);
    if (result != 0) {
        (void)snprintf(error, TARGET_ERROR_SIZE, "%.80s: %s", target->name,
                       result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
        return false;
    }
    CHECK(found->ai_addrlen <= sizeof(struct sockaddr_in6));
    memcpy(&target->address.any, found->ai_addr, found->ai_addrlen);
    target->address.size = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}
