/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A durable channel at home (channel_world.h) while memory is short. Side 2 is the archive: it
 * answers what it is asked when the test says so.
 */
#include "chat/archive_post.h"
#include "chat/channel.h"
#include "chat/ledger.h"
#include "tests/unit/chat/channel_world.h"

enum {
    ARCHIVE = 2,
    EPOCH = 77,
    TOP = 3,
};

static uint64_t hash_of(const char *name)
{
    return table_hash(&key, view(name));
}

/* The next post on its way from one port to another. */
static struct post next_post(uint16_t from, uint16_t to)
{
    struct bus_post packed;
    bus_flush(world.bus, from);
    ck_assert_uint_eq(bus_take(world.bus, to, &packed, 1), 1);
    return post_unpack(&packed);
}

static void answer(const struct post *post)
{
    const struct bus_post packed = post_pack(post);
    bus_answer(world.bus, ARCHIVE, 0, &packed);
}

static struct ledger *ledger(void)
{
    return channel_ledger(world.home);
}

/* The answer that is due, which is taken. */
static struct ledger_answer take_answer(void)
{
    (void)ledger_deliver(ledger(), 100);
    struct ledger_item *item = ledger_first_done(ledger());
    ck_assert_ptr_nonnull(item);
    const struct ledger_answer due = ledger_look(item);
    ledger_forget(ledger(), item);
    return due;
}

/* Somebody asked for its history. The page that the archive is asked for. */
static struct archive_page *ask_for(const char *name, struct blob **asked_blob)
{
    struct blob *blob = blob_create(world.sides[0].pool, strlen(name));
    ck_assert_ptr_nonnull(blob);
    memcpy(blob->data, name, strlen(name));
    blob->end = (uint32_t)strlen(name);
    const struct post asked = {
        .kind = POST_HISTORY,
        .history = {.blob = blob, .hash = hash_of(name)},
    };
    bool waits = false;
    ck_assert_int_eq(channel_wait_turn(world.home, &asked, &waits), CODES_ERROR_NONE);
    ck_assert(waits);
    ledger_flush(ledger());
    struct post question = next_post(0, ARCHIVE);
    ck_assert_uint_eq(question.kind, POST_ARCHIVE_READ);
    *asked_blob = blob;
    return question.archive_page.page;
}

static void find(struct archive_page *page)
{
    page->result = ARCHIVE_DONE;
    page->epoch = EPOCH;
    page->top = TOP;
    const struct post found = {.kind = POST_ARCHIVE_PAGE, .archive_page = {page}};
    answer(&found);
    const struct post reply = next_post(ARCHIVE, 0);
    ledger_take_page(ledger(), reply.archive_page.page);
}

/* So it is known: a position, and nothing kept. Nobody is there. */
static void load(const char *name)
{
    struct blob *blob;
    struct archive_page *page = ask_for(name, &blob);
    page->first = TOP + 1;
    find(page);
    ck_assert_int_eq(take_answer().error, CODES_ERROR_NONE);
    blob_drop(blob, world.sides[0].pool);
}

/* Under a key, or without one. What waits is the home's now. */
static enum codes_error publish_data_as(const char *name, const char *data,
                                        const char *idempotency_key, bool *waits)
{
    const struct publication_source source = {
        .channel = view(name),
        .data = view(data),
        .key = view(idempotency_key),
    };
    struct blob *blob = publication_create(world.sides[0].pool, &source);
    ck_assert_ptr_nonnull(blob);
    const struct post asked = {
        .kind = POST_PUBLISH,
        .publish =
            {
                .blob = blob,
                .hash = hash_of(name),
                .name_size = (uint16_t)strlen(name),
                .key_size = (uint8_t)strlen(idempotency_key),
            },
    };
    const enum codes_error error = channel_wait_turn(world.home, &asked, waits);
    if (!*waits) {
        blob_drop(blob, world.sides[0].pool);
    }
    return error;
}

