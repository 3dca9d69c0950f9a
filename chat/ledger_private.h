/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_LEDGER_PRIVATE_H
#define CHAT_LEDGER_PRIVATE_H
/*
 * The ledger's state, and the steps that its files share. Private to chat/ledger*.c.
 *
 *   ledger.c           books, time, what is taken, delivered and refused
 *   ledger_items.c     who waits, and who is done
 *   ledger_runs.c      what the archive is given to store, and what follows from how that ended
 *   ledger_pages.c     what it is asked for, and what follows from its answers
 */
#include "chat/archive_post.h"
#include "chat/ledger.h"

enum {
    LEDGER_BATCHES_MAX = 16, /* with the archive at once */
    LEDGER_PAGES_MAX = 32,   /* likewise */
};

/*
 * A post that somebody waits for. `age` is in ledger->waiting until it is done, then in
 * ledger->done until it is answered; `place` is where its publication or question is, if it still
 * is. Freed when it is in neither.
 */
struct ledger_item {
    struct list_link age;
    struct list_link place;
    struct ledger_book *book; /* NULL: done, and of no book any more */
    struct blob *blob;        /* of a publication that was not delivered; else NULL */
    uint64_t deadline_ns;
    size_t asked_bytes; /* of a publication that is a question; in ledger->bytes */
    struct ledger_answer answer;
};

enum ledger_state {
    LEDGER_CLOSED = 0, /* what the store has is not known */
    LEDGER_WANTED,     /* it is in ledger->wanted, to be asked for */
    LEDGER_ASKED,      /* the archive has its page */
    LEDGER_OPEN,
};

struct ledger_book {
    struct ledger_book_options options;
    enum ledger_state state;
    bool is_begun;    /* the owner knows which stream it is, and some of it */
    bool is_loaded;   /* and all of it */
    bool must_reset;  /* the stream is not in the store yet */
    bool must_remove; /* it is to be forgotten there */
    bool must_keep;   /* the store does not know for how long, or of other times */
    bool keeps_soon;  /* and is told without waiting for something else to go there */
    bool trims_soon;  /* without waiting for enough to be trimmed */
    bool has_run;     /* with the archive */
    bool is_removed;  /* by that run */
    bool rests;       /* what it has was refused, and is given again later */
    uint64_t epoch;
    uint64_t stored;  /* the last offset that is known to be stored */
    uint64_t kept;    /* the first that the store keeps, as far as it was told */
    uint64_t keep;    /* the first that it needs to keep */
    uint64_t idle_ms; /* the age of its last publication, at idle_ns */
    uint64_t idle_ns;
    uint64_t gone_ms; /* the store may have removed it at this age: by all times that it may know */
    struct list_link queued; /* items: publications that are to be sent */
    struct list_link sent;   /* those of the run that is under way; or, without one, unknown */
    struct list_link stored_items; /* those that are to be delivered */
    struct list_link questions;    /* items that wait for the page, or are done and not answered */
    struct list_link dirty;    /* in ledger->dirty: has something for the archive; or ->resting */
    struct list_link wanted;   /* in ledger->wanted */
    struct list_link delivery; /* in ledger->deliveries */
    struct archive_page *page; /* that is being delivered, or NULL */
    uint32_t page_next;        /* the first record that was not */
};

struct ledger {
    struct ledger_options options;
    uint64_t now_ns;
    struct list_link waiting; /* items by deadline */
    struct list_link done;
    struct list_link dirty;
    struct list_link resting; /* until rested_ns */
    struct list_link wanted;
    struct list_link deliveries;
    uint64_t rested_ns;
    size_t bytes;
    uint32_t item_count;
    uint32_t batch_count;
    uint32_t page_count;
    struct archive_batch *batches[LEDGER_BATCHES_MAX]; /* with the archive */
    struct archive_page *pages[LEDGER_PAGES_MAX];      /* with the archive */
};

#define LEDGER_PLACED(link) LIST_OWNER(link, struct ledger_item, place)

/* ledger_items.c */
NODISCARD struct ledger_item *ledger_add_item(struct ledger *ledger, struct ledger_book *book,
                                              const struct post *post);
NODISCARD bool ledger_is_publication(const struct ledger_item *item);
/* One of the book's publications is known to be stored since now. */
void ledger_count_stored(struct ledger *ledger, const struct ledger_book *book);
void ledger_forget_done(struct ledger *ledger);
void ledger_end_item(struct ledger *ledger, struct ledger_item *item, enum codes_error error);
void ledger_drop_publication(struct ledger *ledger, struct ledger_item *item);

/* ledger.c */
void ledger_refuse_list(struct ledger *ledger, struct list_link *list);
void ledger_refuse_all(struct ledger *ledger, struct ledger_book *book);
void ledger_maybe_idle(struct ledger *ledger, struct ledger_book *book);
/* How old the last publication of the stream is. */
void ledger_set_idle(const struct ledger *ledger, struct ledger_book *book, uint64_t idle_ms);
void ledger_mark_delivery(struct ledger *ledger, struct ledger_book *book);

/* ledger_runs.c */
void ledger_mark_dirty(struct ledger *ledger, struct ledger_book *book);
/* Those that rest have something for the archive again. */
void ledger_end_rest(struct ledger *ledger);
/* The store goes by these times; 0: by none. */
void ledger_compare_keep(struct ledger_book *book, uint64_t record_ms, uint64_t position_ms);

/* ledger_pages.c */
void ledger_want_page(struct ledger *ledger, struct ledger_book *book);
/* What finds no room waits for an answer of the archive, which wakes us. */
void ledger_ask_pages(struct ledger *ledger);
/* One publication of the book's page. False: the page has none any more, and is gone. */
bool ledger_deliver_record(struct ledger *ledger, struct ledger_book *book);

#endif /* CHAT_LEDGER_PRIVATE_H */
