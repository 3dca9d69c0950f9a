/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus. One thread: order, fairness, who may use which slots, credits, refusals, and when a
 * port may sleep. Then threads that really sleep: ping-pong, many to one, and everybody asking
 * everybody, each with a condition variable and with an eventfd as the wake function. A lost
 * wake-up leaves a thread asleep; it then gives up after a long time and the test fails, so the
 * test always ends. No time is asserted. Run under ThreadSanitizer too.
 */
#include "core/bus.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/cpu.h"
#include "core/monotime.h"
#include "core/thread.h"

enum { SLOTS = 16, RESERVE = 3, TELLS_MAX = SLOTS - 2 * RESERVE, TAKE_MAX = 64 };

static struct bus_post post_of(uint8_t kind, uint32_t word)
{
    struct bus_post post = {.from = 999, .role = 99, .kind = kind, .word = word};
    memset(post.body, (int)(word & 0xff), sizeof(post.body));
    return post;
}

static enum bus_result tell(struct bus *bus, size_t from, size_t to, uint32_t word)
{
    const struct bus_post post = post_of(1, word);
    return bus_tell(bus, from, to, &post);
}

static enum bus_result ask(struct bus *bus, size_t from, size_t to, uint32_t word)
{
    const struct bus_post post = post_of(2, word);
    return bus_ask(bus, from, to, &post);
}

static void answer(struct bus *bus, size_t from, size_t to, uint32_t word)
{
    const struct bus_post post = post_of(3, word);
    bus_answer(bus, from, to, &post);
}

/* --- Rules, one thread ------------------------------------------------------------------------ */

START_TEST(posts_arrive_whole_and_in_order)
{
    struct bus *bus = bus_create(3, SLOTS, RESERVE);
    struct bus_post out[TAKE_MAX];
    ck_assert_uint_eq(bus_port_count(bus), 3);
    ck_assert_int_eq(tell(bus, 0, 2, 10), BUS_POSTED);
    ck_assert_int_eq(ask(bus, 0, 2, 11), BUS_POSTED);
    ck_assert(bus_has_unpublished(bus, 0));
    ck_assert_uint_eq(bus_take(bus, 2, out, TAKE_MAX), 0);
    bus_flush(bus, 0);
    ck_assert(!bus_has_unpublished(bus, 0));
    ck_assert_uint_eq(bus_take(bus, 1, out, TAKE_MAX), 0);
    ck_assert_uint_eq(bus_take(bus, 2, out, TAKE_MAX), 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct bus_post expected = post_of((uint8_t)(i + 1), 10 + i);
        ck_assert_uint_eq(out[i].from, 0);
        ck_assert_uint_eq(out[i].role, i == 0 ? BUS_TELL : BUS_ASK);
        ck_assert_uint_eq(out[i].kind, expected.kind);
        ck_assert_uint_eq(out[i].word, expected.word);
        ck_assert_mem_eq(out[i].body, expected.body, sizeof(expected.body));
    }
    answer(bus, 2, 0, 12);
    bus_flush(bus, 2);
    ck_assert_uint_eq(bus_take(bus, 0, out, TAKE_MAX), 1);
    ck_assert_uint_eq(out[0].role, BUS_ANSWER);
    ck_assert_uint_eq(out[0].from, 2);
    ck_assert_uint_eq(bus_posts(bus, 0), 2);
    ck_assert_uint_eq(bus_posts(bus, 2), 1);
    bus_destroy(bus);
}
END_TEST

