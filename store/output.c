/* SPDX-License-Identifier: Apache-2.0 */
#include "store/output.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/check.h"
#include "core/monotime.h"

bool output_allocate(struct output *output, int fd, size_t size)
{
    *output = (struct output){.fd = fd, .bytes = malloc(size), .size = size};
    return output->bytes != NULL;
}

void output_free(struct output *output)
{
    free(output->bytes);
    output->bytes = NULL;
}

size_t output_room(const struct output *output)
{
    return output->size - (output->end - output->begin);
}

bool output_waits(const struct output *output)
{
    return output->begin < output->end;
}

uint8_t *output_begin(struct output *output, size_t body_size)
{
    if (output->size - output->end < body_size + WIRE_HEADER_SIZE) {
        memmove(output->bytes, output->bytes + output->begin, output->end - output->begin);
        output->end -= output->begin;
        output->begin = 0;
    }
    CHECK(output->size - output->end >= body_size + WIRE_HEADER_SIZE);
    return output->bytes + output->end + WIRE_HEADER_SIZE;
}

void output_end(struct output *output, enum wire_type type, uint64_t id, size_t body_size)
{
    const struct wire_header header = {.id = id, .body_size = (uint32_t)body_size, .type = type};
    wire_write_header(&header, output->bytes + output->end);
    output->end += WIRE_HEADER_SIZE + body_size;
}

bool output_flush(struct output *output)
{
    bool heard = true;
    while (output_waits(output)) {
        const ssize_t sent = send(output->fd, output->bytes + output->begin,
                                  output->end - output->begin, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            output->begin += (size_t)sent;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            output->begin = output->end;
            heard = false;
        }
    }
    if (!output_waits(output)) {
        output->begin = output->end = 0;
    }
    return heard;
}

void output_flush_last(struct output *output, uint32_t patience_ms)
{
    const uint64_t end_ns = monotime_read() + patience_ms * MONOTIME_NS_PER_MS;
    (void)output_flush(output);
    while (output_waits(output) && monotime_read() < end_ns) {
        struct pollfd poll_fd = {.fd = output->fd, .events = POLLOUT};
        (void)poll(&poll_fd, 1, 100);
        (void)output_flush(output);
    }
}
