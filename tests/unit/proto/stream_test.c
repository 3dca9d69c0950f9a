/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversations from a table give the events written beside them in one piece, at every split in
 * two and in three, in equal pieces of every size, and where they are short in every one of the
 * 2^(n-1) ways there are; scalar and with the best SIMD of this machine. Then, each against a
 * judgement made apart from the code: all 2^16 first two bytes in five states of the stream, all
 * close codes, declared lengths, text that goes wrong at a known byte, and the limits.
 */
#include <check.h>

#include "tests/unit/proto/stream_feed.h"

enum { WIRE_SIZE_MAX = 2048 };

static const struct stream_limits plain = {.message_size_max = 65536, .fragment_count_max = 64};
static const struct stream_limits deflated = {
    .message_size_max = 65536, .fragment_count_max = 64, .compression = true};

struct wire {
    const struct stream_limits *limits; /* of who reads it, in a conversation */
    uint8_t data[WIRE_SIZE_MAX];
    size_t size;
};

/* A client's frame with the shortest length. The key depends on where it stands. */
static void put_frame(struct wire *wire, uint8_t first, struct bytes payload)
{
    uint8_t *at = wire->data + wire->size;
    ck_assert_uint_lt(payload.size, 65536);
    ck_assert_uint_le(wire->size + 8 + payload.size, sizeof(wire->data));

    const uint8_t key[4] = {(uint8_t)(wire->size * 37 + 1), 0x5a, 0xff, (uint8_t)~wire->size};
    *at++ = first;
    if (payload.size < 126) {
        *at++ = (uint8_t)(0x80 | payload.size);
    } else {
        *at++ = 0xfe;
        *at++ = (uint8_t)(payload.size >> 8);
        *at++ = (uint8_t)payload.size;
    }
    memcpy(at, key, 4);
    at += 4;
    for (size_t i = 0; i < payload.size; i++) {
        *at++ = payload.data[i] ^ key[i % 4];
    }
    wire->size = (size_t)(at - wire->data);
}

static void put_text(struct wire *wire, uint8_t first, const char *payload)
{
    put_frame(wire, first, (struct bytes){(const uint8_t *)payload, strlen(payload)});
}

#define LONG_100                                                                                   \
    "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
    "23456789"