/* A ring full of tells still takes every ask that has a credit, and every answer owed. */
START_TEST(tells_leave_two_reserves)
{
    struct bus *bus = bus_create(2, SLOTS, RESERVE);
    struct bus_post out[TAKE_MAX];
    for (uint32_t i = 0; i < RESERVE; i++) { /* so that port 1 owes answers */
        ck_assert_int_eq(ask(bus, 0, 1, i), BUS_POSTED);
    }
    bus_flush(bus, 0);
    ck_assert_uint_eq(bus_take(bus, 1, out, TAKE_MAX), RESERVE);

    for (uint32_t i = 0; i < TELLS_MAX; i++) {
        ck_assert_int_eq(tell(bus, 1, 0, i), BUS_POSTED);
    }
    ck_assert_int_eq(tell(bus, 1, 0, 99), BUS_FULL);
    for (uint32_t i = 0; i < RESERVE; i++) {
        ck_assert_int_eq(ask(bus, 1, 0, TELLS_MAX + i), BUS_POSTED);
    }
    ck_assert_int_eq(ask(bus, 1, 0, 99), BUS_FULL);
    ck_assert_uint_eq(bus_refusals(bus, 1), 2);
    for (uint32_t i = 0; i < RESERVE; i++) {
        answer(bus, 1, 0, TELLS_MAX + RESERVE + i);
    }
    ck_assert_int_eq(tell(bus, 1, 0, 99), BUS_FULL);
    bus_flush(bus, 1);
    ck_assert_uint_eq(bus_posts(bus, 1), SLOTS);
    ck_assert_uint_eq(bus_take(bus, 0, out, TAKE_MAX), SLOTS);
    for (uint32_t i = 0; i < SLOTS; i++) {
        ck_assert_uint_eq(out[i].word, i);
    }
    ck_assert_int_eq(tell(bus, 1, 0, 5), BUS_POSTED);
    bus_destroy(bus);
}
END_TEST

START_TEST(asks_need_credit)
{
    struct bus *bus = bus_create(2, 64, RESERVE);
    struct bus_post out[TAKE_MAX];
    for (uint32_t i = 0; i < RESERVE; i++) {
        ck_assert_uint_eq(bus_credits(bus, 0, 1), RESERVE - i);
        ck_assert_int_eq(ask(bus, 0, 1, i), BUS_POSTED);
    }
    ck_assert_int_eq(ask(bus, 0, 1, 9), BUS_FULL);
    ck_assert_int_eq(tell(bus, 0, 1, 9), BUS_POSTED); /* there is room, only no credit */
    bus_flush(bus, 0);
    ck_assert_uint_eq(bus_take(bus, 1, out, TAKE_MAX), RESERVE + 1);
    answer(bus, 1, 0, 0);
    bus_flush(bus, 1);
    ck_assert_int_eq(ask(bus, 0, 1, 9), BUS_FULL); /* answered, but not taken */
    ck_assert_uint_eq(bus_take(bus, 0, out, TAKE_MAX), 1);
    ck_assert_uint_eq(bus_credits(bus, 0, 1), 1);
    ck_assert_int_eq(ask(bus, 0, 1, 9), BUS_POSTED);
    ck_assert_int_eq(ask(bus, 0, 1, 9), BUS_FULL);
    bus_destroy(bus);
}
END_TEST

/* Two ports full of each other's asks: both can answer everything, and so go on. */
START_TEST(answers_are_never_refused)
{
    struct bus *bus = bus_create(2, SLOTS, RESERVE);
    struct bus_post out[TAKE_MAX];
    for (size_t round = 0; round < 50; round++) {
        for (size_t from = 0; from < 2; from++) {
            while (ask(bus, from, 1 - from, 1) == BUS_POSTED) {
            }
            while (tell(bus, from, 1 - from, 1) == BUS_POSTED) {
            }
            bus_flush(bus, from);
        }
        for (size_t port = 0; port < 2; port++) {
            const size_t count = bus_take(bus, port, out, TAKE_MAX);
            size_t answers = 0;
            for (size_t i = 0; i < count; i++) {
                if (out[i].role == BUS_ASK) {
                    answer(bus, port, 1 - port, 2);
                    answers++;
                }
            }
            ck_assert_uint_eq(answers, RESERVE);
            bus_flush(bus, port);
        }
        for (size_t port = 0; port < 2; port++) {
            (void)!bus_take(bus, port, out, TAKE_MAX); /* how many depends on the order above */
            ck_assert_uint_eq(bus_credits(bus, port, 1 - port), RESERVE);
        }
    }
    bus_destroy(bus);
}
END_TEST

