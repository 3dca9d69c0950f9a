/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H
/*
 * Opens listening sockets, TCP and unix. What it opens belongs to the caller, who normally hands it
 * to reactor_listen(). Accepted TCP sockets inherit TCP_NODELAY and TCP_NOTSENT_LOWAT from it
 * (Linux), so that nobody sets them for each connection.
 *
 * Unsent    the kernel would keep megabytes for a peer that does not read. To keep little there is
 *           good for others, too: what is urgent overtakes what waits in our queue only.
 *
 * Threads   start-up; blocks nowhere.
 */
#include <stdbool.h>

#include "core/annot.h"
#include "net/address.h"

enum {
    LISTENER_UNSENT_MAX = 128 * 1024, /* bytes that the kernel takes and has not sent */
    LISTENER_PATH_SIZE = 109,         /* of a unix socket, its NUL included */
};

struct listener_options {
    struct address address;
    int backlog;     /* > 0; the kernel caps it at net.core.somaxconn */
    bool share_port; /* SO_REUSEPORT: one listener per reactor on one address */
};

/* 0 and `fd` (non-blocking, close-on-exec), or -errno and `fd` untouched. */
NODISCARD int listener_open(const struct listener_options *options, int *fd);

/*
 * A unix socket at `path`, which the umask and its folder protect. A socket that nobody listens at
 * any more is replaced. Reactors share it by dup(). -EADDRINUSE: somebody does listen there, or
 * something else is there.
 */
NODISCARD int listener_open_unix(const char *path, int backlog, int *fd);

/* Where somebody else's socket listens. */
struct listener_place {
    struct address address;        /* size 0: of the family unix */
    char path[LISTENER_PATH_SIZE]; /* of such; begins with @ in the abstract namespace */
};

/*
 * Makes a listener that somebody else has opened and bound what the two above would have made. 0 or
 * -errno: -ENOTSOCK, -ESOCKTNOSUPPORT (no stream), -EINVAL (does not listen), -EAFNOSUPPORT.
 */
NODISCARD int listener_adopt(int fd, struct listener_place *place);

/* Where it listens: the port that the kernel chose, when 0 was asked for. 0 or -errno. */
NODISCARD int listener_address(int fd, struct address *address);

#endif /* NET_LISTENER_H */
