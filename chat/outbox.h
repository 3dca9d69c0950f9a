/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_OUTBOX_H
#define CHAT_OUTBOX_H
/*
 * What the hub wants delivered in this iteration; the only way out of chat/.
 *
 * Owner     one reactor's hub fills it (phases 2 and 3), its shard empties it (phase 4).
 * Memory    address space reserved at creation and touched as needed, so that filling it cannot
 *           fail half-way: outbox_is_roomy() is asked before a command or a post is taken.
 * Full      a message that finds no room costs its connection (a disconnect entry, for which
 *           there is always room): an answer is never silently missing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/ids.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/conn_id.h"

struct blob;
struct outbox; /* opaque */
struct room;

enum outbox_kind {
    OUTBOX_MESSAGE,     /* bytes for one connection */
    OUTBOX_PUBLICATION, /* one share of a blob for every member of a room */
    OUTBOX_NEWS, /* one share of a blob for the members that want to know who comes and goes */
    OUTBOX_DISCONNECT, /* close a connection with a code */
    OUTBOX_ANSWER,     /* a result, or an error, for a connection of a back end */
    OUTBOX_TAKEN,      /* already delivered, with an earlier publication of its room */
};

struct outbox_entry {
    enum outbox_kind kind;
    uint16_t code;          /* OUTBOX_DISCONNECT; OUTBOX_ANSWER: enum codes_error */
    uint32_t next;          /* OUTBOX_PUBLICATION: index + 1 of the room's next one, 0: last */
    uint32_t at;            /* OUTBOX_MESSAGE, OUTBOX_ANSWER: where in the text */
    uint32_t size;          /* likewise: bytes */
    struct conn_id conn;    /* likewise, and OUTBOX_DISCONNECT */
    struct ids_handle room; /* OUTBOX_PUBLICATION, OUTBOX_NEWS */
    struct blob *blob;      /* likewise */
    uint32_t part;          /* OUTBOX_ANSWER: what of the request it is the answer to */
    bool has_reason;        /* OUTBOX_DISCONNECT: its text is one */
    bool in_order;          /* OUTBOX_MESSAGE: overtakes no publication that is queued already */
};

struct outbox_options {
    uint32_t entry_count_max; /* messages and publications of one iteration */
    uint32_t text_size_max;   /* bytes of messages of one iteration */
    uint32_t conn_count_max;  /* for each of them, two disconnects fit besides */
};

NODISCARD int outbox_create(const struct outbox_options *options, struct outbox **outbox);
void outbox_destroy(struct outbox *outbox);

/*
 * To be asked before a command is applied and before OUTBOX_POSTS_MAX posts are taken: what they
 * publish then fits, however many messages they cause.
 */
enum { OUTBOX_POSTS_MAX = 32 };
NODISCARD bool outbox_is_roomy(const struct outbox *outbox);

/*
 * A message: write into the span that begin gives, which is empty when there is no room, then
 * commit what was written. Not calling commit adds nothing.
 */
NODISCARD struct span outbox_begin(struct outbox *outbox);
void outbox_commit(struct outbox *outbox, struct conn_id conn, size_t size);

/* The same for a message that may be long: the span has `size` bytes, or none. */
NODISCARD struct span outbox_begin_long(struct outbox *outbox, size_t size);

/*
 * The same for what begins or ends a subscription: it must reach the client behind what was
 * published before, so that nothing comes outside of a subscription, or again in the next one.
 */
void outbox_commit_in_order(struct outbox *outbox, struct conn_id conn, size_t size);

/*
 * The answer to a part of a back end's request (chat/hub_api.h): an error, or with
 * CODES_ERROR_NONE what was written since outbox_begin() or outbox_begin_long().
 */
void outbox_answer(struct outbox *outbox, struct conn_id conn, uint32_t part, uint16_t error,
                   size_t size);

/* A disconnect with other words than the code's own, as far as there is room for them. */
void outbox_disconnect_with(struct outbox *outbox, struct conn_id conn, uint16_t code,
                            struct bytes reason);

/* At most once by the hub and once by who reads the connection: there is room for both. */
void outbox_disconnect(struct outbox *outbox, struct conn_id conn, uint16_t code);

/* Takes one share of the blob. There is room, for outbox_is_roomy() was asked. */
void outbox_publish(struct outbox *outbox, struct room *room, struct ids_handle handle,
                    struct blob *blob);

/* The same for one without an offset; it keeps its place between the others. */
void outbox_pass(struct outbox *outbox, struct room *room, struct ids_handle handle,
                 struct blob *blob);

/* The same, for joins and leaves. */
void outbox_tell(struct outbox *outbox, struct ids_handle room, struct blob *blob);

/* For who delivers: the entries in order, the text of one, and forgetting all of them. */
size_t outbox_count(const struct outbox *outbox);
struct outbox_entry *outbox_at(struct outbox *outbox, size_t index);
struct bytes outbox_text(const struct outbox *outbox, const struct outbox_entry *entry);
void outbox_clear(struct outbox *outbox);

#endif /* CHAT_OUTBOX_H */
