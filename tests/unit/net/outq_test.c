/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outq against a model: pushes, partial writes, replacements and drops from a seed. What comes out
 * must be whole packets in the order of their lanes, urgent ones before normal ones not yet begun.
 */
#include "net/outq.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/conn.h"
#include "net/packet.h"

struct world {
    struct packet_pool *packets;
    struct outq_pool *nodes;
    struct outq outq;
    uint8_t out[1 << 16]; /* what was written */
    size_t size;
};

static void begin(struct world *world)
{
    *world = (struct world){.packets = packet_pool_create(NULL), .nodes = outq_pool_create()};
    ck_assert_ptr_nonnull(world->packets);
    ck_assert_ptr_nonnull(world->nodes);
}

/* The CHECKs of both pools say whether anything was lost. */
static void end(struct world *world)
{
    ck_assert_uint_eq(packet_pool_count(world->packets), 0);
    ck_assert(outq_is_empty(&world->outq));
    ck_assert_uint_eq(world->outq.bytes, 0);
    outq_pool_destroy(world->nodes);
    packet_pool_destroy(world->packets);
}

static struct packet *packet_of(struct world *world, const char *text)
{
    struct packet *packet = packet_create(world->packets, strlen(text));
    ck_assert_ptr_nonnull(packet);
    memcpy(packet_span(packet).data, text, strlen(text));
    return packet;
}

static void push(struct world *world, const char *text, bool urgent)
{
    struct packet *packet = packet_of(world, text);
    const uint32_t before = world->outq.bytes;
    ck_assert_int_eq(outq_push(world->nodes, &world->outq, packet, urgent), 0);
    ck_assert_uint_eq(world->outq.bytes, before + strlen(text) + CONN_PACKET_COST);
    packet_unref(packet);
}

/* The same, of a flow. */
static void push_flow(struct world *world, const char *text, uint32_t flow, size_t count)
{
    struct packet *packet = packet_of(world, text);
    packet_set_flow(packet, flow, count);
    ck_assert_int_eq(outq_push(world->nodes, &world->outq, packet, false), 0);
    packet_unref(packet);
}

static size_t drop(struct world *world, uint32_t flow)
{
    return outq_drop_normal(world->nodes, &world->outq, flow);
}

/* Gathers at most `pieces`, and copies out what a kernel that takes `size` bytes would take. */
static size_t copy_out(struct world *world, size_t pieces, size_t size)
{
    struct iovec vector[64];
    const size_t count = outq_gather(&world->outq, vector, pieces);
    size_t done = 0;
    ck_assert_uint_le(count, pieces);
    for (size_t i = 0; i < count && done < size; i++) {
        const size_t part = vector[i].iov_len < size - done ? vector[i].iov_len : size - done;
        memcpy(world->out + world->size, vector[i].iov_base, part);
        world->size += part;
        done += part;
    }
    return done;
}

static void write_out(struct world *world, size_t pieces, size_t size)
{
    outq_advance(world->nodes, &world->outq, copy_out(world, pieces, size));
}

static void expect(const struct world *world, const char *text)
{
    ck_assert_uint_eq(world->size, strlen(text));
    ck_assert_mem_eq(world->out, text, strlen(text));
}

START_TEST(urgent_goes_before_what_is_not_begun)
{
    struct world world;
    begin(&world);
    push(&world, "aaaa", false);
    push(&world, "bb", false);
    push(&world, "U1", true);
    write_out(&world, 64, 3); /* U1, then one byte of a */
    expect(&world, "U1a");
    push(&world, "U2", true);
    push(&world, "cc", false);
    push(&world, "U3", true);
    write_out(&world, 64, 4); /* the packet under way is finished first */
    expect(&world, "U1aaaaU");
    push(&world, "U4", true); /* behind the one under way */
    write_out(&world, 2, 64);
    write_out(&world, 64, 64);
    expect(&world, "U1aaaaU2U3U4bbcc");
    end(&world);
}
END_TEST

static bool append(struct world *world, const char *head, const char *body)
{
    return outq_append(&world->outq, (struct bytes){(const uint8_t *)head, strlen(head)},
                       (struct bytes){(const uint8_t *)body, strlen(body)});
}

