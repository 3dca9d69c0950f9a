/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_WIRE_H
#define STORE_WIRE_H
/*
 * What travels over the socketpairs between parleyd and its child, parley-store: frames, values to
 * bytes and back. A frame is a header of WIRE_HEADER_SIZE bytes (size of the body, version, type,
 * id) and a body; integers are little endian. Every question (batch, read, stat) has one
 * answer with the same id, on the same socket: reads have the second one, all else the first.
 *
 * Order  the answers to batches come in the order of the batches, those to reads in the order of
 *        the reads. Between the two sockets there is none but this: a read that is asked after the
 *        answer to a batch shows what it has stored.
 * Pure: memory is the caller's, no I/O, no allocation, no clock. ANY_THREAD.
 * Views  decoded values point into the frame and live as long as its bytes.
 * Not here: what a batch does (child.h), what lies on the disk (record.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    WIRE_VERSION = 4,
    WIRE_HEADER_SIZE = 16,
    WIRE_BODY_SIZE_MAX = 4 << 20,  /* bytes */
    WIRE_ENTRY_SIZE_MIN = 40,      /* bytes, without what it names and carries */
    WIRE_ENTRY_COUNT_MAX = 16384,  /* of one batch */
    WIRE_CHANNEL_SIZE_MAX = 255,   /* bytes, at least 1 */
    WIRE_VALUE_SIZE_MAX = 2 << 20, /* bytes of one publication */
    WIRE_PAGE_BYTES_MAX = 3 << 20, /* bytes of the records of one page */
    WIRE_RECORD_SIZE_MIN = 24,     /* bytes of a record in a page, without its value */
    WIRE_READ_COUNT_MAX = 16384,   /* records that one page may have */
    WIRE_COMMITTED_SIZE = 8,       /* bytes of the bodies below */
    WIRE_READ_SIZE_MAX = 24 + WIRE_CHANNEL_SIZE_MAX,
    WIRE_PAGE_HEAD_SIZE = 64,
    WIRE_STATS_COUNT = 16,
    WIRE_STATS_SIZE = 8 * WIRE_STATS_COUNT,
};

#define WIRE_KEEP_MS_MAX (UINT64_C(1) << 48)

/* The values are on the wire: never change one, add at the end. */
enum wire_type {
    WIRE_BATCH = 1,  /* to the child */
    WIRE_READ = 2,   /* to the child's reader */
    WIRE_STAT = 4,   /* to the child; no body */
    WIRE_READY = 64, /* from the child, once, first: how long the open took, in microseconds */
    WIRE_COMMITTED = 65,
    WIRE_PAGE = 66,
    WIRE_STATS = 68,
};

/* What the bytes of the other side turned out to be. Only WIRE_OK fills the outputs. */
enum wire_verdict {
    WIRE_OK = 0,
    WIRE_NEED_MORE,   /* not a fault: a frame is not complete */
    WIRE_BAD_VERSION, /* the two programs were not built together */
    WIRE_BAD_TYPE,
    WIRE_TOO_BIG,   /* a size above its limit */
    WIRE_BAD_FRAME, /* sizes that contradict each other, values out of range */
};

enum wire_durability {
    WIRE_DURABLE_PROCESS = 0, /* with the kernel: survives kill -9 */
    WIRE_DURABLE_POWER = 1,   /* with the disk */
};

/* What one entry of a batch does. Channels and streams are created by their first RESET. */
enum wire_kind {
    WIRE_APPEND = 1, /* epoch, offset (the top one plus 1), time_ms, flags, value */
    WIRE_RESET = 2,  /* a new life: epoch, time_ms; what was there goes; the top one is offset */
    WIRE_TRIM = 3,   /* epoch, offset: what lies below it goes */
    WIRE_REMOVE = 4, /* epoch: the stream and what is known of it go */
    WIRE_KEEP = 5,   /* epoch, keep: how long, from now on */
};

/*
 * How long something is kept that nobody asks for: 1..WIRE_KEEP_MS_MAX each. 0 of a stream: that
 * was never said, and it stays.
 */
struct wire_keep {
    uint64_t record_ms;   /* a publication, from when it was stored */
    uint64_t position_ms; /* epoch and top offset, from when no publication is left */
};

struct wire_entry {
    enum wire_kind kind;
    uint32_t flags; /* opaque */
    uint64_t offset;
    uint64_t epoch;
    uint64_t time_ms;
    struct wire_keep keep; /* WIRE_KEEP, where it stands in the place of offset and time_ms */
    struct bytes channel;
    struct bytes value; /* WIRE_APPEND: opaque, else empty */
};

/* How a question ended. The values are on the wire. */
enum wire_result {
    WIRE_DONE = 0,
    WIRE_ABSENT = 1,   /* no such stream */
    WIRE_CONFLICT = 2, /* offset or epoch are not what the stream has: nothing was stored */
    WIRE_DAMAGED = 3,  /* what is stored does not check; nothing of it is returned */
    WIRE_NO_SPACE = 4, /* the disk is nearly full: nothing was stored */
    WIRE_FAILED = 5,   /* the engine cannot read what it needs for an answer: nothing was stored */
};

