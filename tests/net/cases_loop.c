/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop itself: sleep, wake, timers, leftover work.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/monotime.h"
#include "core/timerwheel.h"
#include "tests/net/cases.h"
#include "tests/net/fixture.h"

enum { WAKES = 200 };

struct waker {
    struct reactor *reactor;
    _Atomic int asked;
    _Atomic int seen;
};

/* Wakes once for each number, and waits until the reactor has seen it. */
static void *wake_often(void *context)
{
    struct waker *waker = context;
    for (int i = 1; i <= WAKES; i++) {
        atomic_store_explicit(&waker->asked, i, memory_order_release);
        reactor_wake(waker->reactor);
        while (atomic_load_explicit(&waker->seen, memory_order_acquire) < i) {
            sched_yield();
        }
    }
    return NULL;
}

/* The reactor sleeps without a limit: a wake that got lost would be the end of the test. */
START_TEST(wakes_from_another_thread)
{
    if (cases_plug(_i)->is_one_thread) {
        return;
    }
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct waker waker = {.reactor = fixture->reactor};
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, wake_often, &waker), 0);
    int asked = 0;
    while (asked < WAKES) {
        reactor_wait(fixture->reactor, UINT64_MAX);
        asked = atomic_load_explicit(&waker.asked, memory_order_acquire);
        atomic_store_explicit(&waker.seen, asked, memory_order_release);
        reactor_receive(fixture->reactor);
        reactor_flush(fixture->reactor);
        reactor_sweep(fixture->reactor);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    fixture_end(fixture);
}
END_TEST

START_TEST(wake_before_sleep_counts)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);

    fixture_turn(fixture);
    for (int i = 0; i < 10; i++) {
        reactor_wake(fixture->reactor);
        reactor_wait(fixture->reactor, UINT64_MAX);
        reactor_receive(fixture->reactor);
    }
    fixture_end(fixture);
}
END_TEST

START_TEST(timers_end_a_sleep)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct timerwheel *wheel = reactor_timers(fixture->reactor);
    struct timerwheel_timer timers[3] = {0};
    const uint64_t begin_ns = reactor_now(fixture->reactor);

    timerwheel_arm(wheel, &timers[0], begin_ns + 30 * MONOTIME_NS_PER_MS);
    timerwheel_arm(wheel, &timers[1], begin_ns + 60 * MONOTIME_NS_PER_MS);
    timerwheel_arm(wheel, &timers[2], begin_ns + 40 * MONOTIME_NS_PER_MS);
    timerwheel_cancel(wheel, &timers[2]);
    for (uint32_t count = 1; count <= 2; count++) {
        while (fixture->fired < count) {
            reactor_wait(fixture->reactor, UINT64_MAX);
            reactor_receive(fixture->reactor);
            reactor_flush(fixture->reactor);
            reactor_sweep(fixture->reactor);
        }
        ck_assert_uint_ge(fixture->fired_ns, begin_ns + MONOTIME_NS_PER_MS * 30 * count);
    }
    ck_assert_uint_eq(fixture->fired, 2);
    fixture_end(fixture);
}
END_TEST

START_TEST(leftover_does_not_sleep)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint8_t byte = 0;

    fixture_turn(fixture);
    ck_assert(!reactor_has_leftover(fixture->reactor));
    /* Queued after the flush: as a timer would. */
    ck_assert_int_eq(fixture_queue(peer, 9, 1, CONN_NORMAL), CONN_QUEUED);
    ck_assert(reactor_has_leftover(fixture->reactor));
    reactor_wait(fixture->reactor, UINT64_MAX);
    reactor_receive(fixture->reactor);
    reactor_flush(fixture->reactor);
    reactor_sweep(fixture->reactor);
    fixture_read(fixture, client, &byte, 1);
    ck_assert_uint_eq(byte, 9);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

static void count_conn(struct conn *conn, void *context)
{
    size_t *count = context;
    ck_assert_ptr_nonnull(conn_user(conn));
    (*count)++;
}

START_TEST(visits_each_connection)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    int clients[10];
    size_t count = 0;

    for (int i = 0; i < 10; i++) {
        clients[i] = fixture_connect(fixture, NULL);
    }
    reactor_each_conn(fixture->reactor, count_conn, &count);
    ck_assert_uint_eq(count, 10);
    conn_abort(fixture->peers[4]->conn, 0);
    fixture_until_closed(fixture, fixture->peers[4]);
    count = 0;
    reactor_each_conn(fixture->reactor, count_conn, &count);
    ck_assert_uint_eq(count, 9);
    for (int i = 0; i < 10; i++) {
        fixture->plug->close(fixture->world, clients[i]);
    }
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

TCase *cases_loop(void)
{
    TCase *tcase = tcase_create("loop");
    const int count = cases_plug_count();
    tcase_add_loop_test(tcase, wakes_from_another_thread, 0, count);
    tcase_add_loop_test(tcase, wake_before_sleep_counts, 0, count);
    tcase_add_loop_test(tcase, timers_end_a_sleep, 0, count);
    tcase_add_loop_test(tcase, leftover_does_not_sleep, 0, count);
    tcase_add_loop_test(tcase, visits_each_connection, 0, count);
    return tcase;
}