START_TEST(appends_to_the_last_packet)
{
    struct world world;
    struct iovec vector[4];
    begin(&world);
    ck_assert(!append(&world, "x", "")); /* there is none */
    push(&world, "U1", true);
    ck_assert(!append(&world, "x", "")); /* the urgent lane is another one */
    push(&world, "aa", false);
    ck_assert(append(&world, "b", "cc"));
    ck_assert_uint_eq(world.outq.bytes, 7 + 2 * CONN_PACKET_COST);
    ck_assert_uint_eq(outq_gather(&world.outq, vector, 4), 2);
    outq_advance(world.nodes, &world.outq, 0);
    write_out(&world, 64, 4); /* U1, aa */
    ck_assert(append(&world, "", "d"));
    write_out(&world, 64, 64);
    expect(&world, "U1aabccd");
    end(&world);
}
END_TEST

START_TEST(appends_to_nothing_that_others_see)
{
    static const char long_text[] = "0123456789012345678901234567890123456789";
    struct world world;
    begin(&world);
    struct packet *packet = packet_of(&world, "aa");
    ck_assert_int_eq(outq_push(world.nodes, &world.outq, packet, false), 0);
    ck_assert(!append(&world, "b", "")); /* we hold it too */
    packet_unref(packet);
    ck_assert(!append(&world, long_text, "")); /* no room: a packet of 64 bytes */
    ck_assert_uint_eq(world.outq.bytes, 2 + CONN_PACKET_COST);
    ck_assert(append(&world, "b", ""));
    write_out(&world, 64, 64);
    expect(&world, "aab");
    end(&world);
}
END_TEST

START_TEST(pushes_while_a_send_is_pending)
{
    struct world world;
    begin(&world);
    push(&world, "aa", false);
    push(&world, "bb", false);
    size_t done = copy_out(&world, 64, 64); /* covers aa and bb */
    push(&world, "U1", true);
    push(&world, "cc", false);
    outq_advance(world.nodes, &world.outq, done);
    expect(&world, "aabb");
    done = copy_out(&world, 64, 1);
    push(&world, "U2", true);
    outq_advance(world.nodes, &world.outq, done);
    outq_advance(world.nodes, &world.outq, 0);
    write_out(&world, 64, 64);
    expect(&world, "aabbU1U2cc");
    end(&world);
}
END_TEST

START_TEST(replaces_only_what_is_not_covered)
{
    struct world world;
    begin(&world);
    struct packet *first = packet_of(&world, "p1");
    struct packet *second = packet_of(&world, "p22");
    struct packet *third = packet_of(&world, "p333");
    packet_set_replaceable(first);
    packet_set_replaceable(second);
    packet_set_replaceable(third);

    ck_assert(!outq_replace(&world.outq, first));
    ck_assert_int_eq(outq_push(world.nodes, &world.outq, first, true), 0);
    const size_t done = copy_out(&world, 64, 64);
    ck_assert(!outq_replace(&world.outq, second)); /* the kernel may be reading the first */
    push(&world, "r", true);
    ck_assert_int_eq(outq_push(world.nodes, &world.outq, second, true), 0);
    ck_assert(outq_replace(&world.outq, third));
    ck_assert_uint_eq(world.outq.bytes, 2 + 1 + 4 + 3 * CONN_PACKET_COST);
    outq_advance(world.nodes, &world.outq, done);
    write_out(&world, 64, 64);
    expect(&world, "p1rp333");
    packet_unref(first);
    packet_unref(second);
    packet_unref(third);
    end(&world);
}
END_TEST

