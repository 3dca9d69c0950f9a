/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "core/check.h"
#include "core/monotime.h"

static sigset_t asking(void)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    return signals;
}

int stop_open(struct stop *stop)
{
    const sigset_t signals = asking();
    *stop = (struct stop){.fd = -1};
    if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0) {
        return -errno;
    }
    stop->fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return stop->fd < 0 ? -errno : 0;
}

void stop_close(struct stop *stop)
{
    if (stop->fd >= 0) {
        (void)close(stop->fd);
    }
    stop->fd = -1;
}

static void take_signal(struct stop *stop)
{
    struct signalfd_siginfo info;
    const sigset_t signals = asking();

    if (read(stop->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        stop->signal = (int)info.ssi_signo;
        CHECK(sigprocmask(SIG_UNBLOCK, &signals, NULL) == 0); /* who asks twice is in a hurry */
    }
}

bool stop_wait_until(struct stop *stop, uint64_t time_ns)
{
    struct pollfd asked = {.fd = stop->fd, .events = POLLIN};
    int ready = -1;

    while (stop->signal == 0 && ready != 0) {
        const uint64_t now_ns = monotime_read();
        const uint64_t left_ns = time_ns > now_ns ? time_ns - now_ns : 0;
        const struct timespec timeout = {.tv_sec = (time_t)(left_ns / MONOTIME_NS_PER_S),
                                         .tv_nsec = (long)(left_ns % MONOTIME_NS_PER_S)};
        ready = ppoll(&asked, 1, &timeout, NULL);
        if (ready > 0) {
            take_signal(stop);
        }
    }
    return stop->signal != 0;
}
