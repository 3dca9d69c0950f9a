/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzing the bodies of the server API. The first byte says what the rest is:
 *   - the body of a method, a batch, or a command: read from a block of exactly its size; what was
 *     read leads into it, is UTF-8 and JSON, and has no '\n' where clients are told of it;
 *   - chunks, as they come on a connection: in one piece, and in pieces whose sizes are taken from
 *     the input, they come to the same body, verdict and end.
 */
#include "proto/api.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/cpu.h"
#include "proto/http.h"
#include "proto/http_body.h"
#include "proto/simd.h"

enum {
    IS_BATCH = 0,
    IS_COMMAND,
    IS_CHUNKS,
    FIRST_METHOD,
    DATA_DEPTH = COMMAND_DEPTH_MAX - 2,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct simd_ops *ops(void)
{
    return simd_choose(cpu_simd_best());
}

static void check_inside(struct span body, struct bytes view)
{
    CHECK(view.size == 0 ||
          (view.data >= body.data && view.data + view.size <= body.data + body.size));
}

static void check_json(struct bytes json)
{
    CHECK(json.size == 0 || json_validate(json, DATA_DEPTH) == JSON_OK);
    CHECK(json.size == 0 || memchr(json.data, '\n', json.size) == NULL);
}

static void check_subscribe(struct span body, const struct api_user *user)
{
    CHECK(user->user.size > 0 || user->client.size > 0);
    CHECK(user->b64info.size == 0 && user->b64data.size == 0 && user->session.size == 0);
    check_inside(body, user->info);
    check_inside(body, user->data);
    check_json(user->info);
    check_json(user->data);
}

static void check_command(struct span body, const struct api_command *command)
{
    CHECK((int)command->method < API_METHOD_COUNT);
    if (command->method == API_SUBSCRIBE) {
        check_subscribe(body, &command->user);
    }
    if (command->method > API_BROADCAST) {
        return;
    }
    const struct api_publish *publish = &command->publish;
    check_inside(body, publish->channel);
    check_inside(body, publish->data);
    check_inside(body, publish->tags);
    check_inside(body, publish->key);
    check_inside(body, publish->version_epoch);
    CHECK(publish->data.size > 0);
    check_json(publish->data);
    check_json(publish->tags);
    if (command->method == API_BROADCAST) {
        struct api_list list;
        struct bytes channel;
        enum api_verdict verdict = API_OK;
        api_list_init(&list, publish->channels);
        while (verdict != API_END) {
            verdict = api_list_next_text(&list, &channel);
            if (verdict == API_OK) {
                check_inside(body, channel);
            }
        }
    }
}

static void read_batch(struct span body)
{
    struct api_batch batch;
    struct api_command command;
    struct api_list list;
    struct span text;

    if (api_read_batch(ops(), body, &batch) != API_OK) {
        return;
    }
    api_list_init(&list, batch.commands);
    while (api_list_next(&list, &text) == API_OK) {
        if (api_read_command(ops(), text, &command) == API_OK) {
            check_command(body, &command);
        }
    }
}

static void read_json(unsigned kind, struct span body)
{
    struct api_command command;
    enum api_verdict verdict = API_BAD_REQUEST;

    if (kind == IS_BATCH) {
        read_batch(body);
    } else if (kind == IS_COMMAND) {
        verdict = api_read_command(ops(), body, &command);
    } else {
        verdict = api_read(ops(), (enum api_method)(kind - FIRST_METHOD), body, &command);
    }
    if (verdict == API_OK) {
        check_command(body, &command);
    }
}

/* -- chunks ------------------------------------------------------------------------------------ */

struct outcome {
    enum http_body_verdict verdict;
    uint8_t *body;
    size_t size;
    size_t used;
};

static void feed(struct http_body_reader *reader, struct bytes in, struct outcome *outcome)
{
    const size_t before = in.size;
    struct bytes piece;
    do {
        outcome->verdict = http_body_next(reader, &in, &piece);
        if (outcome->verdict == HTTP_BODY_PIECE) {
            memcpy(outcome->body + outcome->size, piece.data, piece.size);
            outcome->size += piece.size;
        }
    } while (outcome->verdict == HTTP_BODY_PIECE);
    outcome->used += before - in.size;
}

static struct outcome read_chunks(const uint8_t *data, size_t size, bool in_pieces)
{
    const struct http_request request = {.body = HTTP_BODY_CHUNKED};
    struct outcome outcome = {HTTP_BODY_NEED_MORE, malloc(size + 1), 0, 0};
    struct http_body_reader reader;
    size_t at = 0;
    CHECK(outcome.body != NULL);

    http_body_begin(&reader, &request);
    while (at < size && outcome.verdict == HTTP_BODY_NEED_MORE) {
        size_t step = in_pieces ? 1 + data[at] % 7 : size;
        step = step < size - at ? step : size - at;
        uint8_t *copy = malloc(step);
        CHECK(copy != NULL);
        memcpy(copy, data + at, step);
        feed(&reader, (struct bytes){copy, step}, &outcome);
        free(copy);
        at += step;
    }
    return outcome;
}

static void compare_chunks(const uint8_t *data, size_t size)
{
    struct outcome whole = read_chunks(data, size, false);
    struct outcome pieces = read_chunks(data, size, true);

    CHECK(whole.verdict == pieces.verdict);
    CHECK(whole.size == pieces.size && whole.used == pieces.used);
    CHECK(memcmp(whole.body, pieces.body, whole.size) == 0);
    free(whole.body);
    free(pieces.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const unsigned kind = data[0] % (FIRST_METHOD + API_METHOD_COUNT);
    if (kind == IS_CHUNKS) {
        compare_chunks(data + 1, size - 1);
        return 0;
    }
    uint8_t *copy = malloc(size);
    CHECK(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    read_json(kind, (struct span){copy, size - 1});
    free(copy);
    return 0;
}