START_TEST(knows_the_least_credit)
{
    struct bus *bus = bus_create(3, SLOTS, RESERVE);
    ck_assert_uint_eq(bus_credits_min(bus, 0, 3), RESERVE);
    ck_assert_int_eq(ask(bus, 0, 2, 1), BUS_POSTED);
    ck_assert_int_eq(ask(bus, 0, 2, 1), BUS_POSTED);
    ck_assert_int_eq(ask(bus, 0, 1, 1), BUS_POSTED);
    ck_assert_uint_eq(bus_credits(bus, 0, 1), RESERVE - 1);
    ck_assert_uint_eq(bus_credits_min(bus, 0, 3), RESERVE - 2);
    ck_assert_uint_eq(bus_credits_min(bus, 0, 2), RESERVE - 1);
    ck_assert_uint_eq(bus_credits_min(bus, 0, 1), SIZE_MAX);
    ck_assert_uint_eq(bus_credits_min(bus, 1, 3), RESERVE);
    bus_destroy(bus);
    bus = bus_create(1, SLOTS, RESERVE);
    ck_assert_uint_eq(bus_credits_min(bus, 0, 1), SIZE_MAX);
    bus_destroy(bus);
}
END_TEST

START_TEST(taking_is_fair)
{
    enum { PORTS = 5 };
    struct bus *bus = bus_create(PORTS, 64, 4);
    struct bus_post out[2];
    for (size_t from = 1; from < PORTS; from++) {
        for (uint32_t i = 0; i < 40; i++) {
            ck_assert_int_eq(tell(bus, from, 0, i), BUS_POSTED);
        }
        bus_flush(bus, from);
    }
    /* With room for two at a time each port is served once in every four turns. */
    uint32_t served[PORTS] = {0};
    for (size_t turn = 0; turn < 40; turn++) {
        ck_assert_uint_eq(bus_take(bus, 0, out, 2), 2);
        ck_assert_uint_eq(out[0].from, out[1].from);
        ck_assert_uint_eq(out[0].word, served[out[0].from]);
        served[out[0].from] += 2;
        for (size_t from = 1; from < PORTS; from++) {
            ck_assert_uint_le(served[from], 2 * (turn / 4 + 1));
        }
    }
    bus_destroy(bus);
}
END_TEST

static void count_wake(void *context)
{
    (*(size_t *)context)++;
}

START_TEST(sleeps_only_when_nothing_is_there)
{
    struct bus *bus = bus_create(3, SLOTS, RESERVE);
    struct bus_post out[TAKE_MAX];
    size_t wakes = 0;
    bus_port_on_wake(bus, 0, count_wake, &wakes);

    ck_assert(bus_may_sleep(bus, 0));
    bus_awake(bus, 0);
    ck_assert_int_eq(tell(bus, 1, 0, 1), BUS_POSTED);
    ck_assert(!bus_may_sleep(bus, 1)); /* its own post is not flushed */
    ck_assert(bus_may_sleep(bus, 0));  /* and not to be seen yet */
    bus_flush(bus, 1);
    ck_assert_uint_eq(wakes, 1);
    ck_assert(!bus_may_sleep(bus, 0));
    bus_flush(bus, 1); /* nothing new */
    ck_assert_uint_eq(wakes, 1);
    ck_assert_uint_eq(bus_take(bus, 0, out, TAKE_MAX), 1);

    /* Many posts of two ports wake a sleeper once, and somebody awake never. */
    ck_assert(bus_may_sleep(bus, 0));
    for (size_t from = 1; from < 3; from++) {
        ck_assert_int_eq(tell(bus, from, 0, 1), BUS_POSTED);
        ck_assert_int_eq(tell(bus, from, 0, 2), BUS_POSTED);
        bus_flush(bus, from);
    }
    ck_assert_uint_eq(wakes, 2);
    bus_awake(bus, 0);
    ck_assert_int_eq(tell(bus, 1, 0, 3), BUS_POSTED);
    bus_flush(bus, 1);
    ck_assert_uint_eq(wakes, 2);
    ck_assert_uint_eq(bus_wakes(bus, 1), 2);
    ck_assert_uint_eq(bus_wakes(bus, 2), 0);
    bus_destroy(bus);
}
END_TEST

