/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other policies for hubs (hub_world.h) that have durable channels open: the store is told how long
 * to keep them, of each once, a few at a time, though nobody publishes. The archive here says that
 * everything is stored, and counts what it is told.
 */
#include "chat/archive_post.h"
#include "tests/unit/chat/hub_world.h"

enum { HOMES = 2, CHANNELS = 600, AT_ONCE = 256 };

static const uint64_t second_ns = 1000000000;
static struct policy policy;
static struct policy_table policies;

static struct {
    uint64_t record_ms; /* that are counted */
    uint64_t position_ms;
    size_t runs;
    size_t most; /* of one home, between two turns of ours */
} told;

static size_t count_keeps(const struct archive_batch *batch)
{
    size_t count = 0;
    for (uint32_t i = 0; i < batch->run_count; i++) {
        const struct archive_run *run = &batch->runs[i];
        ck_assert(run->record_ms == 0 || run->record_ms == told.record_ms);
        ck_assert(run->record_ms == 0 || run->position_ms == told.position_ms);
        count += run->record_ms > 0;
    }
    return count;
}

static size_t archive_turn(uint16_t port)
{
    size_t keeps[HOMES] = {0};
    size_t taken = 0;
    struct bus_post packed;
    while (bus_take(world.bus, port, &packed, 1) == 1) {
        struct post post = post_unpack(&packed);
        const uint16_t from = post.from;
        if (post.kind == POST_ARCHIVE_APPEND) {
            keeps[from] += count_keeps(post.archive_batch.batch);
            for (uint32_t i = 0; i < post.archive_batch.batch->run_count; i++) {
                post.archive_batch.batch->runs[i].result = ARCHIVE_DONE;
            }
            post.kind = POST_ARCHIVE_APPENDED;
        } else {
            post.archive_page.page->result = ARCHIVE_ABSENT;
            post.kind = POST_ARCHIVE_PAGE;
        }
        packed = post_pack(&post);
        bus_answer(world.bus, port, from, &packed);
        taken++;
    }
    for (int i = 0; i < HOMES; i++) {
        told.runs += keeps[i];
        told.most = keeps[i] > told.most ? keeps[i] : told.most;
    }
    bus_flush(world.bus, port);
    return taken;
}

static void expect(uint64_t record_s, uint64_t position_s)
{
    memset(&told, 0, sizeof(told));
    told.record_ms = record_s * 1000;
    told.position_ms = position_s * 1000;
    policy = (struct policy){
        .history_size = 10,
        .history_ttl_ns = record_s * second_ns,
        .history_meta_ttl_ns = position_s * second_ns,
        .durability = POLICY_DURABILITY_PROCESS,
    };
}

static void set_up(void)
{
    expect(60, 600);
    policies = (struct policy_table){
        .policies = &policy,
        .policy_count = 1,
        .name_size_max = 255,
        .insecure = true,
    };
    open_world(
        (struct world_options){.hub_count = HOMES, .policies = &policies, .archive = archive_turn});
    struct client *client = connected_client(0);
    for (int i = 0; i < CHANNELS; i++) {
        ask(client, "{\"id\":%d,\"publish\":{\"channel\":\"%d\",\"data\":1}}", i + 2, i);
        settle();
        (void)hear(client, EVENT_PUBLISHED, (uint32_t)i + 2);
    }
    ck_assert_uint_eq(told.runs, CHANNELS);
}

START_TEST(open_channels_are_told)
{
    expect(120, 600);
    change_policies(&policies);
    ck_assert_uint_eq(told.runs, 0);
    settle();
    ck_assert_uint_eq(told.runs, CHANNELS);
    ck_assert_uint_le(told.most, AT_ONCE);

    /* The same again is nothing to tell. */
    expect(120, 600);
    change_policies(&policies);
    settle();
    ck_assert_uint_eq(told.runs, 0);
}
END_TEST

/* Before everybody has heard of the last one: each hears of the next, and in the end of nothing. */
START_TEST(changes_may_overtake)
{
    expect(60, 900);
    change_policies(&policies);
    for (uint16_t i = 0; i < HOMES; i++) {
        (void)run(i);
        ck_assert(hub_has_backlog(world.reactors[i].hub));
    }
    (void)archive_turn(HOMES);
    ck_assert_uint_gt(told.runs, 0);
    ck_assert_uint_lt(told.runs, CHANNELS);
    expect(30, 900);
    change_policies(&policies);
    settle();
    ck_assert_uint_eq(told.runs, CHANNELS);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("change");
    tcase_add_checked_fixture(tcase, set_up, close_world);
    tcase_add_test(tcase, open_channels_are_told);
    tcase_add_test(tcase, changes_may_overtake);
    Suite *suite = suite_create("chat/hub: change");
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
