/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

enum { LISTENER_MAX = 64 };

/* -- pipes ------------------------------------------------------------------------------------- */

size_t sim_net_room(const struct sim_pipe *pipe)
{
    const size_t used = pipe->end - pipe->begin;
    return used >= pipe->window ? 0 : pipe->window - used;
}

static void reserve(struct sim_pipe *pipe, size_t size)
{
    if (pipe->end + size <= pipe->capacity) {
        return;
    }
    const size_t used = pipe->end - pipe->begin;
    if (used > 0) {
        memmove(pipe->data, pipe->data + pipe->begin, used);
    }
    pipe->arrived -= pipe->begin;
    pipe->begin = 0;
    pipe->end = used;
    if (pipe->end + size > pipe->capacity) {
        pipe->capacity = 2 * (pipe->end + size);
        pipe->data = realloc(pipe->data, pipe->capacity);
        CHECK(pipe->data != NULL);
    }
}

size_t sim_net_put(struct sim_pipe *pipe, const uint8_t *data, size_t size)
{
    CHECK(!pipe->fin_sent);
    const size_t room = sim_net_room(pipe);
    const size_t count = size < room ? size : room;

    if (count > 0) {
        reserve(pipe, count);
        memcpy(pipe->data + pipe->end, data, count);
        pipe->end += count;
    }
    return count;
}

static void forget(struct sim_pipe *pipe)
{
    pipe->end = pipe->arrived;
}

/* -- the net ----------------------------------------------------------------------------------- */

void sim_net_init(struct sim_net *net, uint64_t seed, struct sim_stats *stats)
{
    *net = (struct sim_net){
        .random = {seed},
        .stats = stats,
        .now_ns = 1000000000,
        .window_max = 64 << 10,
        .pending_sends_in = 3,
    };
    net->listeners = calloc(LISTENER_MAX, sizeof(*net->listeners));
    CHECK(net->listeners != NULL);
}

void sim_net_deinit(struct sim_net *net)
{
    for (size_t i = 0; i < net->link_count; i++) {
        free(net->links[i]->up.data);
        free(net->links[i]->down.data);
        free(net->links[i]->server.taken);
        free(net->links[i]);
    }
    for (size_t i = 0; i < net->listener_count; i++) {
        free(net->listeners[i].waiting);
    }
    free(net->links);
    free(net->listeners);
}

int sim_net_listen(struct sim_net *net)
{
    CHECK(net->listener_count < LISTENER_MAX);
    net->listeners[net->listener_count].is_open = true;
    return SIM_NET_LISTENER_BASE + (int)net->listener_count++;
}

struct sim_listener *sim_net_listener(struct sim_net *net, int number)
{
    CHECK(number >= SIM_NET_LISTENER_BASE);
    CHECK((size_t)(number - SIM_NET_LISTENER_BASE) < net->listener_count);
    return &net->listeners[number - SIM_NET_LISTENER_BASE];
}

struct sim_link *sim_net_link(const struct sim_net *net, int number)
{
    CHECK(number >= 0 && (size_t)number < net->link_count);
    return net->links[number];
}

static void wait_at(struct sim_listener *listener, int number)
{
    if (listener->waiting_count == listener->waiting_capacity) {
        listener->waiting_capacity = 2 * listener->waiting_capacity + 8;
        listener->waiting =
            realloc(listener->waiting, listener->waiting_capacity * sizeof(*listener->waiting));
        CHECK(listener->waiting != NULL);
    }
    listener->waiting[listener->waiting_count++] = number;
}

struct sim_link *sim_net_connect(struct sim_net *net, int listener)
{
    struct sim_listener *target = sim_net_listener(net, listener);
    if (!target->is_open) {
        return NULL;
    }
    if (net->link_count == net->link_capacity) {
        net->link_capacity = 2 * net->link_capacity + 16;
        net->links = realloc(net->links, net->link_capacity * sizeof(*net->links));
        CHECK(net->links != NULL);
    }
    struct sim_link *link = calloc(1, sizeof(*link));
    CHECK(link != NULL);
    link->number = (int)net->link_count;
    link->up.window = sim_random_range(&net->random, net->window_max / 8, net->window_max);
    link->down.window = sim_random_range(&net->random, net->window_max / 8, net->window_max);
    net->links[net->link_count++] = link;
    wait_at(target, link->number);
    return link;
}

/* -- the client's side ------------------------------------------------------------------------- */

ssize_t sim_net_write(struct sim_net *net, struct sim_link *link, const uint8_t *data, size_t size)
{
    CHECK(!link->client_is_gone);
    if (link->client_is_reset) {
        return -ECONNRESET;
    }
    if (link->up.fin_sent) {
        return -EPIPE;
    }
    const size_t room = sim_net_room(&link->up);
    if (room == 0 || size == 0) {
        return 0;
    }
    const size_t part = sim_random_part(&net->random, size < room ? size : room);
    return (ssize_t)sim_net_put(&link->up, data, part);
}

bool sim_net_is_readable(const struct sim_link *link)
{
    return link->down.arrived > link->down.begin || link->down.fin_arrived || link->client_is_reset;
}

