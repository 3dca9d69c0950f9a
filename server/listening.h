/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_LISTENING_H
#define SERVER_LISTENING_H
/*
 * Where the server listens: which listeners there are, their sockets, and what they have of TLS.
 *
 * Owner     the control. The main thread opens, reloads and closes; the table of listeners is
 *           frozen after listening_init(), and the gateways read it.
 * Sockets   one of each listener for each reactor (SO_REUSEPORT), handed to the shard. Of a unix
 *           socket there is one, which the reactors share; its file goes at the end. So do they
 *           share what the service manager has opened; that is found by its address, and stays the
 *           manager's, its file too.
 * TLS       each listener with TLS has a configuration of its own. The ticket keys of a process
 *           without a file for them stay the same when certificates are reloaded.
 * Failures  -errno, or -EINVAL for files that will not do, and a sentence in `error`.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "net/tls_tickets.h"

struct config;
struct config_networks;
struct shard;
struct tls_config;

enum { LISTENING_MAX = 8 }; /* what a reactor has room for */

/* What a connection may expect of the listener that it came in by. */
struct listening_item {
    const char *address; /* of the configuration, like the other pointers */
    uint16_t port;
    const char *path;                      /* of a unix socket; NULL: address and port */
    const char *client_ca_file;            /* NULL: clients need no certificate */
    const struct config_networks *trusted; /* proxies that are believed */
    bool wants_proxy;                      /* the PROXY header, from trusted ones only */
    bool is_internal;                      /* /health, /metrics and the like, and no clients */
    bool has_tls;
    bool is_shared;         /* one socket for all reactors: `fd`; else one for each */
    struct tls_config *tls; /* one reference; the control's alone to look at, like `fd` */
    bool is_claimed;        /* the unix socket is ours to take away */
    int fd;                 /* of a shared one, until the last shard has it; -1: none */
};

/* The first is the public one of http_server, the second the internal one. */
struct listening {
    const struct config *config;
    size_t count;
    struct listening_item items[LISTENING_MAX];
    size_t inherited;           /* listeners whose socket is the service manager's */
    size_t opened;              /* shards that have their sockets */
    struct tls_tickets tickets; /* of this process, when there is no file; count 0: not yet made */
};

/* The table, and what the files of the configuration hold. */
NODISCARD int listening_init(struct listening *listening, const struct config *config, char *error,
                             size_t error_size);
void listening_deinit(struct listening *listening);

/*
 * Takes what the service manager has opened: a socket that belongs to no listener is refused. For
 * the others it sees that nobody else listens there, and opens unix sockets. Reactors share ports;
 * a second parleyd would, too, and get half of the clients.
 */
NODISCARD int listening_claim(struct listening *listening, char *error, size_t error_size);

/* A socket of each listener for a shard that does not run yet, once for each of them. */
NODISCARD int listening_open(struct listening *listening, struct shard *shard, char *error,
                             size_t error_size);

/*
 * Reads certificates and keys again, those that `config` names: all of them are used from then on,
 * or none.
 */
NODISCARD int listening_reload(struct listening *listening, const struct config *config,
                               char *error, size_t error_size);

/* What each listener has of TLS, NULL where it has none. No reference is counted. */
void listening_list_tls(const struct listening *listening, struct tls_config *list[LISTENING_MAX]);

#endif /* SERVER_LISTENING_H */
