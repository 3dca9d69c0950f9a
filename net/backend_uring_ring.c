/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/check.h"
#include "net/backend_uring_private.h"

/*
 * Submission goes on after a bad entry, so that all of a submission has always been read when it
 * returns. The ring is disabled until the reactor's thread enables it, and is then that thread's.
 */
static int open_ring(const struct backend_uring_options *options, struct io_uring *ring)
{
    const unsigned common = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED;
    struct io_uring_params params = {.flags = common | IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN,
                                     .cq_entries = options->completion_count};

    int result = io_uring_queue_init_params(options->submission_count, ring, &params);
    if (result == -EINVAL) { /* before Linux 6.1 */
        params = (struct io_uring_params){.flags = common | IORING_SETUP_COOP_TASKRUN,
                                          .cq_entries = options->completion_count};
        result = io_uring_queue_init_params(options->submission_count, ring, &params);
    }
    if (result != 0) {
        return result;
    }
    const unsigned needed = IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
    if ((params.features & needed) != needed) {
        io_uring_queue_exit(ring);
        return -EOPNOTSUPP;
    }
    return 0;
}

/*
 * Anonymous memory of whole pages; NULL when there is none. It is there from the start: the kernel
 * goes round in the ring and touches all of it anyway, and not in the middle of a message.
 */
static void *map(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void backend_uring_ring_give(struct backend_uring_buffers *buffers, uint16_t index)
{
    CHECK(index < buffers->count);
    io_uring_buf_ring_add(buffers->ring, buffers->memory + (size_t)index * buffers->size,
                          buffers->size, index, io_uring_buf_ring_mask(buffers->count), 0);
    io_uring_buf_ring_advance(buffers->ring, 1);
    buffers->follower[buffers->newest] = index;
    buffers->newest = index;
}

void backend_uring_ring_give_all(struct backend_uring_buffers *buffers, uint16_t first, size_t size)
{
    for (;;) {
        const uint16_t next = buffers->follower[first];
        backend_uring_ring_give(buffers, first);
        if (size <= buffers->size) {
            return;
        }
        size -= buffers->size;
        first = next;
    }
}

static int open_buffers(const struct backend_uring_options *options, struct io_uring *ring,
                        struct backend_uring_buffers *buffers)
{
    struct backend_uring_buffers made = {
        .ring_size = options->buffer_count * sizeof(struct io_uring_buf),
        .count = options->buffer_count,
        .size = options->buffer_size,
    };
    int result = -ENOMEM;
    made.ring = map(made.ring_size);
    if (made.ring == NULL) {
        return result;
    }
    made.memory = map((size_t)made.count * made.size);
    if (made.memory == NULL) {
        goto unmap_ring;
    }
    made.follower = calloc(made.count, sizeof(*made.follower));
    if (made.follower == NULL) {
        goto unmap_memory;
    }
    struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)made.ring,
                                            .ring_entries = made.count,
                                            .bgid = BACKEND_URING_BUFFER_GROUP};
    result = io_uring_register_buf_ring(ring, &registration, 0);
    if (result != 0) {
        goto free_follower;
    }
    io_uring_buf_ring_init(made.ring);
    for (uint32_t i = 0; i < made.count; i++) {
        backend_uring_ring_give(&made, (uint16_t)i);
    }
    *buffers = made;
    return 0;

free_follower:
    free(made.follower);
unmap_memory:
    (void)munmap(made.memory, (size_t)made.count * made.size);
unmap_ring:
    (void)munmap(made.ring, made.ring_size);
    return result;
}

int backend_uring_ring_open(const struct backend_uring_options *options, struct io_uring *ring,
                            struct backend_uring_buffers *buffers, const char **what)
{
    CHECK(options->buffer_count > 0 && options->buffer_count < BACKEND_URING_BUFFER_NONE);
    CHECK((options->buffer_count & (options->buffer_count - 1)) == 0);
    CHECK(options->buffer_size > 0);

    *what = "io_uring_setup";
    int result = open_ring(options, ring);
    if (result != 0) {
        return result;
    }
    *what = "a ring of receive buffers";
    result = open_buffers(options, ring, buffers);
    if (result != 0) {
        io_uring_queue_exit(ring);
    }
    return result;
}

int backend_uring_ring_enable(struct io_uring *ring)
{
    /* liburing 2.3 declares io_uring_enable_rings() and forgot to export it. */
    const int result =
        io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    return result < 0 ? result : 0;
}

void backend_uring_ring_close(struct io_uring *ring, struct backend_uring_buffers *buffers)
{
    io_uring_queue_exit(ring);
    free(buffers->follower);
    (void)munmap(buffers->memory, (size_t)buffers->count * buffers->size);
    (void)munmap(buffers->ring, buffers->ring_size);
}
