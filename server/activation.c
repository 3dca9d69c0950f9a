/* SPDX-License-Identifier: Apache-2.0 */
#include "server/activation.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/notify.h"

enum { FIRST = 3 }; /* of the descriptors, behind standard error */

/* The next of the names, between colons, and what is left. */
static struct bytes take_name(const char **names)
{
    const struct bytes name = {(const uint8_t *)*names, strcspn(*names, ":")};

    *names += name.size;
    *names += **names == ':' ? 1 : 0;
    return name;
}

int activation_read(struct activation *activation, char *error, size_t error_size)
{
    const char *text = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    uint64_t number;

    *activation = (struct activation){.count = 0};
    if (text == NULL || !notify_number("LISTEN_PID", &number) || number != (uint64_t)getpid()) {
        return 0;
    }
    if (!notify_number("LISTEN_FDS", &number) || number > ACTIVATION_MAX) {
        (void)snprintf(error, error_size, "LISTEN_FDS: expected a number from 0 to %d, found %s",
                       ACTIVATION_MAX, text);
        return -EINVAL;
    }
    names = names != NULL ? names : "";
    for (; activation->count < number; activation->count++) {
        activation->sockets[activation->count] =
            (struct activation_socket){FIRST + (int)activation->count, take_name(&names)};
    }
    return 0;
}
