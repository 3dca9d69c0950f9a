/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dialer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/check.h"

static int turn_on(int fd, int level, int option)
{
    const int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on)) == 0 ? 0 : -errno;
}

static int bind_source(int fd, const struct address *source)
{
    /* The port is chosen at connect(), when the target is known: many connections can share it. */
    const int result = turn_on(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    if (result != 0) {
        return result;
    }
    return bind(fd, &source->any, source->size) == 0 ? 0 : -errno;
}

int dialer_open(const struct dialer_options *options, int *fd)
{
    CHECK(options != NULL);
    CHECK(options->target.size > 0);
    CHECK(fd != NULL);

    const int opened =
        socket(options->target.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened < 0) {
        return -errno;
    }
    int result = turn_on(opened, IPPROTO_TCP, TCP_NODELAY);
    if (result != 0) {
        goto close_opened;
    }
    if (options->source.size > 0) {
        result = bind_source(opened, &options->source);
        if (result != 0) {
            goto close_opened;
        }
    }
    if (connect(opened, &options->target.any, options->target.size) != 0 && errno != EINPROGRESS) {
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