/* First bytes: 01 text, 02 binary, 00 continuation, 8x the last or only frame. */
static const struct conversation {
    const char *why;
    const char *events;
    struct {
        uint8_t first;
        const char *payload;
    } frames[9];
} conversations[] = {
    {"text", "T[hi]", {{0x81, "hi"}}},
    {"empty text", "T[]", {{0x81, ""}}},
    {"empty binary", "B[]", {{0x82, ""}}},
    {"binary that is no UTF-8", "B[\xff\xfe]", {{0x82, "\xff\xfe"}}},
    {"two messages", "T[a] B[b]", {{0x81, "a"}, {0x82, "b"}}},
    {"fragments", "T[abc]", {{0x01, "a"}, {0x00, "b"}, {0x80, "c"}}},
    {"empty fragments", "T[]", {{0x01, ""}, {0x00, ""}, {0x80, ""}}},
    {"empty first and last", "T[x]", {{0x01, ""}, {0x00, "x"}, {0x80, ""}}},
    {"a message after fragments", "B[ab] T[c]", {{0x02, "a"}, {0x80, "b"}, {0x81, "c"}}},
    {"fragments, twice", "T[ab] B[cd]", {{0x01, "a"}, {0x80, "b"}, {0x02, "c"}, {0x80, "d"}}},
    {"ping inside", "P[p] T[ab]", {{0x01, "a"}, {0x89, "p"}, {0x80, "b"}}},
    {"pings and pongs inside",
     "P[] p[x] P[y] T[ab]",
     {{0x01, "a"}, {0x89, ""}, {0x8a, "x"}, {0x00, ""}, {0x89, "y"}, {0x80, "b"}}},
    {"pong nobody asked for", "p[ok] T[a]", {{0x8a, "ok"}, {0x81, "a"}}},
    {"close inside",
     "P[] C1000[bye]",
     {{0x01, "a"},
      {0x89, ""},
      {0x88, "\x03\xe8"
             "bye"}}},
    {"empty close", "C1005[]", {{0x88, ""}}},
    {"close of one byte", "!1002", {{0x88, "\x03"}}},
    {"close without a reason", "C3001[]", {{0x88, "\x0b\xb9"}}},
    {"nothing after a close", "C1001[]", {{0x88, "\x03\xe9"}, {0x89, "p"}, {0x81, "x"}}},
    {"nothing after a fault", "!1002", {{0x83, "p"}, {0x89, "p"}, {0x81, "x"}}},
    {"close reason is not UTF-8", "!1007", {{0x88, "\x03\xe8\xc3"}}},
    {"close reason is UTF-8", "C1000[\xc3\xa9]", {{0x88, "\x03\xe8\xc3\xa9"}}},
    {"continuation of nothing", "!1002", {{0x80, "a"}}},
    {"open continuation of nothing", "!1002", {{0x00, "a"}}},
    {"continuation after the last", "T[ab] !1002", {{0x01, "a"}, {0x80, "b"}, {0x80, "c"}}},
    {"text inside text", "!1002", {{0x01, "a"}, {0x81, "b"}}},
    {"binary inside text", "!1002", {{0x01, "a"}, {0x02, "b"}}},
    {"fragmented ping", "!1002", {{0x09, "a"}}},
    {"fragmented close inside", "!1002", {{0x01, "a"}, {0x08, ""}}},
    {"reserved bit inside", "P[] !1002", {{0x01, "a"}, {0x89, ""}, {0xc0, "b"}}},
    {"ping of 125", "P#125#", {{0x89, LONG_100 "0123456789012345678901234"}}},
    {"ping of 126", "!1002", {{0x89, LONG_100 "01234567890123456789012345"}}},
    {"16-bit length", "T#200#", {{0x81, LONG_100 LONG_100}}},
    {"16-bit lengths in fragments",
     "T#400#",
     {{0x01, LONG_100 LONG_100}, {0x80, LONG_100 LONG_100}}},
    {"character over two frames", "T[\xe2\x82\xac]", {{0x01, "\xe2"}, {0x80, "\x82\xac"}}},
    {"character over four frames and a ping",
     "P[\xff] T[\xf0\x9f\x98\x80]",
     {{0x01, "\xf0"}, {0x00, "\x9f"}, {0x89, "\xff"}, {0x00, "\x98"}, {0x80, "\x80"}}},
    {"text ends inside a character", "!1007", {{0x81, "\xe2\x82"}}},
    {"fragments end inside a character", "!1007", {{0x01, "a\xe2"}, {0x80, "\x82"}}},
    {"empty last fragment inside a character", "!1007", {{0x01, "\xc3"}, {0x80, ""}}},
    {"half a character is forgotten with its message",
     "B[\xc3] T[a]",
     {{0x02, "\xc3"}, {0x80, ""}, {0x01, "a"}, {0x80, ""}}},
    {"surrogate", "!1007", {{0x81, "a\xed\xa0\x80"}}},
    {"overlong", "!1007", {{0x81, "\xc0\xaf"}}},
    {"above U+10FFFF", "!1007", {{0x01, "\xf4"}, {0x80, "\x90\x80\x80"}}},
    {"bad byte in a message that goes on", "!1007", {{0x01, "ok\xff"}, {0x89, ""}, {0x80, ""}}},
    {"compressed, and not negotiated", "!1002", {{0xc1, "a"}}},
};

/* Where permessage-deflate was negotiated. cx, 4x: the first frame says that it is compressed. */
static const struct conversation compressed[] = {
    {"text, which is not validated yet", "zT[\xff]", {{0xc1, "\xff"}}},
    {"binary", "zB[a]", {{0xc2, "a"}}},
    {"empty", "zT[]", {{0xc1, ""}}},
    {"some are, some are not",
     "zT[a] T[b] zB[c] B[d]",
     {{0xc1, "a"}, {0x81, "b"}, {0xc2, "c"}, {0x82, "d"}}},
    {"fragments", "zT[\xff\xfe] T[c]", {{0x41, "\xff"}, {0x80, "\xfe"}, {0x81, "c"}}},
    {"fragments that are not, after some that are",
     "zT[\xc3(] !1007",
     {{0x41, "\xc3"}, {0x80, "("}, {0x01, "\xc3"}, {0x80, "("}}},
    {"empty fragments", "zB[a]", {{0x42, ""}, {0x00, "a"}, {0x80, ""}}},
    {"ping inside", "P[p] zT[ab]", {{0x41, "a"}, {0x89, "p"}, {0x80, "b"}}},
    {"16-bit lengths in fragments",
     "zT#400#",
     {{0x41, LONG_100 LONG_100}, {0x80, LONG_100 LONG_100}}},
    {"text is validated as ever", "!1007", {{0x81, "\xff"}}},
    {"a continuation", "!1002", {{0x41, "a"}, {0xc0, "b"}}},
    {"an open continuation", "!1002", {{0x01, "a"}, {0x40, "b"}}},
    {"a continuation of nothing", "!1002", {{0xc0, "a"}}},
    {"a ping", "!1002", {{0xc9, "a"}}},
    {"a pong inside", "!1002", {{0x41, "a"}, {0xca, ""}}},
    {"a close", "!1002", {{0xc8, ""}}},
    {"the second reserved bit", "!1002", {{0xe1, "a"}}},
    {"the third reserved bit alone", "!1002", {{0x91, "a"}}},
};