START_TEST(a_lone_port_may_sleep)
{
    struct bus *bus = bus_create(1, SLOTS, RESERVE);
    struct bus_post out[1];
    bus_flush(bus, 0);
    ck_assert_uint_eq(bus_take(bus, 0, out, 1), 0);
    ck_assert(bus_may_sleep(bus, 0));
    bus_destroy(bus);
    bus_destroy(NULL);
}
END_TEST

START_TEST(refuses_a_post_to_oneself)
{
    struct bus *bus = bus_create(2, SLOTS, RESERVE);
    ck_assert_int_eq(tell(bus, 1, 1, 0), BUS_POSTED); /* does not return */
}
END_TEST

START_TEST(refuses_an_answer_without_ask)
{
    struct bus *bus = bus_create(2, SLOTS, RESERVE);
    struct bus_post out[1];
    ck_assert_int_eq(ask(bus, 0, 1, 0), BUS_POSTED);
    bus_flush(bus, 0);
    ck_assert_uint_eq(bus_take(bus, 1, out, 1), 1);
    answer(bus, 1, 0, 0);
    answer(bus, 1, 0, 0);
}
END_TEST

/* --- Sleepers --------------------------------------------------------------------------------- */

enum { GIVE_UP_S = 60 }; /* only a lost wake-up takes so long */

/* Two ways to block, either of which remembers a wake that comes first. */
struct bed {
    bool uses_eventfd;
    int fd;
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    bool is_woken;
};

static void bed_init(struct bed *bed, bool uses_eventfd)
{
    bed->uses_eventfd = uses_eventfd;
    bed->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert_int_ge(bed->fd, 0);
    pthread_condattr_t attributes;
    ck_assert_int_eq(pthread_condattr_init(&attributes), 0);
    ck_assert_int_eq(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC), 0);
    ck_assert_int_eq(pthread_cond_init(&bed->condition, &attributes), 0);
    ck_assert_int_eq(pthread_mutex_init(&bed->mutex, NULL), 0);
    bed->is_woken = false;
}

static void bed_deinit(struct bed *bed)
{
    (void)close(bed->fd);
    (void)pthread_cond_destroy(&bed->condition);
    (void)pthread_mutex_destroy(&bed->mutex);
}

static void bed_wake(void *context)
{
    struct bed *bed = context;
    if (bed->uses_eventfd) {
        const uint64_t one = 1;
        const ssize_t size = write(bed->fd, &one, sizeof(one));
        (void)size; /* a full counter wakes as well */
        return;
    }
    (void)pthread_mutex_lock(&bed->mutex);
    bed->is_woken = true;
    (void)pthread_cond_signal(&bed->condition);
    (void)pthread_mutex_unlock(&bed->mutex);
}

