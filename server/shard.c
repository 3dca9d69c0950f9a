/* SPDX-License-Identifier: Apache-2.0 */
#include "server/shard.h"

#include "chat/hub.h"
#include "chat/outbox.h"
#include "chat/post.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "net/reactor.h"
#include "server/compression.h"
#include "server/config.h"
#include "server/delivery.h"
#include "server/drain.h"
#include "server/gateway.h"
#include "server/shard_state.h"
#include "server/shed.h"
#include "server/token.h"

enum {
    POSTS_PER_ITERATION = 256,         /* the rest in the next one, without sleeping */
    WAITING_NS = 50 * SHARD_NS_PER_MS, /* while somebody waits for the archive: till time is up */
    RETRY_NS = SHARD_NS_PER_MS,        /* while something waits for room on the bus */
};

/* -- what the control is told ------------------------------------------------------------------ */

static bool tell_control(struct shard *shard, enum post_kind kind) ON_REACTOR
{
    const struct post post = {.kind = (uint8_t)kind};
    const struct bus_post packed = post_pack(&post);
    const size_t control = shard->options.config->reactor.count;
    return bus_tell(shard->options.bus, shard->options.index, control, &packed) == BUS_POSTED;
}

/* No client is connected any more, and the control is to be told, once. */
static bool owes_deserted(const struct shard *shard) ON_REACTOR
{
    return !shard->is_deserted && drain_is_deserted(&shard->drain);
}

/* Until when the archive may answer: one that stands still does when it is ended, after this. */
static uint64_t archive_until_ns(const struct shard *shard)
{
    return hub_has_given(shard->hub)
               ? shard->drain.deadline_ns + shard->options.config->store.timeout_ns
               : 0;
}

/* Nobody is connected and nothing is left to be posted, likewise. */
static bool owes_drained(const struct shard *shard) ON_REACTOR
{
    return !shard->is_drained && drain_is_over(&shard->drain) && hub_is_quiet(shard->hub) &&
           reactor_now(shard->reactor) >= archive_until_ns(shard);
}

static void go_on_draining(struct shard *shard) ON_REACTOR
{
    drain_step(&shard->drain);
    if (owes_deserted(shard)) {
        shard->is_deserted = tell_control(shard, POST_DESERTED);
    }
    if (owes_drained(shard)) {
        shard->is_drained = tell_control(shard, POST_DRAINED);
    }
}

/* When it is to be called at the latest, if nothing happens. */
static uint64_t draining_due_ns(const struct shard *shard) ON_REACTOR
{
    if (!drain_is_over(&shard->drain)) {
        return drain_due_ns(&shard->drain);
    }
    const uint64_t archive_ns = archive_until_ns(shard);
    return archive_ns > reactor_now(shard->reactor) ? archive_ns : UINT64_MAX;
}

static void say_taken(struct shard *shard) ON_REACTOR
{
    if (shard->owes_taken) {
        shard->owes_taken = !tell_control(shard, POST_SETTINGS_TAKEN);
    }
}

/* -- the loop ---------------------------------------------------------------------------------- */

static void take_overload(struct shard *shard, enum post_overload_level level) ON_REACTOR
{
    gateway_refuse_connections(shard->gateway, level >= POST_OVERLOAD_CONNECTIONS);
    hub_refuse_subscriptions(shard->hub, level >= POST_OVERLOAD_SUBSCRIPTIONS);
    shard->sheds = level >= POST_OVERLOAD_QUEUES;
}

static void take_post(struct shard *shard, const struct bus_post *packed) ON_REACTOR
{
    const struct post post = post_unpack(packed);

    if (post.kind == POST_STOP) {
        drain_begin(&shard->drain);
    } else if (post.kind == POST_CLOSE) {
        drain_end(&shard->drain);
    } else if (post.kind == POST_EXIT) {
        shard->is_exiting = true;
        hub_forget(shard->hub);
    } else if (post.kind == POST_OVERLOAD) {
        take_overload(shard, post.overload.level);
    } else if (post.kind == POST_RELOAD) {
        reload_desk_take(&shard->desk, &post.reload, shard->outbox, shard->pool);
    } else if (post.kind == POST_SETTINGS) {
        shard_take_settings(shard, post.settings.settings, post.settings.is_final);
    } else if (post.kind == POST_KEY_SET) {
        token_verifier_renew_set(shard->options.tokens, (enum claims_kind)post.key_set.kind,
                                 post.key_set.set);
    } else {
        hub_take(shard->hub, &post);
    }
}

