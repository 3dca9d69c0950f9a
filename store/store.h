/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_H
#define STORE_STORE_H
/*
 * The parent's side of the durable store: starts parley-store, sends it batches and questions, and
 * hands back what it answers, as values.
 *
 * Owner     of the child process, the queue of what is not sent, and the list of what is not
 *           answered.
 * Threads   one, the one that created it. It never blocks but in store_close().
 * Order     batches are answered in the order of their submission. Reads may overtake
 *           batches, and see only what is committed; what is asked after the answer to a batch
 *           sees that batch. A page is of one moment: it never shows a part of a batch.
 * Death     when the child dies, each question is answered: STORE_LOST when it had left for the
 *           child, which may or may not have stored it (ask the stream for its top offset after
 *           the restart), STORE_NOT_SENT when it certainly is not stored. Then the child is started
 *           again, after a pause that doubles from backoff_min_ms to backoff_max_ms.
 * Full      of bytes or of questions: STORE_FULL, and nothing was queued.
 * Not here  what is stored (gather.h), when to publish (chat/).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "store/wire.h"

struct store; /* opaque */

enum { STORE_REASON_SIZE = 320, STORE_ARGUMENTS_MAX = 24 };

struct store_options {
    const char *program;          /* path of parley-store */
    const char *path;             /* directory of the store */
    const char *const *arguments; /* more for `parley-store serve`, ended by NULL; or NULL */
    size_t queue_bytes_max;       /* not sent; at least WIRE_BODY_SIZE_MAX + WIRE_HEADER_SIZE */
    uint32_t questions_max;       /* not answered; a power of two */
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
    /* Told each line that a child says on its stderr, in store_step(); NULL: nobody is. */
    void (*on_line)(void *context, const char *line);
    void *line_context;
};

enum store_state {
    STORE_STARTING = 0, /* the child opens its files; questions are queued */
    STORE_READY,
    STORE_DOWN, /* the child died or did not start; questions are refused until the next try */
};

enum store_verdict {
    STORE_QUEUED = 0,
    STORE_FULL,    /* try later */
    STORE_REFUSED, /* the state is STORE_DOWN */
    STORE_TOO_BIG, /* a limit of wire.h is broken: it never will be taken */
};

enum store_event {
    STORE_COMMITTED = 0, /* committed */
    STORE_PAGE,          /* page */
    STORE_STATS,         /* stats */
    STORE_LOST,          /* sent, not answered */
    STORE_NOT_SENT,      /* not stored, for certain */
    STORE_CHANGED,       /* the state did; tag is 0 */
};

/* Views live until the next call of store_step() or store_close(). */
struct store_completion {
    enum store_event event;
    uint64_t tag; /* what the caller gave with the question */
    union {
        struct wire_committed committed;
        struct wire_page page;
        struct wire_stats stats;
        enum store_state state;
    };
};

/* What is known without asking the child. */
struct store_view {
    enum store_state state;
    uint32_t questions; /* not answered */
    size_t queue_bytes; /* not sent */
    uint64_t oldest_ns; /* when the oldest of them was submitted; 0: there is none */
    uint64_t open_us;   /* how long the last open took */
    uint32_t starts;    /* of the child */
    int child;          /* its process id; 0: none */
    bool damaged;       /* not ready, for the last one could not repair what is damaged */
    const char *reason; /* ready: what the child complained of last; else why the last one ended */
};

/* Starts the first child. 0 or -errno; a child that cannot open its store is a state, no error. */
NODISCARD int store_create(const struct store_options *options, uint64_t now_ns,
                           struct store **store);

/*
 * Lets the child store what it was sent, waits for it at most timeout_ms, then kills it. Questions
 * that are open get no completion: wait for them before, with store_step(). False when there was a
 * child and it did not end well.
 */
bool store_close(struct store *store, uint32_t timeout_ms);

/* Readable when store_step() has something to do. Stays the same for the life of the store. */
NODISCARD int store_fd(const struct store *store);

/*
 * Questions. The tag comes back with the answer. Nothing is kept of what the arguments point to.
 * They are sent by the next store_step() or store_flush().
 */
NODISCARD enum store_verdict store_commit(struct store *store, uint64_t tag,
                                          enum wire_durability durability,
                                          const struct wire_entry *entries, size_t count);
NODISCARD enum store_verdict store_read(struct store *store, uint64_t tag,
                                        const struct wire_read *read);
NODISCARD enum store_verdict store_ask_stats(struct store *store, uint64_t tag);

/* Sends what is queued, as far as the socket takes it. */
void store_flush(struct store *store);

/*
 * Sends, receives, starts and buries children; fills at most `count` completions and returns how
 * many. Call it until it returns less than `count`. `now_ns` is the monotonic time.
 */
NODISCARD size_t store_step(struct store *store, uint64_t now_ns,
                            struct store_completion *completions, size_t count);

NODISCARD struct store_view store_look(const struct store *store);

#endif /* STORE_STORE_H */
