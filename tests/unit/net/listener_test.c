/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener: what it opens, what accepted sockets inherit, and that a failure leaves nothing open.
 */
#include "net/listener.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000 };

static const struct listener_buffers buffers = {.send = 64 * 1024, .receive = 32 * 1024};

/* The next client, once the kernel has it for us. */
static int accept_next(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&pollfd, 1, PATIENCE_MS), 1);
    return accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

static struct listener_options options_for(const char *text, bool share_port)
{
    struct listener_options options = {.buffers = buffers, .backlog = 16, .share_port = share_port};
    ck_assert_int_eq(address_parse(text, &options.address), 0);
    return options;
}

START_TEST(accepted_sockets_have_no_delay)
{
    const char *const texts[] = {"127.0.0.1:0", "[::1]:0"};
    const struct listener_options options = options_for(texts[_i], false);
    struct address address;
    int on = 0;
    socklen_t size = sizeof(on);
    int fd = -1;

    const int result = listener_open(&options, &fd);
    if (result == -EADDRNOTAVAIL || result == -EAFNOSUPPORT) {
        ck_assert_int_eq(_i, 1); /* no IPv6 on this machine */
        return;
    }
    ck_assert_int_eq(result, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_eq(listener_address(fd, &address), 0);
    ck_assert_uint_ne(address_port(&address), 0);
    ck_assert(address_is_loopback(&address));

    const int client = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(client, &address.any, address.size), 0);
    const int accepted = accept_next(fd);
    ck_assert_int_ge(accepted, 0);
    ck_assert_int_eq(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    ck_assert_int_ne(on, 0);
    ck_assert_int_eq(getsockopt(accepted, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &on, &size), 0);
    ck_assert_int_eq(on, LISTENER_UNSENT_MAX);
    ck_assert_int_eq(getsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &on, &size), 0);
    ck_assert_uint_eq((uint32_t)on, 2 * buffers.send);
    ck_assert_int_eq(getsockopt(accepted, SOL_SOCKET, SO_RCVBUF, &on, &size), 0);
    ck_assert_uint_eq((uint32_t)on, 2 * buffers.receive);
    ck_assert_int_eq(close(accepted), 0);
    ck_assert_int_eq(close(client), 0);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* So much is with the kernel for a socket, the room that it has taken ahead included. */
static size_t kernel_memory(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof(info);
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size), 0);
    return (size_t)info[SK_MEMINFO_WMEM_QUEUED] + info[SK_MEMINFO_FWD_ALLOC] +
           info[SK_MEMINFO_RMEM_ALLOC];
}

static size_t fill(int from, size_t piece)
{
    static uint8_t bytes[300000];
    size_t sum = 0;
    ssize_t sent = 0;
    while (sent >= 0) {
        sum += (size_t)sent;
        sent = send(from, bytes, piece, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    ck_assert_int_eq(errno, EAGAIN);
    return sum;
}

/* LIMITS.md row 44: who reads nothing, and says a lot, in pieces of any size. */
START_TEST(the_kernel_keeps_little)
{
    enum { COUNT = 6, SEGMENT = 64 * 1024 };
    static const size_t pieces[] = {200, 8000, 300000};
    const struct listener_options options = options_for("127.0.0.1:0", false);
    const int little = 4096; /* bytes that a client takes itself */
    struct address address;
    int clients[COUNT];
    int accepted[COUNT];
    size_t sum = 0;
    int fd = -1;

    ck_assert_int_eq(listener_open(&options, &fd), 0);
    ck_assert_int_eq(listener_address(fd, &address), 0);
    for (int i = 0; i < COUNT; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(setsockopt(clients[i], SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)), 0);
        ck_assert_int_eq(connect(clients[i], &address.any, address.size), 0);
        accepted[i] = accept_next(fd);
        ck_assert_int_ge(accepted[i], 0);
        ck_assert_uint_ge(fill(accepted[i], pieces[_i]), buffers.send);
        (void)fill(clients[i], pieces[_i]);
        sum += kernel_memory(accepted[i]);
    }
    ck_assert_uint_le(sum, COUNT * (2 * ((size_t)buffers.send + buffers.receive) + SEGMENT));
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(close(accepted[i]), 0);
        ck_assert_int_eq(close(clients[i]), 0);
    }
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(shares_a_port_only_when_asked)
{
    const struct listener_options any = options_for("127.0.0.1:0", true);
    struct listener_options same = {.backlog = 16, .share_port = true};
    int first = -1;
    int second = -1;
    int third = 77;

    ck_assert_int_eq(listener_open(&any, &first), 0);
    ck_assert_int_eq(listener_address(first, &same.address), 0);
    ck_assert_int_eq(listener_open(&same, &second), 0);
    same.share_port = false;
    ck_assert_int_eq(listener_open(&same, &third), -EADDRINUSE);
    ck_assert_int_eq(third, 77);
    ck_assert_int_eq(close(first), 0);
    ck_assert_int_eq(close(second), 0);
}
END_TEST

START_TEST(failure_leaves_nothing_open)
{
    const struct listener_options options = options_for("192.0.2.1:0", false);
    int fd = 77;
    const int before = dup(STDERR_FILENO);
    ck_assert_int_eq(close(before), 0);
    ck_assert_int_eq(listener_open(&options, &fd), -EADDRNOTAVAIL);
    ck_assert_int_eq(fd, 77);
    const int after = dup(STDERR_FILENO);
    ck_assert_int_eq(after, before);
    ck_assert_int_eq(close(after), 0);

    struct address address = {.size = 77};
    ck_assert_int_eq(listener_address(-1, &address), -EBADF);
    ck_assert_uint_eq(address.size, 77);
}
END_TEST

/* As another process leaves it to us: blocking, and for our children, too. */
static int bound(int family, int type, const void *address, socklen_t size)
{
    const int fd = socket(family, type, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, address, size), 0);
    return fd;
}

