/* SPDX-License-Identifier: Apache-2.0 */
#include "server/reload_desk.h"

#include <string.h>

#include "chat/outbox.h"
#include "chat/post.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"

enum codes_error reload_desk_ask(struct reload_desk *desk, struct conn_id conn, uint32_t part)
{
    const struct post post = {.kind = POST_RELOAD};
    const struct bus_post packed = post_pack(&post);

    if (desk->is_asked || bus_tell(desk->bus, desk->port, desk->control, &packed) != BUS_POSTED) {
        return CODES_ERROR_TOO_MANY_REQUESTS;
    }
    desk->is_asked = true;
    desk->conn = conn;
    desk->part = part;
    return CODES_ERROR_NONE;
}

void reload_desk_take(struct reload_desk *desk, const struct post_reload *answer,
                      struct outbox *outbox, struct blob_pool *pool)
{
    uint16_t error = answer->error;
    size_t size = 0;

    CHECK(desk->is_asked);
    desk->is_asked = false;
    if (answer->blob != NULL) {
        const struct bytes text = blob_bytes(answer->blob);
        const struct span target = outbox_begin_long(outbox, text.size);
        if (target.size >= text.size) {
            memcpy(target.data, text.data, text.size);
            size = text.size;
        } else {
            error = CODES_ERROR_INTERNAL;
        }
        blob_drop(answer->blob, pool);
    }
    outbox_answer(outbox, desk->conn, desk->part, error, size);
}