ssize_t sim_net_read(struct sim_net *net, struct sim_link *link, uint8_t *data, size_t max)
{
    CHECK(!link->client_is_gone);
    struct sim_pipe *down = &link->down;
    const size_t there = down->arrived - down->begin;

    if (there > 0) {
        const size_t part = sim_random_part(&net->random, there < max ? there : max);
        memcpy(data, down->data + down->begin, part);
        down->begin += part;
        return (ssize_t)part;
    }
    if (link->client_is_reset) {
        return -ECONNRESET;
    }
    return down->fin_arrived ? 0 : -EAGAIN;
}

void sim_net_fin(struct sim_link *link)
{
    link->up.fin_sent = true;
}

void sim_net_close(struct sim_link *link)
{
    link->up.fin_sent = true;
    link->client_is_gone = true;
}

void sim_net_reset(struct sim_net *net, struct sim_link *link)
{
    (void)net;
    link->client_is_gone = true;
    link->client_is_reset = true;
    link->server_is_reset = true;
    forget(&link->up);
    forget(&link->down);
}

/* -- time passes ------------------------------------------------------------------------------- */

static bool can_arrive(const struct sim_pipe *pipe)
{
    return pipe->arrived < pipe->end || (pipe->fin_sent && !pipe->fin_arrived);
}

static bool can_send(const struct sim_link *link)
{
    const struct sim_server_side *server = &link->server;
    return server->is_sending && !server->is_sent &&
           (server->is_dropped || link->server_is_reset || sim_net_room(&link->down) > 0);
}

bool sim_net_is_busy(const struct sim_net *net, const struct sim_link *link)
{
    if (link->stalled_until_ns > net->now_ns || link->is_silent) {
        return false;
    }
    return (can_arrive(&link->up) && !link->server_is_reset) ||
           (can_arrive(&link->down) && !link->client_is_reset) || can_send(link);
}

static void move_pipe(struct sim_net *net, struct sim_pipe *pipe)
{
    if (pipe->arrived < pipe->end) {
        const size_t size = pipe->end - pipe->arrived;
        const size_t part = sim_random_part(&net->random, size);
        pipe->arrived += part;
        if (part < size) {
            sim_stats_add(net->stats, SIM_PARTIAL_ARRIVALS, 1);
        }
    }
    if (pipe->arrived == pipe->end && pipe->fin_sent && sim_random_once_in(&net->random, 2)) {
        pipe->fin_arrived = true;
    }
}

/* The kernel reads what a pending send points to: it must still be there. */
static void move_sending(struct sim_net *net, struct sim_link *link)
{
    struct sim_server_side *server = &link->server;
    size_t total = 0;

    if (link->server_is_reset || server->is_dropped) {
        server->sent = server->is_dropped ? -ECANCELED : -EPIPE;
        server->is_sent = true;
        return;
    }
    for (size_t i = 0; i < server->piece_count; i++) {
        total += server->pieces[i].iov_len;
    }
    const size_t room = sim_net_room(&link->down);
    size_t left = sim_random_part(&net->random, total < room ? total : room);
    sim_stats_add(net->stats, SIM_PARTIAL_WRITES, left < total);
    server->sent = (int32_t)left;
    server->is_sent = true;
    for (size_t i = 0; left > 0; i++) {
        const size_t size = server->pieces[i].iov_len < left ? server->pieces[i].iov_len : left;
        const size_t put = sim_net_put(&link->down, server->pieces[i].iov_base, size);
        CHECK(put == size);
        left -= size;
    }
}

/* What arrives where nobody is any more comes back as a reset. */
static void bounce(struct sim_link *link)
{
    if (link->server_is_gone && link->up.arrived > link->up.begin && !link->client_is_reset) {
        link->client_is_reset = true;
        forget(&link->down);
    }
    if (link->client_is_gone && link->down.arrived > link->down.begin && !link->server_is_reset) {
        link->server_is_reset = true;
        forget(&link->up);
    }
}

void sim_net_move(struct sim_net *net, struct sim_link *link)
{
    if (can_send(link) && sim_random_once_in(&net->random, 2)) {
        move_sending(net, link);
    }
    if (can_arrive(&link->up) && !link->server_is_reset && !sim_random_once_in(&net->random, 3)) {
        move_pipe(net, &link->up);
    }
    if (can_arrive(&link->down) && !link->client_is_reset && !sim_random_once_in(&net->random, 3)) {
        move_pipe(net, &link->down);
    }
    bounce(link);
}

bool sim_net_move_one(struct sim_net *net)
{
    if (net->link_count == 0) {
        return false;
    }
    const size_t first = (size_t)sim_random_below(&net->random, net->link_count);
    for (size_t i = 0; i < net->link_count; i++) {
        struct sim_link *link = net->links[(first + i) % net->link_count];
        if (sim_net_is_busy(net, link)) {
            sim_net_move(net, link);
            return true;
        }
    }
    return false;
}

uint64_t sim_net_next_ns(const struct sim_net *net)
{
    uint64_t next_ns = UINT64_MAX;
    for (size_t i = 0; i < net->link_count; i++) {
        const uint64_t until_ns = net->links[i]->stalled_until_ns;
        if (until_ns > net->now_ns && until_ns < next_ns && !net->links[i]->is_silent) {
            next_ns = until_ns;
        }
    }
    return next_ns;
}
