/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ACTIVATION_H
#define SERVER_ACTIVATION_H
/*
 * Listening sockets that the service manager has opened and keeps: sd_listen_fds(3), that is
 * $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES. While we are away clients wait in them.
 *
 * Pure but for the environment and our process id; start-up. Written out as notify.h is, and why.
 * Not here: what the sockets are (net/listener.h), which listener is whose (listening.h).
 */
#include <stddef.h>

#include "core/annot.h"
#include "core/bytes.h"

enum { ACTIVATION_MAX = 8 }; /* sockets: a listener each */

struct activation_socket {
    int fd;
    struct bytes name; /* of the environment, for people; may be empty */
};

struct activation {
    size_t count; /* 0: there is no manager, or it opens none */
    struct activation_socket sockets[ACTIVATION_MAX];
};

/* 0, or -EINVAL and a sentence in `error`. What is meant for another process is nothing. */
NODISCARD int activation_read(struct activation *activation, char *error, size_t error_size);

#endif /* SERVER_ACTIVATION_H */
