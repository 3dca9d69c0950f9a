/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_LEDGER_H
#define CHAT_LEDGER_H
/*
 * What a home has under way with the archive: publications that are accepted when they are stored,
 * and questions that wait until it is known what is stored of their channel.
 *
 *   a book      one durable channel's part: CLOSED -> ASKED (for its page) -> OPEN. What is queued
 *               in an open one goes to the archive as a run, one at a time: while a run is under
 *               way, what comes is gathered for the next. Nobody is given a publication, and no
 *               publisher an answer, before it is stored.
 *   an item     one post that somebody waits for. It is done when it may be answered, and the
 *               ledger keeps it until it was (ledger_first_done).
 *
 * Truth     lies in the store. When the outcome of a run is not known, the book is closed and its
 *           page asked for, from the last publication that is known to be stored on: what is on it
 *           was stored and is delivered, what is not was not and goes out again under the same
 *           offset, as long as its publisher waits for it. So an offset never has two contents.
 *           What the store has dropped for its age, while the book was open, was stored all the
 *           same; and a stream that is gone from it for that begins again where it was.
 * Counted   as published is what becomes stored, once, whatever its publisher was told; but not
 *           what was stored before the book was opened.
 * Bounds    an item waits for timeout_ns, then it is answered with CODES_ERROR_INTERNAL. A
 *           publication that was sent by then may be delivered all the same: its outcome was not
 *           known. Bytes and items have maxima; above, ledger_publish() and ledger_ask() say no.
 * Owner     one reactor's channels. ON that reactor only.
 * Not here  streams and who is interested (channel.h), the store (server/archive.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/post.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/list.h"
#include "proto/codes.h"

struct archive_batch;
struct archive_page;
struct blob;
struct blob_pool;
struct bus;
struct ledger;      /* opaque */
struct ledger_book; /* opaque */
struct metrics;

/* What is known of a publication that is stored. */
struct ledger_stored {
    uint64_t age_ms;
    uint8_t key_size; /* of its idempotency key; 0: none */
};

/* The owner of a book is told, in this order, what its channel is. */
struct ledger_ops {
    /*
     * A stream with this epoch, whose last publication is `top`; nothing is kept of it yet. Who
     * was told of another life, or of more, has lost something.
     */
    void (*on_begin)(void *context, void *owner, uint64_t epoch, uint64_t top);
    /* The next publication, as publication_create() made it: takes its share. */
    void (*on_stored)(void *context, void *owner, struct blob *blob,
                      const struct ledger_stored *stored);
    /* One that was taken is not stored, and never will be. Its blob is only borrowed. */
    void (*on_refused)(void *context, void *owner, const struct blob *blob, uint8_t key_size);
    /* Nothing is under way or waits any more. The book may be closed in here. */
    void (*on_idle)(void *context, void *owner);
    /* For a stream that begins: never 0, another one each time. */
    uint64_t (*new_epoch)(void *context);
};

struct ledger_options {
    uint16_t reactor;
    uint16_t archive; /* port */
    uint64_t timeout_ns;
    size_t bytes_max;        /* of publications that are not delivered, or wait with a question */
    uint32_t item_count_max; /* posts that wait or are not answered */
    struct bus *bus;
    struct blob_pool *pool;
    struct metrics *metrics;
    const struct ledger_ops *ops;
    void *context;
};

/* What is kept of a stream. The store sees to the times, too, when nobody is here. */
struct ledger_keep {
    uint32_t count;       /* publications of its history */
    uint64_t record_ms;   /* and how long, not 0 */
    uint64_t position_ms; /* how long epoch and offset are kept after that, not 0 */
};

/* What a new book is for. */
struct ledger_book_options {
    void *owner;
    struct bytes channel; /* borrowed, as long as the book is there */
    struct ledger_keep keep;
    uint16_t counts_as; /* the policy's: where its publications are counted */
    bool power;         /* has to survive the loss of power */
};