static void check_events(const struct feed *feed, const struct conversation *row, const char *how)
{
    const char *const expected = row->events;
    const size_t size = strlen(expected);
    const bool is_prefix =
        size > 0 && expected[size - 1] == '#'; /* the hash is checked elsewhere */

    ck_assert_msg(feed->text_size >= size && memcmp(feed->text, expected, size) == 0 &&
                      (is_prefix || feed->text_size == size),
                  "%s, %s: '%s'", row->why, how, feed->text);
}

/* Cuts at the given offsets, which rise; the hash of the events. */
static uint64_t feed_pieces(const struct wire *wire, const struct simd_ops *simd,
                            const struct conversation *row, const size_t *cuts, size_t cut_count)
{
    struct feed feed;
    size_t from = 0;

    feed_start(&feed, wire->limits, simd);
    for (size_t i = 0; i < cut_count; i++) {
        feed_bytes(&feed, wire->data + from, cuts[i] - from);
        from = cuts[i];
    }
    feed_bytes(&feed, wire->data + from, wire->size - from);
    check_events(&feed, row, "in pieces");
    feed_end(&feed);
    return feed.hash;
}

static void try_all_cuts(const struct wire *wire, const struct simd_ops *simd,
                         const struct conversation *row, uint64_t hash)
{
    size_t cuts[WIRE_SIZE_MAX];

    for (size_t a = 0; a <= wire->size; a++) {
        cuts[0] = a;
        for (size_t b = a; b <= wire->size; b += wire->size > 150 ? 7 : 1) {
            cuts[1] = b;
            ck_assert_uint_eq(feed_pieces(wire, simd, row, cuts, 2), hash);
        }
    }
    for (size_t piece = 1; piece < wire->size; piece++) {
        size_t count = 0;
        for (size_t at = piece; at < wire->size; at += piece) {
            cuts[count++] = at;
        }
        ck_assert_uint_eq(feed_pieces(wire, simd, row, cuts, count), hash);
    }
    for (uint32_t set = 0; wire->size <= 13 && set < 1U << (wire->size - 1); set++) {
        size_t count = 0;
        for (size_t at = 1; at < wire->size; at++) {
            if ((set >> (at - 1) & 1) != 0) {
                cuts[count++] = at;
            }
        }
        ck_assert_uint_eq(feed_pieces(wire, simd, row, cuts, count), hash);
    }
}

static void converse(const struct conversation *row, const struct stream_limits *limits)
{
    struct wire wire = {.limits = limits};

    for (size_t i = 0; i < 9 && row->frames[i].payload != NULL; i++) {
        put_text(&wire, row->frames[i].first, row->frames[i].payload);
    }
    const struct simd_ops *const variants[] = {simd_choose(CPU_SIMD_SCALAR),
                                               simd_choose(CPU_SIMD_AVX512)};
    const uint64_t hash = feed_pieces(&wire, variants[0], row, NULL, 0);
    for (size_t v = 0; v < 2; v++) {
        ck_assert_uint_eq(feed_pieces(&wire, variants[v], row, NULL, 0), hash);
        try_all_cuts(&wire, variants[v], row, hash);
    }
}

START_TEST(converses_however_cut)
{
    converse(&conversations[_i], &plain);
}
END_TEST

START_TEST(converses_compressed)
{
    converse(&compressed[_i], &deflated);
}
END_TEST

/* What came before the two bytes, and which first bytes may then follow (RFC 6455, 5.2 and 5.4). */
static const struct {
    const char *why;
    struct {
        uint8_t first;
        const char *payload;
    } before[2];
    const char *data_frames; /* that may come now, each one byte */
    size_t data_frame_count;
    bool text_is_open; /* a continuation is text and stands inside a character */
    bool is_over;
} states[] = {
    {"at the start", {{0, NULL}}, "\x01\x02\x81\x82", 4, false, false},
    {"inside text", {{0x01, "a"}}, "\x00\x80", 2, false, false},
    {"inside binary", {{0x02, "a"}}, "\x00\x80", 2, false, false},
    {"inside a character", {{0x01, "a"}, {0x00, "\xc3"}}, "\x00\x80", 2, true, false},
    {"after a close", {{0x88, ""}}, "", 0, false, true},
};

/* What the two bytes alone must lead to: 0, or 1002. */
static int judge_two(size_t state, uint8_t first, uint8_t second)
{
    if (states[state].is_over) {
        return 0;
    }
    const bool is_data = states[state].data_frame_count > 0 &&
                         memchr(states[state].data_frames, first, states[state].data_frame_count);
    const bool is_control = first == 0x88 || first == 0x89 || first == 0x8a;
    const int length = second - 128;
    return (is_data && length >= 0) || (is_control && length >= 0 && length < 126) ? 0 : 1002;
}

