/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_BACKEND_URING_PRIVATE_H
#define NET_BACKEND_URING_PRIVATE_H
/*
 * A ring with its ring of receive buffers: how it is set up, for the back end and for the probe.
 * Private to net/backend_uring*.c.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

struct io_uring;
struct io_uring_buf_ring;

enum {
    BACKEND_URING_BUFFER_GROUP = 0,
    BACKEND_URING_BUFFER_NONE = UINT16_MAX, /* no buffer has this number */
};

struct backend_uring_options {
    uint32_t submission_count; /* entries, powers of two */
    uint32_t completion_count;
    uint32_t buffer_count;
    uint32_t buffer_size; /* bytes, each */
};

struct backend_uring_buffers {
    struct io_uring_buf_ring *ring; /* shared with the kernel */
    size_t ring_size;               /* bytes */
    uint8_t *memory;                /* buffer i begins at i * size */
    uint32_t count;
    uint32_t size; /* bytes, each */
};

/*
 * A disabled ring, to be enabled by the thread that will use it, and its buffers, all with the
 * kernel. 0, or -errno, nothing open, and `what` says which step failed.
 */
NODISCARD int backend_uring_ring_open(const struct backend_uring_options *options,
                                      struct io_uring *ring, struct backend_uring_buffers *buffers,
                                      const char **what);

/* The calling thread is the one that may submit from now on. 0 or -errno. */
NODISCARD int backend_uring_ring_enable(struct io_uring *ring);

/* After that nothing is in flight, and nothing of it is mapped. */
void backend_uring_ring_close(struct io_uring *ring, struct backend_uring_buffers *buffers);

/* Gives one buffer to the kernel. */
void backend_uring_ring_give(struct backend_uring_buffers *buffers, uint16_t index);

#endif /* NET_BACKEND_URING_PRIVATE_H */
