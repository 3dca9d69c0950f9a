/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor on io_uring: multishot accept and receive, one send for a connection in an iteration,
 * one system call for all of it.
 *
 * A send is done while it is submitted and makes a completion only if it was cut short; then the
 * rest goes by one that waits for room, until nothing is left. So what was sent must stay where it
 * is until the completions of that submission were read: in the connection's own memory, in the
 * buffers that it was received in, or for fan-out in one of two batches that take turns.
 *
 * A buffer holds what one recv of a large message brings, and goes out again as it is: what came
 * for a connection in an iteration is one send of several pieces, and nobody copies it. Small
 * messages are copied, so that their buffers are back at once. There are few buffers until they do
 * not suffice: those in use stay in the cache.
 */
#include "bench/load/floor.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/check.h"

enum {
    SUBMISSION_COUNT = 4096,
    COMPLETION_COUNT = 16384,
    BUFFER_COUNT_MAX = 1024,          /* a power of two */
    BUFFER_COUNT_MIN = 64,            /* at first; twice as many whenever there were too few */
    BUFFER_SIZE = 32 * 1024,          /* bytes */
    BUFFER_STRIDE = BUFFER_SIZE + 64, /* else all begin in the same set of the cache */
    PIECE_COUNT_MAX = 8,              /* of one send: as much as the floor on epoll receives */
    PIECE_SIZE_MIN = 1024,            /* bytes; less is cheaper to copy than to keep */
    OUT_SIZE_MIN = 128,
    BUSY_COUNT = 32,
    BUSY_WAIT_NS = 20000,
    QUIET_FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL,
};

enum request {
    REQUEST_ACCEPT,
    REQUEST_STOP,
    REQUEST_RECEIVE,
    REQUEST_QUIET,
    REQUEST_SEND,
    REQUEST_CLOSE,
};

struct out {
    uint8_t *data;
    size_t begin;
    size_t end;
    size_t capacity;
};

/* Buffers that are a connection's for now, in the order in which their bytes came. */
struct pieces {
    struct iovec at[PIECE_COUNT_MAX];
    uint16_t indexes[PIECE_COUNT_MAX];
    uint32_t count;
};

struct floor_conn {
    int fd;
    uint32_t slot;
    struct out out;       /* empty while there are pieces in `held` */
    struct pieces held;   /* received in this iteration */
    struct pieces sent;   /* in the last quiet send, until it is known to be done */
    struct msghdr header; /* of it */
    uint8_t *lent;        /* memory that was left for a larger one, but a tracked send reads it */
    size_t quiet_size;    /* of the last quiet send, until it is known to be done */
    bool quiet_is_shared; /* its bytes are in a batch */
    bool is_slow;         /* a quiet send was cut short, and `out` has not been empty since */
    bool is_tracked;      /* a send that waits for room is under way */
    bool is_listed;       /* in floor.touched */
    bool is_answered;     /* FLOOR_CONNECT: it has had its reply */
    bool is_receiving;
    bool is_over; /* freed when nothing is under way */
};

struct floor_uring {
    const struct floor_options *options;
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    uint8_t *memory;
    struct floor_conn **conns; /* by slot; NULL: free */
    uint32_t conn_end;
    uint32_t conn_count;
    uint32_t *free_slots; /* below conn_end */
    uint32_t free_count;
    uint32_t *touched; /* slots: to be sent to in this iteration */
    uint32_t touched_count;
    uint32_t *quiet; /* slots: sent to in the last one */
    uint32_t quiet_count;
    uint32_t capacity; /* of the four */
    uint32_t buffer_count;
    bool lacks_buffers;
    struct out batches[2];
    int batch; /* the one that is being filled */
    unsigned last_count;
    bool is_stopped;
};

static uint64_t tag(enum request request, uint32_t slot)
{
    return (uint64_t)request << 32 | slot;
}

