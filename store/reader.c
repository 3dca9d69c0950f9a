/* SPDX-License-Identifier: Apache-2.0 */
#include "store/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/thread.h"
#include "store/complain.h"
#include "store/pager.h"
#include "store/wire.h"

enum {
    QUESTION_SIZE_MAX = WIRE_HEADER_SIZE + WIRE_READ_SIZE_MAX,
    INPUT_SIZE = 65536,
    HEAD_SIZE = WIRE_HEADER_SIZE + WIRE_PAGE_HEAD_SIZE, /* in front of records */
    OUTPUT_SIZE = HEAD_SIZE + PAGER_ROOM_SIZE,
};

struct reader {
    struct reader_options options;
    struct thread thread;
    bool heard_nonsense; /* the thread's, until it has ended */
    size_t begin;        /* [begin, end) of the input was not looked at */
    size_t end;
    uint8_t *output; /* one answer */
    uint8_t input[INPUT_SIZE];
};

/* --- Questions --- */

static bool send_all(const struct reader *reader, struct bytes frame)
{
    while (frame.size > 0) {
        const ssize_t sent = send(reader->options.fd, frame.data, frame.size, MSG_NOSIGNAL);
        if (sent > 0) {
            frame = (struct bytes){frame.data + sent, frame.size - (size_t)sent};
        } else if (errno != EINTR) {
            return false; /* nobody hears us any more */
        }
    }
    return true;
}

/* What stands in front of the records goes there where they begin: no record is moved for it. */
static bool answer_read(const struct reader *reader, uint64_t id, const struct wire_read *read)
{
    char error[ENGINE_ERROR_SIZE] = "";
    uint8_t *const room = reader->output + HEAD_SIZE;
    const struct wire_page page =
        pager_fill(reader->options.ops, reader->options.engine, read, room, error);
    if (error[0] != '\0') {
        complain("a read failed", error);
    }
    uint8_t *const frame =
        page.count > 0 ? reader->output + (page.records.data - room) : reader->output;
    const struct wire_header header = {
        .id = id,
        .body_size = (uint32_t)(WIRE_PAGE_HEAD_SIZE + page.records.size),
        .type = WIRE_PAGE,
    };
    wire_write_header(&header, frame);
    wire_write_page_head(&page, frame + WIRE_HEADER_SIZE);
    return send_all(reader, (struct bytes){frame, WIRE_HEADER_SIZE + header.body_size});
}

/* Answers what is complete. False: the talk is over. */
static bool answer_all(struct reader *reader)
{
    for (;;) {
        const struct bytes in = {reader->input + reader->begin, reader->end - reader->begin};
        struct wire_header header;
        struct wire_read read;
        enum wire_verdict verdict = wire_read_header(in, &header);
        if (verdict == WIRE_NEED_MORE && in.size < QUESTION_SIZE_MAX) {
            return true;
        }
        if (verdict == WIRE_OK) {
            verdict =
                header.type != WIRE_READ
                    ? WIRE_BAD_TYPE
                    : wire_read_read((struct bytes){in.data + WIRE_HEADER_SIZE, header.body_size},
                                     &read);
        }
        if (verdict != WIRE_OK) {
            reader->heard_nonsense = true;
            return false;
        }
        if (!answer_read(reader, header.id, &read)) {
            return false;
        }
        reader->begin += WIRE_HEADER_SIZE + header.body_size;
    }
}

/* Waits for more. False: nothing will come. */
static bool receive(struct reader *reader)
{
    memmove(reader->input, reader->input + reader->begin, reader->end - reader->begin);
    reader->end -= reader->begin;
    reader->begin = 0;
    ssize_t got = -1;
    do {
        got = recv(reader->options.fd, reader->input + reader->end, INPUT_SIZE - reader->end, 0);
    } while (got < 0 && errno == EINTR);
    reader->end += got > 0 ? (size_t)got : 0;
    return got > 0;
}

static void run(void *context)
{
    struct reader *const reader = context;
    bool goes_on = true;
    while (goes_on) {
        goes_on = receive(reader) && answer_all(reader);
    }
    if (reader->heard_nonsense) {
        complain("this is no read", "");
        (void)shutdown(reader->options.owner_fd, SHUT_RD);
    }
}

/* --- Start and end --- */

struct reader *reader_start(const struct reader_options *options)
{
    struct reader *const reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return NULL;
    }
    reader->options = *options;
    reader->output = malloc(OUTPUT_SIZE);
    if (reader->output == NULL ||
        thread_start("reader", THREAD_NOT_PINNED, run, reader, &reader->thread) != 0) {
        free(reader->output);
        free(reader);
        return NULL;
    }
    return reader;
}

bool reader_end(struct reader *reader)
{
    if (reader == NULL) {
        return true;
    }
    (void)shutdown(reader->options.fd, SHUT_RD);
    thread_join(&reader->thread);
    const bool sense = !reader->heard_nonsense;
    free(reader->output);
    free(reader);
    return sense;
}
