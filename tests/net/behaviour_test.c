/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What net/ promises, in one suite that runs against every back end: uring (left out, and said so,
 * where the kernel refuses it), epoll, and the simulated one where it is linked in. A test that
 * passes on one and fails on another is a bug in a back end, not a difference between them. And
 * again with TLS over each of them.
 *
 * NET_BACKEND=name runs one of them only.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/backend.h"
#include "tests/net/cases.h"
#include "tests/net/plug.h"
#include "tests/net/plug_tls.h"

enum { PLUG_MAX = 6 };

static const struct plug *plugs[PLUG_MAX];
static int plug_count;

int cases_plug_count(void)
{
    return plug_count;
}

const struct plug *cases_plug(int index)
{
    return plugs[index];
}

static void add(const struct plug *plug, const char *wanted)
{
    if (wanted == NULL || strcmp(wanted, plug->name) == 0) {
        plugs[plug_count++] = plug;
    }
}

int main(void)
{
    const char *wanted = getenv("NET_BACKEND");
    char reason[BACKEND_REASON_SIZE] = "";

    if (backend_uring_probe(reason) == 0) {
        add(&plug_uring, wanted);
        add(&plug_tls_uring, wanted);
    } else {
        fprintf(stderr, "uring is left out: %s\n", reason);
    }
    add(&plug_epoll, wanted);
    add(&plug_tls_epoll, wanted);
    if (&plug_simulated != NULL) {
        add(&plug_simulated, wanted);
        add(&plug_tls_simulated, wanted);
    }
    plug_tls_begin();
    if (plug_count == 0) {
        plug_tls_end();
        fprintf(stderr, "no such back end: %s\n", wanted);
        return EXIT_FAILURE;
    }
    Suite *suite = suite_create("net/behaviour");
    suite_add_tcase(suite, cases_receive());
    suite_add_tcase(suite, cases_send());
    suite_add_tcase(suite, cases_close());
    suite_add_tcase(suite, cases_accept());
    suite_add_tcase(suite, cases_share());
    suite_add_tcase(suite, cases_error());
    suite_add_tcase(suite, cases_hold());
    suite_add_tcase(suite, cases_loop());
    suite_add_tcase(suite, cases_dial());
    suite_add_tcase(suite, cases_tls());
    suite_add_tcase(suite, cases_flow());
    suite_add_tcase(suite, cases_proxy());

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    plug_tls_end();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
