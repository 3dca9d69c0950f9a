/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/check.h"

enum {
    FRAME_SIZE_MAX = WIRE_HEADER_SIZE + WIRE_BODY_SIZE_MAX,
    INPUT_SIZE = 2 * FRAME_SIZE_MAX,
};

bool lane_allocate(struct lane *lane, size_t queue_max)
{
    *lane = (struct lane){.fd = -1, .queue_max = queue_max};
    lane->queue = malloc(2 * queue_max);
    lane->input = malloc(INPUT_SIZE);
    return lane->queue != NULL && lane->input != NULL;
}

void lane_free(struct lane *lane)
{
    free(lane->queue);
    free(lane->input);
}

void lane_begin(struct lane *lane, int fd)
{
    lane->fd = fd;
    lane->has_ended = lane->waits = false;
    lane->queue_begin = lane->queue_end = 0;
    lane->input_begin = lane->input_end = 0;
}

/* --- To the child --- */

size_t lane_queue_bytes(const struct lane *lane)
{
    return lane->queue_end - lane->queue_begin;
}

uint64_t lane_sent(const struct lane *lane)
{
    return lane->queued - lane_queue_bytes(lane);
}

uint8_t *lane_room(struct lane *lane, size_t body_size)
{
    const size_t used = lane_queue_bytes(lane);
    const size_t frame_size = WIRE_HEADER_SIZE + body_size;
    if (used + frame_size > lane->queue_max) {
        return NULL;
    }
    if (lane->queue_end + frame_size > 2 * lane->queue_max) {
        memmove(lane->queue, lane->queue + lane->queue_begin, used);
        lane->queue_begin = 0;
        lane->queue_end = used;
    }
    return lane->queue + lane->queue_end + WIRE_HEADER_SIZE;
}

void lane_queue(struct lane *lane, const struct wire_header *header)
{
    const size_t frame_size = WIRE_HEADER_SIZE + header->body_size;
    CHECK(lane->queue_end + frame_size <= 2 * lane->queue_max);
    wire_write_header(header, lane->queue + lane->queue_end);
    lane->queue_end += frame_size;
    lane->queued += frame_size;
}

void lane_flush(struct lane *lane)
{
    while (lane->queue_begin < lane->queue_end) {
        const ssize_t sent = send(lane->fd, lane->queue + lane->queue_begin,
                                  lane->queue_end - lane->queue_begin, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            lane->queue_begin += (size_t)sent;
        } else if (errno != EINTR) {
            break; /* Full, or ended: then reading says so, after the last answers. */
        }
    }
    lane->waits = lane->queue_begin < lane->queue_end;
    if (!lane->waits) {
        lane->queue_begin = lane->queue_end = 0;
    }
}

/* --- From the child --- */

bool lane_receive(struct lane *lane)
{
    if (lane->has_ended || lane->input_end == INPUT_SIZE) {
        return false;
    }
    const ssize_t got =
        recv(lane->fd, lane->input + lane->input_end, INPUT_SIZE - lane->input_end, MSG_DONTWAIT);
    if (got > 0) {
        lane->input_end += (size_t)got;
        return true;
    }
    lane->has_ended = got == 0 || (errno != EAGAIN && errno != EINTR);
    return false;
}

enum wire_verdict lane_next(struct lane *lane, struct wire_header *header, struct bytes *body)
{
    const struct bytes in = {lane->input + lane->input_begin, lane->input_end - lane->input_begin};
    const enum wire_verdict verdict = wire_read_header(in, header);
    if (verdict == WIRE_OK) {
        *body = (struct bytes){in.data + WIRE_HEADER_SIZE, header->body_size};
        lane->input_begin += WIRE_HEADER_SIZE + header->body_size;
    }
    return verdict;
}

void lane_make_room(struct lane *lane)
{
    if (INPUT_SIZE - lane->input_end < FRAME_SIZE_MAX || lane->input_begin == lane->input_end) {
        memmove(lane->input, lane->input + lane->input_begin, lane->input_end - lane->input_begin);
        lane->input_end -= lane->input_begin;
        lane->input_begin = 0;
    }
}
