/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS over another plug: its listeners get a certificate, and its clients a filter of net/tls each.
 * So everything that the suite promises of plain connections is promised of encrypted ones, too.
 */
#include "tests/net/plug_tls.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls.h"
#include "net/tls_config.h"
#include "net/tls_tickets.h"
#include "tests/net/plug.h"
#include "tests/unit/net/tls_files.h"

enum {
    CLIENT_MAX = 16384,                         /* handles of clients are below */
    WIRE_MAX = 4096,                            /* bytes of one read */
    HEARD_MAX = TLS_RECORD_SIZE_MAX + WIRE_MAX, /* bytes that one read may become */
};

struct client {
    struct tls *tls;
    bool ended;        /* with a close_notify */
    uint64_t received; /* bytes on the wire */
    size_t heard_begin;
    size_t heard_end;
    uint8_t heard[HEARD_MAX];
};

struct world {
    const struct plug *base;
    void *inner;
    int handle_end;
    struct client *clients[CLIENT_MAX];
};

/* Made once for all tests, which are forked from there. */
static struct tls_files files;
static struct tls_config *server;
static struct tls_config *client_side;

void plug_tls_begin(void)
{
    char error[TLS_CONFIG_ERROR_SIZE] = "";
    tls_files_make(&files);
    const struct tls_tickets tickets = {.count = 1, .rotation_s = 3600};
    const struct tls_config_server_files names = {files.certificate, files.key};
    const struct tls_config_trust trust = {.host = "localhost", .ca_file = files.ca};
    server = tls_config_create_server(&(struct tls_config_server){.certificates = &names,
                                                                  .certificate_count = 1,
                                                                  .tickets = &tickets},
                                      error);
    client_side = tls_config_create_client(&trust, error);
    if (server == NULL || client_side == NULL) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
}

void plug_tls_end(void)
{
    tls_config_unref(server);
    tls_config_unref(client_side);
    tls_files_remove(&files);
}

struct tls_config *plug_tls_server(void)
{
    return server;
}

struct tls_config *plug_tls_client(void)
{
    return client_side;
}

const struct tls_files *plug_tls_files(void)
{
    return &files;
}

/* --- Clients --------------------------------------------------------------------------------- */

static struct client *client_at(const struct world *world, int handle)
{
    ck_assert_int_lt(handle, CLIENT_MAX);
    ck_assert_ptr_nonnull(world->clients[handle]);
    return world->clients[handle];
}

/* 0 when all ciphertext is on its way; else -errno. */
static ssize_t push(struct world *world, int handle)
{
    struct client *client = client_at(world, handle);
    struct iovec piece;
    while (tls_gather(client->tls, &piece, 1) == 1) {
        const ssize_t written =
            world->base->write(world->inner, handle, piece.iov_base, piece.iov_len);
        if (written < 0) {
            return written;
        }
        tls_advance(client->tls, (size_t)written);
    }
    return 0;
}

/* One read of the inner plug, decrypted. What that said. */
static ssize_t pull(struct world *world, int handle)
{
    struct client *client = client_at(world, handle);
    uint8_t wire[WIRE_MAX];
    ck_assert_uint_eq(client->heard_begin, client->heard_end);
    client->heard_begin = 0;
    client->heard_end = 0;
    const ssize_t got = world->base->read(world->inner, handle, wire, sizeof(wire));
    if (got <= 0) {
        return got;
    }
    client->received += (uint64_t)got;
    tls_feed(client->tls, (struct bytes){wire, (size_t)got});
    for (;;) {
        size_t size = 0;
        const struct span room = {client->heard + client->heard_end, HEARD_MAX - client->heard_end};
        const enum tls_verdict verdict = tls_read(client->tls, room, &size);
        if (verdict != TLS_BYTES) {
            ck_assert_msg(verdict != TLS_FAILED, "%s", tls_fault_text(client->tls));
            client->ended = verdict == TLS_ENDED;
            break;
        }
        client->heard_end += size;
    }
    tls_feed(client->tls, (struct bytes){NULL, 0});
    const ssize_t pushed = push(world, handle);
    return pushed < 0 && pushed != -EAGAIN ? pushed : got;
}

static void forget(struct world *world, int handle)
{
    tls_destroy(client_at(world, handle)->tls);
    free(world->clients[handle]);
    world->clients[handle] = NULL;
}

/* --- The plug -------------------------------------------------------------------------------- */

static void *create_over(const struct plug *base)
{
    struct world *world = calloc(1, sizeof(*world));
    ck_assert_ptr_nonnull(world);
    world->base = base;
    world->inner = base->create();
    return world;
}

static void tls_world_destroy(void *context)
{
    struct world *world = context;
    for (int i = 0; i < world->handle_end; i++) {
        if (world->clients[i] != NULL) {
            forget(world, i);
        }
    }
    world->base->destroy(world->inner);
    free(world);
}