static struct io_uring_sqe *next_entry(struct floor_uring *floor)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&floor->ring);
    while (entry == NULL) {
        (void)io_uring_submit(&floor->ring); /* makes room, or comes again */
        entry = io_uring_get_sqe(&floor->ring);
    }
    return entry;
}

static void submit_accept(struct floor_uring *floor)
{
    struct io_uring_sqe *entry = next_entry(floor);
    io_uring_prep_multishot_accept(entry, floor->options->listener_fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(entry, tag(REQUEST_ACCEPT, 0));
}

static void submit_receive(struct floor_uring *floor, struct floor_conn *conn)
{
    struct io_uring_sqe *entry = next_entry(floor);
    io_uring_prep_recv_multishot(entry, conn->fd, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = 0;
    io_uring_sqe_set_data64(entry, tag(REQUEST_RECEIVE, conn->slot));
    conn->is_receiving = true;
}

static void submit_send(struct floor_uring *floor, struct floor_conn *conn, struct out *from,
                        bool is_quiet)
{
    struct io_uring_sqe *entry = next_entry(floor);
    const size_t size = from->end - from->begin;
    const int flags = is_quiet ? QUIET_FLAGS : MSG_NOSIGNAL;
    io_uring_prep_send(entry, conn->fd, from->data + from->begin, size, flags);
    if (is_quiet) {
        entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
        conn->quiet_size = size;
        conn->quiet_is_shared = from != &conn->out;
        floor->quiet[floor->quiet_count++] = conn->slot;
    } else {
        conn->is_tracked = true;
    }
    io_uring_sqe_set_data64(entry, tag(is_quiet ? REQUEST_QUIET : REQUEST_SEND, conn->slot));
}

/* All that is held, in one send. */
static void submit_pieces(struct floor_uring *floor, struct floor_conn *conn)
{
    struct io_uring_sqe *entry = next_entry(floor);

    CHECK(conn->sent.count == 0);
    conn->sent = conn->held;
    conn->held.count = 0;
    conn->header = (struct msghdr){.msg_iov = conn->sent.at, .msg_iovlen = conn->sent.count};
    conn->quiet_size = 0;
    for (uint32_t i = 0; i < conn->sent.count; i++) {
        conn->quiet_size += conn->sent.at[i].iov_len;
    }
    if (conn->sent.count == 1) {
        io_uring_prep_send(entry, conn->fd, conn->sent.at[0].iov_base, conn->quiet_size,
                           QUIET_FLAGS);
    } else {
        io_uring_prep_sendmsg(entry, conn->fd, &conn->header, QUIET_FLAGS);
    }
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    conn->quiet_is_shared = false;
    floor->quiet[floor->quiet_count++] = conn->slot;
    io_uring_sqe_set_data64(entry, tag(REQUEST_QUIET, conn->slot));
}

/* -- buffers ----------------------------------------------------------------------------------- */

static uint8_t *buffer_at(const struct floor_uring *floor, uint32_t index)
{
    return floor->memory + (size_t)index * BUFFER_STRIDE;
}

static void give_buffer(struct floor_uring *floor, uint32_t index)
{
    io_uring_buf_ring_add(floor->buffers, buffer_at(floor, index), BUFFER_SIZE, (uint16_t)index,
                          io_uring_buf_ring_mask(BUFFER_COUNT_MAX), 0);
    io_uring_buf_ring_advance(floor->buffers, 1);
}

static void give_pieces(struct floor_uring *floor, struct pieces *pieces)
{
    for (uint32_t i = 0; i < pieces->count; i++) {
        give_buffer(floor, pieces->indexes[i]);
    }
    pieces->count = 0;
}

static void add_buffers(struct floor_uring *floor)
{
    const uint32_t count = floor->buffer_count == 0 ? BUFFER_COUNT_MIN : 2 * floor->buffer_count;

    floor->lacks_buffers = false;
    while (floor->buffer_count < count && floor->buffer_count < BUFFER_COUNT_MAX) {
        give_buffer(floor, floor->buffer_count++);
    }
}

/* -- what a connection is owed ----------------------------------------------------------------- */

/* Behind what is there. `lent` is NULL, or gets the old memory if there was none in it before. */
static bool append(struct out *out, const uint8_t *data, size_t size, uint8_t **lent)
{
    if (out->capacity - out->end < size) {
        size_t capacity = 2 * (out->end + size);
        capacity = capacity < OUT_SIZE_MIN ? OUT_SIZE_MIN : capacity;
        uint8_t *grown = malloc(capacity);
        if (grown == NULL) {
            return false;
        }
        if (out->end > 0) {
            memcpy(grown, out->data, out->end);
        }
        if (lent != NULL && *lent == NULL) {
            *lent = out->data;
        } else {
            free(out->data);
        }
        out->data = grown;
        out->capacity = capacity;
    }
    memcpy(out->data + out->end, data, size);
    out->end += size;
    return true;
}

static void consume(struct out *out, size_t size)
{
    out->begin += size;
    if (out->begin == out->end) {
        out->begin = 0;
        out->end = 0;
    }
}

static void touch(struct floor_uring *floor, struct floor_conn *conn)
{
    if (!conn->is_listed) {
        conn->is_listed = true;
        floor->touched[floor->touched_count++] = conn->slot;
    }
}

static void end(struct floor_uring *floor, struct floor_conn *conn)
{
    if (!conn->is_over) {
        conn->is_over = true;
        give_pieces(floor, &conn->held);
        if (conn->is_receiving || conn->is_tracked) {
            (void)shutdown(conn->fd, SHUT_RDWR); /* what is under way ends with it */
        }
    }
    touch(floor, conn);
}

static void owe(struct floor_uring *floor, struct floor_conn *conn, const uint8_t *data,
                size_t size)
{
    if (conn->out.end - conn->out.begin + size > FLOOR_QUEUE_MAX ||
        !append(&conn->out, data, size, conn->is_tracked ? &conn->lent : NULL)) {
        end(floor, conn);
    }
    touch(floor, conn);
}

/* Instead of what is held, from where nothing more can be sent as a piece. */
static void copy_held(struct floor_uring *floor, struct floor_conn *conn)
{
    struct pieces held = conn->held;

    conn->held.count = 0;
    for (uint32_t i = 0; i < held.count; i++) {
        owe(floor, conn, held.at[i].iov_base, held.at[i].iov_len);
    }
    give_pieces(floor, &held);
}

/* The same bytes back. The buffer is given back here, or with the pieces. */
static void owe_echo(struct floor_uring *floor, struct floor_conn *conn, uint16_t index,
                     size_t size)
{
    struct pieces *held = &conn->held;
    const bool goes_at_once = conn->out.end == 0 && !conn->is_tracked && !conn->is_slow;

    if (goes_at_once && size >= PIECE_SIZE_MIN && held->count < PIECE_COUNT_MAX && !conn->is_over) {
        held->at[held->count] = (struct iovec){buffer_at(floor, index), size};
        held->indexes[held->count++] = index;
        touch(floor, conn);
        return;
    }
    copy_held(floor, conn);
    owe(floor, conn, buffer_at(floor, index), size);
    give_buffer(floor, index);
}

/* -- completions ------------------------------------------------------------------------------- */

static bool add_room(struct floor_uring *floor)
{
    const uint32_t capacity = 2 * floor->capacity + 64;
    struct floor_conn **conns = realloc(floor->conns, capacity * sizeof(struct floor_conn *));
    floor->conns = conns == NULL ? floor->conns : conns;
    uint32_t *touched = realloc(floor->touched, capacity * sizeof(uint32_t));
    floor->touched = touched == NULL ? floor->touched : touched;
    uint32_t *quiet = realloc(floor->quiet, capacity * sizeof(uint32_t));
    floor->quiet = quiet == NULL ? floor->quiet : quiet;
    uint32_t *free_slots = realloc(floor->free_slots, capacity * sizeof(uint32_t));
    floor->free_slots = free_slots == NULL ? floor->free_slots : free_slots;
    if (conns == NULL || touched == NULL || quiet == NULL || free_slots == NULL) {
        return false;
    }
    floor->capacity = capacity;
    return true;
}

static void take_client(struct floor_uring *floor, int fd)
{
    struct floor_conn *conn = NULL;

    if (floor->conn_count < floor->options->conn_count_max &&
        (floor->free_count > 0 || floor->conn_end < floor->capacity || add_room(floor))) {
        conn = calloc(1, sizeof(*conn));
    }
    if (conn == NULL) {
        (void)close(fd);
        return;
    }
    conn->fd = fd;
    conn->slot = floor->free_count > 0 ? floor->free_slots[--floor->free_count] : floor->conn_end++;
    floor->conns[conn->slot] = conn;
    floor->conn_count++;
    submit_receive(floor, conn);
}

static void take_buffer(struct floor_uring *floor, struct floor_conn *conn, uint16_t index,
                        size_t size)
{
    switch (floor->options->kind) {
    case FLOOR_ECHO:
        owe_echo(floor, conn, index, size);
        return;
    case FLOOR_FANOUT:
        if (!append(&floor->batches[floor->batch], buffer_at(floor, index), size, NULL)) {
            end(floor, conn);
        }
        break;
    case FLOOR_CONNECT:
        if (!conn->is_answered) {
            conn->is_answered = true;
            owe(floor, conn, (const uint8_t *)FLOOR_REPLY, FLOOR_REPLY_SIZE);
        }
        break;
    }
    give_buffer(floor, index);
}

static void take_bytes(struct floor_uring *floor, struct floor_conn *conn,
                       const struct io_uring_cqe *cqe)
{
    conn->is_receiving = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        const uint16_t index = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        if (cqe->res > 0) {
            take_buffer(floor, conn, index, (size_t)cqe->res);
        } else {
            give_buffer(floor, index);
        }
    }
    floor->lacks_buffers = floor->lacks_buffers || cqe->res == -ENOBUFS;
    if (cqe->res == 0 || (cqe->res < 0 && cqe->res != -ENOBUFS)) {
        end(floor, conn);
    } else if (!conn->is_receiving && !conn->is_over) {
        submit_receive(floor, conn);
    }
    if (conn->is_over) {
        touch(floor, conn);
    }
}

/* The bytes of the pieces from `sent` on go before all that has come since. */
static void owe_rest(struct floor_uring *floor, struct floor_conn *conn, size_t sent)
{
    const struct out later = conn->out;
    size_t skipped = sent;

    conn->out = (struct out){0};
    for (uint32_t i = 0; i < conn->sent.count; i++) {
        const struct iovec *piece = &conn->sent.at[i];
        const size_t skips = skipped < piece->iov_len ? skipped : piece->iov_len;
        skipped -= skips;
        owe(floor, conn, (const uint8_t *)piece->iov_base + skips, piece->iov_len - skips);
    }
    if (later.end > later.begin) {
        owe(floor, conn, later.data + later.begin, later.end - later.begin);
    }
    free(later.data);
    copy_held(floor, conn);
}

/* It was cut short: from here on its sends wait for room. */
static void take_quiet(struct floor_uring *floor, struct floor_conn *conn, int result)
{
    const size_t sent = result > 0 ? (size_t)result : 0;

    CHECK(sent <= conn->quiet_size);
    if (conn->quiet_is_shared) {
        const struct out *batch = &floor->batches[1 - floor->batch];
        owe(floor, conn, batch->data + batch->begin + sent, conn->quiet_size - sent);
    } else if (conn->sent.count > 0) {
        owe_rest(floor, conn, sent);
    } else {
        consume(&conn->out, sent);
    }
    conn->quiet_size = 0;
    conn->is_slow = true;
    if (result < 0 && result != -EAGAIN && result != -EINTR) {
        end(floor, conn);
    }
    touch(floor, conn);
}

static void take_sent(struct floor_uring *floor, struct floor_conn *conn, int result)
{
    conn->is_tracked = false;
    free(conn->lent);
    conn->lent = NULL;
    if (result > 0) {
        consume(&conn->out, (size_t)result);
        conn->is_slow = conn->out.end > 0;
    } else if (result != -EAGAIN && result != -EINTR) {
        end(floor, conn);
    }
    touch(floor, conn);
}

static void take(struct floor_uring *floor, const struct io_uring_cqe *cqe)
{
    const uint32_t slot = (uint32_t)cqe->user_data;

    switch ((enum request)(cqe->user_data >> 32)) {
    case REQUEST_ACCEPT:
        if (cqe->res >= 0) {
            take_client(floor, cqe->res);
        }
        if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
            submit_accept(floor);
        }
        return;
    case REQUEST_STOP:
        floor->is_stopped = true;
        return;
    case REQUEST_RECEIVE:
        take_bytes(floor, floor->conns[slot], cqe);
        return;
    case REQUEST_QUIET:
        take_quiet(floor, floor->conns[slot], cqe->res);
        return;
    case REQUEST_SEND:
        take_sent(floor, floor->conns[slot], cqe->res);
        return;
    case REQUEST_CLOSE:
        return; /* Linux frees the descriptor even then */
    }
}

