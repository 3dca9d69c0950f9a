/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H
/*
 * The way to the service manager: datagrams of KEY=VALUE lines to $NOTIFY_SOCKET, sd_notify(3).
 *
 * Owner     the main thread, which alone sends.
 * Failures  only of opening. What the manager does not take is lost: nothing here waits for it.
 * Ours      and not libsystemd's: the protocol is stable, is meant to be written out (its manual
 *           has a whole implementation), and is one datagram; the library would bring libgcrypt and
 *           three compression libraries into this process.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

struct notify {
    int fd;               /* -1: nobody wants to hear anything */
    uint64_t watchdog_ns; /* it is to hear from us at least so often; 0: it does not mind */
};

/*
 * Looks at NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. 0, also when there is no manager;
 * -errno when there is one that cannot be reached.
 */
NODISCARD int notify_open(struct notify *notify);
void notify_close(struct notify *notify);

/* A number that the manager has put into our environment; false: it has not, or it is none. */
NODISCARD bool notify_number(const char *key, uint64_t *number);

/* `lines` without the last line's end. */
void notify_send(const struct notify *notify, const char *lines);

#endif /* SERVER_NOTIFY_H */
