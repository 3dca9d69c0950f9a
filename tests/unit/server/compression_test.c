/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of one and of several messages, read back frame by frame; and when there is none: what is
 * short, what does not shrink, what is above the budget of an iteration, in both directions.
 */
#include "server/compression.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics.h"
#include "net/packet.h"
#include "proto/permessage.h"
#include "server/config.h"

enum { SIZE_MIN = 100 };

static const char sentence[] = "to be or not to be that is the question ";

static struct metrics metrics;
static struct compression *compression;
static struct permessage_inflater *inflater;
static struct packet_pool *pool;

static void setup(void)
{
    const struct config_websocket config = {
        .compression_min_size = SIZE_MIN, .compression_level = 1, .compression_window_bits = 15};
    memset(&metrics, 0, sizeof(metrics));
    ck_assert_int_eq(compression_create(&config, &metrics, &compression), 0);
    inflater = permessage_inflater_create();
    pool = packet_pool_create(NULL);
}

static void teardown(void)
{
    compression_destroy(compression);
    permessage_inflater_destroy(inflater);
    packet_pool_destroy(pool); /* which sees whether a packet is left */
}

static void fill(uint8_t *text, size_t size, bool is_noise)
{
    uint32_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1103515245 + 12345;
        text[i] = is_noise ? (uint8_t)(state >> 24) : (uint8_t)sentence[i % (sizeof(sentence) - 1)];
    }
}

/* `count` messages of `size` bytes, each in two pieces; NULL: they go as they are. */
static struct packet *compress(const uint8_t *text, size_t size, size_t count)
{
    if (!compression_begin(compression, count * size)) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        compression_open(compression);
        compression_add(compression, (struct bytes){text, size / 3});
        compression_add(compression, (struct bytes){text + size / 3, size - size / 3});
        compression_close(compression, i % 2 == 0 ? FRAME_TEXT : FRAME_BINARY);
    }
    return compression_finish(compression, pool);
}

/* Strictly those messages, in frames with the first reserved bit. */
static void check_frames(const struct packet *packet, const uint8_t *text, size_t size,
                         size_t count)
{
    struct bytes rest = packet_bytes(packet);

    for (size_t i = 0; i < count; i++) {
        const struct frame_limits limits = {
            .payload_size_max = rest.size, .rsv1_allowed = true, .from_server = true};
        struct frame_header header;
        struct span message;
        ck_assert_int_eq(frame_read_header(rest, limits, &header), FRAME_OK);
        ck_assert(header.fin && header.rsv1);
        ck_assert_int_eq(header.opcode, i % 2 == 0 ? FRAME_TEXT : FRAME_BINARY);
        ck_assert_uint_le(header.header_size + header.payload_size, rest.size);
        const struct bytes payload = {rest.data + header.header_size, (size_t)header.payload_size};
        ck_assert_int_eq(permessage_inflate(inflater, payload, size, &message), PERMESSAGE_OK);
        ck_assert_uint_eq(message.size, size);
        ck_assert_int_eq(memcmp(message.data, text, size), 0);
        rest.data += header.header_size + payload.size;
        rest.size -= header.header_size + payload.size;
    }
    ck_assert_uint_eq(rest.size, 0);
}

START_TEST(makes_packets)
{
    static const struct {
        size_t size;
        size_t count;
    } cases[] = {{100, 1}, {80, 2}, {1000, 1}, {1000, 16}, {60000, 1}, {60000, 4}, {261000, 1}};
    uint8_t *text = malloc(1 << 19);

    fill(text, 1 << 19, false);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct packet *packet = compress(text, cases[i].size, cases[i].count);
        ck_assert_msg(packet != NULL, "%zu times %zu", cases[i].count, cases[i].size);
        check_frames(packet, text, cases[i].size, cases[i].count);
        ck_assert_uint_lt(packet_bytes(packet).size, cases[i].size * cases[i].count);
        packet_unref(packet);
        compression_refill(compression);
    }
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_DEFLATE_OVER_BUDGET), 0);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_DEFLATE_NO_GAIN), 0);
    free(text);
}
END_TEST