/* And what must happen when the frame is whole: its payload is that many 'a', masked with zeros. */
static void expect_whole(size_t state, uint8_t first, size_t size, char *events)
{
    char payload[80] = "";
    const size_t before = states[state].before[0].payload != NULL ? 1 : 0;
    const size_t total = first == 0x80 ? before + size : size;

    events[0] = '\0';
    if (states[state].is_over || first == 0x00 || first == 0x01 || first == 0x02) {
        /* An open frame says nothing, unless its text goes wrong: 'a' continues no character. */
        if (states[state].text_is_open && size > 0) {
            strcpy(events, "!1007");
        }
        return;
    }
    if (first == 0x88) {
        strcpy(events, size == 0 ? "C1005[]" : "!1002"); /* "aa" is 24929, no close code */
        return;
    }
    if (states[state].text_is_open && first == 0x80) {
        strcpy(events, "!1007");
        return;
    }
    if (total > 64) {
        (void)snprintf(payload, sizeof(payload), "#%zu#", total);
    } else {
        payload[0] = '[';
        memset(payload + 1, 'a', total);
        payload[1 + total] = ']';
    }
    const bool is_binary = first == 0x82 || (first == 0x80 && states[state].before[0].first == 2);
    const char *const kind = first == 0x89 ? "P" : first == 0x8a ? "p" : is_binary ? "B" : "T";
    (void)snprintf(events, 100, "%s%s", kind, payload);
}

/* Extended length (the shortest of its form), a mask key of zeros, and the payload. */
static size_t put_rest(uint8_t second, uint8_t *rest, size_t *payload_size)
{
    const size_t form = second == 0xfe ? 2 : second == 0xff ? 8 : 0;

    *payload_size = second == 0xfe ? 126 : second == 0xff ? 65536 : second & 0x7f;
    memset(rest, 0, form + 4);
    if (form == 2) {
        rest[1] = 126;
    } else if (form == 8) {
        rest[5] = 1;
    }
    memset(rest + form + 4, 'a', *payload_size);
    return form + 4 + *payload_size;
}

static void try_two_bytes(size_t state, const struct wire *before, const uint8_t two[2])
{
    static const struct stream_limits limits = {.message_size_max = 70000, .fragment_count_max = 9};
    static uint8_t rest[12 + 65536];
    const char *const why = states[state].why;
    struct feed feed;

    feed_start(&feed, &limits, simd_choose(CPU_SIMD_AVX512));
    feed_bytes(&feed, before->data, before->size);
    const size_t said = feed.text_size;
    const char *const text = feed.text + said;
    const char *const fault = feed.event_count > 0 ? " !1002" : "!1002";
    feed_bytes(&feed, two, 1);
    ck_assert_uint_eq(feed.text_size, said); /* one byte is never enough to say */
    feed_bytes(&feed, two + 1, 1);
    if (judge_two(state, two[0], two[1]) != 0) {
        ck_assert_msg(strcmp(text, fault) == 0, "%s: %02x %02x: '%s'", why, two[0], two[1], text);
    } else {
        size_t size = 0;
        char expected[100];
        ck_assert_msg(*text == '\0', "%s: %02x %02x: '%s'", why, two[0], two[1], text);
        feed_bytes(&feed, rest, put_rest(two[1], rest, &size));
        expect_whole(state, two[0], size, expected);
        /* The hash behind a long one's size is checked elsewhere. */
        const size_t sure = strlen(expected) + (strchr(expected, '#') != NULL ? 0 : 1);
        ck_assert_msg(strncmp(text, expected, sure) == 0, "%s: %02x %02x: '%s', not '%s'", why,
                      two[0], two[1], text, expected);
    }
    feed_end(&feed);
}

START_TEST(judges_all_first_two_bytes)
{
    const size_t state = (size_t)_i;
    struct wire before = {.size = 0};

    for (size_t i = 0; i < 2 && states[state].before[i].payload != NULL; i++) {
        put_text(&before, states[state].before[i].first, states[state].before[i].payload);
    }
    for (unsigned two = 0; two < 65536; two++) {
        try_two_bytes(state, &before, (const uint8_t[2]){(uint8_t)(two >> 8), (uint8_t)two});
    }
}
END_TEST

START_TEST(judges_every_close_code)
{
    for (uint32_t code = (uint32_t)_i * 4096; code < ((uint32_t)_i + 1) * 4096; code++) {
        const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
        const bool good =
            (code >= 3000 && code < 5000) ||
            (code >= 1000 && code < 1015 && code != 1004 && code != 1005 && code != 1006);
        struct wire wire = {.size = 0};
        struct feed feed;
        char expected[16] = "!1002";

        if (good) {
            (void)snprintf(expected, sizeof(expected), "C%u[]", code);
        }
        put_frame(&wire, 0x88, (struct bytes){payload, 2});
        feed_start(&feed, &plain, simd_choose(CPU_SIMD_SCALAR));
        feed_bytes(&feed, wire.data, wire.size);
        ck_assert_str_eq(feed.text, expected);
        feed_end(&feed);
    }
}
END_TEST

