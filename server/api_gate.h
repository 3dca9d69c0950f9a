/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_API_GATE_H
#define SERVER_API_GATE_H
/*
 * Which requests of the server API are let in, by their heads, and what each of them asks for.
 *
 * Owner     the gateway; frozen after it was filled. Pure but for that. ANY_THREAD.
 * Not here  bodies (api_body.h), how many requests there may be at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/api.h"
#include "server/api_answer.h"
#include "server/api_key.h"

struct http_request;

struct api_gate {
    struct api_key key;
    bool insecure; /* no key is needed */
    uint32_t body_bytes_max;
};

struct api_gate_target {
    enum api_form form;
    enum api_method method; /* API_FORM_ONE; else API_METHOD_COUNT */
    bool expects_continue;  /* the client waits for 100 before it sends the body */
};

/* 0 and the target, or the status of a refusal, and its text, one line. */
NODISCARD unsigned api_gate_judge(const struct api_gate *gate, const struct http_request *request,
                                  struct api_gate_target *target, const char **why);

#endif /* SERVER_API_GATE_H */