static void take_posts(struct shard *shard) ON_REACTOR
{
    struct bus_post posts[OUTBOX_POSTS_MAX];
    const bool was_exiting = shard->is_exiting;
    size_t taken = 0;
    size_t count = 0;

    hub_tick(shard->hub, reactor_now(shard->reactor));
    do {
        if (!outbox_is_roomy(shard->outbox)) {
            break;
        }
        count = bus_take(shard->options.bus, shard->options.index, posts, OUTBOX_POSTS_MAX);
        for (size_t i = 0; i < count; i++) {
            take_post(shard, &posts[i]);
        }
        taken += count;
    } while (count == OUTBOX_POSTS_MAX && taken < POSTS_PER_ITERATION);
    shard->posts = (uint32_t)taken;

    /*
     * After POST_EXIT once more: everybody's last posts were there before it, but maybe not yet
     * when this looked into their rings.
     */
    shard->has_posts = count == OUTBOX_POSTS_MAX || shard->is_exiting != was_exiting;
    hub_catch_up(shard->hub);
    (void)blob_pool_collect(shard->pool);
}

/* How long phase 1 may sleep: not at all when something is left over. */
static uint64_t sleep_ns(const struct shard *shard, uint64_t wait_ns) ON_REACTOR
{
    if (shard->has_posts || outbox_count(shard->outbox) > 0 ||
        gateway_has_answers(shard->gateway) || reactor_has_leftover(shard->reactor)) {
        return 0;
    }
    const bool retries = hub_has_backlog(shard->hub) || gateway_is_waiting(shard->gateway) ||
                         shard->owes_taken || owes_deserted(shard) || owes_drained(shard);
    const uint64_t now_ns = reactor_now(shard->reactor);
    const uint64_t hub_ns = hub_due_ns(shard->hub);
    const uint64_t drain_ns = draining_due_ns(shard);
    const uint64_t due_ns = hub_ns < drain_ns ? hub_ns : drain_ns;
    const uint64_t until_ns = due_ns > now_ns ? due_ns - now_ns : 0;
    const uint64_t most_ns = until_ns < wait_ns ? until_ns : wait_ns;
    if (retries && most_ns > RETRY_NS) {
        return RETRY_NS;
    }
    return hub_is_waiting(shard->hub) && most_ns > WAITING_NS ? WAITING_NS : most_ns;
}

static void wait(struct shard *shard, uint64_t wait_ns) ON_REACTOR
{
    struct bus *bus = shard->options.bus;
    const uint64_t timeout_ns = sleep_ns(shard, wait_ns);

    if (timeout_ns == 0 || !bus_may_sleep(bus, shard->options.index)) {
        reactor_wait(shard->reactor, 0);
        return;
    }
    reactor_wait(shard->reactor, timeout_ns);
    bus_awake(bus, shard->options.index);
}

static void shed(struct shard *shard) ON_REACTOR
{
    const uint64_t moved = metrics_read(shard->options.metrics, METRIC_BYTES_RECEIVED) +
                           reactor_memory(shard->reactor).queues + blob_pool_bytes(shard->pool);

    if (shed_is_due(&shard->shed, moved) || shard->sheds) {
        shed_longest(shard->reactor, shard->gateway, shard->options.metrics);
        shard->sheds = false;
    }
}

/*
 * The seven phases. 1: sleep, then collect. 2: what other threads sent, bus -> chat. 3: commands
 * that waited, then bytes and frames, net -> chat. 4: the outbox, chat -> net. 5: publish posts,
 * wake sleepers, bus. 6: one send each, net. 7: timers, then free what was closed, net.
 */
void shard_step(struct shard *shard, uint64_t wait_ns)
{
    wait(shard, wait_ns); /* 1 */
    const uint64_t began_ns = monotime_read();
    compression_refill(shard->compression);
    take_posts(shard);                                   /* 2 */
    gateway_take_leases(shard->gateway);                 /* 3 */
    gateway_resume(shard->gateway);                      /* 3 */
    reactor_receive(shard->reactor);                     /* 3 */
    hub_recover(shard->hub);                             /* 3 */
    gateway_open_settled(shard->gateway);                /* 3 */
    gateway_take_places(shard->gateway);                 /* 3 */
    delivery_run(&shard->delivery);                      /* 4 */
    shed(shard);                                         /* 4 */
    hub_flush(shard->hub);                               /* 5 */
    go_on_draining(shard);                               /* 4: its posts go out in 5 */
    say_taken(shard);                                    /* likewise */
    bus_flush(shard->options.bus, shard->options.index); /* 5 */
    reactor_flush(shard->reactor);                       /* 6 */
    reactor_sweep(shard->reactor);                       /* 7 */
    shard_report(shard, began_ns);
}

bool shard_is_done(const struct shard *shard)
{
    return shard->is_exiting && !shard->has_posts;
}

void shard_run(void *context)
{
    struct shard *shard = context;

    reactor_enter(shard->reactor);
    while (!shard_is_done(shard)) {
        shard_step(shard, UINT64_MAX);
    }
    reactor_leave(shard->reactor);
}

size_t shard_count_live(const struct shard *shard)
{
    /* What other threads gave back after the last iteration is not live. */
    (void)blob_pool_collect(shard->pool);
    return reactor_conn_count(shard->reactor) + gateway_count(shard->gateway) +
           hub_count_live(shard->hub) + blob_pool_count(shard->pool) + outbox_count(shard->outbox);
}

struct reactor *shard_reactor(struct shard *shard)
{
    return shard->reactor;
}