START_TEST(drops_the_normal_lane)
{
    struct world world;
    begin(&world);
    push(&world, "aaaa", false);
    write_out(&world, 64, 2); /* begun: it has to be finished */
    push(&world, "bb", false);
    push(&world, "cc", false);
    push(&world, "U1", true);
    ck_assert_uint_eq(drop(&world, 0), 0);
    push(&world, "dd", false);
    push(&world, "ee", false);
    const size_t done = copy_out(&world, 3, 64); /* covers aaaa, U1, dd */
    push(&world, "ff", false);
    ck_assert_uint_eq(drop(&world, 0), 0);
    ck_assert_uint_eq(drop(&world, 0), 0);
    outq_advance(world.nodes, &world.outq, done);
    ck_assert(outq_is_empty(&world.outq));
    expect(&world, "aaaaU1dd");
    ck_assert_uint_eq(drop(&world, 0), 0);
    push(&world, "gg", false);
    ck_assert_uint_eq(drop(&world, 0), 0);
    push(&world, "hh", true);
    push(&world, "ii", false);
    outq_clear(world.nodes, &world.outq);
    end(&world);
}
END_TEST

START_TEST(drops_a_flow)
{
    struct world world;
    begin(&world);
    ck_assert_uint_eq(drop(&world, 7), 0);
    push_flow(&world, "a1", 7, 1);
    push_flow(&world, "a2", 7, 3);
    ck_assert_uint_eq(drop(&world, 8), 0);
    ck_assert_uint_eq(drop(&world, 7), 4); /* the whole lane */
    ck_assert(outq_is_empty(&world.outq));
    push_flow(&world, "a3", 7, 1);
    push_flow(&world, "b1", 8, 1);
    push(&world, "cc", false);
    push_flow(&world, "a4", 7, 2);
    push_flow(&world, "b2", 8, 1);
    push_flow(&world, "a5", 7, 1);
    ck_assert_uint_eq(drop(&world, 7), 4); /* the first, one between, the last */
    push_flow(&world, "a6", 7, 1);         /* the end of the lane is where it should be */
    push(&world, "U1", true);
    ck_assert_uint_eq(drop(&world, 8), 2);
    write_out(&world, 64, 64);
    expect(&world, "U1cca6");
    end(&world);
}
END_TEST

START_TEST(drops_of_a_flow_what_is_neither_begun_nor_covered)
{
    struct world world;
    begin(&world);
    push_flow(&world, "a1a1", 7, 1);
    write_out(&world, 64, 1);
    push_flow(&world, "a2", 7, 1);
    ck_assert_uint_eq(drop(&world, 7), 1);
    push_flow(&world, "a3", 7, 1);
    push_flow(&world, "b1", 8, 1);
    const size_t done = copy_out(&world, 2, 5); /* covers a1a1 and a3 */
    push_flow(&world, "a4", 7, 1);
    push_flow(&world, "b2", 8, 1);
    ck_assert_uint_eq(drop(&world, 7), 1);
    ck_assert_uint_eq(drop(&world, 7), 0);
    outq_advance(world.nodes, &world.outq, done);
    write_out(&world, 64, 64);
    expect(&world, "a1a1a3b1b2");
    end(&world);
}
END_TEST

START_TEST(counts_at_most_what_fits)
{
    struct world world;
    begin(&world);
    push_flow(&world, "a1", UINT32_MAX, UINT32_MAX);
    push_flow(&world, "a2", UINT32_MAX, 1);
    ck_assert(!append(&world, "b", "")); /* it would be dropped with the flow */
    ck_assert_uint_eq(drop(&world, UINT32_MAX), UINT16_MAX + 1);
    end(&world);
}
END_TEST

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed % below;
}

/* Packets are "<lane><number, 3 digits><dots>;": whole, and in order within their lane. */
static void check_written(const struct world *world, const unsigned counts[2])
{
    unsigned next[2] = {0, 0};
    size_t at = 0;
    while (at < world->size) {
        const int lane = world->out[at] == 'u';
        char text[4] = "";
        memcpy(text, world->out + at + 1, 3);
        ck_assert_int_eq(atoi(text), (int)next[lane]);
        next[lane]++;
        at += 4;
        while (world->out[at] == '.') {
            at++;
        }
        ck_assert_uint_eq(world->out[at], ';');
        at++;
    }
    ck_assert_uint_eq(next[0], counts[0]);
    ck_assert_uint_eq(next[1], counts[1]);
}