/* False: nobody woke us. */
static bool bed_sleep(struct bed *bed)
{
    if (bed->uses_eventfd) {
        struct pollfd pollfd = {.fd = bed->fd, .events = POLLIN};
        const int ready = poll(&pollfd, 1, GIVE_UP_S * 1000);
        uint64_t wakes = 0;
        return ready == 1 && read(bed->fd, &wakes, sizeof(wakes)) == (ssize_t)sizeof(wakes);
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += GIVE_UP_S;
    int result = 0;
    (void)pthread_mutex_lock(&bed->mutex);
    while (!bed->is_woken && result == 0) {
        result = pthread_cond_timedwait(&bed->condition, &bed->mutex, &until);
    }
    const bool woken = bed->is_woken;
    bed->is_woken = false;
    (void)pthread_mutex_unlock(&bed->mutex);
    return woken;
}

enum { PORT_COUNT_MAX = 4 };

struct party {
    struct bus *bus;
    _Atomic int someone_gave_up;
    struct member {
        struct party *party;
        size_t port;
        size_t port_count;
        struct bed bed;
        struct thread thread;
        uint64_t sent;
        uint64_t taken;
        uint64_t answered;
        uint64_t sleeps;
        uint64_t wrong;
        uint32_t next_from[PORT_COUNT_MAX]; /* the word that comes next from each port */
    } members[PORT_COUNT_MAX];
};

/* What a reactor does when it has nothing to do. False: give up, somebody was not woken. */
static bool member_rest(struct member *member)
{
    struct party *party = member->party;
    if (bus_may_sleep(party->bus, member->port)) {
        member->sleeps++;
        const bool woken = bed_sleep(&member->bed);
        bus_awake(party->bus, member->port);
        if (!woken) {
            atomic_store_explicit(&party->someone_gave_up, 1, memory_order_relaxed);
            return false;
        }
    }
    return atomic_load_explicit(&party->someone_gave_up, memory_order_relaxed) == 0;
}

static void party_run(struct party *party, size_t port_count, bool uses_eventfd,
                      void (*const *runs)(void *context), size_t slots)
{
    memset(party, 0, sizeof(*party));
    party->bus = bus_create(port_count, slots, slots / 4);
    ck_assert_ptr_nonnull(party->bus);
    for (size_t i = 0; i < port_count; i++) {
        struct member *member = &party->members[i];
        member->party = party;
        member->port = i;
        member->port_count = port_count;
        bed_init(&member->bed, uses_eventfd);
        bus_port_on_wake(party->bus, i, bed_wake, &member->bed);
    }
    for (size_t i = 0; i < port_count; i++) {
        struct member *member = &party->members[i];
        ck_assert_int_eq(
            thread_start("member", THREAD_NOT_PINNED, runs[i], member, &member->thread), 0);
    }
    for (size_t i = 0; i < port_count; i++) {
        thread_join(&party->members[i].thread);
    }
    ck_assert_msg(party->someone_gave_up == 0, "a wake-up was lost");
    for (size_t i = 0; i < port_count; i++) {
        ck_assert_uint_eq(party->members[i].wrong, 0);
        bed_deinit(&party->members[i].bed);
    }
    bus_destroy(party->bus);
}

/* Each side sleeps whenever it has nothing, and only the other can wake it. */
enum { PINGPONG_ROUNDS = 20000, ALL_ROUNDS = 2 * PINGPONG_ROUNDS };

static void play_pingpong(void *context)
{
    struct member *member = context;
    struct bus *bus = member->party->bus;
    struct bus_post out[TAKE_MAX];
    const size_t other = 1 - member->port;
    bool my_turn = member->port == 0;
    while (member->taken + member->sent < ALL_ROUNDS) {
        if (my_turn) {
            member->wrong += tell(bus, member->port, other, (uint32_t)member->sent) != BUS_POSTED;
            member->sent++;
            bus_flush(bus, member->port);
            my_turn = false;
        }
        const size_t count = bus_take(bus, member->port, out, TAKE_MAX);
        if (count > 0) {
            member->wrong += count != 1 || out[0].word != member->taken;
            member->taken++;
            my_turn = true;
        } else if (member->taken + member->sent < ALL_ROUNDS && !member_rest(member)) {
            return;
        }
    }
}

static const bool bed_kinds[] = {false, true};

START_TEST(pingpong)
{
    static struct party party;
    static void (*const runs[])(void *context) = {play_pingpong, play_pingpong};
    party_run(&party, 2, bed_kinds[_i], runs, 16);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(party.members[i].sent, PINGPONG_ROUNDS);
        ck_assert_uint_eq(party.members[i].taken, PINGPONG_ROUNDS);
    }
    ck_assert_uint_gt(party.members[0].sleeps + party.members[1].sleeps, 0);
}
END_TEST

