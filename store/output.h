/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_OUTPUT_H
#define STORE_OUTPUT_H
/*
 * Answers of the child that its socket has not taken yet.
 *
 * Owner     of its memory; the descriptor is borrowed.
 * Threads   one. Nothing blocks but output_flush_last().
 * Full      output_room() says so; who has not looked is at fault.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "store/wire.h"

struct output {
    int fd; /* a stream socket */
    uint8_t *bytes;
    size_t size;
    size_t begin; /* [begin, end) waits for the socket */
    size_t end;
};

/* False: no memory. */
NODISCARD bool output_allocate(struct output *output, int fd, size_t size);
void output_free(struct output *output);

NODISCARD size_t output_room(const struct output *output);
NODISCARD bool output_waits(const struct output *output);

/* Where the body of the next answer goes; what of it is used output_end() says. */
uint8_t *output_begin(struct output *output, size_t body_size);
void output_end(struct output *output, enum wire_type type, uint64_t id, size_t body_size);

/* Sends what the socket takes. False: nobody hears us any more, and nothing waits. */
bool output_flush(struct output *output);

/* Sends all, to somebody who has said all that he had to say, and takes that long to read it. */
void output_flush_last(struct output *output, uint32_t patience_ms);

#endif /* STORE_OUTPUT_H */
