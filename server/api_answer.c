/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api_answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/metrics.h"
#include "proto/api_result.h"

enum {
    RING_FIRST = 4,        /* places */
    TEXT_FIRST = 256,      /* bytes */
    ERROR_SIZE_MAX = 128,  /* bytes */
    AROUND_SIZE_MAX = 160, /* bytes around a result: its name, brackets, an error instead */
};

struct api_answer_part {
    uint8_t *text; /* a copy, if it came before its turn */
    uint32_t size;
    uint16_t error; /* enum codes_error */
    uint8_t method; /* enum api_method */
    uint8_t kind;   /* enum api_part_kind */
    bool is_answered;
};

void api_answer_init(struct api_answer *answer, struct metrics *metrics, uint32_t bytes_max)
{
    *answer = (struct api_answer){.metrics = metrics, .bytes_max = bytes_max};
}

static struct api_answer_part *part_at(const struct api_answer *answer, uint32_t number)
{
    return &answer->parts[number & (answer->ring - 1)];
}

/* Numbers go on, so that what comes too late fits no part of the next request. */
static void forget(struct api_answer *answer)
{
    while (answer->count > 0) {
        free(part_at(answer, answer->first)->text);
        answer->first++;
        answer->count--;
    }
    free(answer->parts);
    free(answer->text);
    answer->parts = NULL;
    answer->ring = 0;
    answer->text = NULL;
    answer->size = 0;
    answer->capacity = 0;
    answer->waiting = 0;
}

void api_answer_deinit(struct api_answer *answer)
{
    forget(answer);
}

/* -- text -------------------------------------------------------------------------------------- */

static void append(struct api_answer *answer, struct bytes piece)
{
    if (answer->failed || piece.size == 0) {
        return;
    }
    if (answer->capacity - answer->size < piece.size) {
        size_t capacity = answer->capacity == 0 ? TEXT_FIRST : answer->capacity;
        while (capacity - answer->size < piece.size) {
            capacity *= 2;
        }
        uint8_t *text = realloc(answer->text, capacity);
        if (text == NULL) {
            answer->failed = true;
            return;
        }
        answer->text = text;
        answer->capacity = capacity;
    }
    memcpy(answer->text + answer->size, piece.data, piece.size);
    answer->size += piece.size;
}

static void append_text(struct api_answer *answer, const char *text)
{
    append(answer, (struct bytes){(const uint8_t *)text, strlen(text)});
}

static void append_error(struct api_answer *answer, enum codes_error error, struct bytes object)
{
    uint8_t text[ERROR_SIZE_MAX];
    struct json_writer writer;
    json_writer_init(&writer, (struct span){text, sizeof(text)});
    api_result_write_error(&writer, error);
    append_text(answer, "{\"error\":");
    append(answer, object.size > 0 ? object : json_writer_bytes(&writer));
    append_text(answer, "}");
}

/* {"NAME": */
static void append_name(struct api_answer *answer, const char *name)
{
    append_text(answer, "{\"");
    append_text(answer, name);
    append_text(answer, "\":");
}

/* -- parts ------------------------------------------------------------------------------------- */

/* What a result is called: that, or among replies to several commands by its method. */
static const char *name_of(const struct api_answer *answer, const struct api_answer_part *part)
{
    return answer->form == API_FORM_ONE || part->kind == API_PART_ITEM
               ? "result"
               : api_method_name((enum api_method)part->method);
}

static void append_outcome(struct api_answer *answer, const struct api_answer_part *part,
                           struct bytes result)
{
    if (part->error != CODES_ERROR_NONE) {
        metrics_add(answer->metrics, (enum metrics_id)(METRIC_API_ERRORS_PUBLISH + part->method),
                    1);
        append_error(answer, (enum codes_error)part->error, result);
        return;
    }
    append_name(answer, name_of(answer, part));
    append(answer, result);
    append_text(answer, "}");
}

static const char batch_begin[] = "{\"replies\":[";

/* Replies of a batch are separated, those of a stream ended. */
static void begin_reply(struct api_answer *answer)
{
    if (answer->form == API_FORM_BATCH) {
        append_text(answer, answer->size == 0 ? batch_begin : ",");
    }
}

static void end_reply(struct api_answer *answer)
{
    if (answer->form == API_FORM_STREAM) {
        append_text(answer, "\n");
    }
}

