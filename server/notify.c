/* SPDX-License-Identifier: Apache-2.0 */
#include "server/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/check.h"

enum { NS_PER_US = 1000 };

static const uint64_t watchdog_us_max = UINT64_C(86400000000); /* a day: more is none */

/* A path, or a name in the abstract namespace, which is written with @ in front. */
static int read_address(const char *text, struct sockaddr_un *address, socklen_t *size)
{
    const size_t length = strlen(text);

    if (length < 2 || (text[0] != '/' && text[0] != '@')) {
        return -EAFNOSUPPORT;
    }
    if (length >= sizeof(address->sun_path)) {
        return -ENAMETOOLONG;
    }
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, text, length);
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (text[0] == '@') {
        address->sun_path[0] = '\0';
    } else {
        (*size)++; /* the NUL */
    }
    return 0;
}

static bool read_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

/* The environment may be that of somebody above us, whom the manager watches. */
static uint64_t read_watchdog_ns(void)
{
    const char *interval = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t number;

    if (pid != NULL && (!read_number(pid, &number) || number != (uint64_t)getpid())) {
        return 0;
    }
    if (interval == NULL || !read_number(interval, &number) || number > watchdog_us_max) {
        return 0;
    }
    return number * NS_PER_US;
}

int notify_open(struct notify *notify)
{
    struct sockaddr_un address;
    socklen_t size;
    const char *text = getenv("NOTIFY_SOCKET");

    *notify = (struct notify){.fd = -1};
    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    int result = read_address(text, &address, &size);
    if (result != 0) {
        return result;
    }
    const int opened = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (opened < 0) {
        return -errno;
    }
    if (connect(opened, (const struct sockaddr *)&address, size) != 0) {
        result = -errno;
        (void)close(opened);
        return result;
    }
    *notify = (struct notify){.fd = opened, .watchdog_ns = read_watchdog_ns()};
    return 0;
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0) {
        (void)close(notify->fd);
    }
    *notify = (struct notify){.fd = -1};
}

void notify_send(const struct notify *notify, const char *lines)
{
    CHECK(lines[0] != '\0');

    if (notify->fd >= 0) {
        /* The manager's queue is full, or it is gone: it will ask, or end us, by itself. */
        const ssize_t sent = send(notify->fd, lines, strlen(lines), MSG_NOSIGNAL);
        (void)sent;
    }
}