START_TEST(keeps_order_however_it_is_cut)
{
    uint32_t seed = 2463534242U + (uint32_t)_i * 7919;
    unsigned counts[2] = {0, 0};
    struct world world;
    begin(&world);
    for (int step = 0; step < 1200; step++) {
        if (draw(&seed, 2) == 0) {
            char text[48];
            const unsigned lane = draw(&seed, 3) == 0;
            const int dots = (int)draw(&seed, 30);
            snprintf(text, sizeof(text), "%c%03u%.*s;", lane != 0 ? 'u' : 'n', counts[lane]++, dots,
                     "..............................");
            push(&world, text, lane != 0);
        } else if (!outq_is_empty(&world.outq)) {
            const size_t done = copy_out(&world, 1 + draw(&seed, 6), draw(&seed, 80));
            outq_advance(world.nodes, &world.outq, done);
        }
    }
    while (!outq_is_empty(&world.outq)) {
        write_out(&world, 64, 1 + draw(&seed, 200));
    }
    check_written(&world, counts);
    end(&world);
}
END_TEST

/*
 * Sends that take time, and drops of one of three flows meanwhile: every packet comes out whole, in
 * the order of its flow, once; what is missing is what drops have counted.
 */
START_TEST(drops_flows_however_it_is_cut)
{
    uint32_t seed = 88675123U + (uint32_t)_i * 104729;
    unsigned counts[3] = {0};
    size_t dropped = 0;
    size_t pending = 0; /* what the kernel will have taken */
    bool is_sending = false;
    struct world world;
    begin(&world);
    for (int step = 0; step < 1200; step++) {
        const uint32_t what = draw(&seed, 8);
        if (what < 4) {
            char text[48];
            const uint32_t flow = draw(&seed, 3);
            snprintf(text, sizeof(text), "%c%03u%.*s;", (char)('a' + flow), counts[flow]++,
                     (int)draw(&seed, 30), "..............................");
            push_flow(&world, text, flow + 1, 1);
        } else if (what == 4) {
            dropped += drop(&world, 1 + draw(&seed, 3));
        } else if (is_sending) {
            outq_advance(world.nodes, &world.outq, pending);
            is_sending = false;
        } else if (!outq_is_empty(&world.outq)) {
            pending = copy_out(&world, 1 + draw(&seed, 6), draw(&seed, 120));
            is_sending = true;
        }
    }
    if (is_sending) {
        outq_advance(world.nodes, &world.outq, pending);
    }
    while (!outq_is_empty(&world.outq)) {
        write_out(&world, 64, 1 + draw(&seed, 200));
    }
    int last[3] = {-1, -1, -1};
    size_t written = 0;
    for (size_t at = 0; at < world.size; at++, written++) {
        const int flow = world.out[at] - 'a';
        char text[4] = "";
        ck_assert(flow >= 0 && flow < 3);
        memcpy(text, world.out + at + 1, 3);
        ck_assert_int_gt(atoi(text), last[flow]);
        last[flow] = atoi(text);
        at += 4;
        at += strspn((const char *)world.out + at, ".");
        ck_assert_uint_eq(world.out[at], ';');
    }
    ck_assert_uint_eq(written + dropped, counts[0] + counts[1] + counts[2]);
    ck_assert_uint_gt(dropped, 0);
    end(&world);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("outq");
    tcase_add_test(cases, urgent_goes_before_what_is_not_begun);
    tcase_add_test(cases, appends_to_the_last_packet);
    tcase_add_test(cases, appends_to_nothing_that_others_see);
    tcase_add_test(cases, pushes_while_a_send_is_pending);
    tcase_add_test(cases, replaces_only_what_is_not_covered);
    tcase_add_test(cases, drops_the_normal_lane);
    tcase_add_test(cases, drops_a_flow);
    tcase_add_test(cases, drops_of_a_flow_what_is_neither_begun_nor_covered);
    tcase_add_test(cases, counts_at_most_what_fits);
    tcase_add_loop_test(cases, keeps_order_however_it_is_cut, 0, 50);
    tcase_add_loop_test(cases, drops_flows_however_it_is_cut, 0, 50);
    Suite *suite = suite_create("net/outq");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