/* Every completion of the last submission was read: the quiet sends without one are done. */
static void settle_quiet(struct floor_uring *floor)
{
    for (uint32_t i = 0; i < floor->quiet_count; i++) {
        struct floor_conn *conn = floor->conns[floor->quiet[i]];
        if (conn->quiet_size > 0 && !conn->quiet_is_shared && conn->sent.count == 0) {
            consume(&conn->out, conn->quiet_size);
        }
        give_pieces(floor, &conn->sent);
        conn->quiet_size = 0;
    }
    floor->quiet_count = 0;
    floor->batches[1 - floor->batch] =
        (struct out){.data = floor->batches[1 - floor->batch].data,
                     .capacity = floor->batches[1 - floor->batch].capacity};
}

/* -- sending ----------------------------------------------------------------------------------- */

static void free_conn(struct floor_uring *floor, struct floor_conn *conn)
{
    struct io_uring_sqe *entry = next_entry(floor);
    io_uring_prep_close(entry, conn->fd);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(entry, tag(REQUEST_CLOSE, 0));
    CHECK(conn->held.count == 0 && conn->sent.count == 0);
    free(conn->out.data);
    free(conn->lent);
    floor->conns[conn->slot] = NULL;
    floor->free_slots[floor->free_count++] = conn->slot;
    floor->conn_count--;
    free(conn);
}

