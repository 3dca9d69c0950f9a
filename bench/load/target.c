/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/target.h"

#include <stdio.h>
#include <string.h>

enum { PORT_WS = 80 };

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

bool target_parse(const char *url, struct target *target, char error[TARGET_ERROR_SIZE])
{
    struct target read = {0};
    const char *rest = url;

    if (strncmp(url, "ws://", 5) == 0) {
        read.scheme = TARGET_WS;
        rest += 5;
    } else if (strncmp(url, "tcp://", 6) == 0) {
        read.scheme = TARGET_TCP;
        rest += 6;
    } else if (strncmp(url, "wss://", 6) == 0) {
        return refuse(error, "ws:// or tcp:// (there is no TLS yet)", url);
    } else {
        return refuse(error, "ws:// or tcp://", url);
    }
    const size_t host_size = strcspn(rest, "/?");
    const char *path = rest + host_size;
    if (host_size == 0 || host_size >= TARGET_HOST_SIZE_MAX ||
        memchr(rest, '@', host_size) != NULL) {
        return refuse(error, "an address and a port behind ://", url);
    }
    memcpy(read.host, rest, host_size);
    if (!read_address(read.host, read.scheme == TARGET_WS ? PORT_WS : 0, &read.address)) {
        return refuse(error, "127.0.0.1:8000, [::1]:8000 or localhost:8000 behind ://", url);
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
