/* SPDX-License-Identifier: Apache-2.0 */
#include "server/notify.h"

#include <errno.h>
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

bool notify_number(const char *key, uint64_t *number)
{
    const char *text = getenv(key);
    char *end;

    if (text == NULL || *text < '0' || *text > '9') {
        return false;
    }
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

/* The environment may be that of somebody above us, whom the manager watches. */
static uint64_t read_watchdog_ns(void)
{
    uint64_t number;

    if (getenv("WATCHDOG_PID") != NULL &&
        (!notify_number("WATCHDOG_PID", &number) || number != (uint64_t)getpid())) {
        return 0;
    }
    if (!notify_number("WATCHDOG_USEC", &number) || number > watchdog_us_max) {
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
