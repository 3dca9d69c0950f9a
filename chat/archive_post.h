/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_ARCHIVE_POST_H
#define CHAT_ARCHIVE_POST_H
/*
 * What a home and the archive hand to each other: objects on the heap that posts name.
 *
 *   POST_ARCHIVE_APPEND   struct archive_batch: what is to be stored, one run per channel. A run is
 *                         stored as a whole or not at all; runs do not depend on each other.
 *   POST_ARCHIVE_READ     struct archive_page: what is known of a channel, and some of what it has.
 *
 * Owner     the home, but from its ask until the answer, when it is the archive's. What a batch
 *           borrows (names, values) the home keeps as it is until then.
 * Order     batches of one home are taken in their order. A page may overtake them: a home asks
 *           for a channel's page when nothing of that channel is under way.
 * Time      is the archive's: it says when something was stored, and how old something is.
 * Not here  when to ask (ledger.h), how it is stored (server/archive.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/list.h"

enum {
    ARCHIVE_NAME_SIZE_MAX = 255,      /* bytes of a channel's name */
    ARCHIVE_VALUE_SIZE_MAX = 2 << 20, /* bytes of one publication */
    ARCHIVE_RUN_SIZE_MAX = 1 << 20,   /* bytes of values of one run; one value always fits */
    ARCHIVE_RUN_COUNT_MAX = 2048,     /* entries of one run */
    ARCHIVE_PAGE_SIZE_MAX = 1 << 20,  /* bytes of a page's records; one record always fits */
    ARCHIVE_PAGE_COUNT_MAX = 16384,   /* records of a page */
};

/* How a run, or a page, ended. */
enum archive_result {
    ARCHIVE_DONE = 0,
    ARCHIVE_UNKNOWN,  /* the store died over it: it may be stored; a page says what is */
    ARCHIVE_CONFLICT, /* not stored: offset or epoch are not what the store has */
    ARCHIVE_DAMAGED,  /* not stored, and nothing readable: only a new epoch helps */
    ARCHIVE_ABSENT,   /* not stored: there is no such stream */
    ARCHIVE_REFUSED,  /* not stored: no space, or nobody there to store it */
};

enum archive_kind {
    ARCHIVE_APPEND = 1, /* offset, value */
    ARCHIVE_RESET,      /* the stream begins, with the run's epoch, behind offset */
    ARCHIVE_TRIM,       /* what lies below offset goes */
    ARCHIVE_REMOVE,     /* the stream goes */
};

struct archive_entry {
    enum archive_kind kind;
    uint32_t tag; /* the home's, stored with the value and given back with it */
    uint64_t offset;
    struct bytes value;
};

struct archive_run {
    void *owner; /* the home's; nobody else looks at it */
    struct bytes channel;
    uint64_t epoch;
    uint32_t first; /* of the batch's entries */
    uint32_t count; /* at least 1 */
    bool power;     /* has to survive the loss of power */
    /* How long the store keeps what nobody asks for, from now on; 0: as it was told before. */
    uint64_t record_ms;
    uint64_t position_ms; /* and when no record is left */
    enum archive_result result;
};

struct archive_batch {
    struct list_link link; /* of whoever owns it now */
    struct archive_run *runs;
    struct archive_entry *entries;
    uint32_t run_count;
    uint32_t run_capacity;
    uint32_t entry_count;
    uint32_t entry_capacity;
    /* The archive's: */
    uint64_t taken_ns;
    uint32_t next_run;  /* the first that was not given to the store */
    uint32_t open_runs; /* without a result */
    uint16_t from;      /* port */
};

struct archive_record {
    uint64_t offset;
    uint32_t tag;
    uint64_t age_ms;    /* when the page was read */
    struct bytes value; /* lives as long as the page */
};

enum archive_range {
    ARCHIVE_NEWEST, /* the newest count_max */
    ARCHIVE_SINCE,  /* those above `since` */
};

struct archive_page {
    struct list_link link; /* of whoever owns it now */
    void *owner;           /* the home's; nobody else looks at it */
    enum archive_range range;
    uint64_t since;
    uint32_t count_max; /* 1..ARCHIVE_PAGE_COUNT_MAX */
    /* The answer: */
    enum archive_result result; /* never CONFLICT */
    bool more;                  /* the range has records that did not fit */
    uint64_t epoch;
    uint64_t top;       /* 0: nothing was ever appended */
    uint64_t first;     /* the oldest that is kept; top + 1: none is */
    uint64_t idle_ms;   /* the age of the newest record, or of the stream */
    uint64_t record_ms; /* how long the store keeps them, and then the position; 0: for ever */
    uint64_t position_ms;
    uint32_t record_count;
    struct archive_record *records; /* in order, without a gap */
    /* The archive's: */
    uint64_t taken_ns;
    uint8_t *bytes; /* where the next record's value goes */
    size_t bytes_room;
    uint32_t record_capacity;
    uint16_t from; /* port */
    /* The question's: */
    uint8_t channel_size;
    uint8_t channel[ARCHIVE_NAME_SIZE_MAX];
};

/* Empty, with room for so many. NULL: no memory. */
NODISCARD struct archive_batch *archive_post_create_batch(uint32_t run_capacity,
                                                          uint32_t entry_capacity);
void archive_post_destroy_batch(struct archive_batch *batch);

/* Begins a run, then adds to the last one. There must be room. */
struct archive_run *archive_post_add_run(struct archive_batch *batch, struct archive_run run);
void archive_post_add_entry(struct archive_batch *batch, struct archive_entry entry);

/* A question for a channel, of at most ARCHIVE_NAME_SIZE_MAX bytes. NULL: no memory. */
NODISCARD struct archive_page *archive_post_create_page(struct bytes channel);
void archive_post_destroy_page(struct archive_page *page);

/*
 * Room for so many records of so many bytes in all; false when there is no memory. Then they are
 * added one by one, copied.
 */
NODISCARD bool archive_post_reserve(struct archive_page *page, uint32_t count, size_t size);
void archive_post_add_record(struct archive_page *page, struct archive_record record);

#endif /* CHAT_ARCHIVE_POST_H */
