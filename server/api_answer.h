/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_API_ANSWER_H
#define SERVER_API_ANSWER_H
/*
 * What is answered to one request of the server API: parts that are expected in an order, come in
 * any, and are put together as JSON.
 *
 * A part is a command (WHOLE), or of a broadcast its begin, one publication (ITEM), its end. BEGIN
 * and END are nothing but brackets.
 *
 *   API_FORM_ONE      {"result":{...}}                        or {"error":{...}}
 *   API_FORM_BATCH    {"replies":[{"publish":{...}},{"error":{...}}]}
 *   API_FORM_STREAM   {"publish":{...}}                       one line for each command
 *
 * Owner     an api_request. ON its reactor.
 * Full      text above bytes_max, what waits for its turn included: that part becomes error 106.
 * Failures  without memory it is `failed`, and nothing comes of it any more.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/api.h"
#include "proto/codes.h"

struct api_answer_part;
struct metrics;

enum api_form {
    API_FORM_ONE,
    API_FORM_BATCH,
    API_FORM_STREAM,
};

enum api_part_kind {
    API_PART_WHOLE,
    API_PART_BEGIN,
    API_PART_ITEM,
    API_PART_END,
};

struct api_answer {
    struct api_answer_part *parts; /* a ring: those that are not in the text yet */
    uint8_t *text;
    size_t size;     /* of the text */
    size_t capacity; /* likewise */
    size_t waiting;  /* bytes of parts that came before their turn */
    uint32_t first;  /* number of the first part in the ring */
    uint32_t count;  /* in the ring */
    uint32_t ring;   /* places of the ring, a power of two, or 0 */
    uint32_t bytes_max;
    struct metrics *metrics;
    enum api_form form;
    bool has_items; /* the broadcast whose turn it is */
    bool failed;
};

void api_answer_init(struct api_answer *answer, struct metrics *metrics, uint32_t bytes_max);
void api_answer_deinit(struct api_answer *answer);

/* A new request; nothing is left of the last one. */
void api_answer_begin(struct api_answer *answer, enum api_form form);

/* One more part, and its number. BEGIN and END need not be taken. 0, or -ENOMEM and failed. */
NODISCARD int api_answer_expect(struct api_answer *answer, enum api_method method,
                                enum api_part_kind kind, uint32_t *part);

/*
 * Borrows the result, or with an error the object that says it, which may be nothing for the code's
 * own words. A number that is not expected (any more) is ignored.
 */
void api_answer_take(struct api_answer *answer, uint32_t part, enum codes_error error,
                     struct bytes result);

/* No more parts, and none is expected: the brackets of the whole. */
void api_answer_end(struct api_answer *answer);

/* What has been put together since the last call of clear. */
static inline struct bytes api_answer_text(const struct api_answer *answer)
{
    return (struct bytes){answer->text, answer->size};
}

void api_answer_clear(struct api_answer *answer);

/* How many parts are expected that are not in the text. */
static inline uint32_t api_answer_count(const struct api_answer *answer)
{
    return answer->count;
}

#endif /* SERVER_API_ANSWER_H */