/*
 * The litmus proper: both threads leave a barrier together, one flushes a post while the other
 * says that it will sleep, and after the next barrier the sleeper must have seen the post or have
 * been woken. Nothing sleeps here, so there are many rounds, each with a small shift of its own,
 * on two cores where there are two: without the fences some rounds fail on x86-64 as well. Where
 * others keep the cores busy a round takes as long as they let it, so there are fewer.
 */
enum {
    LITMUS_ROUNDS = 200000,
    LITMUS_S = 40,
    LITMUS_LOOK_EVERY = 256,
    SHIFT_MAX = 64,
    EARLY_EVERY = 16, /* in these rounds the post is there before: sleeping would be wrong */
};

struct litmus {
    struct bus *bus;
    _Atomic uint64_t arrivals;
    _Atomic uint64_t wakes;
    uint64_t rounds;  /* the poster's, read by the sleeper between two barriers */
    uint64_t refused; /* the poster's */
    uint64_t lost;    /* the sleeper's, like those below */
    uint64_t slept_on_a_post;
    uint64_t not_taken;
};

static void meet(struct litmus *litmus, uint64_t number)
{
    (void)atomic_fetch_add_explicit(&litmus->arrivals, 1, memory_order_acq_rel);
    for (size_t spins = 1;
         atomic_load_explicit(&litmus->arrivals, memory_order_acquire) < 2 * (number + 1);
         spins++) {
        if (spins % 1024 == 0) { /* the other one may need this very core */
            (void)sched_yield();
        }
    }
}

static void shift(uint64_t round, uint64_t seed)
{
    const uint64_t steps = ((round * 0x9e3779b97f4a7c15 + seed) >> 40) % SHIFT_MAX;
    for (uint64_t i = 0; i < steps; i++) {
        __asm__ volatile("" : : : "memory");
    }
}

static void litmus_wake(void *context)
{
    struct litmus *litmus = context;
    (void)atomic_fetch_add_explicit(&litmus->wakes, 1, memory_order_relaxed);
}

static void litmus_post(void *context)
{
    struct litmus *litmus = context;
    const uint64_t end_ns = monotime_read() + LITMUS_S * MONOTIME_NS_PER_S;
    for (uint64_t round = 0; round < litmus->rounds; round++) {
        const struct bus_post post = post_of(1, (uint32_t)round);
        litmus->refused += bus_tell(litmus->bus, 1, 0, &post) == BUS_FULL ? 1 : 0;
        if (round % EARLY_EVERY == 0) {
            bus_flush(litmus->bus, 1);
        }
        meet(litmus, 3 * round);
        shift(round, 1);
        bus_flush(litmus->bus, 1);
        if (round % LITMUS_LOOK_EVERY == 0 && monotime_read() > end_ns) {
            litmus->rounds = round + 1;
        }
        meet(litmus, 3 * round + 1);
        meet(litmus, 3 * round + 2); /* it has taken: the next post is another round's */
    }
}

static void litmus_sleep(void *context)
{
    struct litmus *litmus = context;
    struct bus_post out[TAKE_MAX];
    uint64_t wakes_before = 0;
    for (uint64_t round = 0; round < litmus->rounds; round++) {
        meet(litmus, 3 * round);
        shift(round, 2);
        const bool sleeps = bus_may_sleep(litmus->bus, 0);
        meet(litmus, 3 * round + 1);
        const uint64_t wakes = atomic_load_explicit(&litmus->wakes, memory_order_relaxed);
        litmus->lost += sleeps && wakes == wakes_before ? 1 : 0;
        litmus->slept_on_a_post += sleeps && round % EARLY_EVERY == 0 ? 1 : 0;
        wakes_before = wakes;
        bus_awake(litmus->bus, 0);
        litmus->not_taken += bus_take(litmus->bus, 0, out, TAKE_MAX) != 1 ? 1 : 0;
        meet(litmus, 3 * round + 2);
    }
}

