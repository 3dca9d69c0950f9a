/* SPDX-License-Identifier: Apache-2.0 */
#include "net/backend_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/check.h"
#include "net/address.h"

void backend_socket_close(int fd, bool reset)
{
    if (reset) {
        const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        /* Where it fails the peer sees a FIN: less clear, as final. */
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    /* Linux frees the descriptor whatever close() says. */
    (void)close(fd);
}

int backend_socket_shutdown(int fd)
{
    return shutdown(fd, SHUT_WR) == 0 ? 0 : -errno;
}

int backend_socket_peer(int fd, struct address *address)
{
    CHECK(address != NULL);

    struct address found = {.size = sizeof(found.v6)};
    if (getpeername(fd, &found.any, &found.size) != 0) {
        return -errno;
    }
    if (found.any.sa_family != AF_INET && found.any.sa_family != AF_INET6) {
        return -EAFNOSUPPORT;
    }
    *address = found;
    return 0;
}

bool backend_socket_is_exhausted(int result)
{
    return result == -EMFILE || result == -ENFILE;
}

void backend_socket_reserve(int *reserve)
{
    if (*reserve < 0) {
        *reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

uint32_t backend_socket_shed(int *reserve, int listener, uint32_t max)
{
    if (*reserve < 0) {
        backend_socket_reserve(reserve);
        return 0;
    }
    (void)close(*reserve);
    *reserve = -1;
    /* io_uring wants its listeners blocking. */
    const int flags = fcntl(listener, F_GETFL);
    CHECK(flags >= 0);
    CHECK(fcntl(listener, F_SETFL, flags | O_NONBLOCK) == 0);
    uint32_t count = 0;
    while (count < max) {
        const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            break;
        }
        backend_socket_close(fd, true);
        count++;
    }
    CHECK(fcntl(listener, F_SETFL, flags) == 0);
    backend_socket_reserve(reserve);
    return count;
}

size_t backend_socket_room(const struct backend_socket_listener listeners[BACKEND_LISTENER_MAX],
                           uint32_t index, size_t places)
{
    const struct backend_socket_listener *listener = &listeners[index];
    size_t taken = listener->kept;

    for (uint32_t i = 0; i < BACKEND_LISTENER_MAX; i++) {
        taken += i != index && listeners[i].shared && listeners[i].on; /* a place of its own */
    }
    size_t room = places > taken ? places - taken : 0;
    if (listener->shared) {
        const size_t most = listener->on ? BACKEND_SOCKET_SHARE_MAX : 1;
        room = room > 1 ? room : 1;
        room = room < most ? room : most;
    }
    return room < places ? room : places;
}

size_t backend_socket_accept(const struct backend_socket_accept *accept,
                             struct backend_completion *completions)
{
    size_t count = 0;

    while (count < accept->max) {
        int result = accept4(accept->fd, NULL, NULL, accept->flags);
        if (result < 0) {
            result = -errno;
        }
        if (result == -EAGAIN || result == -EINTR) {
            break;
        }
        if (backend_socket_is_exhausted(result)) {
            (void)backend_socket_shed(accept->reserve, accept->fd, BACKEND_SOCKET_SHED_MAX);
        }
        completions[count++] = (struct backend_completion){
            .event = result < 0 ? BACKEND_ACCEPT_FAILED : BACKEND_ACCEPTED,
            .slot = accept->listener,
            .result = result};
        if (result < 0) {
            break;
        }
    }
    return count;
}
