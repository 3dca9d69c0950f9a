/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients on loopback, for the two back ends that ask the kernel.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/address.h"
#include "net/backend.h"
#include "net/listener.h"
#include "tests/net/plug.h"

enum { BUFFER_SIZE = 64 * 1024 }; /* bytes asked of the kernel: sends must get stuck */

struct world {
    int *taken; /* every descriptor that was free, while starving */
    size_t taken_count;
};

static void *socket_create(void)
{
    struct world *world = calloc(1, sizeof(*world));
    ck_assert_ptr_nonnull(world);
    return world;
}

static void socket_destroy(void *world)
{
    free(world);
}

static void set_size(int fd, int option)
{
    const int size = BUFFER_SIZE;
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size)), 0);
}

static int socket_listen(void *world)
{
    struct listener_options options = {.backlog = 512, .share_port = true};
    int fd = -1;
    (void)world;
    ck_assert_int_eq(address_parse("127.0.0.1:0", &options.address), 0);
    ck_assert_int_eq(listener_open(&options, &fd), 0);
    set_size(fd, SO_SNDBUF); /* accepted sockets inherit it */
    return fd;
}

static int socket_connect(void *world, int listener)
{
    struct address address;
    (void)world;
    ck_assert_int_eq(listener_address(listener, &address), 0);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    set_size(fd, SO_RCVBUF);
    ck_assert_int_eq(connect(fd, &address.any, address.size), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static ssize_t socket_write(void *world, int client, const void *data, size_t size)
{
    (void)world;
    const ssize_t written = send(client, data, size, MSG_NOSIGNAL);
    return written < 0 ? -errno : written;
}

static ssize_t socket_read(void *world, int client, void *data, size_t size)
{
    (void)world;
    const ssize_t got = recv(client, data, size, 0);
    return got < 0 ? -errno : got;
}

static void socket_finish(void *world, int client)
{
    (void)world;
    ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
}

static void socket_reset(void *world, int client)
{
    const struct linger at_once = {.l_onoff = 1};
    (void)world;
    ck_assert_int_eq(setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    ck_assert_int_eq(close(client), 0);
}

static void socket_close(void *world, int client)
{
    (void)world;
    ck_assert_int_eq(close(client), 0);
}

/* Takes all descriptors: io_uring reads the limit when it is asked to accept, so lowering that
 * would come too late. */
static void socket_starve(void *world_of_test, bool on)
{
    struct world *world = world_of_test;
    struct rlimit files;
    if (on) {
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
        world->taken = calloc(files.rlim_cur, sizeof(*world->taken));
        ck_assert_ptr_nonnull(world->taken);
        int fd = dup(STDERR_FILENO);
        while (fd >= 0) {
            world->taken[world->taken_count++] = fd;
            fd = dup(STDERR_FILENO);
        }
        ck_assert_int_eq(errno, EMFILE);
        return;
    }
    while (world->taken_count > 0) {
        ck_assert_int_eq(close(world->taken[--world->taken_count]), 0);
    }
    free(world->taken);
    world->taken = NULL;
}

#define SOCKET_CLIENTS                                                                             \
    .create = socket_create, .destroy = socket_destroy, .listen = socket_listen,                   \
    .connect = socket_connect, .write = socket_write, .read = socket_read,                         \
    .finish = socket_finish, .reset = socket_reset, .close = socket_close, .starve = socket_starve

const struct plug plug_uring = {
    .name = "uring", .ops = &backend_uring_ops, .accepts_ahead = true, SOCKET_CLIENTS};
const struct plug plug_epoll = {.name = "epoll", .ops = &backend_epoll_ops, SOCKET_CLIENTS};
