/* SPDX-License-Identifier: Apache-2.0 */
#include "store/reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/check.h"
#include "core/thread.h"
#include "store/complain.h"
#include "store/wire.h"

enum {
    QUESTION_SIZE_MAX = WIRE_HEADER_SIZE + WIRE_READ_SIZE_MAX,
    INPUT_SIZE = 65536,
    OUTPUT_SIZE = WIRE_HEADER_SIZE + WIRE_BODY_SIZE_MAX,
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

/* --- Pages --- */

struct page_writer {
    const struct wire_read *read;
    struct wire_page *page;
    uint8_t *records;
    size_t size;
    struct engine_range range;
    uint64_t expected; /* the offset that must come next */
    bool gap;
};

static bool write_page_record(void *context, const struct wire_record *record)
{
    struct page_writer *const writer = context;
    const size_t size = WIRE_RECORD_SIZE_MIN + record->value.size;
    if (record->offset != writer->expected) {
        writer->gap = true;
        return false;
    }
    if (writer->page->count == writer->read->count_max ||
        (writer->page->count > 0 && writer->size + size > writer->read->bytes_max)) {
        writer->page->more = true;
        return false;
    }
    writer->size += wire_write_record(record, writer->records + writer->size);
    writer->page->count++;
    writer->expected = record->offset + 1;
    return true;
}

static struct engine_range range_of(const struct wire_read *read, const struct record_meta *meta)
{
    const struct wire_stream *const stream = &meta->stream;
    struct engine_range range = {
        .stream_id = meta->stream_id, .from = stream->first, .to = stream->top};
    if (read->newest) {
        const uint64_t kept = range.to + 1 - range.from;
        range.from += kept > read->since ? kept - read->since : 0;
    } else if (read->since >= range.from) {
        range.from = read->since >= range.to ? range.to + 1 : read->since + 1;
    }
    return range;
}

static struct engine_range begin_page(void *context, const struct record_meta *meta)
{
    struct page_writer *const writer = context;
    writer->page->stream = meta->stream;
    writer->range = range_of(writer->read, meta);
    writer->expected = writer->range.from;
    return writer->range;
}

/* Fills a page; returns the bytes of its records. A page that is not DONE has none. */
static size_t fill_page(const struct reader *reader, const struct wire_read *read,
                        struct wire_page *page, uint8_t *records,
                        char error[static ENGINE_ERROR_SIZE])
{
    struct page_writer writer = {
        .read = read,
        .page = page,
        .records = records,
        .range = {.from = 1}, /* nothing, until a stream is found */
    };
    const struct engine_reading reading = {begin_page, {write_page_record, &writer}};
    page->result = engine_wire_result(
        reader->options.ops->read_channel(reader->options.engine, read->channel, reading, error));
    const struct engine_range *const range = &writer.range;
    const uint64_t wanted = range->from > range->to ? 0 : range->to - range->from + 1;
    if (page->result == WIRE_DONE && (writer.gap || (!page->more && page->count != wanted))) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "record %llu of stream %llu is missing",
                       (unsigned long long)writer.expected, (unsigned long long)range->stream_id);
        page->result = WIRE_DAMAGED;
    }
    if (page->result != WIRE_DONE) {
        page->count = 0;
        page->more = false;
        return 0;
    }
    return writer.size;
}

/* --- Questions --- */

static bool send_all(const struct reader *reader, size_t size)
{
    size_t sent = 0;
    while (sent < size) {
        const ssize_t result =
            send(reader->options.fd, reader->output + sent, size - sent, MSG_NOSIGNAL);
        if (result > 0) {
            sent += (size_t)result;
        } else if (errno != EINTR) {
            return false; /* nobody hears us any more */
        }
    }
    return true;
}

static bool answer_read(const struct reader *reader, uint64_t id, const struct wire_read *read)
{
    char error[ENGINE_ERROR_SIZE] = "";
    struct wire_page page = {.count = 0};
    uint8_t *const body = reader->output + WIRE_HEADER_SIZE;
    const size_t size = fill_page(reader, read, &page, body + WIRE_PAGE_HEAD_SIZE, error);
    if (error[0] != '\0') {
        complain("a read failed", error);
    }
    wire_write_page_head(&page, body);
    const struct wire_header header = {
        .id = id, .body_size = (uint32_t)(WIRE_PAGE_HEAD_SIZE + size), .type = WIRE_PAGE};
    wire_write_header(&header, reader->output);
    return send_all(reader, WIRE_HEADER_SIZE + header.body_size);
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
