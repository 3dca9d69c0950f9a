/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of the child on its socketpairs, in this process: everything is sent and the sockets'
 * end said before it runs, so what it answers does not depend on time. With an engine that fails.
 */
#include "store/child.h"

#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/gather.h"
#include "tests/unit/store/engine_failing.h"

enum { ANSWERS_SIZE = 65536, LANES = 2, PATIENCE_MS = 30000 };

/* The lanes of the child. */
enum lane { BATCHES, READS };

struct talk {
    struct engine engine;
    int sockets[LANES][2]; /* ours, the child's */
    uint8_t answers[LANES][ANSWERS_SIZE];
    size_t size[LANES];
    size_t at[LANES];
    bool asks_late; /* the lane of reads stays open: somebody asks while the child runs */
    bool page_came;
};

static struct talk talk;

static void setup(void)
{
    talk = (struct talk){
        .engine = {.find_result = ENGINE_OK,
                   .meta = {.stream_id = 1, .stream = {.epoch = 7, .top = 9, .first = 1}}}};
    for (int i = 0; i < LANES; i++) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk.sockets[i]), 0);
    }
}

static void teardown(void)
{
    for (int i = 0; i < LANES; i++) {
        (void)close(talk.sockets[i][0]);
        (void)close(talk.sockets[i][1]);
    }
}

static void say(enum lane lane, const void *data, size_t size)
{
    ck_assert_int_eq(send(talk.sockets[lane][0], data, size, MSG_NOSIGNAL), (ssize_t)size);
}

static void say_frame_on(enum lane lane, enum wire_type type, uint64_t id, const uint8_t *body,
                         size_t size)
{
    uint8_t head[WIRE_HEADER_SIZE];
    const struct wire_header header = {.id = id, .body_size = (uint32_t)size, .type = type};
    wire_write_header(&header, head);
    say(lane, head, sizeof(head));
    if (size > 0) {
        say(lane, body, size);
    }
}

static void say_frame(enum wire_type type, uint64_t id, const uint8_t *body, size_t size)
{
    say_frame_on(type == WIRE_READ ? READS : BATCHES, type, id, body, size);
}

static void say_read(uint64_t id, uint32_t count_max)
{
    uint8_t body[64];
    const struct wire_read read = {
        .channel = {(const uint8_t *)"room", 4}, .count_max = count_max, .bytes_max = 1000};
    say_frame(WIRE_READ, id, body, wire_write_read(&read, body));
}

static void say_append(uint64_t id, uint64_t offset)
{
    uint8_t body[256];
    const struct wire_entry entry = {.kind = WIRE_APPEND,
                                     .offset = offset,
                                     .epoch = 7,
                                     .channel = {(const uint8_t *)"room", 4},
                                     .value = {(const uint8_t *)"hi", 2}};
    wire_write_batch(WIRE_DURABLE_POWER, &entry, 1, body);
    say_frame(WIRE_BATCH, id, body, wire_batch_size(&entry, 1));
}

static enum child_end run(void)
{
    const struct child_options options = {
        .ops = &engine_failing,
        .engine = {.path = "/", .block_cache_bytes = (uint64_t)(uintptr_t)&talk.engine},
        .fd = talk.sockets[BATCHES][1],
        .reads_fd = talk.sockets[READS][1],
        .group_bytes_max = 1 << 20,
        .linger_us = 1000,
        .streams_max = GATHER_STREAMS_MIN,
        .sweep_per_s = 1,
    };
    for (int i = 0; i < LANES; i++) {
        if (i != READS || !talk.asks_late) {
            ck_assert_int_eq(shutdown(talk.sockets[i][0], SHUT_WR), 0);
        }
    }
    const enum child_end end = child_run(&options);
    for (int i = 0; i < LANES; i++) {
        ck_assert_int_eq(shutdown(talk.sockets[i][1], SHUT_WR), 0);
        ssize_t got = 1;
        while (got > 0) {
            got = recv(talk.sockets[i][0], talk.answers[i] + talk.size[i],
                       ANSWERS_SIZE - talk.size[i], 0);
            talk.size[i] += got > 0 ? (size_t)got : 0;
        }
    }
    return end;
}

