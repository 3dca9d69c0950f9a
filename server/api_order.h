/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_API_ORDER_H
#define SERVER_API_ORDER_H
/*
 * A command about the connections of a user, as the order that every reactor is given: times on the
 * wall become seconds from now, for chat/ knows no other. Pure. ANY_THREAD.
 */
#include <stdint.h>
#include <time.h>

#include "chat/order.h"
#include "core/annot.h"
#include "proto/api.h"
#include "proto/codes.h"

enum {
    API_ORDER_KEPT_MAX = 64,                /* clients in a whitelist */
    API_ORDER_ID_SIZE = 36,                 /* bytes of a client's id */
    API_ORDER_TTL_MAX_S = 10 * 365 * 86400, /* no moment is later than that */
};

struct api_order {
    struct order order; /* views the command, and what follows */
    uint8_t kept[API_ORDER_KEPT_MAX * API_ORDER_ID_SIZE];
};

/* CODES_ERROR_NONE, or why it cannot be done. */
NODISCARD enum codes_error api_order_make(struct api_order *made, const struct api_command *command,
                                          time_t now);

#endif /* SERVER_API_ORDER_H */