/* LIMITS.md row 25: lengths that overflowed elsewhere, alone and on top of a fragment. */
START_TEST(declared_lengths_cost_nothing)
{
    static const struct {
        uint64_t length;
        int fault; /* 0: accepted, and then nothing but what arrived is stored */
    } cases[] = {
        {65536, 0},         {65537, 1009},      {INT32_MAX, 1009}, {1ULL << 31, 1009},
        {UINT32_MAX, 1009}, {1ULL << 32, 1009}, {INT64_MAX, 1009}, {1ULL << 63, 1002},
        {UINT64_MAX, 1002}, {65535, 1002},      {125, 1002},       {0, 1002},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t have = 0; have < 2; have++) {
            uint8_t wire[7 + 14 + 3] = {0x02, 0x81, 0, 0, 0, 0, 'a', have > 0 ? 0x80 : 0x82, 0xff};
            for (size_t b = 0; b < 8; b++) {
                wire[9 + b] = (uint8_t)(cases[i].length >> (56 - 8 * b));
            }
            const size_t from = have > 0 ? 0 : 7;
            for (size_t cut = from; cut <= sizeof(wire); cut++) {
                struct feed feed;
                feed_start(&feed, &plain, simd_choose(CPU_SIMD_SCALAR));
                feed_bytes(&feed, wire + from, cut - from);
                feed_bytes(&feed, wire + cut, sizeof(wire) - cut);
                const int fault = cases[i].fault == 0 && have > 0 ? 1009 : cases[i].fault;
                char expected[16] = "";
                if (fault != 0) {
                    (void)snprintf(expected, sizeof(expected), "!%d", fault);
                }
                ck_assert_str_eq(feed.text, expected);
                ck_assert_uint_eq(stream_assembly(&feed.stream).size, have + (fault == 0 ? 3 : 0));
                ck_assert(stream_is_mid_message(&feed.stream) == (fault == 0));
                feed_end(&feed);
            }
        }
    }
}
END_TEST

/* The text, and how many of its bytes may arrive before it is impossible: one more is the fault. */
static const struct {
    const char *text;
    size_t good;
} bad_texts[] = {
    {"\x80", 0},
    {"abc\xff", 3},
    {"\xc0\xaf", 0},
    {"\xc1\xbf", 0},
    {"\xc3(", 1},
    {"\xe0\x9f\xbf", 1},
    {"\xed\xa0\x80", 1},
    {"\xe2\x82(", 2},
    {"\xf0\x8f\xbf\xbf", 1},
    {"\xf4\x90\x80\x80", 1},
    {"\xf5\x80\x80\x80", 0},
    {"\xf0\x9f\x98(", 3},
    {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80"
     "edited",
     12},
    {"0123456789012345678901234567890123456789012345678901234567890123456789\xed\xa0\x80 and on",
     71},
};

/* In a frame that is much longer, byte by byte; and in fragments of one byte each. */
START_TEST(fails_at_the_first_impossible_byte)
{
    const struct bytes text = {(const uint8_t *)bad_texts[_i].text, strlen(bad_texts[_i].text)};
    static const uint8_t header[8] = {0x81, 0xfe, 0x10, 0, 0, 0, 0, 0};
    static const struct stream_limits limits = {.message_size_max = 5000,
                                                .fragment_count_max = 200};

    for (int level = CPU_SIMD_SCALAR; level <= CPU_SIMD_AVX512; level++) {
        struct feed whole;
        struct feed split;
        feed_start(&whole, &limits, simd_choose((enum cpu_simd)level));
        feed_start(&split, &limits, simd_choose((enum cpu_simd)level));
        feed_bytes(&whole, header, sizeof(header));
        for (size_t i = 0; i < text.size; i++) {
            const uint8_t frame[7] = {i == 0 ? 0x01 : 0x00, 0x81, 0, 0, 0, 0, text.data[i]};
            feed_bytes(&whole, text.data + i, 1);
            feed_bytes(&split, frame, sizeof(frame));
            const char *const expected = i < bad_texts[_i].good ? "" : "!1007";
            ck_assert_str_eq(whole.text, expected);
            ck_assert_str_eq(split.text, expected);
        }
        ck_assert(!stream_is_mid_message(&whole.stream));
        feed_end(&whole);
        feed_end(&split);
    }
}
END_TEST