static void send_touched(struct floor_uring *floor)
{
    const uint32_t count = floor->touched_count;

    floor->touched_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct floor_conn *conn = floor->conns[floor->touched[i]];
        conn->is_listed = false;
        if (conn->is_over) {
            if (!conn->is_receiving && !conn->is_tracked && conn->quiet_size == 0) {
                free_conn(floor, conn);
            }
        } else if (conn->held.count > 0) {
            submit_pieces(floor, conn);
        } else if (conn->out.begin < conn->out.end && !conn->is_tracked) {
            submit_send(floor, conn, &conn->out, !conn->is_slow);
        }
    }
}

/* To everybody: from the batch, or behind what waits already. */
static void send_batch(struct floor_uring *floor)
{
    struct out *batch = &floor->batches[floor->batch];

    for (uint32_t slot = 0; slot < floor->conn_end; slot++) {
        struct floor_conn *conn = floor->conns[slot];
        if (conn == NULL || conn->is_over) {
            continue;
        }
        if (conn->is_tracked || conn->out.begin < conn->out.end) {
            owe(floor, conn, batch->data, batch->end);
        } else {
            submit_send(floor, conn, batch, true);
        }
    }
    floor->batch = 1 - floor->batch;
}

/* -- the loop ---------------------------------------------------------------------------------- */

