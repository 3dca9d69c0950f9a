/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/payload.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/splitmix.h"
#include "core/check.h"

enum {
    SENDER_DIGITS = 4,
    NUMBER_DIGITS = 6,
    CHECKSUM_DIGITS = 6,
    CHECKSUM_AT = SENDER_DIGITS + NUMBER_DIGITS,
    DIGIT_BITS = 6,
    CHARACTER_SIZE_MAX = 4, /* bytes */
};

_Static_assert(SENDER_DIGITS + NUMBER_DIGITS + CHECKSUM_DIGITS == PAYLOAD_SIZE_MIN, "the header");

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static const char *const script_names[] = {
    [PAYLOAD_ASCII] = "ascii",
    [PAYLOAD_LATIN] = "latin",
    [PAYLOAD_CJK] = "cjk",
    [PAYLOAD_EMOJI] = "emoji",
};

struct payload_source {
    size_t size;
    uint8_t text[]; /* whole characters, at least one byte more than the largest filling */
};

bool payload_script_from_name(const char *name, enum payload_script *script)
{
    for (size_t i = 0; i < sizeof(script_names) / sizeof(script_names[0]); i++) {
        if (strcmp(name, script_names[i]) == 0) {
            *script = (enum payload_script)i;
            return true;
        }
    }
    return false;
}

const char *payload_script_name(enum payload_script script)
{
    return script_names[script];
}

/* -- text -------------------------------------------------------------------------------------- */

/* A letter, a digit or a space, never what JSON or HTML would escape. */
static uint8_t ascii_of(uint64_t random)
{
    static const char letters[] = "etaoinshrdlucmfw ypvbgk jxqz ETAOIN 0123456789.,;:!?-()";
    return (uint8_t)letters[random % (sizeof(letters) - 1)];
}