START_TEST(adopts_a_port)
{
    const struct listener_options options = options_for("127.0.0.1:0", false);
    struct listener_place place;
    struct address address;
    int value = 0;
    socklen_t size = sizeof(value);

    const int fd = bound(AF_INET, SOCK_STREAM, &options.address.any, options.address.size);
    ck_assert_int_eq(listener_adopt(fd, &buffers, &place), -EINVAL);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(listener_adopt(fd, &buffers, &place), 0);
    ck_assert_int_eq(listener_address(fd, &address), 0);
    ck_assert_uint_eq(place.address.size, address.size);
    ck_assert_int_eq(memcmp(&place.address.v4, &address.v4, sizeof(address.v4)), 0);
    ck_assert_str_eq(place.path, "");
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
    ck_assert_int_ne(value, 0);
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &size), 0);
    ck_assert_int_eq(value, LISTENER_UNSENT_MAX);
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &size), 0);
    ck_assert_uint_eq((uint32_t)value, 2 * buffers.send);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* The longest path has no NUL in the kernel. */
START_TEST(adopts_a_unix_socket)
{
    static const char *const names[] = {"/tmp/parley-adopted", "@parley-adopted", "/tmp/"};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char expected[LISTENER_PATH_SIZE] = "";
    struct listener_place place;

    (void)snprintf(expected, sizeof(expected), "%s-%d-", names[_i], (int)getpid());
    if (_i == 2) {
        memset(expected + strlen(expected), 'x', sizeof(address.sun_path) - strlen(expected));
    }
    const size_t length = strlen(expected);
    memcpy(address.sun_path, expected, length);
    if (expected[0] == '@') {
        address.sun_path[0] = '\0';
    } else {
        (void)unlink(expected);
    }
    const int fd = bound(AF_UNIX, SOCK_STREAM, &address,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(listener_adopt(fd, &buffers, &place), 0);
    ck_assert_uint_eq(place.address.size, 0);
    ck_assert_str_eq(place.path, expected);
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(close(fd), 0);
    (void)unlink(expected);
}
END_TEST

START_TEST(adopts_nothing_else)
{
    const struct listener_options options = options_for("127.0.0.1:0", false);
    struct listener_place place;
    int ends[2];

    ck_assert_int_eq(listener_adopt(-1, &buffers, &place), -EBADF);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(listener_adopt(ends[0], &buffers, &place), -ENOTSOCK);
    ck_assert_int_eq(close(ends[0]), 0);
    ck_assert_int_eq(close(ends[1]), 0);
    const int fd = bound(AF_INET, SOCK_DGRAM, &options.address.any, options.address.size);
    ck_assert_int_eq(listener_adopt(fd, &buffers, &place), -ESOCKTNOSUPPORT);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("listener");
    tcase_add_loop_test(cases, accepted_sockets_have_no_delay, 0, 2);
    tcase_add_loop_test(cases, the_kernel_keeps_little, 0, 3);
    tcase_add_test(cases, shares_a_port_only_when_asked);
    tcase_add_test(cases, failure_leaves_nothing_open);
    tcase_add_test(cases, adopts_a_port);
    tcase_add_loop_test(cases, adopts_a_unix_socket, 0, 3);
    tcase_add_test(cases, adopts_nothing_else);
    Suite *suite = suite_create("net/listener");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