START_TEST(counts_fragments)
{
    static const struct stream_limits limits = {.message_size_max = 1000, .fragment_count_max = 4};
    static const char *const payloads[] = {"", "x"};

    for (size_t p = 0; p < 2; p++) {
        for (size_t count = 1; count <= 6; count++) {
            struct feed feed;
            feed_start(&feed, &limits, simd_choose(CPU_SIMD_SCALAR));
            for (size_t twice = 0; twice < 2; twice++) { /* each message begins at none */
                struct wire wire = {.size = 0};
                for (size_t i = 0; i < count; i++) {
                    const int opcode = i == 0 ? 1 : 0;
                    put_text(&wire, (uint8_t)(opcode | (i + 1 == count ? 0x80 : 0)), payloads[p]);
                    put_text(&wire, 0x8a, ""); /* control frames are not fragments */
                }
                feed_bytes(&feed, wire.data, wire.size);
            }
            ck_assert_msg((strstr(feed.text, "!1008") != NULL) == (count > 4), "%zu: %s", count,
                          feed.text);
            ck_assert((strchr(feed.text, 'T') != NULL) == (count <= 4));
            feed_end(&feed);
        }
    }
}
END_TEST

START_TEST(one_fragment_means_no_fragments)
{
    static const struct stream_limits limits = {.message_size_max = 10, .fragment_count_max = 1};
    struct wire wire = {.size = 0};
    struct feed feed;

    put_text(&wire, 0x81, "a");
    put_text(&wire, 0x01, "b");
    put_text(&wire, 0x80, "c");
    feed_start(&feed, &limits, simd_choose(CPU_SIMD_SCALAR));
    feed_bytes(&feed, wire.data, wire.size);
    ck_assert_str_eq(feed.text, "T[a] !1008");
    feed_end(&feed);
}
END_TEST

/* The sum is compared before the fragment is buffered: the header alone is refused. */
START_TEST(limits_the_sum_of_fragments)
{
    static const struct stream_limits limits = {.message_size_max = 10, .fragment_count_max = 64};
    static const struct {
        const char *first;
        size_t second_size;
        const char *events;
    } cases[] = {
        {"0123456789", 0, "B[0123456789]"}, {"0123456789", 1, "!1009"},
        {"01234", 5, "B[01234aaaaa]"},      {"01234", 6, "!1009"},
        {"", 10, "B[aaaaaaaaaa]"},          {"", 11, "!1009"},
        {"0123456789a", 0, "!1009"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const uint8_t header[6] = {0x80, (uint8_t)(0x80 | cases[i].second_size), 0, 0, 0, 0};
        struct wire wire = {.size = 0};
        struct feed feed;
        put_text(&wire, 0x02, cases[i].first);
        feed_start(&feed, &limits, simd_choose(CPU_SIMD_SCALAR));
        feed_bytes(&feed, wire.data, wire.size);
        feed_bytes(&feed, header, sizeof(header));
        if (cases[i].events[0] == '!') {
            ck_assert_str_eq(feed.text, "!1009");
        }
        feed_bytes(&feed, (const uint8_t *)"aaaaaaaaaaaa", cases[i].second_size);
        ck_assert_str_eq(feed.text, cases[i].events);
        feed_end(&feed);
    }
}
END_TEST

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* 16 MiB, as /echo allows: one frame, and in fragments; the assembly grows linearly. */
START_TEST(assembles_big_messages)
{
    static const struct stream_limits limits = {.message_size_max = 16 << 20,
                                                .fragment_count_max = UINT32_MAX};
    static const struct {
        size_t message_size;
        size_t fragment_size;
        size_t piece_max;
    } cases[] = {
        {16 << 20, 16 << 20, 65536}, {16 << 20, 65536, 16384}, {16 << 20, 1000, 4096},
        {1 << 18, 1, 65536},         {1 << 17, 1, 3},
    };
    const size_t size = cases[_i].message_size;
    uint8_t *const message = malloc(size);
    uint8_t *const wire = malloc(size + (size / cases[_i].fragment_size + 1) * 14);
    ck_assert(message != NULL && wire != NULL);
    uint32_t random = 2463534242;
    size_t wire_size = 0;

    for (size_t i = 0; i < size; i++) {
        message[i] = (uint8_t)next_random(&random);
    }
    for (size_t at = 0; at < size; at += cases[_i].fragment_size) {
        const size_t left = size - at;
        const size_t part = left < cases[_i].fragment_size ? left : cases[_i].fragment_size;
        /* A client's header is a server's with the mask bit and a key, here of zeros, behind it. */
        const size_t header = frame_write_header(FRAME_BINARY, part, wire + wire_size);
        wire[wire_size] = (uint8_t)((at == 0 ? 2 : 0) | (part == left ? 0x80 : 0));
        wire[wire_size + 1] |= 0x80;
        memset(wire + wire_size + header, 0, 4);
        memcpy(wire + wire_size + header + 4, message + at, part);
        wire_size += header + 4 + part;
    }
    struct feed feed;
    feed_start(&feed, &limits, simd_choose(CPU_SIMD_AVX512));
    feed.doubles = true;
    for (size_t at = 0; at < wire_size;) {
        const size_t left = wire_size - at;
        const size_t want = next_random(&random) % cases[_i].piece_max + 1;
        feed_bytes(&feed, wire + at, want < left ? want : left);
        at += want < left ? want : left;
    }
    char expected[64];
    (void)snprintf(expected, sizeof(expected), "B#%zu#%016llx", size,
                   (unsigned long long)feed_hash(7, (struct bytes){message, size}));
    ck_assert_str_eq(feed.text, expected);
    ck_assert_uint_le(feed.copied, 2 * size);
    feed_end(&feed);
    free(message);
    free(wire);
}
END_TEST

/* Without room nothing is consumed or unmasked: the caller may come back as often as it likes. */
START_TEST(waits_for_room)
{
    const struct simd_ops *const simd = simd_choose(CPU_SIMD_SCALAR);
    uint8_t wire[] = {0x01, 0x83, 1, 2, 3, 4, 'a' ^ 1, 'b' ^ 2, 'c' ^ 3, 0x80, 0x80, 0, 0, 0, 0};
    struct span in = {wire, sizeof(wire)};
    struct stream stream;
    struct stream_event event = {0};

    stream_init(&stream, &plain);
    ck_assert(!stream_is_mid_message(&stream));
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(stream_next(&stream, simd, &in, &event), STREAM_NEED_ROOM);
        ck_assert_uint_eq(event.room_needed, 3);
        ck_assert_uint_eq(event.room_declared, 3);
        ck_assert_uint_eq(in.size, 9);
        ck_assert_uint_eq(in.data[0], 'a' ^ 1);
        ck_assert(stream_is_mid_message(&stream));
    }
    uint8_t *const room = malloc(3);
    ck_assert_ptr_nonnull(room);
    stream_give_room(&stream, room, 3);
    ck_assert_int_eq(stream_next(&stream, simd, &in, &event), STREAM_MESSAGE);
    ck_assert(event.is_assembled);
    ck_assert_ptr_eq(event.payload.data, room);
    ck_assert_mem_eq(event.payload.data, "abc", 3);
    ck_assert_uint_eq(in.size, 0);
    ck_assert(!stream_is_mid_message(&stream));

    const struct span taken = stream_take_assembly(&stream);
    ck_assert_ptr_eq(taken.data, room);
    ck_assert_uint_eq(taken.size, 3);
    ck_assert_ptr_null(stream_assembly(&stream).data);
    ck_assert_int_eq(stream_next(&stream, simd, &in, &event), STREAM_NEED_MORE);
    ck_assert(!stream.is_over);
    free(taken.data);
}
END_TEST