static enum codes_error publish_as(const char *name, const char *idempotency_key, bool *waits)
{
    return publish_data_as(name, "\"4\"", idempotency_key, waits);
}

/* A publication that the archive has, and has not answered. */
static struct archive_batch *begin_to_publish(const char *name, const char *idempotency_key)
{
    bool waits = false;
    ck_assert_int_eq(publish_as(name, idempotency_key, &waits), CODES_ERROR_NONE);
    ck_assert(waits);
    ledger_flush(ledger());
    const struct post given = next_post(0, ARCHIVE);
    ck_assert_uint_eq(given.kind, POST_ARCHIVE_APPEND);
    return given.archive_batch.batch;
}

static void end_run(struct archive_batch *batch, enum archive_result result)
{
    ck_assert_uint_eq(batch->run_count, 1);
    batch->runs[0].result = result;
    const struct post stored = {.kind = POST_ARCHIVE_APPENDED, .archive_batch = {batch}};
    answer(&stored);
    const struct post reply = next_post(ARCHIVE, 0);
    ledger_take_batch(ledger(), reply.archive_batch.batch);
}

/* What its publisher is answered then. */
static struct ledger_answer end_with(struct archive_batch *batch, enum archive_result result)
{
    end_run(batch, result);
    return take_answer();
}

/*
 * Nobody was interested in it, so it was one of those whose position may be forgotten for others.
 * What is on its way to the store keeps it, though.
 */
START_TEST(is_not_forgotten_while_it_is_stored)
{
    open_world_with(10, 1 << 20, 1, ARCHIVE);
    load("d:a");
    ck_assert_uint_eq(channel_count(world.home), 1);
    struct archive_batch *batch = begin_to_publish("d:a", "");
    publish("h:b", 1); /* for which there is no room: all that may go goes */
    ck_assert_uint_eq(channel_count(world.home), 1);

    const struct ledger_answer due = end_with(batch, ARCHIVE_DONE);
    ck_assert_int_eq(due.error, CODES_ERROR_NONE);
    ck_assert_uint_eq(due.offset, TOP + 1);
    ck_assert_uint_eq(due.epoch, EPOCH);
    close_world();
}
END_TEST

/* With nothing under way it goes like any other, and the store is asked again. */
START_TEST(is_forgotten_when_it_is_idle)
{
    open_world_with(10, 1 << 20, 1, ARCHIVE);
    load("d:a");
    publish("h:b", 1);
    ck_assert_uint_eq(channel_count(world.home), 0);
    load("d:a");
    close_world();
}
END_TEST

/* Another configuration: the store is told how long to keep what nobody uses at the moment. */
START_TEST(is_not_forgotten_while_the_store_is_told)
{
    open_world_with(10, 1 << 20, 1, ARCHIVE);
    load("d:a");
    policies[2].history_meta_ttl_ns *= 2;
    channel_home_renew(world.home);
    channel_home_tick(world.home, 0);
    policies[2].history_meta_ttl_ns /= 2;
    ledger_flush(ledger());
    struct archive_batch *batch = next_post(0, ARCHIVE).archive_batch.batch;
    publish("h:b", 1); /* for which there is no room: all that may go goes */
    ck_assert_uint_eq(channel_count(world.home), 1);
    end_run(batch, ARCHIVE_DONE);
    publish("h:b", 2);
    ck_assert_uint_eq(channel_count(world.home), 0);
    close_world();
}
END_TEST

/* What the store has is too old to be kept, and there is no room: who asked is answered. */
START_TEST(is_not_forgotten_while_it_is_read)
{
    struct blob *blob;
    const uint64_t now_ns = 60000000000;
    open_world_with(10, 1 << 20, 1, ARCHIVE);
    channel_home_tick(world.home, now_ns);
    struct archive_page *page = ask_for("d:a", &blob);
    page->first = TOP;
    ck_assert(archive_post_reserve(page, 1, 3));
    archive_post_add_record(
        page, (struct archive_record){.offset = TOP, .age_ms = 20000, .value = view("\"3\"")});
    find(page);
    ck_assert_int_eq(take_answer().error, CODES_ERROR_NONE);
    blob_drop(blob, world.sides[0].pool);
    ck_assert_uint_eq(channel_count(world.home), 1);
    publish("h:b", 1);
    ck_assert_uint_eq(channel_count(world.home), 0);
    close_world();
}
END_TEST