static void wait_some(struct floor_uring *floor)
{
    if (floor->last_count < BUSY_COUNT) {
        (void)io_uring_submit_and_wait(&floor->ring, 1);
        return;
    }
    struct __kernel_timespec timeout = {.tv_nsec = BUSY_WAIT_NS};
    struct io_uring_cqe *cqe = NULL;
    (void)io_uring_submit_and_wait_timeout(&floor->ring, &cqe, BUSY_COUNT, &timeout, NULL);
}

static void loop(struct floor_uring *floor)
{
    while (!floor->is_stopped) {
        struct io_uring_cqe *cqe = NULL;
        unsigned head = 0;
        unsigned count = 0;

        wait_some(floor);
        io_uring_for_each_cqe(&floor->ring, head, cqe)
        {
            take(floor, cqe);
            count++;
        }
        io_uring_cq_advance(&floor->ring, count);
        floor->last_count = count;
        if (io_uring_cq_ready(&floor->ring) > 0 || io_uring_cq_has_overflow(&floor->ring)) {
            continue; /* a quiet send may have failed in there */
        }
        settle_quiet(floor);
        if (floor->lacks_buffers) {
            add_buffers(floor);
        }
        send_touched(floor);
        if (floor->batches[floor->batch].end > 0) {
            send_batch(floor);
        }
    }
}

