/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_TARGET_H
#define BENCH_LOAD_TARGET_H
/*
 * Where the load goes: "ws://127.0.0.1:8000/echo", "wss://localhost:8443/", "tcp://[::1]:7".
 *
 * Values. Reading a URL asks nobody: "localhost" is 127.0.0.1, and other names have no address
 * until target_resolve(), which may block for as long as the resolver does.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "net/address.h"

enum {
    TARGET_HOST_SIZE_MAX = 256,  /* bytes with the NUL: as it stands in the Host header */
    TARGET_PATH_SIZE_MAX = 1024, /* bytes with the NUL */
    TARGET_ERROR_SIZE = 160,     /* bytes with the NUL */
};

enum target_scheme {
    TARGET_WS,  /* port 80 by default */
    TARGET_WSS, /* over TLS; port 443 by default */
    TARGET_TCP, /* no handshake and no frames: for the floor; no path */
};

struct target {
    enum target_scheme scheme;
    struct address address;          /* size 0: of a name that was not asked for yet */
    char host[TARGET_HOST_SIZE_MAX]; /* with the port, unless it is the default one */
    char name[TARGET_HOST_SIZE_MAX]; /* without a port or brackets: who a certificate is for */
    char path[TARGET_PATH_SIZE_MAX]; /* with the query; "/" when none was given */
    uint16_t port;
};

/* False, `target` untouched, and one line in `error` that says what was expected. */
NODISCARD bool target_parse(const char *url, struct target *target, char error[TARGET_ERROR_SIZE]);

/* Finds the address of a name, if it has none yet: the first that the system's resolver knows. */
NODISCARD bool target_resolve(struct target *target, char error[TARGET_ERROR_SIZE]);

#endif /* BENCH_LOAD_TARGET_H */