START_TEST(a_wake_is_never_lost)
{
    struct litmus litmus = {.bus = bus_create(2, SLOTS, RESERVE), .rounds = LITMUS_ROUNDS};
    struct thread poster;
    struct thread sleeper;
    bus_port_on_wake(litmus.bus, 0, litmus_wake, &litmus);
    ck_assert_int_eq(thread_start("poster", cpu_nth(0), litmus_post, &litmus, &poster), 0);
    ck_assert_int_eq(thread_start("sleeper", cpu_nth(1), litmus_sleep, &litmus, &sleeper), 0);
    thread_join(&poster);
    thread_join(&sleeper);
    ck_assert_uint_eq(litmus.lost, 0);
    ck_assert_uint_eq(litmus.slept_on_a_post, 0);
    ck_assert_uint_eq(litmus.not_taken, 0);
    ck_assert_uint_eq(litmus.refused, 0);
    bus_destroy(litmus.bus);
}
END_TEST

/*
 * Three producers, who rest at moments of their own, and a sleeper who must get everything. They
 * say when they are done, which is earlier where others keep the cores busy.
 */
enum { MANY_COUNT = 40000, MANY_S = 40, SINK = 0 };

#define WORD_DONE UINT32_MAX

static void produce(void *context)
{
    struct member *member = context;
    struct bus *bus = member->party->bus;
    const uint64_t end_ns = monotime_read() + MANY_S * MONOTIME_NS_PER_S;
    uint64_t random = 88172645463325252 + member->port;
    while (member->sent < MANY_COUNT && monotime_read() < end_ns) {
        random = random * 6364136223846793005 + 1442695040888963407;
        const size_t batch = (random >> 40) % 16 + 1;
        for (size_t i = 0; i < batch && member->sent < MANY_COUNT; i++) {
            if (tell(bus, member->port, SINK, (uint32_t)member->sent) == BUS_FULL) {
                break;
            }
            member->sent++;
        }
        bus_flush(bus, member->port);
        if (random >> 62 == 0) {
            (void)sched_yield();
        }
    }
    while (tell(bus, member->port, SINK, WORD_DONE) == BUS_FULL) {
        (void)sched_yield();
    }
    bus_flush(bus, member->port);
}

static void consume(void *context)
{
    struct member *member = context;
    struct bus *bus = member->party->bus;
    struct bus_post out[TAKE_MAX];
    size_t done = 0;
    while (done < member->port_count - 1) {
        const size_t count = bus_take(bus, member->port, out, TAKE_MAX);
        for (size_t i = 0; i < count; i++) {
            if (out[i].word == WORD_DONE) {
                done++;
                continue;
            }
            member->taken++;
            member->wrong += out[i].word != member->next_from[out[i].from];
            member->wrong += out[i].body[BUS_BODY_SIZE - 1] != (uint8_t)out[i].word;
            member->next_from[out[i].from]++;
        }
        if (count == 0 && !member_rest(member)) {
            return;
        }
    }
}

START_TEST(many_to_one)
{
    static struct party party;
    static void (*const runs[])(void *context) = {consume, produce, produce, produce};
    party_run(&party, 4, bed_kinds[_i], runs, 64);
    uint64_t sent = 0;
    for (size_t i = SINK + 1; i < 4; i++) {
        ck_assert_uint_gt(party.members[i].sent, 0);
        sent += party.members[i].sent;
    }
    ck_assert_uint_eq(party.members[SINK].taken, sent);
}
END_TEST

/*
 * Everybody asks everybody as fast as the credits allow, answers at once, and sleeps whenever
 * nothing came: it must neither stop in a circle of full rings nor lose or double an answer. Who
 * has all its answers says so to the others, and goes when all have.
 */
enum { ASK_COUNT = 15000 };

static void take_posts(struct member *member, size_t *done_count)
{
    struct bus *bus = member->party->bus;
    struct bus_post out[TAKE_MAX];
    const size_t count = bus_take(bus, member->port, out, TAKE_MAX);
    for (size_t i = 0; i < count; i++) {
        const size_t from = out[i].from;
        if (out[i].role == BUS_ASK) {
            answer(bus, member->port, from, out[i].word);
        } else if (out[i].role == BUS_ANSWER) {
            member->wrong += out[i].word != member->next_from[from];
            member->next_from[from]++;
            member->answered++;
        } else {
            member->wrong += out[i].word != WORD_DONE;
            (*done_count)++;
        }
    }
    member->taken += count;
}

