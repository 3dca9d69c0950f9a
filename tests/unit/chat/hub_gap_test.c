/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms that have lost publications: their members hear of it wherever the home is, and nobody is
 * left behind in what the room was about to do.
 */
#include "chat/herald.h"
#include "tests/unit/chat/archive_world.h"
#include "tests/unit/chat/hub_world.h"

static const struct policy_table *policies_of(enum policy_durability durability)
{
    static struct policy policy;
    policy = (struct policy){
        .allow_subscribe_for_client = true,
        .allow_subscribe_for_anonymous = true,
        .allow_publish_for_client = true,
        .allow_publish_for_anonymous = true,
        .allow_history_for_client = true,
        .allow_history_for_anonymous = true,
        .history_size = 20,
        .history_ttl_ns = 3600000000000,
        .history_meta_ttl_ns = 3600000000000,
        .idempotency_ttl_ns = 3600000000000,
        .force_recovery = true,
        .join_leave = true,
        .force_push_join_leave = true,
        .durability = durability,
    };
    static const struct policy_table table = {
        .policies = &policy,
        .policy_count = 1,
        .name_size_max = 255,
    };
    return &table;
}

static void subscribe(struct client *client, uint32_t id, const char *name)
{
    ask(client, "{\"id\":%u,\"subscribe\":{\"channel\":\"%s\"}}", id, name);
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, id);
}

static void publish(struct client *client, uint32_t id, const char *name)
{
    ask(client, "{\"id\":%u,\"publish\":{\"channel\":\"%s\",\"data\":%u}}", id, name, id);
    settle();
    (void)hear(client, EVENT_PUBLISHED, id);
}

/* Subscribers are where the home is, and elsewhere; the store loses what they have heard. */
START_TEST(a_store_that_loses_all_is_heard_of)
{
    char name[NAME_SIZE];
    open_world((struct world_options){
        .hub_count = 2,
        .policies = policies_of(POLICY_DURABILITY_PROCESS),
        .archive = archive_turn,
    });
    forget_streams();
    (void)name_at(name, (uint16_t)_i, 0);
    struct client *publisher = connected_client(0);
    struct client *clients[] = {connected_client(0), connected_client(1)};
    for (int i = 0; i < COUNT(clients); i++) {
        subscribe(clients[i], 2, name);
    }
    publish(publisher, 3, name);
    lose_streams();
    publish(publisher, 4, name);
    for (int i = 0; i < COUNT(clients); i++) {
        struct event event;
        int heard = 0;
        while (next_event(clients[i], &event) && event.kind != EVENT_UNSUBSCRIBE_PUSH) {
            heard += event.kind == EVENT_PUBLICATION;
        }
        ck_assert_int_eq(heard, 1);
        ck_assert_uint_eq(event.code, CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
        ck_assert(!next_event(clients[i], &event));
        subscribe(clients[i], 5, name);
    }
    publish(publisher, 6, name);
    for (int i = 0; i < COUNT(clients); i++) {
        struct event event = {0};
        while (next_event(clients[i], &event) && event.kind != EVENT_PUBLICATION) {
        }
        ck_assert_uint_eq(event.offset, 2); /* behind that of the new life that was told nobody */
    }
    close_world();
}
END_TEST

/* Somebody waits there for what was missed, and the home could not be asked yet. */
START_TEST(nobody_is_asked_for_a_room_that_is_lost)
{
    char name[NAME_SIZE];
    open_world((struct world_options){
        .hub_count = 2, .reserve = 1, .policies = policies_of(POLICY_DURABILITY_NONE)});
    (void)name_at(name, 1, 0);
    struct client *publisher = connected_client(1);
    struct client *ann = connected_client(0);
    struct client *bob = connected_client(0);
    subscribe(ann, 2, name);
    publish(publisher, 3, name); /* others know by now that ann is there */
    ask(bob,
        "{\"id\":4,\"subscribe\":{\"channel\":\"%s\",\"recover\":true}}\n"
        "{\"id\":5,\"history\":{\"channel\":\"%s\"}}",
        name, name);
    (void)run(0); /* the credit is out */

    struct roster *roster = hub_roster(hub_of(ann));
    const struct room *room = roster_find(roster, table_hash(&world_key, view(name)), view(name));
    ck_assert_ptr_nonnull(room);
    ck_assert(list_is_linked(&room->recovering));
    ck_assert(room->herald != NULL && room->herald->known_count == 1);
    const struct post gap = {.kind = POST_GAP, .gap = {.room = roster_handle(roster, room)}};
    const struct post gone = {.kind = POST_LEAVE,
                              .leave = {.channel = room->channel, .room = gap.gap.room}};
    hub_take(hub_of(publisher), &gone); /* a home forgets whom it tells of a gap */
    hub_take(hub_of(ann), &gap);
    ck_assert_ptr_nonnull(roster_at(roster, gap.gap.room)); /* they are owed that she left */
    settle();
    struct event event;
    bool was_refused = false;
    while (next_event(bob, &event)) {
        was_refused = was_refused || (event.kind == EVENT_ERROR && event.id == 4);
    }
    ck_assert(was_refused);
    pass(1000000000);
    subscribe(bob, 6, name);
    close_world();
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("gap");
    tcase_add_loop_test(tcase, a_store_that_loses_all_is_heard_of, 0, 2);
    tcase_add_test(tcase, nobody_is_asked_for_a_room_that_is_lost);
    Suite *suite = suite_create("chat/hub: gaps");
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
