/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_DIALER_H
#define NET_DIALER_H
/*
 * Begins outgoing TCP connections. What it opens belongs to the caller, who normally hands it to
 * reactor_dial().
 *
 * Threads   ANY_THREAD; blocks nowhere.
 */
#include "core/annot.h"
#include "net/address.h"

struct dialer_options {
    struct address target;
    struct address source; /* size 0: the kernel chooses; its port 0: any that is free */
};

/*
 * 0 and `fd` (non-blocking, close-on-exec, TCP_NODELAY), or -errno and `fd` untouched. The connect
 * may still be under way; whether it succeeds shows when something is sent or received.
 */
NODISCARD int dialer_open(const struct dialer_options *options, int *fd) ANY_THREAD;

#endif /* NET_DIALER_H */