static int open_ring(struct floor_uring *floor)
{
    struct io_uring_params params = {.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
                                              IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN,
                                     .cq_entries = COMPLETION_COUNT};
    const int flags = fcntl(floor->options->listener_fd, F_GETFL);
    if (flags < 0 || fcntl(floor->options->listener_fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
        return -errno;
    }
    return io_uring_queue_init_params(SUBMISSION_COUNT, &floor->ring, &params);
}

static int open_buffers(struct floor_uring *floor)
{
    const size_t ring_size = BUFFER_COUNT_MAX * sizeof(struct io_uring_buf);
    floor->buffers = aligned_alloc(4096, ring_size);
    floor->memory = malloc((size_t)BUFFER_COUNT_MAX * BUFFER_STRIDE);
    if (floor->buffers == NULL || floor->memory == NULL) {
        return -ENOMEM;
    }
    struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)floor->buffers,
                                            .ring_entries = BUFFER_COUNT_MAX};
    const int result = io_uring_register_buf_ring(&floor->ring, &registration, 0);
    if (result != 0) {
        return result;
    }
    io_uring_buf_ring_init(floor->buffers);
    add_buffers(floor);
    return 0;
}

int floor_run_uring(const struct floor_options *options)
{
    struct floor_uring *floor = calloc(1, sizeof(*floor));
    if (floor == NULL) {
        return -ENOMEM;
    }
    floor->options = options;
    int result = open_ring(floor);
    if (result != 0) {
        free(floor);
        return result;
    }
    result = open_buffers(floor);
    if (result == 0) {
        (void)io_uring_register_ring_fd(&floor->ring);
        struct io_uring_sqe *entry = next_entry(floor);
        io_uring_prep_poll_add(entry, options->stop_fd, POLLIN);
        io_uring_sqe_set_data64(entry, tag(REQUEST_STOP, 0));
        submit_accept(floor);
        loop(floor);
        (void)io_uring_submit(&floor->ring); /* what is to be closed */
    }
    io_uring_queue_exit(&floor->ring);
    for (uint32_t slot = 0; slot < floor->conn_end; slot++) {
        if (floor->conns[slot] != NULL) {
            (void)close(floor->conns[slot]->fd);
            free(floor->conns[slot]->out.data);
            free(floor->conns[slot]->lent);
            free(floor->conns[slot]);
        }
    }
    free(floor->conns);
    free(floor->touched);
    free(floor->quiet);
    free(floor->free_slots);
    free(floor->batches[0].data);
    free(floor->batches[1].data);
    free(floor->buffers);
    free(floor->memory);
    free(floor);
    return result;
}