/* Who says the same again is not told that it is there before it is. */
START_TEST(a_repeat_waits_for_the_first)
{
    bool waits;
    open_world_with(10, 1 << 20, 1 << 16, ARCHIVE);
    load("d:a");
    struct archive_batch *batch = begin_to_publish("d:a", "key");
    ck_assert_int_eq(publish_as("d:a", "key", &waits), CODES_ERROR_INTERNAL);
    ck_assert(!waits);
    ck_assert_int_eq(end_with(batch, ARCHIVE_DONE).error, CODES_ERROR_NONE);
    /* channel_publish() says where it is. */
    ck_assert_int_eq(publish_as("d:a", "key", &waits), CODES_ERROR_NONE);
    ck_assert(!waits);
    close_world();
}
END_TEST

/* What was refused has not been said: it may be said again. */
START_TEST(a_key_goes_with_what_is_refused)
{
    open_world_with(10, 1 << 20, 1 << 16, ARCHIVE);
    load("d:a");
    const struct ledger_answer refused = end_with(begin_to_publish("d:a", "key"), ARCHIVE_REFUSED);
    ck_assert_int_eq(refused.error, CODES_ERROR_INTERNAL);
    const struct ledger_answer due = end_with(begin_to_publish("d:a", "key"), ARCHIVE_DONE);
    ck_assert_int_eq(due.error, CODES_ERROR_NONE);
    ck_assert_uint_eq(due.offset, TOP + 1);
    close_world();
}
END_TEST

/* A key is forgotten while its publication is under way, and used again: it is the other's. */
START_TEST(a_key_is_of_who_has_it_now)
{
    bool waits;
    open_world_with(10, 1 << 20, 1 << 16, ARCHIVE);
    load("d:a");
    struct archive_batch *batch = begin_to_publish("d:a", "key");
    channel_home_tick(world.home, policies[2].idempotency_ttl_ns);
    ck_assert_int_eq(take_answer().error, CODES_ERROR_INTERNAL); /* in time */
    ck_assert_int_eq(publish_data_as("d:a", "5", "key", &waits), CODES_ERROR_NONE);
    ck_assert(waits);
    end_run(batch, _i == 0 ? ARCHIVE_DONE : ARCHIVE_REFUSED);
    (void)ledger_deliver(ledger(), 100);
    /* The second one is still under way. */
    ck_assert_int_eq(publish_data_as("d:a", "5", "key", &waits), CODES_ERROR_INTERNAL);
    ck_assert(!waits);
    ledger_flush(ledger());
    ck_assert_int_eq(end_with(next_post(0, ARCHIVE).archive_batch.batch, ARCHIVE_DONE).error,
                     CODES_ERROR_NONE);
    ck_assert_int_eq(publish_data_as("d:a", "5", "key", &waits), CODES_ERROR_NONE);
    ck_assert(!waits);
    close_world();
}
END_TEST

/* The store dies over a publication, and has nothing of the channel afterwards. */
static void lose_life(const char *name)
{
    end_run(begin_to_publish(name, ""), ARCHIVE_UNKNOWN);
    ledger_flush(ledger());
    struct post question = next_post(0, ARCHIVE);
    ck_assert_uint_eq(question.kind, POST_ARCHIVE_READ);
    question.archive_page.page->result = ARCHIVE_ABSENT;
    const struct post found = {.kind = POST_ARCHIVE_PAGE,
                               .archive_page = {question.archive_page.page}};
    answer(&found);
    const struct post reply = next_post(ARCHIVE, 0);
    ledger_take_page(ledger(), reply.archive_page.page);
}

