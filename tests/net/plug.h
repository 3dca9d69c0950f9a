/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_NET_PLUG_H
#define TESTS_NET_PLUG_H
/*
 * A back end under test together with clients that talk to it: sockets on loopback for the real
 * ones, simulated ends for the simulated one. Clients never block.
 *
 * Another back end is plugged in by a file tests/net/plug_<name>.c that defines its struct; the
 * simulated one is called plug_simulated (weak: the suite runs without it, too).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct backend_ops;

struct plug {
    const char *name;
    const struct backend_ops *ops; /* NULL: those of `base` */
    const struct plug *base;       /* what TLS runs over; else NULL */
    bool is_tls;
    bool is_one_thread;               /* nobody else may call wake() */
    bool accepts_ahead;               /* who came when the last place was taken is reset */
    bool keeps_whom_it_cannot_accept; /* for later, instead of a reset thanks to a reserve */

    /* The world that clients and the reactor are in: reactor_options.backend_context. */
    void *(*create)(void);
    void (*destroy)(void *world);

    /* What reactor_listen() takes, and a client that connects to it. Handles are >= 0. */
    int (*listen)(void *world);
    int (*connect)(void *world, int listener);

    /*
     * TLS only. Goes on with the handshake: 0, or once the client's side of it is done the bytes
     * that it received. And: what clients have encrypted, and there was no room for, is sent.
     */
    uint64_t (*shake)(void *world, int client);
    void (*push_all)(void *world);

    /* Bytes, or -EAGAIN, or another -errno; read: 0 after a FIN, -ECONNRESET after a reset. */
    ssize_t (*write)(void *world, int client, const void *data, size_t size);
    ssize_t (*read)(void *world, int client, void *data, size_t size);

    void (*finish)(void *world, int client); /* sends a FIN, goes on reading */
    void (*reset)(void *world, int client);  /* sends a RST; the handle is gone */
    void (*close)(void *world, int client);  /* as close() does; the handle is gone */

    /* From now on accepting fails for want of descriptors (true), or works again (false). */
    void (*starve)(void *world, bool on);
};

extern const struct plug plug_uring;
extern const struct plug plug_epoll;
extern const struct plug plug_simulated __attribute__((weak));

#endif /* TESTS_NET_PLUG_H */
