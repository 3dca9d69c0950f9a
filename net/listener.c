/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stddef.h>
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

/* Accepted sockets inherit these. */
static int set_inherited(int fd, const struct listener_buffers *buffers)
{
    int result = set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (result == 0) {
        result = set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, LISTENER_UNSENT_MAX);
    }
    if (result == 0 && buffers->send > 0) {
        result = set(fd, SOL_SOCKET, SO_SNDBUF, (int)buffers->send);
    }
    if (result == 0 && buffers->receive > 0) {
        result = set(fd, SOL_SOCKET, SO_RCVBUF, (int)buffers->receive);
    }
    return result;
}

static int set_options(int fd, const struct listener_options *options)
{
    int result = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (result == 0) {
        result = set_inherited(fd, &options->buffers);
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

static int get(int fd, int option, int *value)
{
    socklen_t size = sizeof(*value);
    return getsockopt(fd, SOL_SOCKET, option, value, &size) == 0 ? 0 : -errno;
}

static int check_listens(int fd)
{
    int type = 0;
    int listens = 0;
    int result = get(fd, SO_TYPE, &type);
    if (result == 0) {
        result = type == SOCK_STREAM ? get(fd, SO_ACCEPTCONN, &listens) : -ESOCKTNOSUPPORT;
    }
    return result == 0 && listens == 0 ? -EINVAL : result;
}

static int find_place(int fd, struct listener_place *place)
{
    union {
        struct sockaddr any;
        struct sockaddr_un unix_;
    } found = {.any = {0}};
    socklen_t size = sizeof(found);

    *place = (struct listener_place){.address = {.size = 0}};
    if (getsockname(fd, &found.any, &size) != 0) {
        return -errno;
    }
    if (found.any.sa_family == AF_INET || found.any.sa_family == AF_INET6) {
        return listener_address(fd, &place->address);
    }
    if (found.any.sa_family != AF_UNIX) {
        return -EAFNOSUPPORT;
    }
    _Static_assert(LISTENER_PATH_SIZE == sizeof(found.unix_.sun_path) + 1,
                   "the longest, and a NUL");
    size = size < sizeof(found.unix_) ? size : sizeof(found.unix_); /* without the NUL */
    memcpy(place->path, found.unix_.sun_path, size - offsetof(struct sockaddr_un, sun_path));
    if (place->path[0] == '\0') {
        place->path[0] = '@';
    }
    return 0;
}

int listener_adopt(int fd, const struct listener_buffers *buffers, struct listener_place *place)
{
    CHECK(buffers != NULL);
    CHECK(place != NULL);

    int result = check_listens(fd);
    if (result == 0) {
        result = find_place(fd, place);
    }
    if (result == 0 && place->address.size > 0) {
        result = set_inherited(fd, buffers);
    }
    if (result != 0) {
        return result;
    }
    const int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
                   fcntl(fd, F_SETFD, FD_CLOEXEC) != 0
               ? -errno
               : 0;
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
