/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of accept() (LIMITS.md row 14): each is counted, and accepting waits 10 to 100 ms and goes
 * on. io_uring is given what the kernel would say; of epoll tests/e2e lets strace say it.
 */
#include <errno.h>
#include <liburing.h>

#include "core/monotime.h"
#include "core/timerwheel.h"
#include "net/backend_uring_private.h"
#include "net/reactor_private.h"
#include "tests/net/cases.h"
#include "tests/net/fixture.h"

static const int errors[] = {ECONNABORTED, ENFILE, EMFILE, ENOMEM, EPERM, EPROTO, ENOBUFS};

enum { ERROR_COUNT = sizeof(errors) / sizeof(errors[0]) };

/* The kernel has nothing of the listener any more, as after an error. */
static void disarm(struct fixture *fixture) ON_REACTOR
{
    struct reactor *reactor = fixture->reactor;
    reactor->ops->accept(reactor->backend, 0, false);
    fixture_turn(fixture);
    fixture_turn(fixture);
}

static struct backend_completion failure(struct reactor *reactor, int error)
{
    struct backend_completion completion = {
        .event = BACKEND_ACCEPT_FAILED, .slot = 0, .result = -error};
    if (reactor->ops == &backend_uring_ops) {
        const struct io_uring_cqe cqe = {
            .user_data = backend_uring_tag(BACKEND_URING_REQUEST_ACCEPT, 0, 0), .res = -error};
        completion = (struct backend_completion){.result = 0};
        ck_assert_uint_eq(backend_uring_note(reactor->backend, &cqe, &completion, 1), 1);
        ck_assert_int_eq(completion.event, BACKEND_ACCEPT_FAILED);
        ck_assert_int_eq(completion.result, -error);
    }
    return completion;
}

/*
 * Accepting waits for so long, and a tick of the wheel more at most; returns until when, at least.
 * Nobody is connected, so no other timer runs. The wheel may want to be looked at before its time.
 */
static uint64_t inject(struct fixture *fixture, int error, uint64_t least_ms) ON_REACTOR
{
    struct reactor *reactor = fixture->reactor;
    const uint64_t before = metrics_read(&fixture->metrics, METRIC_REJECTED_ACCEPT_ERROR);

    reactor_wait(reactor, 0);
    ck_assert_uint_eq(reactor->completion_count, 0);
    reactor->completions[0] = failure(reactor, error);
    reactor->completion_count = 1;
    reactor_receive(reactor);
    ck_assert_uint_eq(metrics_read(&fixture->metrics, METRIC_REJECTED_ACCEPT_ERROR), before + 1);
    ck_assert(timerwheel_is_armed(&reactor->accept_timer));
    const uint64_t next_ns = timerwheel_next_ns(reactor->conn_timers);
    ck_assert_uint_gt(next_ns, reactor_now(reactor));
    ck_assert_uint_lt(next_ns, reactor_now(reactor) + (least_ms + 10) * MONOTIME_NS_PER_MS);
    return reactor_now(reactor) + least_ms * MONOTIME_NS_PER_MS;
}

static bool is_waiting(struct fixture *fixture)
{
    return timerwheel_is_armed(&fixture->reactor->accept_timer);
}

static bool is_on_again(struct fixture *fixture)
{
    return !is_waiting(fixture);
}

static void wait_out_all(struct fixture *fixture) ON_REACTOR
{
    for (int i = 0; i < ERROR_COUNT; i++) {
        disarm(fixture);
        const uint64_t until_ns = inject(fixture, errors[i], 10);
        const size_t before = fixture->peer_count;
        const int client = fixture->plug->connect(fixture->world, fixture->listener);
        while (fixture->peer_count == before) {
            fixture_turn(fixture); /* ended by the time limit of the test */
        }
        ck_assert(!is_waiting(fixture));
        ck_assert_uint_ge(reactor_now(fixture->reactor), until_ns);
        fixture->plug->close(fixture->world, client);
        fixture_until_empty(fixture);
    }
}

START_TEST(is_counted_and_waited_out)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    wait_out_all(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(is_waited_out_where_others_accept)
{
    const struct reactor_options options = fixture_options();
    if (cases_plug(_i)->is_one_thread) {
        return; /* simulated: no copies */
    }
    struct fixture *fixture = fixture_begin_shared(cases_plug(_i), &options);
    wait_out_all(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(waits_longer_each_time)
{
    static const uint64_t least_ms[] = {10, 20, 40, 80, 100, 100};
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);

    for (size_t i = 0; i < sizeof(least_ms) / sizeof(least_ms[0]); i++) {
        disarm(fixture);
        const uint64_t until_ns = inject(fixture, errors[i % ERROR_COUNT], least_ms[i]);
        fixture_until(fixture, is_on_again);
        ck_assert_uint_ge(reactor_now(fixture->reactor), until_ns);
    }
    fixture_end(fixture);
}
END_TEST

TCase *cases_error(void)
{
    TCase *tcase = tcase_create("error");
    const int count = cases_plug_count();
    tcase_add_loop_test(tcase, is_counted_and_waited_out, 0, count);
    tcase_add_loop_test(tcase, is_waited_out_where_others_accept, 0, count);
    tcase_add_loop_test(tcase, waits_longer_each_time, 0, count);
    return tcase;
}