static int tls_listen(void *context)
{
    struct world *world = context;
    return world->base->listen(world->inner);
}

static int tls_connect(void *context, int listener)
{
    struct world *world = context;
    const int handle = world->base->connect(world->inner, listener);
    if (handle < 0) {
        return handle;
    }
    struct client *client = calloc(1, sizeof(*client));
    ck_assert_ptr_nonnull(client);
    ck_assert_int_lt(handle, CLIENT_MAX);
    ck_assert_ptr_null(world->clients[handle]);
    world->clients[handle] = client;
    world->handle_end = handle < world->handle_end ? world->handle_end : handle + 1;
    client->tls = tls_create(client_side);
    ck_assert_ptr_nonnull(client->tls);
    size_t size = 0;
    ck_assert_int_eq(tls_read(client->tls, (struct span){client->heard, HEARD_MAX}, &size),
                     TLS_NEED_MORE);
    (void)push(world, handle);
    return handle;
}

static uint64_t tls_shake(void *context, int handle)
{
    struct world *world = context;
    const struct client *client = client_at(world, handle);
    if (client->heard_begin == client->heard_end) {
        (void)pull(world, handle);
    }
    return push(world, handle) == 0 && tls_is_open(client->tls) ? client->received : 0;
}

static void tls_push_all(void *context)
{
    struct world *world = context;
    for (int handle = 0; handle < world->handle_end; handle++) {
        if (world->clients[handle] != NULL) {
            (void)push(world, handle);
        }
    }
}

static ssize_t tls_client_write(void *context, int handle, const void *data, size_t size)
{
    struct world *world = context;
    struct client *client = client_at(world, handle);
    const ssize_t pushed = push(world, handle);
    if (pushed < 0) {
        return pushed;
    }
    if (!tls_is_open(client->tls)) {
        const ssize_t got = pull(world, handle);
        return got > 0 || got == -EAGAIN ? -EAGAIN : got;
    }
    const size_t part = size < TLS_RECORD_SIZE_MAX ? size : TLS_RECORD_SIZE_MAX;
    ck_assert(tls_write(client->tls, (struct bytes){data, part}));
    const ssize_t rest = push(world, handle);
    return rest < 0 && rest != -EAGAIN ? rest : (ssize_t)part;
}

static ssize_t tls_client_read(void *context, int handle, void *data, size_t size)
{
    struct world *world = context;
    struct client *client = client_at(world, handle);
    while (client->heard_begin == client->heard_end) {
        const ssize_t got = pull(world, handle);
        if (got <= 0) {
            return got;
        }
    }
    const size_t held = client->heard_end - client->heard_begin;
    const size_t part = size < held ? size : held;
    memcpy(data, client->heard + client->heard_begin, part);
    client->heard_begin += part;
    return (ssize_t)part;
}

static void tls_client_finish(void *context, int handle)
{
    struct world *world = context;
    tls_finish(client_at(world, handle)->tls);
    ck_assert_int_eq((int)push(world, handle), 0);
    world->base->finish(world->inner, handle);
}

static void tls_reset(void *context, int handle)
{
    struct world *world = context;
    world->base->reset(world->inner, handle);
    forget(world, handle);
}

static void tls_close(void *context, int handle)
{
    struct world *world = context;
    world->base->close(world->inner, handle);
    forget(world, handle);
}

static void tls_starve(void *context, bool on)
{
    struct world *world = context;
    world->base->starve(world->inner, on);
}

void *plug_tls_inner(void *context)
{
    struct world *world = context;
    return world->inner;
}

bool plug_tls_was_ended(void *context, int handle)
{
    return client_at(context, handle)->ended;
}

static void *create_uring(void)
{
    return create_over(&plug_uring);
}

static void *create_epoll(void)
{
    return create_over(&plug_epoll);
}

static void *create_simulated(void)
{
    return create_over(&plug_simulated);
}

#define TLS_CLIENTS                                                                                \
    .is_tls = true, .destroy = tls_world_destroy, .listen = tls_listen, .connect = tls_connect,    \
    .shake = tls_shake, .push_all = tls_push_all, .write = tls_client_write,                       \
    .read = tls_client_read, .finish = tls_client_finish, .reset = tls_reset, .close = tls_close,  \
    .starve = tls_starve

const struct plug plug_tls_uring = {.name = "uring-tls",
                                    .base = &plug_uring,
                                    .create = create_uring,
                                    .accepts_ahead = true,
                                    TLS_CLIENTS};
const struct plug plug_tls_epoll = {
    .name = "epoll-tls", .base = &plug_epoll, .create = create_epoll, TLS_CLIENTS};
const struct plug plug_tls_simulated = {.name = "simulated-tls",
                                        .base = &plug_simulated,
                                        .create = create_simulated,
                                        .keeps_whom_it_cannot_accept = true,
                                        .is_one_thread = true,
                                        TLS_CLIENTS};
