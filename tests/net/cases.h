/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_NET_CASES_H
#define TESTS_NET_CASES_H
/* The groups of the suite. Each test is run once for each back end that works here. */
#include <check.h>

struct plug;

int cases_plug_count(void);
const struct plug *cases_plug(int index);

TCase *cases_receive(void);
TCase *cases_send(void);
TCase *cases_close(void);
TCase *cases_accept(void);
TCase *cases_share(void);
TCase *cases_error(void);
TCase *cases_hold(void);
TCase *cases_loop(void);
TCase *cases_dial(void);
TCase *cases_tls(void);
TCase *cases_flow(void);
TCase *cases_proxy(void);

#endif /* TESTS_NET_CASES_H */
