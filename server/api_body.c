/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api_body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

enum { FIRST_CAPACITY = 512 }; /* bytes */

void api_body_init(struct api_body *body, const struct simd_ops *simd, uint32_t bytes_max)
{
    *body = (struct api_body){.simd = simd, .bytes_max = bytes_max};
}

void api_body_deinit(struct api_body *body)
{
    free(body->data);
}

void api_body_begin(struct api_body *body, enum api_form form, enum api_method method)
{
    const struct simd_ops *simd = body->simd;
    const uint32_t bytes_max = body->bytes_max;

    api_body_deinit(body);
    api_body_init(body, simd, bytes_max);
    body->form = form;
    body->method = method;
    body->is_parallel = form != API_FORM_BATCH;
}

/* -- bytes ------------------------------------------------------------------------------------- */

size_t api_body_room(const struct api_body *body)
{
    const size_t most = (size_t)body->bytes_max + 1; /* one more is too many */
    return most - (body->end - body->begin);
}

bool api_body_is_partial(const struct api_body *body)
{
    return !body->has_ended && (body->form != API_FORM_STREAM || body->end > body->begin);
}

/* What has been read makes room. */
static void move_down(struct api_body *body)
{
    const size_t left = body->end - body->begin;

    memmove(body->data, body->data + body->begin, left);
    body->scanned -= body->begin;
    body->begin = 0;
    body->end = left;
}

int api_body_add(struct api_body *body, struct bytes piece)
{
    CHECK(piece.size <= api_body_room(body));

    if (body->begin > 0) {
        move_down(body);
    }
    if (body->capacity - body->end < piece.size) {
        size_t capacity = body->capacity == 0 ? FIRST_CAPACITY : 2 * body->capacity;
        if (capacity < body->end + piece.size) {
            capacity = body->end + piece.size;
        }
        uint8_t *data = realloc(body->data, capacity);
        if (data == NULL) {
            return -ENOMEM;
        }
        body->data = data;
        body->capacity = capacity;
    }
    memcpy(body->data + body->end, piece.data, piece.size);
    body->end += piece.size;
    return 0;
}

void api_body_end(struct api_body *body)
{
    body->has_ended = true;
}

void api_body_stop(struct api_body *body)
{
    body->has_ended = true;
    body->nothing_follows = true;
}

/* -- commands ---------------------------------------------------------------------------------- */

static struct span unread(const struct api_body *body)
{
    return body->data == NULL ? (struct span){NULL, 0}
                              : (struct span){body->data + body->begin, body->end - body->begin};
}

/* The next line that is not empty; the last one needs no '\n'. False: there is no whole one. */
static bool next_line(struct api_body *body, struct span *line)
{
    while (body->begin < body->end) {
        uint8_t *const from = body->data + body->scanned;
        uint8_t *const feed = memchr(from, '\n', body->end - body->scanned);
        if (feed == NULL && !body->has_ended) {
            body->scanned = body->end;
            return false;
        }
        const size_t end = feed == NULL ? body->end : (size_t)(feed - body->data);
        *line = (struct span){body->data + body->begin, end - body->begin};
        body->begin = feed == NULL ? end : end + 1;
        body->scanned = body->begin;
        body->line_count++;
        if (line->size > 0 && line->data[line->size - 1] == '\r') {
            line->size--;
        }
        if (line->size > 0) {
            return true;
        }
    }
    return false;
}

static enum api_verdict open_batch(struct api_body *body)
{
    struct api_batch batch;
    const enum api_verdict verdict = api_read_batch(body->simd, unread(body), &batch);

    if (verdict == API_OK) {
        body->has_list = true;
        body->is_parallel = batch.parallel;
        api_list_init(&body->list, batch.commands);
    }
    return verdict;
}

static enum api_verdict next_of_batch(struct api_body *body, struct api_command *command)
{
    if (!body->has_list && open_batch(body) != API_OK) {
        body->nothing_follows = true;
        return API_BAD_REQUEST;
    }
    struct span text;
    const enum api_verdict verdict = api_list_next(&body->list, &text);
    body->nothing_follows = verdict == API_END;
    return verdict == API_OK ? api_read_command(body->simd, text, command) : verdict;
}

static enum api_verdict next_of_stream(struct api_body *body, struct api_command *command)
{
    struct span line;
    if (!next_line(body, &line)) {
        body->nothing_follows = body->has_ended;
        return API_END;
    }
    return api_read_command(body->simd, line, command);
}

enum api_verdict api_body_next(struct api_body *body, struct api_command *command)
{
    if (body->nothing_follows || (body->form != API_FORM_STREAM && !body->has_ended)) {
        return API_END;
    }
    switch (body->form) {
    case API_FORM_ONE:
        body->nothing_follows = true;
        return api_read(body->simd, body->method, unread(body), command);
    case API_FORM_BATCH:
        return next_of_batch(body, command);
    case API_FORM_STREAM:
        return next_of_stream(body, command);
    }
    NEVER("a form that is none");
}