/* 0 or -ENOMEM. */
NODISCARD int ledger_create(const struct ledger_options *options, struct ledger **ledger);

/* Frees what the archive still has, too: it has ended. Books were closed. NULL: nothing. */
void ledger_destroy(struct ledger *ledger);

/* NULL: no memory. */
NODISCARD struct ledger_book *ledger_open(struct ledger *ledger,
                                          const struct ledger_book_options *options);

/* Forgets the book, and with it the items that wait: only an idle one, but at the very end. */
void ledger_close(struct ledger *ledger, struct ledger_book *book);

/* Is it known what the stream is? Then questions need not wait. */
NODISCARD bool ledger_is_loaded(const struct ledger_book *book);
/* And is all known that is stored, but for what is under way? */
NODISCARD bool ledger_is_certain(const struct ledger_book *book);
/* Nothing is under way, nobody waits. */
NODISCARD bool ledger_is_idle(const struct ledger_book *book);

/*
 * Takes a POST_PUBLISH with its blob to store it, or a question that waits until the book is
 * certain. CODES_ERROR_NONE: it will be done; else why not, and nothing was taken.
 */
NODISCARD enum codes_error ledger_publish(struct ledger *ledger, struct ledger_book *book,
                                          const struct post *post);
NODISCARD enum codes_error ledger_ask(struct ledger *ledger, struct ledger_book *book,
                                      const struct post *post);

/* Another configuration: the store is told of other times at once, though nobody publishes. */
void ledger_set_keep(struct ledger *ledger, struct ledger_book *book,
                     const struct ledger_keep *keep);

/* The history begins there now: what lies before goes some time, or soon. */
void ledger_trim(struct ledger *ledger, struct ledger_book *book, uint64_t first, bool soon);
/* The stream and its position are to be forgotten. Only an idle book. */
void ledger_remove(struct ledger *ledger, struct ledger_book *book);

/* Answers of the archive: POST_ARCHIVE_APPENDED, POST_ARCHIVE_PAGE. Takes them. */
void ledger_take_batch(struct ledger *ledger, struct archive_batch *batch);
void ledger_take_page(struct ledger *ledger, struct archive_page *page);

/* The time of what follows. Who has waited long enough is done, with an error. */
void ledger_tick(struct ledger *ledger, uint64_t now_ns);

/* Gives the owners at most `count` publications that are stored. Returns how many. */
size_t ledger_deliver(struct ledger *ledger, size_t count);

/* Gives the archive what is queued, as far as it may have more at once. Before bus_flush(). */
void ledger_flush(struct ledger *ledger);

/* Has all been given that may be? Else there is more of it than the archive takes at once. */
NODISCARD bool ledger_is_flushed(const struct ledger *ledger);

/* Something is stored and not delivered, or done and not answered. */
NODISCARD bool ledger_has_backlog(const struct ledger *ledger);
/* Nobody waits for anything. */
NODISCARD bool ledger_is_quiet(const struct ledger *ledger);
/* The archive has something of it, which nobody need wait for. */
NODISCARD bool ledger_has_given(const struct ledger *ledger);
NODISCARD size_t ledger_item_count(const struct ledger *ledger);

/*
 * Items that are done. Of a publication the answer is due: position, or the error; its blob is
 * gone. Of a question the error, or it may be asked now: its blob is whose who answers it.
 */
struct ledger_answer {
    struct post post; /* as it was taken */
    enum codes_error error;
    bool is_question;
    uint64_t epoch; /* of a publication that is stored */
    uint64_t offset;
};
struct ledger_item *ledger_first_done(const struct ledger *ledger); /* NULL: none */
struct ledger_item *ledger_next_done(const struct ledger *ledger, const struct ledger_item *item);
NODISCARD struct ledger_answer ledger_look(const struct ledger_item *item);
/* It was answered. */
void ledger_forget(struct ledger *ledger, struct ledger_item *item);

#endif /* CHAT_LEDGER_H */