/* The next answer on a lane; its body is at `*body`. */
static struct wire_header hear_on(enum lane lane, struct bytes *body)
{
    struct wire_header header;
    const struct bytes in = {talk.answers[lane] + talk.at[lane], talk.size[lane] - talk.at[lane]};
    ck_assert_int_eq(wire_read_header(in, &header), WIRE_OK);
    *body = (struct bytes){in.data + WIRE_HEADER_SIZE, header.body_size};
    talk.at[lane] += WIRE_HEADER_SIZE + header.body_size;
    return header;
}

static struct wire_header hear(struct bytes *body)
{
    return hear_on(BATCHES, body);
}

static struct wire_page hear_page(uint64_t id)
{
    struct bytes body;
    struct wire_page page;
    const struct wire_header header = hear_on(READS, &body);
    ck_assert_int_eq(header.type, WIRE_PAGE);
    ck_assert_uint_eq(header.id, id);
    ck_assert_int_eq(wire_read_page(body, &page), WIRE_OK);
    return page;
}

static void hear_ready(void)
{
    struct bytes body;
    ck_assert_int_eq(hear(&body).type, WIRE_READY);
}

static void hear_committed(uint64_t id, enum wire_result result)
{
    struct bytes body;
    struct wire_committed committed;
    const struct wire_header header = hear(&body);
    ck_assert_int_eq(header.type, WIRE_COMMITTED);
    ck_assert_uint_eq(header.id, id);
    ck_assert_int_eq(wire_read_committed(body, &committed), WIRE_OK);
    ck_assert_int_eq(committed.result, result);
}

static void hear_nothing(void)
{
    for (int i = 0; i < LANES; i++) {
        ck_assert_uint_eq(talk.at[i], talk.size[i]);
    }
}

START_TEST(one_commit_for_all)
{
    say_append(1, 10);
    say_append(2, 10); /* refused, and answered in its turn */
    say_append(3, 11);
    say_frame(WIRE_STAT, 4, NULL, 0);
    ck_assert_int_eq(run(), CHILD_ENDED);
    struct bytes body;
    struct wire_stats stats;
    hear_ready();
    ck_assert_uint_eq(hear(&body).id, 4);
    ck_assert_int_eq(wire_read_stats(body, &stats), WIRE_OK);
    ck_assert_uint_eq(stats.streams, 0); /* no commit had been by then */
    ck_assert_uint_eq(stats.batches, 2);
    hear_committed(1, WIRE_DONE);
    hear_committed(2, WIRE_CONFLICT);
    hear_committed(3, WIRE_DONE);
    hear_nothing();
    ck_assert_uint_eq(talk.engine.commits, 1);
    ck_assert_uint_eq(talk.engine.entry_count, 2);
    ck_assert(talk.engine.synced && talk.engine.closed);
}
END_TEST

START_TEST(failed_commit_has_no_answer)
{
    talk.engine.commit_result = ENGINE_FAILED;
    say_append(1, 10);
    ck_assert_int_eq(run(), CHILD_NOT_STORED);
    hear_ready();
    hear_nothing();
    ck_assert(talk.engine.closed);
}
END_TEST

START_TEST(engine_that_cannot_look)
{
    talk.engine.find_result = ENGINE_FAILED;
    say_append(1, 10);
    say_read(2, 1);
    ck_assert_int_eq(run(), CHILD_ENDED);
    hear_ready();
    const struct wire_page page = hear_page(2);
    ck_assert(page.result == WIRE_FAILED && page.count == 0);
    hear_committed(1, WIRE_FAILED);
    hear_nothing();
    ck_assert_uint_eq(talk.engine.commits, 0);
}
END_TEST

/* The stream has a top of 9, and the engine finds no record: that is damage, not an empty page. */
START_TEST(missing_records_are_damage)
{
    say_read(2, 20);
    ck_assert_int_eq(run(), CHILD_ENDED);
    hear_ready();
    ck_assert_int_eq(hear_page(2).result, WIRE_DAMAGED);
}
END_TEST