START_TEST(leaves_what_is_short)
{
    uint8_t text[SIZE_MIN];

    fill(text, sizeof(text), false);
    ck_assert(!compression_begin(compression, SIZE_MIN - 1));
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_DEFLATE_OVER_BUDGET), 0);
    struct packet *packet = compress(text, SIZE_MIN, 1);
    ck_assert_ptr_nonnull(packet);
    packet_unref(packet);
}
END_TEST

/* Noise of every size, in one message and in many: never a packet that is not shorter. */
START_TEST(leaves_what_does_not_shrink)
{
    uint8_t text[4000];

    fill(text, sizeof(text), true);
    for (size_t size = 1; size <= sizeof(text); size += size < 300 ? 1 : 371) {
        for (size_t count = 1; count <= 16; count += 5) {
            ck_assert_ptr_null(compress(text, size, count));
            compression_refill(compression);
        }
    }
    ck_assert_uint_gt(metrics_read(&metrics, METRIC_DEFLATE_NO_GAIN), 1000);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_DEFLATE_PLAIN), 0);
    fill(text, sizeof(text), false);
    struct packet *packet = compress(text, sizeof(text), 1);
    ck_assert_ptr_nonnull(packet);
    check_frames(packet, text, sizeof(text), 1);
    packet_unref(packet);
}
END_TEST

START_TEST(has_a_budget)
{
    static uint8_t text[1 << 19];
    size_t made = 0;

    fill(text, sizeof(text), false);
    ck_assert_ptr_null(compress(text, sizeof(text), 1)); /* alone above it */
    for (struct packet *packet; (packet = compress(text, 1000, 1)) != NULL; made++) {
        packet_unref(packet);
    }
    ck_assert_uint_gt(made, 100);
    ck_assert_uint_le(made, 262);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_DEFLATE_OVER_BUDGET), 2);
    compression_refill(compression);
    struct packet *packet = compress(text, 1000, 1);
    ck_assert_ptr_nonnull(packet);
    packet_unref(packet);
}
END_TEST

START_TEST(has_a_budget_for_inflating)
{
    enum { LIMIT = 1 << 16 };
    struct permessage_deflater *deflater = permessage_deflater_create(9, 15);
    static uint8_t text[LIMIT + 1];
    uint8_t target[1024];
    struct span message;

    permessage_deflate_begin(deflater, (struct span){target, sizeof(target)});
    permessage_deflate_add(deflater, (struct bytes){text, LIMIT});
    const size_t size = permessage_deflate_end(deflater);
    ck_assert_uint_gt(size, 0);
    size_t inflated = 0;
    while (!compression_is_spent(compression)) {
        ck_assert_int_eq(
            compression_inflate(compression, (struct bytes){target, size}, LIMIT, &message),
            PERMESSAGE_OK);
        inflated += message.size;
        compression_rest(compression);
    }
    ck_assert_uint_le(inflated, 1 << 20);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_INFLATE_PLAIN), inflated);
    ck_assert(!compression_admit(compression, LIMIT));
    compression_refill(compression);
    size_t admitted = 0;
    while (compression_admit(compression, LIMIT)) {
        admitted++;
    }
    ck_assert_uint_eq(admitted, 16);
    compression_refill(compression);
    ck_assert(compression_admit(compression, (size_t)1 << 26)); /* one, however long it may be */
    ck_assert(!compression_admit(compression, 1));

    /* What fails costs as much as it might have. */
    compression_refill(compression);
    while (!compression_is_spent(compression)) {
        ck_assert_int_eq(
            compression_inflate(compression, (struct bytes){target, size}, LIMIT - 1, &message),
            PERMESSAGE_TOO_BIG);
        admitted--;
    }
    ck_assert_uint_le(admitted, 1);
    permessage_deflater_destroy(deflater);
}
END_TEST

int main(void)
{
    TCase *server = tcase_create("compression");
    tcase_add_checked_fixture(server, setup, teardown);
    tcase_add_test(server, makes_packets);
    tcase_add_test(server, leaves_what_is_short);
    tcase_add_test(server, leaves_what_does_not_shrink);
    tcase_add_test(server, has_a_budget);
    tcase_add_test(server, has_a_budget_for_inflating);
    Suite *suite = suite_create("server/compression");
    suite_add_tcase(suite, server);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
