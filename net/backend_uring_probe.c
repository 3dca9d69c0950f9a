/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether io_uring works here, found out by doing what the back end does: a ring and its buffers
 * are set up, then two messages through a socket pair must come out of one multishot receive.
 * Beside that, whether a receive can fill several buffers and whether sends can be quiet, which it
 * can do without.
 */
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/check.h"
#include "net/backend.h"
#include "net/backend_uring_private.h"

enum {
    PROBE_BUFFER_COUNT = 8,
    PROBE_BUFFER_SIZE = 64, /* bytes */
    PROBE_TIMEOUT_S = 2,    /* for what a working kernel does at once */
    PROBE_SOCKET_SIZE = 4096,
    PROBE_MUCH = 1 << 20,                     /* bytes: more than a socket of that size takes */
    PROBE_SILENT = INT32_MAX,                 /* no send has such a result */
    PROBE_BUNDLE = 3 * PROBE_BUFFER_SIZE - 1, /* bytes: two full buffers, and one that is not */
};

/* A small ring to try things on. */
static int open_ring(struct io_uring *ring, struct backend_uring_buffers *buffers,
                     const char **what)
{
    const struct backend_uring_options options = {
        .submission_count = 8,
        .completion_count = 16,
        .buffer_count = PROBE_BUFFER_COUNT,
        .buffer_size = PROBE_BUFFER_SIZE,
    };
    const int result = backend_uring_ring_open(&options, ring, buffers, what);
    if (result != 0) {
        return result;
    }
    *what = "enabling the ring";
    const int enabled = backend_uring_ring_enable(ring);
    if (enabled != 0) {
        backend_uring_ring_close(ring, buffers);
    }
    return enabled;
}

/* A multishot receive, to be submitted. */
static struct io_uring_sqe *arm(struct io_uring *ring, int fd)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    CHECK(sqe != NULL);
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BACKEND_URING_BUFFER_GROUP;
    return sqe;
}

/* One byte in, one completion out, with the receive still armed and the byte in a buffer. */
static int try_one(struct io_uring *ring, const struct backend_uring_buffers *buffers, int peer,
                   uint8_t byte)
{
    struct io_uring_cqe *cqe = NULL;
    struct __kernel_timespec timeout = {.tv_sec = PROBE_TIMEOUT_S};

    if (send(peer, &byte, 1, MSG_NOSIGNAL) != 1) {
        return -errno;
    }
    const int waited = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &timeout, NULL);
    if (waited < 0 || cqe == NULL) {
        return waited < 0 ? waited : -EIO;
    }
    const int result = cqe->res;
    const unsigned flags = cqe->flags;
    io_uring_cqe_seen(ring, cqe);
    if (result < 0) {
        return result;
    }
    const unsigned index = flags >> IORING_CQE_BUFFER_SHIFT;
    const bool is_right = result == 1 && (flags & IORING_CQE_F_MORE) != 0 &&
                          (flags & IORING_CQE_F_BUFFER) != 0 && index < buffers->count &&
                          buffers->memory[(size_t)index * buffers->size] == byte;
    return is_right ? 0 : -EOPNOTSUPP;
}

static int try_receive(struct io_uring *ring, const struct backend_uring_buffers *buffers)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return -errno;
    }
    (void)arm(ring, pair[0]);

    int result = try_one(ring, buffers, pair[1], 'a');
    if (result == 0) {
        result = try_one(ring, buffers, pair[1], 'b');
    }
    (void)close(pair[0]);
    (void)close(pair[1]);
    return result;
}

/* Whether the next completions bring these bytes, in buffers that follow one another. */
static bool try_bytes(struct io_uring *ring, const struct backend_uring_buffers *buffers,
                      const uint8_t *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        struct io_uring_cqe *cqe = NULL;
        struct __kernel_timespec timeout = {.tv_sec = PROBE_TIMEOUT_S};
        if (io_uring_submit_and_wait_timeout(ring, &cqe, 1, &timeout, NULL) < 0 || cqe == NULL) {
            return false;
        }
        const int32_t result = cqe->res;
        const size_t first = (cqe->flags >> IORING_CQE_BUFFER_SHIFT) * (size_t)PROBE_BUFFER_SIZE;
        io_uring_cqe_seen(ring, cqe);
        /* Buffers were given in the order of their memory. */
        if (result <= 0 || (size_t)result > size - done ||
            first + (size_t)result > (size_t)PROBE_BUFFER_SIZE * PROBE_BUFFER_COUNT ||
            memcmp(buffers->memory + first, data + done, (size_t)result) != 0) {
            return false;
        }
        done += (size_t)result;
    }
    return true;
}

