/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_PAYLOAD_H
#define BENCH_LOAD_PAYLOAD_H
/*
 * The text of a message: who sent it, its number, a checksum over all of it, and filling in a
 * chosen script. So a receiver can tell what it got without knowing when it was sent.
 *
 *     | sender, 4 | number, 6 | checksum, 6 | filling |
 *
 * The first three are digits of base 64 (letters, digits, '-', '_'). Everything is valid UTF-8
 * without quotes, backslashes and control characters, so it can stand in a JSON string as it is.
 * The filling depends on script, size and seed only; the checksum covers every other byte, so a
 * byte that changed anywhere is seen.
 *
 * Pure, ANY_THREAD.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    PAYLOAD_SIZE_MIN = 16,               /* bytes */
    PAYLOAD_SIZE_MAX = 16 * 1024 * 1024, /* bytes */
    PAYLOAD_SENDER_MAX = (1 << 24) - 1,
};

enum payload_script {
    PAYLOAD_ASCII, /* printable, 1 byte a character */
    PAYLOAD_LATIN, /* ASCII with accented letters, 1 or 2 bytes */
    PAYLOAD_CJK,   /* 3 bytes a character */
    PAYLOAD_EMOJI, /* 4 bytes a character */
};

/* "ascii", "latin", "cjk", "emoji". False, and `script` untouched, when it is none of them. */
NODISCARD bool payload_script_from_name(const char *name, enum payload_script *script);
NODISCARD const char *payload_script_name(enum payload_script script);

struct payload_stamp {
    uint32_t sender; /* at most PAYLOAD_SENDER_MAX */
    uint32_t number; /* from 0, by the sender */
};

/*
 * Filling for all sizes up to size_max: made once, read by everybody. NULL when memory is out.
 * A payload of `size` ends at a character border: where the last character does not fit, ASCII
 * takes its place.
 */
struct payload_source; /* opaque */
NODISCARD struct payload_source *payload_source_create(enum payload_script script, size_t size_max,
                                                       uint64_t seed);
void payload_source_destroy(struct payload_source *source);

/* Writes exactly `size` bytes, PAYLOAD_SIZE_MIN .. size_max, to `target`. */
void payload_write(const struct payload_source *source, struct payload_stamp stamp, size_t size,
                   uint8_t *target);

/* False, and `stamp` untouched, when these are not bytes that payload_write() made. */
NODISCARD bool payload_read(struct bytes payload, struct payload_stamp *stamp);

/*
 * Sizes of messages: "64", "20-512" (each as likely), or "64*9,1000*1" (weights, sizes or ranges).
 * A value.
 */
enum { PAYLOAD_SIZES_COUNT_MAX = 16 };
struct payload_sizes {
    struct payload_sizes_range {
        uint32_t min;
        uint32_t max;
        uint64_t weight_end; /* the weights of this range and of those before it, in all */
    } ranges[PAYLOAD_SIZES_COUNT_MAX];
    uint32_t count;
};

/* False, and `sizes` untouched, when it cannot be read or a size is out of range. */
NODISCARD bool payload_sizes_parse(const char *text, struct payload_sizes *sizes);
NODISCARD uint32_t payload_sizes_max(const struct payload_sizes *sizes);

/* The size of the message with this stamp: the same at each call with the same seed. */
NODISCARD uint32_t payload_sizes_pick(const struct payload_sizes *sizes, struct payload_stamp stamp,
                                      uint64_t seed);

#endif /* BENCH_LOAD_PAYLOAD_H */