struct wire_header {
    uint64_t id;
    uint32_t body_size;
    enum wire_type type;
};

struct wire_committed {
    enum wire_result result;
    uint32_t entry; /* the one that could not be done, when result is not WIRE_DONE */
};

struct wire_read {
    struct bytes channel;
    uint64_t since;     /* offsets above it */
    uint32_t count_max; /* 1..WIRE_READ_COUNT_MAX */
    uint32_t bytes_max; /* of records, at most WIRE_PAGE_BYTES_MAX; one record always fits */
    bool newest;        /* `since` is how many of the newest records are meant */
};

/* What is known of a stream. `top` is 0 and `first` 1 when nothing was ever appended. */
struct wire_stream {
    uint64_t epoch;
    uint64_t top;          /* the newest offset */
    uint64_t first;        /* the oldest one that is kept; top + 1: none is */
    uint64_t last_time_ms; /* of the newest append or reset */
    struct wire_keep keep;
};

struct wire_record {
    uint64_t offset;
    uint64_t time_ms;
    uint32_t flags;
    struct bytes value;
};

struct wire_page {
    enum wire_result result;
    bool more;      /* the range has records that did not fit */
    uint32_t count; /* records in `records` */
    struct wire_stream stream;
    struct bytes records; /* for wire_next_record() */
};

struct wire_stats {
    uint64_t streams; /* estimates of the engine */
    uint64_t records;
    uint64_t disk_bytes;   /* live tables */
    uint64_t memory_bytes; /* write buffers, block cache, table readers */
    uint64_t commits;      /* of this process, as all that follow */
    uint64_t synced;       /* commits that were */
    uint64_t batches;
    uint64_t entries;
    uint64_t entry_bytes;     /* values */
    uint64_t commit_ns_max;   /* the slowest commit since the last question */
    uint64_t free_bytes;      /* of the file system */
    uint64_t is_full;         /* 1: so few that nothing is appended */
    uint64_t expired_records; /* that were too old, and nobody had the channel open */
    uint64_t expired_streams; /* likewise, of which nothing is left */
    uint64_t damaged_tables;  /* files that were dropped for what they were */
    uint64_t damaged_streams; /* that begin anew for that */
};

_Static_assert(sizeof(struct wire_stats) == WIRE_STATS_SIZE, "one number each");

/* Reads the header of the frame that starts at `in`; WIRE_OK only when the body is there too. */
NODISCARD enum wire_verdict wire_read_header(struct bytes in, struct wire_header *header);
void wire_write_header(const struct wire_header *header, uint8_t target[static WIRE_HEADER_SIZE]);

/* A batch: wire_batch_size() is 0 when an entry breaks a limit; target has room for that many. */
NODISCARD size_t wire_batch_size(const struct wire_entry *entries, size_t count);
void wire_write_batch(enum wire_durability durability, const struct wire_entry *entries,
                      size_t count, uint8_t *target);

/* Reading one: the head, then wire_next_entry() `count` times. All limits are checked. */
struct wire_batch {
    enum wire_durability durability;
    uint32_t count;
    struct bytes rest; /* entries that were not read yet */
};
NODISCARD enum wire_verdict wire_read_batch(struct bytes body, struct wire_batch *batch);
/* WIRE_OK and an entry; WIRE_BAD_FRAME too when the last entry does not end the body. */
NODISCARD enum wire_verdict wire_next_entry(struct wire_batch *batch, struct wire_entry *entry);

/* The small ones. A writer returns the bytes written; the sizes above say how many at most. */
NODISCARD size_t wire_write_committed(const struct wire_committed *committed, uint8_t *target);
NODISCARD enum wire_verdict wire_read_committed(struct bytes body,
                                                struct wire_committed *committed);
NODISCARD size_t wire_write_read(const struct wire_read *read, uint8_t *target);
NODISCARD enum wire_verdict wire_read_read(struct bytes body, struct wire_read *read);
NODISCARD size_t wire_write_stats(const struct wire_stats *stats, uint8_t *target);
NODISCARD enum wire_verdict wire_read_stats(struct bytes body, struct wire_stats *stats);

/*
 * A page: records are written one by one behind WIRE_PAGE_HEAD_SIZE bytes, the head last.
 * wire_write_record() returns the bytes written, WIRE_RECORD_SIZE_MIN and the value.
 */
NODISCARD size_t wire_write_record(const struct wire_record *record, uint8_t *target);
void wire_write_page_head(const struct wire_page *page, uint8_t *target);
/* Checks every record, so that wire_next_record() cannot fail. */
NODISCARD enum wire_verdict wire_read_page(struct bytes body, struct wire_page *page);
/* Takes the next record out of `records`; false at the end. */
NODISCARD bool wire_next_record(struct bytes *records, struct wire_record *record);

#endif /* STORE_WIRE_H */
