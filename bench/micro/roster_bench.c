/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One publication to every member of a room, as chat/ and the shard do it before net/ queues it:
 * the members in order, each connection found by its name in a slab, one reference to the packet
 * put there, the old one given back. Per publication; divide by the members for a delivery.
 * The connections were taken in a random order of the slots, as after a day of coming and going.
 */
#include "chat/roster.h"

#include <stdlib.h>

#include "bench/micro/micro.h"
#include "core/check.h"
#include "core/slab.h"
#include "net/packet.h"

enum { PUBLICATION_SIZE = 150 }; /* bytes */

/* About what of a connection a delivery touches: one cache line. */
struct target {
    struct packet *last;
    uint64_t unused[7];
};

struct crowd {
    struct roster *roster;
    struct room *room;
    struct slab *targets;
    struct packet_pool *packets;
};

static void add_members(struct crowd *crowd, uint32_t count)
{
    uint32_t *slots = calloc(count, sizeof(*slots));
    uint32_t random = 2463534242;

    CHECK(slots != NULL);
    for (uint32_t i = 0; i < count; i++) {
        const void *taken = slab_take(crowd->targets, &slots[i]);
        CHECK(taken != NULL);
        const uint32_t other = micro_random(&random) % (i + 1);
        const uint32_t swapped = slots[other];
        slots[other] = slots[i];
        slots[i] = swapped;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct roster_member member = {
            .conn = {.slot = slots[i], .generation = slab_generation(crowd->targets, slots[i])},
            .session = slots[i],
        };
        const int added = roster_add(crowd->room, member);
        CHECK(added == 0);
    }
    free(slots);
}

static void *crowd_setup(const struct micro_case *row)
{
    static const uint8_t name[] = "room:42";
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    CHECK(crowd != NULL);
    const int created = roster_create(0, 1, &crowd->roster);
    CHECK(created == 0);
    crowd->room = roster_open(crowd->roster, 1, (struct bytes){name, sizeof(name) - 1}, NULL, 0);
    CHECK(crowd->room != NULL);
    crowd->targets = slab_create(sizeof(struct target), (uint32_t)row->size);
    CHECK(crowd->targets != NULL);
    crowd->packets = packet_pool_create(NULL);
    CHECK(crowd->packets != NULL);
    add_members(crowd, (uint32_t)row->size);
    return crowd;
}

static void crowd_teardown(void *context)
{
    struct crowd *crowd = context;
    while (crowd->room->member_count > 0) {
        const struct roster_member *member = &crowd->room->members[0];
        struct target *target = slab_at(crowd->targets, member->conn.slot);
        packet_unref(target->last);
        (void)roster_remove(crowd->room, 0); /* nobody keeps an index */
    }
    roster_close(crowd->roster, crowd->room);
    roster_destroy(crowd->roster);
    slab_destroy(crowd->targets);
    packet_pool_destroy(crowd->packets);
    free(crowd);
}

static void fan_out_run(void *context, uint64_t iterations)
{
    struct crowd *crowd = context;
    for (uint64_t i = 0; i < iterations; i++) {
        struct packet *packet = packet_create(crowd->packets, PUBLICATION_SIZE);
        CHECK(packet != NULL);
        for (uint32_t m = 0; m < crowd->room->member_count; m++) {
            const struct conn_id conn = crowd->room->members[m].conn;
            struct target *target = slab_find(crowd->targets, conn.slot, conn.generation);
            CHECK(target != NULL);
            packet_ref(packet);
            packet_unref(target->last);
            target->last = packet;
        }
        packet_unref(packet);
    }
}

#define CASE(members)                                                                              \
    {                                                                                              \
        .name = "chat/roster/fan_out/" #members, .setup = crowd_setup, .run = fan_out_run,         \
        .teardown = crowd_teardown, .size = (members)                                              \
    }

const struct micro_case roster_micro_cases[] = {
    CASE(10),
    CASE(1000),
    CASE(100000),
    {.name = NULL},
};