/* How much comes at once is the kernel's to decide; it knows what there is on TCP only. */
static bool try_bundle(struct io_uring *ring, const struct backend_uring_buffers *buffers)
{
    uint8_t data[PROBE_BUNDLE];
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)i;
    }
    backend_uring_submit_bundle(arm(ring, pair[0]));

    bool is_right = true;
    for (size_t round = 0; round < 2 && is_right; round++) {
        is_right = send(pair[1], data, sizeof(data), MSG_NOSIGNAL) == sizeof(data) &&
                   try_bytes(ring, buffers, data, sizeof(data));
    }
    (void)close(pair[0]);
    (void)close(pair[1]);
    return is_right;
}

bool backend_uring_probe_bundle(void)
{
    struct io_uring ring;
    struct backend_uring_buffers buffers;
    const char *what = NULL;

    if (open_ring(&ring, &buffers, &what) != 0) {
        return false;
    }
    const bool is_right = try_bundle(&ring, &buffers);
    backend_uring_ring_close(&ring, &buffers);
    return is_right;
}

/* What an administrator can do about it. */
static const char *hint(int result)
{
    switch (result) {
    case -EPERM:
    case -EACCES:
        return " (kernel.io_uring_disabled, or a seccomp filter)";
    case -ENOSYS:
        return " (not in this kernel, or a seccomp filter)";
    case -ENOMEM:
        return " (memory, or RLIMIT_MEMLOCK)";
    default:
        return "";
    }
}

int backend_uring_probe(char reason[BACKEND_REASON_SIZE])
{
    struct io_uring ring;
    struct backend_uring_buffers buffers;
    const char *what = NULL;

    int result = open_ring(&ring, &buffers, &what);
    if (result == 0) {
        what = "multishot receive";
        result = try_receive(&ring, &buffers);
        backend_uring_ring_close(&ring, &buffers);
    }
    if (result != 0) {
        char text[64] = "";
        (void)snprintf(reason, BACKEND_REASON_SIZE, "%s: %s%s", what,
                       strerror_r(-result, text, sizeof(text)), hint(result));
    }
    return result;
}

/* --- Quiet sends --------------------------------------------------------------------------- */

/* The result that a quiet send reports until it is submitted; PROBE_SILENT: none. Or -errno. */
static int send_quietly(struct io_uring *ring, int fd, struct iovec piece, bool as_message)
{
    enum { TAG_SEND = 1, TAG_MARK };
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;
    const struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    CHECK(sqe != NULL);
    if (as_message) {
        io_uring_prep_sendmsg(sqe, fd, &message, (unsigned)flags);
    } else {
        io_uring_prep_send(sqe, fd, piece.iov_base, piece.iov_len, flags);
    }
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, TAG_SEND);
    sqe = io_uring_get_sqe(ring); /* ends the wait */
    CHECK(sqe != NULL);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data64(sqe, TAG_MARK);
    const int submitted = io_uring_submit_and_wait(ring, 1);
    if (submitted != 2) {
        return submitted < 0 ? submitted : -EIO;
    }
    int result = PROBE_SILENT;
    struct io_uring_cqe *cqe = NULL;
    while (io_uring_peek_cqe(ring, &cqe) == 0) {
        if (io_uring_cqe_get_data64(cqe) == TAG_SEND) {
            result = cqe->res;
        }
        io_uring_cqe_seen(ring, cqe);
    }
    return result;
}

/* All of it, a part of it, nothing of it. */
static bool try_quiet(struct io_uring *ring, uint8_t *data, bool as_message)
{
    const int size = PROBE_SOCKET_SIZE;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return false;
    }
    bool is_right = setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0;
    const struct iovec one = {.iov_base = data, .iov_len = 1};
    const struct iovec much = {.iov_base = data, .iov_len = PROBE_MUCH};
    if (is_right) {
        is_right = send_quietly(ring, pair[0], one, as_message) == PROBE_SILENT &&
                   recv(pair[1], data, 1, MSG_DONTWAIT) == 1;
    }
    if (is_right) {
        const int part = send_quietly(ring, pair[0], much, as_message);
        is_right = part > 0 && part < PROBE_MUCH;
    }
    if (is_right) {
        is_right = send_quietly(ring, pair[0], much, as_message) == -EAGAIN;
    }
    (void)close(pair[0]);
    (void)close(pair[1]);
    return is_right;
}

bool backend_uring_probe_quiet(void)
{
    struct io_uring ring;
    struct backend_uring_buffers buffers;
    const char *what = NULL;
    bool is_right = false;

    uint8_t *data = calloc(1, PROBE_MUCH);
    if (data == NULL) {
        return false;
    }
    if (open_ring(&ring, &buffers, &what) == 0) {
        is_right = try_quiet(&ring, data, false) && try_quiet(&ring, data, true);
        backend_uring_ring_close(&ring, &buffers);
    }
    free(data);
    return is_right;
}