static void append_part(struct api_answer *answer, const struct api_answer_part *part,
                        struct bytes result)
{
    switch ((enum api_part_kind)part->kind) {
    case API_PART_WHOLE:
        begin_reply(answer);
        append_outcome(answer, part, result);
        end_reply(answer);
        return;
    case API_PART_BEGIN:
        begin_reply(answer);
        append_name(answer, name_of(answer, part));
        append_text(answer, "{\"responses\":[");
        answer->has_items = false;
        return;
    case API_PART_ITEM:
        append_text(answer, answer->has_items ? "," : "");
        answer->has_items = true;
        append_outcome(answer, part, result);
        return;
    case API_PART_END:
        append_text(answer, "]}}");
        end_reply(answer);
        return;
    }
    NEVER("a kind that is none");
}

/* All whose turn it is. */
static void put_together(struct api_answer *answer)
{
    while (answer->count > 0) {
        struct api_answer_part *part = part_at(answer, answer->first);
        if (!part->is_answered) {
            return;
        }
        append_part(answer, part, (struct bytes){part->text, part->size});
        answer->waiting -= part->text == NULL ? 0 : part->size;
        free(part->text);
        answer->first++;
        answer->count--;
    }
}

/* -- the answer -------------------------------------------------------------------------------- */

void api_answer_begin(struct api_answer *answer, enum api_form form)
{
    forget(answer);
    answer->form = form;
    answer->failed = false;
}

static bool grow_ring(struct api_answer *answer)
{
    const uint32_t ring = answer->ring == 0 ? RING_FIRST : 2 * answer->ring;
    struct api_answer_part *parts = malloc(ring * sizeof(*parts));
    if (parts == NULL) {
        answer->failed = true;
        return false;
    }
    for (uint32_t i = 0; i < answer->count; i++) {
        const uint32_t number = answer->first + i;
        parts[number & (ring - 1)] = *part_at(answer, number);
    }
    free(answer->parts);
    answer->parts = parts;
    answer->ring = ring;
    return true;
}

int api_answer_expect(struct api_answer *answer, enum api_method method, enum api_part_kind kind,
                      uint32_t *part)
{
    if (answer->count == answer->ring && !grow_ring(answer)) {
        return -ENOMEM;
    }
    *part = answer->first + answer->count++;
    *part_at(answer, *part) = (struct api_answer_part){
        .method = (uint8_t)method,
        .kind = (uint8_t)kind,
        .is_answered = kind == API_PART_BEGIN || kind == API_PART_END,
    };
    put_together(answer);
    return 0;
}

/* It came before its turn: a copy waits. */
static void keep(struct api_answer *answer, struct api_answer_part *part, struct bytes result)
{
    part->text = malloc(result.size);
    if (part->text == NULL) {
        part->error = CODES_ERROR_INTERNAL;
        return;
    }
    memcpy(part->text, result.data, result.size);
    part->size = (uint32_t)result.size;
    answer->waiting += result.size;
}

void api_answer_take(struct api_answer *answer, uint32_t part, enum codes_error error,
                     struct bytes result)
{
    if (part - answer->first >= answer->count || part_at(answer, part)->is_answered) {
        return;
    }
    struct api_answer_part *taken = part_at(answer, part);
    const size_t used = answer->size + answer->waiting + AROUND_SIZE_MAX;
    const bool fits = used < answer->bytes_max && result.size <= answer->bytes_max - used;

    if (!fits) {
        result = (struct bytes){NULL, 0};
    }
    taken->is_answered = true;
    taken->error =
        (uint16_t)(error == CODES_ERROR_NONE && !fits ? CODES_ERROR_LIMIT_EXCEEDED : error);
    if (part != answer->first) {
        if (result.size > 0) {
            keep(answer, taken, result);
        }
        return;
    }
    append_part(answer, taken, result);
    answer->first++;
    answer->count--;
    put_together(answer);
}

void api_answer_end(struct api_answer *answer)
{
    CHECK(answer->count == 0);
    if (answer->form == API_FORM_BATCH) {
        append_text(answer, answer->size == 0 ? batch_begin : "");
        append_text(answer, "]}");
    }
}

void api_answer_clear(struct api_answer *answer)
{
    answer->size = 0;
}
