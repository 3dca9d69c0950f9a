/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_NET_PLUG_TLS_H
#define TESTS_NET_PLUG_TLS_H
/*
 * The plugs that speak TLS over those of tests/net/plug.h, and what they have in common: files and
 * configurations that are made before the first test is forked.
 */
#include <stdbool.h>

struct plug;
struct tls_config;
struct tls_files;

extern const struct plug plug_tls_uring;
extern const struct plug plug_tls_epoll;
extern const struct plug plug_tls_simulated;

void plug_tls_begin(void);
void plug_tls_end(void);

struct tls_config *plug_tls_server(void);
struct tls_config *plug_tls_client(void); /* trusts it, as "localhost" */
const struct tls_files *plug_tls_files(void);

/* The world of the plug below. */
void *plug_tls_inner(void *world);

/* Whether the server said close_notify to this client. */
bool plug_tls_was_ended(void *world, int client);

#endif /* TESTS_NET_PLUG_TLS_H */
