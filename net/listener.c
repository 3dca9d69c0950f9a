/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

/* Takes away a socket whose server is gone. */
static int remove_stale(const struct sockaddr_un *address)
{
    struct stat found;
    if (lstat(address->sun_path, &found) != 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    if (!S_ISSOCK(found.st_mode)) {
        return -EADDRINUSE;
    }
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        return -errno;
    }
    const int result = connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0
                           ? -EADDRINUSE
                           : -errno;
    (void)close(probe); /* it was only to ask */
    if (result != -ECONNREFUSED) {
        return result == -EAGAIN ? -EADDRINUSE : result;
    }
    return unlink(address->sun_path) == 0 ? 0 : -errno;
}

int listener_open_unix(const char *path, int backlog, int *fd)
{
    CHECK(path != NULL);
    CHECK(backlog > 0);
    CHECK(fd != NULL);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t size = strlen(path);
    if (size == 0 || size >= sizeof(address.sun_path)) {
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path, size);
    int result = remove_stale(&address);
    if (result != 0) {
        return result;
    }
    const int opened = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened < 0) {
        return -errno;
    }
    if (bind(opened, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(opened, backlog) != 0) {
        result = -errno;
        (void)close(opened); /* the first failure is the one to report */
        return result;
    }
    *fd = opened;
    return 0;
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