/* Asks all others in turn while there is credit; returns whether anything was asked. */
static bool ask_others(struct member *member, uint32_t *asked)
{
    bool any = false;
    for (size_t to = 0; to < member->port_count; to++) {
        while (to != member->port && asked[to] < ASK_COUNT &&
               ask(member->party->bus, member->port, to, asked[to]) == BUS_POSTED) {
            asked[to]++;
            member->sent++;
            any = true;
        }
    }
    return any;
}

/* Tells those that were not told yet; a full ring is tried again later. */
static void say_done(struct member *member, bool *told)
{
    for (size_t to = 0; to < member->port_count; to++) {
        if (to != member->port && !told[to]) {
            told[to] = tell(member->party->bus, member->port, to, WORD_DONE) == BUS_POSTED;
        }
    }
}

static bool all_are_told(const struct member *member, const bool *told)
{
    size_t count = 0;
    for (size_t to = 0; to < member->port_count; to++) {
        count += told[to] ? 1 : 0;
    }
    return count == member->port_count - 1;
}

static void ask_everybody(void *context)
{
    struct member *member = context;
    struct bus *bus = member->party->bus;
    uint32_t asked[PORT_COUNT_MAX] = {0};
    bool told[PORT_COUNT_MAX] = {false};
    size_t done_count = 0;
    const uint64_t expected = (member->port_count - 1) * (uint64_t)ASK_COUNT;

    while (done_count < member->port_count - 1 || !all_are_told(member, told)) {
        const uint64_t before = member->taken;
        take_posts(member, &done_count);
        const bool asked_any = ask_others(member, asked);
        if (member->answered == expected) {
            say_done(member, told);
        }
        bus_flush(bus, member->port);
        const bool idle = member->taken == before && !asked_any;
        const bool waits_for_room = member->answered == expected && !all_are_told(member, told);
        if (idle && waits_for_room) {
            (void)sched_yield(); /* room in a ring wakes nobody */
        } else if (idle && done_count < member->port_count - 1 && !member_rest(member)) {
            return;
        }
    }
}

START_TEST(everybody_asks_everybody)
{
    static struct party party;
    static void (*const runs[])(void *context) = {ask_everybody, ask_everybody, ask_everybody,
                                                  ask_everybody};
    party_run(&party, 4, bed_kinds[_i], runs, 32);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(party.members[i].sent, 3 * (uint64_t)ASK_COUNT);
        ck_assert_uint_eq(party.members[i].answered, 3 * (uint64_t)ASK_COUNT);
    }
}
END_TEST

int main(void)
{
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, posts_arrive_whole_and_in_order);
    tcase_add_test(rules, tells_leave_two_reserves);
    tcase_add_test(rules, asks_need_credit);
    tcase_add_test(rules, answers_are_never_refused);
    tcase_add_test(rules, knows_the_least_credit);
    tcase_add_test(rules, taking_is_fair);
    tcase_add_test(rules, sleeps_only_when_nothing_is_there);
    tcase_add_test(rules, a_lone_port_may_sleep);
    tcase_add_test_raise_signal(rules, refuses_a_post_to_oneself, SIGABRT);
    tcase_add_test_raise_signal(rules, refuses_an_answer_without_ask, SIGABRT);
    TCase *sleepers = tcase_create("sleepers");
    tcase_set_timeout(sleepers, 150);
    tcase_add_test(sleepers, a_wake_is_never_lost);
    tcase_add_loop_test(sleepers, pingpong, 0, 2);
    tcase_add_loop_test(sleepers, many_to_one, 0, 2);
    tcase_add_loop_test(sleepers, everybody_asks_everybody, 0, 2);
    Suite *suite = suite_create("core/bus");
    suite_add_tcase(suite, rules);
    suite_add_tcase(suite, sleepers);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