/* The store has lost the channel: what was said under a key in its last life is said nowhere. */
START_TEST(a_key_is_of_one_life)
{
    bool waits;
    open_world_with(10, 1 << 20, 1 << 16, ARCHIVE);
    load("d:a");
    ck_assert_int_eq(end_with(begin_to_publish("d:a", "key"), ARCHIVE_DONE).error,
                     CODES_ERROR_NONE);
    lose_life("d:a");
    ck_assert_int_eq(publish_as("d:a", "key", &waits), CODES_ERROR_NONE);
    ck_assert(waits);
    ledger_flush(ledger());
    const struct ledger_answer due =
        end_with(next_post(0, ARCHIVE).archive_batch.batch, ARCHIVE_DONE);
    ck_assert_uint_eq(due.offset, 1);
    ck_assert_uint_eq(take_answer().offset, 2);
    close_world();
}
END_TEST

/* Who is subscribed has offsets of the last life: it is told. */
START_TEST(a_new_life_is_a_gap)
{
    open_world_with(10, 1 << 20, 1 << 16, ARCHIVE);
    load("d:a");
    struct ear *ear = new_ear(1, 5);
    (void)join("d:a", ear->room);
    ck_assert_int_eq(end_with(begin_to_publish("d:a", ""), ARCHIVE_DONE).error, CODES_ERROR_NONE);
    const struct post heard = next_post(0, 1);
    ck_assert_uint_eq(heard.kind, POST_PUBLICATION);
    blob_drop(heard.publication.blob, world.sides[1].pool);
    lose_life("d:a");
    channel_catch_up(world.home);
    ck_assert_uint_eq(next_post(0, 1).kind, POST_GAP);
    ledger_flush(ledger());
    ck_assert_int_eq(end_with(next_post(0, ARCHIVE).archive_batch.batch, ARCHIVE_DONE).error,
                     CODES_ERROR_NONE);
    close_world();
}
END_TEST

/* There is no room for any history; but a key that is under way is not forgotten for that. */
START_TEST(a_key_under_way_is_not_evicted)
{
    bool waits;
    open_world_with(10, 1 << 20, 1 << 12, ARCHIVE);
    load("d:a");
    ck_assert_int_eq(end_with(begin_to_publish("d:a", "old"), ARCHIVE_DONE).error,
                     CODES_ERROR_NONE);
    struct archive_batch *batch = begin_to_publish("d:a", "new");
    channel_home_tick(world.home, 1); /* so that it is the one that was used less recently */
    publish_sized(0, "h:b", 1, 3500);
    ck_assert_uint_gt(metrics_read(&metrics, METRIC_HISTORY_EVICTED), 0);
    ck_assert_int_eq(publish_as("d:a", "new", &waits), CODES_ERROR_INTERNAL);
    ck_assert(!waits);
    ck_assert_int_eq(end_with(batch, ARCHIVE_DONE).error, CODES_ERROR_NONE);
    close_world();
}
END_TEST

int main(void)
{
    TCase *durable = tcase_create("durable");
    tcase_add_test(durable, is_not_forgotten_while_it_is_stored);
    tcase_add_test(durable, is_forgotten_when_it_is_idle);
    tcase_add_test(durable, is_not_forgotten_while_the_store_is_told);
    tcase_add_test(durable, is_not_forgotten_while_it_is_read);
    tcase_add_test(durable, a_repeat_waits_for_the_first);
    tcase_add_test(durable, a_key_goes_with_what_is_refused);
    tcase_add_loop_test(durable, a_key_is_of_who_has_it_now, 0, 2);
    tcase_add_test(durable, a_key_is_of_one_life);
    tcase_add_test(durable, a_new_life_is_a_gap);
    tcase_add_test(durable, a_key_under_way_is_not_evicted);
    Suite *suite = suite_create("chat/channel: durable");
    suite_add_tcase(suite, durable);
    return run_suite(suite);
}
