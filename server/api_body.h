/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_API_BODY_H
#define SERVER_API_BODY_H
/*
 * The body of one request of the server API, as it comes, and the commands in it.
 *
 *   API_FORM_ONE      one command, once all of it is here
 *   API_FORM_BATCH    a list of them, likewise
 *   API_FORM_STREAM   one in each line, as soon as that is here
 *
 * Owner     an api_request. ON its reactor. Knows no sockets and no HTTP.
 * Views     a command views the body, which does not move until more is added.
 * Full      a body, or a line, above bytes_max is too big; so much memory, and no more, it has.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/api.h"
#include "server/api_answer.h"

struct simd_ops;

struct api_body {
    const struct simd_ops *simd;
    uint8_t *data;
    size_t begin; /* of what is not read yet */
    size_t end;   /* of what has come */
    size_t capacity;
    size_t scanned;       /* of a stream: no '\n' before it */
    struct api_list list; /* the commands of a batch, if has_list */
    enum api_form form;
    enum api_method method; /* API_FORM_ONE */
    uint32_t bytes_max;
    uint32_t line_count; /* of a stream */
    bool has_list;
    bool is_parallel;     /* its commands may be asked together */
    bool has_ended;       /* all of it is here */
    bool nothing_follows; /* and no command is left in it */
};

void api_body_init(struct api_body *body, const struct simd_ops *simd, uint32_t bytes_max);
void api_body_deinit(struct api_body *body);

/* A new one; nothing is left of the last. */
void api_body_begin(struct api_body *body, enum api_form form, enum api_method method);

/* How many bytes may be added now, at least 1 while it is not too big. */
NODISCARD size_t api_body_room(const struct api_body *body);

static inline bool api_body_is_too_big(const struct api_body *body)
{
    return api_body_room(body) == 0;
}

/* 0, or -ENOMEM. There is room. */
NODISCARD int api_body_add(struct api_body *body, struct bytes piece);
void api_body_end(struct api_body *body);

/* Nothing more is read, not even what has come already. */
void api_body_stop(struct api_body *body);

/* In the middle of a line, or of a body. */
NODISCARD bool api_body_is_partial(const struct api_body *body);

/* The next command, or what was wrong with it. API_END: there is none now. */
NODISCARD enum api_verdict api_body_next(struct api_body *body, struct api_command *command);

#endif /* SERVER_API_BODY_H */
