/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H
/*
 * Opens listening sockets, TCP and unix. What it opens belongs to the caller, who normally hands it
 * to reactor_listen(). Accepted TCP sockets inherit TCP_NODELAY, TCP_NOTSENT_LOWAT and the sizes of
 * their buffers from it (Linux), so that nobody sets them for each connection.
 *
 * Buffers   the kernel would keep megabytes for a peer that does not read, or does not acknowledge.
 *           To keep little there is good for others, too: what is urgent overtakes what waits in
 *           our queue only, which holds references where the kernel has a copy for each. But where
 *           it takes less than the mark of a queue (half of client.queue_max_size), who pauses for
 *           one burst may lag, and a quiet channel with the loud one.
 *
 * Threads   start-up; blocks nowhere.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "net/address.h"

enum {
    LISTENER_UNSENT_MAX = 128 * 1024, /* bytes that the kernel takes and has not sent */
    LISTENER_PATH_SIZE = 109,         /* of a unix socket, its NUL included */
};

/* SO_SNDBUF and SO_RCVBUF, bytes. The kernel takes as much again for what it needs itself. */
struct listener_buffers {
    uint32_t send; /* 0: the system's, which grows to megabytes */
    uint32_t receive;
};

struct listener_options {
    struct address address;
    struct listener_buffers buffers;
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
NODISCARD int listener_adopt(int fd, const struct listener_buffers *buffers,
                             struct listener_place *place);

/* Where it listens: the port that the kernel chose, when 0 was asked for. 0 or -errno. */
NODISCARD int listener_address(int fd, struct address *address);

#endif /* NET_LISTENER_H */
