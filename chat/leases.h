/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_LEASES_H
#define CHAT_LEASES_H
/*
 * Commands that a reactor may read of a key, an address or a user, whose commands are limited: the
 * key's home lends it some at a time, which are spent here; and who waits for the next ones.
 *
 * Owner     the hub of a reactor with clients of the key. ON its reactor only.
 * Exact     what is lent has left the bucket of the home. It is spent within a tenth of a second or
 *           lost, and never comes back: so no key has more than its burst and its rate anywhere.
 * Memory    96 bytes for a key while it has a lease, waits for one, or had to wait a second ago; 32
 *           bytes for each session that waits. At most two keys and one wait for each session.
 * Not here  how the home is asked (hub_leases.c), its buckets (quota.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "chat/quota.h"
#include "core/annot.h"
#include "core/list.h"
#include "core/table.h"
#include "core/timerwheel.h"

struct leases; /* opaque */
struct session;

enum lease_state {
    LEASE_NONE = 0, /* its home can be asked */
    LEASE_ASKED,
    LEASE_HELD,  /* `left` commands, until the timer fires */
    LEASE_LATER, /* its home is asked again when the timer fires, if somebody waits */
};

struct lease {
    struct quota_key key;
    struct timerwheel_timer timer; /* of leases_due() */
    struct list_link waiters;      /* objects are struct lease_waiter, oldest first */
    struct list_link ready;        /* in leases->ready: there is something for who waits */
    uint64_t short_until_ns;       /* a second after it was refused the last time */
    uint32_t waiter_count;
    uint32_t slot; /* its own */
    uint8_t size;  /* commands of the last lease */
    uint8_t left;  /* of them */
    uint8_t wish;  /* what to ask for next, if no more wait: what is used in a tenth of a second */
    uint8_t kind;  /* enum quota_kind */
    uint8_t state; /* enum lease_state */
};

/* NULL: no memory. */
NODISCARD struct leases *leases_create(const struct table_key *key, uint32_t session_count_max);

/* Nobody may wait. NULL: nothing. */
void leases_destroy(struct leases *leases);

/* That of a key, which may be new: LEASE_NONE. NULL: no memory. */
NODISCARD struct lease *leases_of(struct leases *leases, enum quota_kind kind,
                                  const struct quota_key *key);

/* How many commands are to be asked for. */
NODISCARD uint32_t leases_wish(const struct lease *lease);

/* The home was asked; or it could not be, and is when `at_ns` has come. */
void leases_ask(struct leases *leases, struct lease *lease);
void leases_put_off(struct leases *leases, struct lease *lease, uint64_t at_ns);

/* It has answered: so many commands from now on, or none before `at_ns`. */
void leases_lend(struct leases *leases, struct lease *lease, uint32_t count, uint64_t now_ns);
void leases_refuse(struct leases *leases, struct lease *lease, uint64_t at_ns, uint64_t now_ns);

/* Is there a command for the session? Not before those who wait. And takes it. */
NODISCARD bool leases_have(const struct leases *leases, const struct lease *lease,
                           const struct session *session);
void leases_spend(struct leases *leases, struct lease *lease, uint64_t now_ns);

/* Was it refused in the last second? */
NODISCARD bool leases_is_short(const struct lease *lease, uint64_t now_ns);

/* The session waits behind the others, if it does not wait already. -ENOMEM: it does not. */
NODISCARD int leases_wait(struct leases *leases, struct lease *lease, struct session *session);
void leases_stop_waiting(struct leases *leases, struct session *session);

/* The next one for whom there is a command, if it takes it now; it waits no more. NULL: none. */
NODISCARD struct session *leases_next(struct leases *leases);

/* Limits have changed: nobody waits for the old ones, and what was lent by them is gone. */
void leases_change(struct leases *leases);

/*
 * Time goes by: the next one whose home is to be asked, for somebody waits. NULL: none, now. The
 * caller asks, or puts it off, before the next call.
 */
NODISCARD struct lease *leases_due(struct leases *leases, uint64_t now_ns);

/* When to look again: 0, while there is something for who waits; UINT64_MAX: not for any time. */
NODISCARD uint64_t leases_due_ns(const struct leases *leases);

/* Is no answer on its way? */
NODISCARD bool leases_are_quiet(const struct leases *leases);

#endif /* CHAT_LEASES_H */
