/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/offer.h"

#include <stdio.h>

#include "core/check.h"

enum {
    VALUE_SIZE_MAX = 2,         /* digits of a window; a longer value is none */
    CLIENT_WINDOW_BITS_MIN = 8, /* of the client's: we need not make it, only read it */
};

enum param {
    PARAM_SERVER_NO_TAKEOVER = 1 << 0,
    PARAM_CLIENT_NO_TAKEOVER = 1 << 1,
    PARAM_SERVER_WINDOW = 1 << 2,
    PARAM_CLIENT_WINDOW = 1 << 3,
};

/* What is left of one header. */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

/* The value of a parameter, without quotes and backslashes. */
struct value {
    bool is_there;
    size_t size; /* characters; above VALUE_SIZE_MAX it is only counted */
    uint8_t text[VALUE_SIZE_MAX];
};

/* One offer, as far as it was read. */
struct offer {
    bool is_deflate;
    bool fits;
    unsigned seen; /* of enum param */
    size_t param_count;
};

static void skip_space(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t')) {
        cursor->at++;
    }
}

/* Takes one character, if it is the next one. */
static bool take(struct cursor *cursor, uint8_t byte)
{
    if (cursor->at == cursor->end || *cursor->at != byte) {
        return false;
    }
    cursor->at++;
    return true;
}

static bool is_token_byte(uint8_t byte)
{
    return http_is_token((struct bytes){&byte, 1});
}

/* False: there is none. */
static bool take_token(struct cursor *cursor, struct bytes *token)
{
    const uint8_t *const begin = cursor->at;
    while (cursor->at < cursor->end && is_token_byte(*cursor->at)) {
        cursor->at++;
    }
    *token = (struct bytes){begin, (size_t)(cursor->at - begin)};
    return token->size > 0;
}

static void add_to_value(struct value *value, uint8_t byte)
{
    if (value->size < VALUE_SIZE_MAX) {
        value->text[value->size] = byte;
    }
    value->size++;
}

/* RFC 6455 section 9.1: without its quotes and backslashes it must be a token. */
static bool take_quoted(struct cursor *cursor, struct value *value)
{
    while (cursor->at < cursor->end) {
        if (take(cursor, '"')) {
            return value->size > 0;
        }
        (void)take(cursor, '\\'); /* the next one is what it says, whatever it is */
        if (cursor->at == cursor->end || !is_token_byte(*cursor->at)) {
            return false;
        }
        add_to_value(value, *cursor->at++);
    }
    return false;
}

/* What follows a parameter's name. False: against the grammar. */
static bool take_value(struct cursor *cursor, struct value *value)
{
    *value = (struct value){.is_there = false};
    skip_space(cursor);
    if (!take(cursor, '=')) {
        return true;
    }
    skip_space(cursor);
    value->is_there = true;
    if (take(cursor, '"')) {
        return take_quoted(cursor, value);
    }
    struct bytes token;
    if (!take_token(cursor, &token)) {
        return false;
    }
    for (size_t i = 0; i < token.size; i++) {
        add_to_value(value, token.data[i]);
    }
    return true;
}

/* 8 to 15 without leading zeros, or 0: it is no window. */
static unsigned read_window(const struct value *value)
{
    unsigned bits = 0;

    if (value->size == 0 || value->size > VALUE_SIZE_MAX || value->text[0] == '0') {
        return 0;
    }
    for (size_t i = 0; i < value->size; i++) {
        if (value->text[i] < '0' || value->text[i] > '9') {
            return 0;
        }
        bits = bits * 10 + (value->text[i] - (unsigned)'0');
    }
    return bits >= CLIENT_WINDOW_BITS_MIN && bits <= OFFER_WINDOW_BITS_MAX ? bits : 0;
}

/* RFC 7692 section 7.1: an unknown parameter, one that is there twice, and a bad value decline. */
static bool param_fits(struct offer *offer, struct bytes name, const struct value *value,
                       unsigned window_bits)
{
    unsigned param;
    bool fits;

    if (http_name_is(name, "server_no_context_takeover")) {
        param = PARAM_SERVER_NO_TAKEOVER;
        fits = !value->is_there;
    } else if (http_name_is(name, "client_no_context_takeover")) {
        param = PARAM_CLIENT_NO_TAKEOVER;
        fits = !value->is_there;
    } else if (http_name_is(name, "server_max_window_bits")) {
        param = PARAM_SERVER_WINDOW;
        fits = read_window(value) >= window_bits;
    } else if (http_name_is(name, "client_max_window_bits")) {
        param = PARAM_CLIENT_WINDOW;
        fits = !value->is_there || read_window(value) != 0;
    } else {
        return false;
    }
    fits = fits && (offer->seen & param) == 0;
    offer->seen |= param;
    return fits;
}

/* One extension with its parameters. False: against the grammar, or too many. */
static bool take_offer(struct cursor *cursor, unsigned window_bits, struct offer *offer)
{
    struct bytes name;

    *offer = (struct offer){.fits = true};
    skip_space(cursor);
    if (cursor->at == cursor->end || *cursor->at == ',') {
        return true; /* RFC 7230 section 7: an empty element means nothing */
    }
    if (!take_token(cursor, &name)) {
        return false;
    }
    offer->is_deflate = http_name_is(name, "permessage-deflate");
    for (skip_space(cursor); take(cursor, ';'); skip_space(cursor)) {
        struct value value;
        skip_space(cursor);
        if (offer->param_count == OFFER_PARAM_COUNT_MAX || !take_token(cursor, &name) ||
            !take_value(cursor, &value)) {
            return false;
        }
        offer->param_count++;
        if (offer->is_deflate && !param_fits(offer, name, &value, window_bits)) {
            offer->fits = false;
        }
    }
    return true;
}

static void write_answer(const struct offer *offer, unsigned window_bits,
                         char answer[OFFER_ANSWER_SIZE_MAX])
{
    char window[32] = "";
    if ((offer->seen & PARAM_SERVER_WINDOW) != 0) {
        (void)snprintf(window, sizeof(window), "; server_max_window_bits=%u", window_bits);
    }
    const int size = snprintf(answer, OFFER_ANSWER_SIZE_MAX,
                              "permessage-deflate; server_no_context_takeover; "
                              "client_no_context_takeover%s",
                              window);
    CHECK(size > 0 && size < OFFER_ANSWER_SIZE_MAX);
}

enum offer_verdict offer_judge(const struct http_request *request, unsigned window_bits,
                               char answer[OFFER_ANSWER_SIZE_MAX])
{
    CHECK(window_bits >= OFFER_WINDOW_BITS_MIN && window_bits <= OFFER_WINDOW_BITS_MAX);

    struct offer chosen = {.fits = false};
    bool is_offered = false;
    size_t count = 0;
    const struct http_header *header = NULL;
    while ((header = http_next_header(request, "sec-websocket-extensions", header)) != NULL) {
        struct cursor cursor = {header->value.data, header->value.data + header->value.size};
        do {
            struct offer offer;
            if (count == OFFER_COUNT_MAX || !take_offer(&cursor, window_bits, &offer)) {
                return OFFER_MALFORMED;
            }
            count++;
            is_offered = is_offered || offer.is_deflate;
            if (offer.is_deflate && offer.fits && !chosen.fits) {
                chosen = offer;
            }
        } while (take(&cursor, ','));
        if (cursor.at != cursor.end) {
            return OFFER_MALFORMED;
        }
    }
    if (!chosen.fits) {
        return is_offered ? OFFER_DECLINED : OFFER_NONE;
    }
    write_answer(&chosen, window_bits, answer);
    return OFFER_ACCEPTED;
}