/* Of what is declared a caller may make use, with what came in frames before counted in. */
START_TEST(says_what_is_declared)
{
    static const struct {
        const char *why;
        uint8_t wire[8];
        size_t size;
        size_t needed;
        size_t declared;
    } steps[] = {
        {"a frame of 3 of which 1 is here", {0x02, 0x83, 0, 0, 0, 0, 'a'}, 7, 1, 3},
        {"the rest", {'b', 'c'}, 2, 3, 3},
        {"a frame of 100 behind it", {0x80, 0xe4, 0, 0, 0, 0, 'd'}, 7, 4, 103},
    };
    const struct simd_ops *const simd = simd_choose(CPU_SIMD_SCALAR);
    uint8_t room[sizeof(steps) / sizeof(steps[0]) + 1];
    struct stream stream;
    struct stream_event event = {0};

    stream_init(&stream, &plain);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        uint8_t wire[sizeof(steps[i].wire)];
        memcpy(wire, steps[i].wire, sizeof(wire));
        struct span in = {wire, steps[i].size};
        ck_assert_msg(stream_next(&stream, simd, &in, &event) == STREAM_NEED_ROOM, "%s",
                      steps[i].why);
        ck_assert_uint_eq(event.room_needed, steps[i].needed);
        ck_assert_uint_eq(event.room_declared, steps[i].declared);
        stream_give_room(&stream, room, event.room_needed);
        ck_assert_int_eq(stream_next(&stream, simd, &in, &event), STREAM_NEED_MORE);
    }
    ck_assert_mem_eq(room, "abcd", 4);
}
END_TEST