/* On the loop's own thread: reads come while it commits, which it does until a page is there. */
static void ask_and_wait(void)
{
    say_read(2, 20);
    say_read(3, 20);
    struct pollfd poll_fd = {.fd = talk.sockets[READS][0], .events = POLLIN};
    talk.page_came = poll(&poll_fd, 1, PATIENCE_MS) == 1;
}

START_TEST(no_read_waits_for_a_commit)
{
    talk.engine.while_committing = ask_and_wait;
    talk.asks_late = true;
    say_append(1, 10);
    ck_assert_int_eq(run(), CHILD_ENDED);
    ck_assert(talk.page_came);
    hear_ready();
    hear_committed(1, WIRE_DONE);
    (void)hear_page(2);
    (void)hear_page(3);
    hear_nothing();
}
END_TEST

/* What came before is stored and answered, and no further read is. */
START_TEST(nonsense_among_reads)
{
    static const uint8_t long_body[WIRE_READ_SIZE_MAX + 1] = {0};
    say_append(1, 10);
    say_read(2, 20);
    switch (_i) {
    case 0:
        say(READS, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
        break;
    case 1:
        say_frame_on(READS, WIRE_STAT, 5, NULL, 0); /* a question, but no read */
        break;
    case 2:
        say_frame(WIRE_READ, 6, (const uint8_t *)"1234567", 7);
        break;
    default:
        say_frame(WIRE_READ, 7, long_body, sizeof(long_body));
        break;
    }
    say_read(8, 20);
    ck_assert_int_eq(run(), CHILD_NOT_TALKING);
    hear_ready();
    hear_committed(1, WIRE_DONE);
    (void)hear_page(2);
    hear_nothing();
}
END_TEST

START_TEST(engine_does_not_open)
{
    talk.engine.open_result = ENGINE_FAILED;
    say_append(1, 10);
    ck_assert_int_eq(run(), CHILD_NOT_OPENED);
    hear_nothing();
}
END_TEST

/* What came before is stored and answered; the rest of the talk is not listened to. */
START_TEST(nonsense_ends_the_talk)
{
    say_append(1, 10);
    switch (_i) {
    case 0:
        say(BATCHES, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
        break;
    case 1:
        say_frame_on(BATCHES, WIRE_READ, 4, NULL, 0); /* that is for the other lane */
        break;
    case 2:
        say_frame(WIRE_COMMITTED, 5, NULL, 0); /* an answer is no question */
        break;
    default:
        say_frame(WIRE_BATCH, 6, (const uint8_t *)"1234567", 7);
        break;
    }
    ck_assert_int_eq(run(), CHILD_NOT_TALKING);
    hear_ready();
    hear_committed(1, WIRE_DONE);
    hear_nothing();
}
END_TEST

/* A frame that did not come to its end is as if it had never been sent. */
START_TEST(half_a_frame_at_the_end)
{
    say_append(1, 10);
    say(BATCHES, "\x10\x00\x00\x00\x01\x01", 6);
    ck_assert_int_eq(run(), CHILD_ENDED);
    hear_ready();
    hear_committed(1, WIRE_DONE);
    hear_nothing();
}
END_TEST

int main(void)
{
    TCase *const child = tcase_create("child");
    tcase_add_checked_fixture(child, setup, teardown);
    tcase_add_test(child, one_commit_for_all);
    tcase_add_test(child, failed_commit_has_no_answer);
    tcase_add_test(child, engine_that_cannot_look);
    tcase_add_test(child, missing_records_are_damage);
    tcase_add_test(child, engine_does_not_open);
    tcase_add_test(child, no_read_waits_for_a_commit);
    tcase_add_loop_test(child, nonsense_ends_the_talk, 0, 4);
    tcase_add_loop_test(child, nonsense_among_reads, 0, 4);
    tcase_add_test(child, half_a_frame_at_the_end);
    Suite *const suite = suite_create("store/child");
    suite_add_tcase(suite, child);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
