/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a drain has to be looked at again though nothing happens: by tables, of each phase. What it
 * does is tried from end to end (tests/e2e 28_drain) and in the simulation, where a reactor that
 * slept too long would never end.
 */
#include "server/drain.h"

#include <check.h>
#include <stdlib.h>

#include "server/config.h"
#include "server/gateway.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *why;
    enum drain_phase phase;
    bool has_cut;
    uint64_t next_ns; /* of the pace, which ends at 500 */
    uint64_t due_ns;
} cases[] = {
    {"no drain", DRAIN_NONE, false, 0, UINT64_MAX},
    {"the end of grace", DRAIN_GRACE, false, 0, 300},
    {"the next one who is told", DRAIN_PACED, false, 400, 400},
    {"all who are left", DRAIN_PACED, false, 600, 500},
    {"the last one has gone", DRAIN_TOLD, false, 0, 0},
    {"even if it was cut", DRAIN_TOLD, true, 0, 0},
    {"the others", DRAIN_DESERTED, false, 0, UINT64_MAX},
    {"those inside", DRAIN_LAST, false, 0, 900},
    {"that those inside are gone", DRAIN_LAST, true, 0, UINT64_MAX},
};

START_TEST(waits_for_what_is_due)
{
    const struct config config = {.reactor = {.count = 1}};
    const struct gateway_options options = {.config = &config, .conn_count_max = 1};
    struct gateway *gateway = NULL;

    ck_assert_int_eq(gateway_create(&options, &gateway), 0);
    const struct drain drain = {
        .config = &config,
        .gateway = gateway,
        .phase = cases[_i].phase,
        .grace_end_ns = 300,
        .deadline_ns = 900,
        .pace = {.next_ns = cases[_i].next_ns, .end_ns = 500},
        .has_cut = cases[_i].has_cut,
    };
    ck_assert_msg(drain_due_ns(&drain) == cases[_i].due_ns, "%s", cases[_i].why);
    gateway_destroy(gateway);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("drain");
    tcase_add_loop_test(tcase, waits_for_what_is_due, 0, (int)COUNT_OF(cases));
    Suite *suite = suite_create("server/drain");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
