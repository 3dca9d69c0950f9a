/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/check.h"

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

static int set_options(int fd, const struct listener_options *options)
{
    int result = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    /* Accepted sockets inherit this, and the next one. */
    if (result == 0) {
        result = set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    if (result == 0) {
        result = set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, LISTENER_UNSENT_MAX);
    }
    /* Without it only the first reactor would bind, and it would accept for everyone. */
    if (result == 0 && options->share_port) {
        result = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    return result;
}

int listener_open(const struct listener_options *options, int *fd)
{
    CHECK(options != NULL);
    CHECK(options->backlog > 0);
    CHECK(fd != NULL);

    const int opened =
        socket(options->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened < 0) {
        return -errno;
    }
    int result = set_options(opened, options);
    if (result != 0) {
        goto close_opened;
    }
    if (bind(opened, &options->address.any, options->address.size) != 0 ||
        listen(opened, options->backlog) != 0) {
        result = -errno;
        goto close_opened;
    }
    *fd = opened;
    return 0;

close_opened:
    /* The first failure is the one to report. Linux frees the descriptor even if close() fails. */
    (void)close(opened);
    return result;
}

int listener_address(int fd, struct address *address)
{
    CHECK(address != NULL);

    struct address found = {.size = sizeof(found.v6)};
    if (getsockname(fd, &found.any, &found.size) != 0) {
        return -errno;
    }
    *address = found;
    return 0;
}
