/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_collect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

enum {
    STORM_COUNT = 4, /* accepted at once */
    CHUNKS_MAX = 4,  /* of one BACKEND_RECEIVED */
};

static bool has_input(const struct sim_link *link)
{
    return link->up.arrived > link->up.begin ||
           (link->server_is_reset && !link->server.error_taken) ||
           (link->up.fin_arrived && !link->server.fin_taken);
}

static bool wants_to_receive(const struct sim_link *link)
{
    return link->server.is_receiving && !link->server.has_received && has_input(link);
}

static bool has_room_again(const struct sim_link *link)
{
    return link->server.wants_room && (link->server_is_reset || sim_net_room(&link->down) > 0);
}

static bool has_news(const struct sim_link *link)
{
    return link->server.is_dropped || link->server.is_sent || has_room_again(link) ||
           wants_to_receive(link);
}

static bool may_accept(const struct backend *backend)
{
    if (slab_count(backend->conns) >= backend->conn_count_max) {
        return false;
    }
    for (size_t i = 0; i < BACKEND_LISTENER_MAX; i++) {
        const struct backend_listener *listener = &backend->listeners[i];
        if (listener->number >= 0 && listener->on &&
            sim_net_listener(backend->net, listener->number)->waiting_count > 0) {
            return true;
        }
    }
    return false;
}

bool sim_collect_has_news(const struct backend *backend)
{
    if (may_accept(backend)) {
        return true;
    }
    for (size_t i = 0; i < backend->link_count; i++) {
        if (has_news(backend->links[i])) {
            return true;
        }
    }
    return false;
}

static struct backend_completion completion_for(const struct sim_link *link,
                                                enum backend_event event, int32_t result)
{
    return (struct backend_completion){
        .event = event,
        .slot = link->server.slot,
        .generation = link->server.generation,
        .result = result,
    };
}

static int take_waiting(struct sim_listener *listener)
{
    const int number = listener->waiting[0];
    listener->waiting_count--;
    memmove(listener->waiting, listener->waiting + 1,
            listener->waiting_count * sizeof(*listener->waiting));
    return number;
}

static size_t collect_accepts(struct backend *backend, uint32_t index, size_t room,
                              struct backend_completion *completions)
{
    struct backend_listener *mine = &backend->listeners[index];
    struct sim_net *net = backend->net;
    if (mine->number < 0 || !mine->on) {
        return 0;
    }
    struct sim_listener *listener = sim_net_listener(net, mine->number);
    size_t count = 0;
    room = room > mine->kept ? room - mine->kept : 0;
    while (listener->waiting_count > 0 && count < room) {
        if (net->accept_fails_in > 0 && sim_random_once_in(&net->random, net->accept_fails_in)) {
            mine->on = false;
            sim_stats_add(net->stats, SIM_ACCEPT_FAILURES, 1);
            completions[count++] = (struct backend_completion){
                .event = BACKEND_ACCEPT_FAILED, .slot = index, .result = -EMFILE};
            break;
        }
        completions[count++] = (struct backend_completion){
            .event = BACKEND_ACCEPTED, .slot = index, .result = take_waiting(listener)};
    }
    sim_stats_add(net->stats, SIM_STORMS, count >= STORM_COUNT);
    return count;
}

/* The kernel is done with it. Until here it may have looked at what was being sent. */
void sim_collect_closed(struct backend *backend, struct sim_link *link)
{
    struct sim_server_side *server = &link->server;
    if (server->is_sending) {
        uint32_t sum = 0;
        for (size_t i = 0; i < server->piece_count; i++) {
            const uint8_t *bytes = server->pieces[i].iov_base;
            for (size_t at = 0; at < server->pieces[i].iov_len; at++) {
                sum = sum * 31 + bytes[at]; /* reads each byte: a freed one is found */
            }
        }
        volatile uint32_t looked_at = sum; /* so that the compiler reads, too */
        (void)looked_at;
        sim_stats_add(backend->net->stats, SIM_DROPPED_SENDS, 1);
        server->is_sending = false;
    }
    CHECK(!server->has_received);
    free(server->taken);
    server->taken = NULL;
    server->backend = NULL;
}

/* At most one completion of the link. True: it was CLOSED: the link is the back end's no more. */
static bool collect_link(struct backend *backend, struct sim_link *link,
                         struct backend_completion *completions, size_t *count)
{
    struct sim_server_side *server = &link->server;
    struct sim_random *random = &backend->net->random;

    if (server->is_dropped) {
        if (server->is_sent) {
            server->is_sent = false;
            server->is_sending = false;
            completions[(*count)++] = completion_for(link, BACKEND_SENT, server->sent);
            return false;
        }
        if (sim_random_once_in(random, 2)) {
            return false;
        }
        completions[(*count)++] = completion_for(link, BACKEND_CLOSED, 0);
        sim_collect_closed(backend, link);
        return true;
    }
    if (server->is_sent || has_room_again(link)) {
        completions[(*count)++] =
            completion_for(link, BACKEND_SENT, server->is_sent ? server->sent : 0);
        server->is_sent = false;
        server->is_sending = false;
        server->wants_room = false;
    } else if (wants_to_receive(link) && !sim_random_once_in(random, 8)) {
        completions[*count] = completion_for(link, BACKEND_RECEIVED, 0);
        completions[(*count)++].buffer = (uint16_t)sim_random_range(random, 1, CHUNKS_MAX);
        server->has_received = true;
    }
    return false;
}

size_t sim_collect(struct backend *backend, struct backend_completion *completions, size_t max)
{
    const uint32_t live = slab_count(backend->conns);
    size_t room = backend->conn_count_max > live ? backend->conn_count_max - live : 0;
    size_t count = 0;

    room = room < max / 2 ? room : max / 2;
    for (uint32_t i = 0; i < BACKEND_LISTENER_MAX; i++) {
        count += collect_accepts(backend, i, room - count, completions + count);
    }
    /* From somewhere on, so that no connection is always the first. */
    const size_t first =
        backend->link_count == 0 ? 0 : sim_random_below(&backend->net->random, backend->link_count);
    size_t left = backend->link_count;
    for (size_t at = first; left > 0 && count < max; left--) {
        at = at < backend->link_count ? at : 0;
        if (collect_link(backend, backend->links[at], completions, &count)) {
            backend->links[at] = backend->links[--backend->link_count];
        } else {
            at++;
        }
    }
    return count;
}