/* One piece, one frame: a view into the input, and no room asked for. */
START_TEST(gives_whole_frames_in_place)
{
    uint8_t wire[] = {0x81, 0x82, 0, 0, 0, 0, 'h', 'i', 0x82, 0x81, 0, 0, 0, 0, 'x', 0x81};
    struct span in = {wire, sizeof(wire)};
    struct stream stream;
    struct stream_event event = {0};

    stream_init(&stream, &plain);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(stream_next(&stream, simd_choose(CPU_SIMD_AVX2), &in, &event),
                         STREAM_MESSAGE);
        ck_assert(!event.is_assembled);
        ck_assert_ptr_eq(event.payload.data, wire + (i == 0 ? 6 : 14));
        ck_assert_uint_eq(event.payload.size, i == 0 ? 2 : 1);
    }
    ck_assert_int_eq(stream_next(&stream, simd_choose(CPU_SIMD_AVX2), &in, &event),
                     STREAM_NEED_MORE);
    ck_assert_uint_eq(in.size, 1);
    ck_assert_ptr_null(stream_take_assembly(&stream).data);
}
END_TEST

/* Taken in the middle of a message, the assembly takes the stream with it. */
static const struct stream_limits of_server = {
    .message_size_max = 65536, .fragment_count_max = 64, .from_server = true};

/* What a server sends, in pieces of every size: the same events as in one. */
START_TEST(reads_a_server)
{
    static const uint8_t wire[] = "\x81\x05hello\x89\x01x\x01\x02\xc3\xa4\x8a\x00"
                                  "\x80\x02\xc3\xb6\x82\x03xyz\x88\x02\x03\xe8";
    static const char expected[] = "T[hello] P[x] p[] T[\xc3\xa4\xc3\xb6] B[xyz] C1000";

    for (size_t piece = 1; piece < sizeof(wire); piece++) {
        struct feed feed;
        feed_start(&feed, &of_server, simd_choose(CPU_SIMD_SCALAR));
        for (size_t at = 0; at < sizeof(wire) - 1; at += piece) {
            const size_t left = sizeof(wire) - 1 - at;
            feed_bytes(&feed, wire + at, left < piece ? left : piece);
        }
        ck_assert_msg(strncmp(feed.text, expected, sizeof(expected) - 1) == 0, "%zu: %s", piece,
                      feed.text);
        feed_end(&feed);
    }
}
END_TEST

START_TEST(refuses_a_server_that_masks)
{
    static const uint8_t wire[] = {0x81, 0x81, 1, 2, 3, 4, 'a' ^ 1};
    struct feed feed;
    feed_start(&feed, &of_server, simd_choose(CPU_SIMD_SCALAR));
    feed_bytes(&feed, wire, sizeof(wire));
    ck_assert_ptr_nonnull(strstr(feed.text, "!1002"));
    feed_end(&feed);
}
END_TEST

START_TEST(ends_without_its_assembly)
{
    const uint8_t begin[] = {0x01, 0x83, 0, 0, 0, 0, 'a'};
    struct feed feed;

    feed_start(&feed, &plain, simd_choose(CPU_SIMD_SCALAR));
    feed_bytes(&feed, begin, sizeof(begin));
    ck_assert(stream_is_mid_message(&feed.stream));
    const struct span taken = stream_take_assembly(&feed.stream);
    ck_assert_uint_eq(taken.size, 1);
    free(taken.data);
    ck_assert(!stream_is_mid_message(&feed.stream));
    feed_bytes(&feed, (const uint8_t *)"bc", 2);
    ck_assert_str_eq(feed.text, "");
    feed_end(&feed);
}
END_TEST

static Suite *make_suite(void)
{
    TCase *stream = tcase_create("stream");
    tcase_add_loop_test(stream, converses_compressed, 0,
                        (int)(sizeof(compressed) / sizeof(compressed[0])));
    tcase_add_loop_test(stream, converses_however_cut, 0,
                        (int)(sizeof(conversations) / sizeof(conversations[0])));
    tcase_add_loop_test(stream, judges_every_close_code, 0, 16);
    tcase_add_test(stream, declared_lengths_cost_nothing);
    tcase_add_loop_test(stream, fails_at_the_first_impossible_byte, 0,
                        (int)(sizeof(bad_texts) / sizeof(bad_texts[0])));
    tcase_add_test(stream, counts_fragments);
    tcase_add_test(stream, one_fragment_means_no_fragments);
    tcase_add_test(stream, limits_the_sum_of_fragments);
    tcase_add_loop_test(stream, assembles_big_messages, 0, 5);
    tcase_add_test(stream, waits_for_room);
    tcase_add_test(stream, says_what_is_declared);
    tcase_add_test(stream, gives_whole_frames_in_place);
    tcase_add_test(stream, ends_without_its_assembly);
    tcase_add_test(stream, reads_a_server);
    tcase_add_test(stream, refuses_a_server_that_masks);
    TCase *matrix = tcase_create("matrix");
    tcase_add_loop_test(matrix, judges_all_first_two_bytes, 0,
                        (int)(sizeof(states) / sizeof(states[0])));

    Suite *suite = suite_create("proto/stream");
    suite_add_tcase(suite, stream);
    suite_add_tcase(suite, matrix);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(make_suite());
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
