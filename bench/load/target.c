/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/target.h"

#include <stdio.h>
#include <string.h>

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

/* `authority` as an address, with a port of its own or the default one. */
static bool read_address(const char *authority, unsigned port_default, struct address *address)
{
    static const char local[] = "localhost";
    char text[TARGET_HOST_SIZE_MAX + 32];
    const bool is_local = strncmp(authority, local, sizeof(local) - 1) == 0;
    const char *rest = is_local ? authority + sizeof(local) - 1 : authority;
    const char *bracket = strrchr(authority, ']');
    const bool has_port = strchr(bracket == NULL ? authority : bracket, ':') != NULL;

    if (!has_port && port_default == 0) {
        return false;
    }
    int size = snprintf(text, sizeof(text), "%s%s", is_local ? "127.0.0.1" : "", rest);
    if (!has_port && size > 0 && (size_t)size < sizeof(text)) {
        size += snprintf(text + size, sizeof(text) - (size_t)size, ":%u", port_default);
    }
    return size > 0 && (size_t)size < sizeof(text) && address_parse(text, address) == 0 &&
           address_port(address) != 0;
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

/* `host` without its port, and an address of version 6 without its brackets. */
static void read_name(const char *host, char name[TARGET_HOST_SIZE_MAX])
{
    const bool is_bracketed = host[0] == '[';
    const char *begin = is_bracketed ? host + 1 : host;
    const size_t size = strcspn(begin, is_bracketed ? "]" : ":");
    memcpy(name, begin, size);
    name[size] = '\0';
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
    if (!read_address(read.host, port_of(read.scheme), &read.address)) {
        return refuse(error, "127.0.0.1:8000, [::1]:8000 or localhost:8000 behind ://", url);
    }
    read_name(read.host, read.name);
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