/* Of one to four bytes (RFC 3629). */
static size_t put_code_point(uint32_t code, uint8_t *target)
{
    if (code < 0x80) {
        target[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        target[0] = (uint8_t)(0xc0 | code >> 6);
        target[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        target[0] = (uint8_t)(0xe0 | code >> 12);
        target[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        target[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    target[0] = (uint8_t)(0xf0 | code >> 18);
    target[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    target[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    target[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

static uint32_t code_point_of(enum payload_script script, uint64_t random)
{
    switch (script) {
    case PAYLOAD_ASCII:
        return ascii_of(random);
    case PAYLOAD_LATIN: /* every fourth one with an accent, U+00C0 to U+00FF */
        return random % 4 == 0 ? 0xc0 + (uint32_t)(random / 4 % 0x40) : ascii_of(random / 4);
    case PAYLOAD_CJK: /* unified ideographs, U+4E00 to U+9FFF */
        return 0x4e00 + (uint32_t)(random % 0x5200);
    case PAYLOAD_EMOJI: /* emoticons, U+1F600 to U+1F64F */
        return 0x1f600 + (uint32_t)(random % 0x50);
    }
    NEVER("a script without characters");
}

struct payload_source *payload_source_create(enum payload_script script, size_t size_max,
                                             uint64_t seed)
{
    CHECK(size_max >= PAYLOAD_SIZE_MIN && size_max <= PAYLOAD_SIZE_MAX);
    struct payload_source *source = malloc(sizeof(*source) + size_max + CHARACTER_SIZE_MAX);
    if (source == NULL) {
        return NULL;
    }
    source->size = size_max;
    uint64_t random = seed;
    for (size_t at = 0; at < size_max;) {
        random = splitmix(random);
        at += put_code_point(code_point_of(script, random >> 8), source->text + at);
    }
    return source;
}

void payload_source_destroy(struct payload_source *source)
{
    free(source);
}

/* -- header ------------------------------------------------------------------------------------ */

static void put_digits(uint32_t value, size_t count, uint8_t *target)
{
    for (size_t i = count; i-- > 0;) {
        target[i] = (uint8_t)digits[value & 63];
        value >>= DIGIT_BITS;
    }
}

/* 64 or more: no digit. */
static unsigned digit_of(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z') {
        return (unsigned)(byte - 'A');
    }
    if (byte >= 'a' && byte <= 'z') {
        return (unsigned)(26 + byte - 'a');
    }
    if (byte >= '0' && byte <= '9') {
        return (unsigned)(52 + byte - '0');
    }
    if (byte == '-') {
        return 62;
    }
    return byte == '_' ? 63 : 64;
}

/* False when there is another byte among them, or the value has more than 32 bits. */
static bool read_digits(const uint8_t *source, size_t count, uint32_t *value)
{
    uint64_t read = 0;
    unsigned bad = 0;
    for (size_t i = 0; i < count; i++) {
        const unsigned digit = digit_of(source[i]);
        bad |= digit & 64;
        read = read << DIGIT_BITS | digit;
    }
    *value = (uint32_t)read;
    return bad == 0 && read <= UINT32_MAX;
}

static uint64_t fold(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
    return hash ^ hash >> 32;
}

/* Over every byte but its own digits, eight at a time. */
static uint32_t checksum(const uint8_t *payload, size_t size)
{
    uint64_t hash = splitmix(size);
    uint64_t word = 0;
    size_t at = PAYLOAD_SIZE_MIN;

    memcpy(&word, payload, 8);
    hash = fold(hash, word);
    word = 0;
    memcpy(&word, payload + 8, CHECKSUM_AT - 8);
    hash = fold(hash, word);
    for (; size - at >= 8; at += 8) {
        memcpy(&word, payload + at, 8);
        hash = fold(hash, word);
    }
    word = 0;
    if (size > at) {
        memcpy(&word, payload + at, size - at);
    }
    hash = fold(hash, word);
    return (uint32_t)(hash ^ hash >> 29);
}

/* Where the last character would be cut, ASCII ends the text. */
static void mend_end(const struct payload_source *source, size_t filling, uint8_t *target)
{
    size_t begin = filling;
    while (begin > 0 && (source->text[begin] & 0xc0) == 0x80) {
        begin--;
    }
    for (size_t i = begin; i < filling; i++) {
        target[i] = '.';
    }
}

void payload_write(const struct payload_source *source, struct payload_stamp stamp, size_t size,
                   uint8_t *target)
{
    CHECK(size >= PAYLOAD_SIZE_MIN && size <= source->size);
    CHECK(stamp.sender <= PAYLOAD_SENDER_MAX);
    const size_t filling = size - PAYLOAD_SIZE_MIN;

    put_digits(stamp.sender, SENDER_DIGITS, target);
    put_digits(stamp.number, NUMBER_DIGITS, target + SENDER_DIGITS);
    memcpy(target + PAYLOAD_SIZE_MIN, source->text, filling);
    mend_end(source, filling, target + PAYLOAD_SIZE_MIN);
    put_digits(checksum(target, size), CHECKSUM_DIGITS, target + CHECKSUM_AT);
}

bool payload_read(struct bytes payload, struct payload_stamp *stamp)
{
    struct payload_stamp read;
    uint32_t sum = 0;

    if (payload.size < PAYLOAD_SIZE_MIN ||
        !read_digits(payload.data, SENDER_DIGITS, &read.sender) ||
        !read_digits(payload.data + SENDER_DIGITS, NUMBER_DIGITS, &read.number) ||
        !read_digits(payload.data + CHECKSUM_AT, CHECKSUM_DIGITS, &sum) ||
        sum != checksum(payload.data, payload.size)) {
        return false;
    }
    *stamp = read;
    return true;
}

/* -- sizes ------------------------------------------------------------------------------------- */

/* Digits at `*text`, which moves behind them. */
static bool read_number(const char **text, uint32_t min, uint32_t max, uint32_t *value)
{
    char *end = NULL;
    if (!isdigit((unsigned char)**text)) {
        return false;
    }
    const unsigned long long read = strtoull(*text, &end, 10);
    *text = end;
    *value = (uint32_t)read;
    return read >= min && read <= max;
}

bool payload_sizes_parse(const char *text, struct payload_sizes *sizes)
{
    struct payload_sizes read = {0};
    uint64_t weights = 0;

    for (;;) {
        if (read.count == PAYLOAD_SIZES_COUNT_MAX) {
            return false;
        }
        struct payload_sizes_range *range = &read.ranges[read.count++];
        uint32_t weight = 1;
        if (!read_number(&text, PAYLOAD_SIZE_MIN, PAYLOAD_SIZE_MAX, &range->min)) {
            return false;
        }
        range->max = range->min;
        if (*text == '-') {
            text++;
            if (!read_number(&text, range->min, PAYLOAD_SIZE_MAX, &range->max)) {
                return false;
            }
        }
        if (*text == '*') {
            text++;
            if (!read_number(&text, 1, UINT32_MAX, &weight)) {
                return false;
            }
        }
        weights += weight;
        range->weight_end = weights;
        if (*text == '\0') {
            *sizes = read;
            return true;
        }
        if (*text++ != ',') {
            return false;
        }
    }
}

uint32_t payload_sizes_max(const struct payload_sizes *sizes)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < sizes->count; i++) {
        most = sizes->ranges[i].max > most ? sizes->ranges[i].max : most;
    }
    return most;
}

uint32_t payload_sizes_pick(const struct payload_sizes *sizes, struct payload_stamp stamp,
                            uint64_t seed)
{
    if (sizes->count == 1 && sizes->ranges[0].min == sizes->ranges[0].max) {
        return sizes->ranges[0].min;
    }
    const uint64_t random = splitmix(seed ^ splitmix((uint64_t)stamp.sender << 32 | stamp.number));
    const uint64_t place = random % sizes->ranges[sizes->count - 1].weight_end;
    const struct payload_sizes_range *range = sizes->ranges;
    while (place >= range->weight_end) {
        range++;
    }
    return range->min + (uint32_t)(splitmix(random) % (range->max - range->min + UINT64_C(1)));
}
