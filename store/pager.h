/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_PAGER_H
#define STORE_PAGER_H
/*
 * Which records a read is answered with: from the engine into one page.
 *
 * The newest ones are found by going up to the end of the stream, from where they would begin if
 * what is noted of its top (record.h) were all. What is kept of them is a window, which loses the
 * oldest as it moves up. When the end is too far, or the window too large for its room, a second
 * read begins where the first one has found that it should have.
 *
 * Threads   any one at a time; `room` is the caller's.
 * Failures  are in the page: its result, and a line of text for whoever looks after the store.
 */
#include "store/engine.h"
#include "store/wire.h"

enum {
    PAGER_ROOM_SIZE = WIRE_BODY_SIZE_MAX - WIRE_PAGE_HEAD_SIZE,
    PAGER_MOVES_MAX = 128, /* records that the window may leave behind */
};

/* Its records view `room`, which has PAGER_ROOM_SIZE bytes; a page that is not DONE has none. */
NODISCARD struct wire_page pager_fill(const struct engine_ops *ops, struct engine *engine,
                                      const struct wire_read *read, uint8_t *room,
                                      char error[static ENGINE_ERROR_SIZE]);

#endif /* STORE_PAGER_H */
