/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who goes when memory is all in use. The test plays the reactor and the gateway: its connections
 * are numbers, and what happens to them is written down.
 */
#include "server/shed.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "core/metrics.h"
#include "net/conn.h"
#include "net/reactor.h"
#include "server/gateway.h"

enum { KIB = 1 << 10 };

struct conn {
    bool is_let_go; /* a close frame is queued for it */
    bool is_other;  /* not a client, or told to go elsewhere */
    size_t kept;
    uint32_t queued;
    /* What happened to it: */
    int reset; /* with this reason */
    bool is_shed;
};

static struct conn *conns;
static uint32_t conn_count;

struct conn *reactor_next_conn(struct reactor *reactor, uint32_t *slot)
{
    (void)reactor;
    return *slot < conn_count ? &conns[(*slot)++] : NULL;
}

bool gateway_stays(const struct conn *conn)
{
    return !conn->is_let_go && !conn->is_other;
}

bool gateway_is_let_go(const struct conn *conn)
{
    return conn->is_let_go;
}

size_t gateway_kept_bytes(const struct conn *conn)
{
    return conn->kept;
}

uint32_t conn_queued_bytes(const struct conn *conn)
{
    return conn->queued;
}

void gateway_shed(struct gateway *gateway, struct conn *conn)
{
    (void)gateway;
    ck_assert(!conn->is_shed);
    conn->is_shed = true;
}

void conn_abort(struct conn *conn, int reason)
{
    ck_assert_int_eq(conn->reset, 0);
    conn->reset = reason;
}

static const struct {
    const char *why;
    struct conn given[4];
    bool is_shed[4];
    bool is_reset[4];
    uint64_t counted;
} cases[] = {
    {
        "who makes us keep half as much as any other, or more",
        {{.kept = 100 * KIB}, {.kept = 50 * KIB}, {.kept = 50 * KIB - 1}, {.kept = 0}},
        {true, true, false, false},
        {false},
        2,
    },
    {
        "little is nobody's fault",
        {{.kept = 16 * KIB - 1}, {.kept = 1}, {.kept = 0}, {.kept = 0}},
        {false},
        {false},
        0,
    },
    {
        "who was told 3008 and does not read is reset, and counts once",
        {{.is_let_go = true, .kept = 500 * KIB, .queued = 500 * KIB},
         {.is_let_go = true, .kept = 16 * KIB, .queued = 16 * KIB},
         {.kept = 20 * KIB},
         {.kept = 0}},
        {false, false, true, false}, /* what they keep is no measure for the others */
        {true, true, false, false},
        1,
    },
    {
        "who was told and reads has its time",
        {{.is_let_go = true, .kept = 90 * KIB, .queued = 16 * KIB - 1},
         {.is_let_go = true, .kept = 0, .queued = 0},
         {.kept = 0},
         {.kept = 0}},
        {false},
        {false},
        0,
    },
    {
        "no client, or on its way to another server",
        {{.is_other = true, .kept = 500 * KIB, .queued = 500 * KIB},
         {.kept = 16 * KIB, .queued = 16 * KIB},
         {.kept = 0},
         {.kept = 0}},
        {false, true, false, false},
        {false},
        1,
    },
};

START_TEST(goes_by_what_is_kept)
{
    static struct metrics metrics;
    const uint64_t before = metrics_read(&metrics, METRIC_REJECTED_OVERLOAD_QUEUE);
    struct conn given[4];
    for (int i = 0; i < 4; i++) {
        given[i] = cases[_i].given[i];
    }
    conns = given;
    conn_count = 4;
    shed_longest(NULL, NULL, &metrics);
    for (int i = 0; i < 4; i++) {
        ck_assert_msg(given[i].is_shed == cases[_i].is_shed[i], "%s: %d", cases[_i].why, i);
        ck_assert_msg(given[i].reset == (cases[_i].is_reset[i] ? -ENOBUFS : 0), "%s: %d",
                      cases[_i].why, i);
    }
    const uint64_t after = metrics_read(&metrics, METRIC_REJECTED_OVERLOAD_QUEUE);
    ck_assert_uint_eq(after - before, cases[_i].counted);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("shed");
    tcase_add_loop_test(tcase, goes_by_what_is_kept, 0, sizeof(cases) / sizeof(cases[0]));
    Suite *suite = suite_create("server/shed");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
