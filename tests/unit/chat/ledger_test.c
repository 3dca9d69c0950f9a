/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger with an archive that the test plays: port 0 is the home, port 1 the archive. The owner
 * of the books writes down what it is told.
 */
#include "chat/ledger.h"

#include <check.h>
#include <stdio.h>

#include "chat/archive_post.h"
#include "chat/post.h"
#include "chat/publication.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/metrics.h"
#include "tests/unit/chat/testing.h"

enum { HOME = 0, ARCHIVE = 1, HEARD_MAX = 512, TIMEOUT = 1000, KEEP = 10 };

/* What the owner of a book was told. */
struct owner {
    struct ledger_book *book;
    uint64_t epoch;
    uint64_t top;
    int begun;
    int idle;
    int refused;
    char heard[HEARD_MAX][8]; /* by offset, since the stream began */
};

static struct bus *bus;
static struct blob_pool *pool;
static struct ledger *ledger;
static struct metrics metrics;
static struct owner owner;
static uint64_t epochs;

static void on_begin(void *context, void *to, uint64_t epoch, uint64_t top)
{
    struct owner *told = to;
    ck_assert_ptr_eq(context, &owner);
    told->epoch = epoch;
    told->top = top;
    told->begun++;
}

static void on_stored(void *context, void *to, struct blob *blob,
                      const struct ledger_stored *stored)
{
    struct owner *told = to;
    const struct bytes value = blob_bytes(blob);
    ck_assert_ptr_eq(context, &owner);
    ck_assert_uint_lt(stored->age_ms, 100);
    told->top++;
    ck_assert_uint_lt(told->top, HEARD_MAX);
    ck_assert_uint_lt(value.size, sizeof(told->heard[0]));
    memcpy(told->heard[told->top], value.data, value.size);
    told->heard[told->top][value.size] = '\0';
    blob_drop(blob, pool);
}

static void on_idle(void *context, void *to)
{
    (void)context;
    ((struct owner *)to)->idle++;
}

static uint64_t new_epoch(void *context)
{
    (void)context;
    return ++epochs;
}

static void on_refused(void *context, void *to, const struct blob *blob, uint8_t key_size)
{
    (void)context;
    (void)blob;
    ck_assert_uint_eq(key_size, 0);
    ((struct owner *)to)->refused++;
}

static const struct ledger_ops ops = {on_begin, on_stored, on_refused, on_idle, new_epoch};

static void open_ledger(size_t bytes_max, uint32_t item_count_max, size_t reserve)
{
    memset(&owner, 0, sizeof(owner));
    metrics = (struct metrics){.namespace_count = 0};
    epochs = 100;
    bus = bus_create(2, 64, reserve);
    pool = blob_pool_create(64 << 20);
    const struct ledger_options options = {
        .reactor = HOME,
        .archive = ARCHIVE,
        .timeout_ns = TIMEOUT,
        .bytes_max = bytes_max,
        .item_count_max = item_count_max,
        .bus = bus,
        .pool = pool,
        .metrics = &metrics,
        .ops = &ops,
        .context = &owner,
    };
    ck_assert_int_eq(ledger_create(&options, &ledger), 0);
    const struct ledger_book_options book = {
        .owner = &owner,
        .channel = view("room"),
        .keep = {.count = KEEP, .record_ms = 1000, .position_ms = 2000},
    };
    owner.book = ledger_open(ledger, &book);
    ck_assert_ptr_nonnull(owner.book);
    ledger_tick(ledger, 1);
}

static void set_up(void)
{
    open_ledger(1 << 20, 1000, 8);
}

static void tear_down(void)
{
    ledger_close(ledger, owner.book);
    ledger_destroy(ledger);
    ck_assert_uint_eq(blob_pool_count(pool), 0);
    blob_pool_destroy(pool);
    bus_destroy(bus);
}

/* -- the home ---------------------------------------------------------------------------------- */

static enum codes_error publish(const char *value)
{
    const struct publication_source source = {.channel = view("room"), .data = view(value)};
    const struct post post = {
        .from = HOME,
        .kind = POST_PUBLISH,
        .publish = {.blob = publication_create(pool, &source), .name_size = 4},
    };
    const enum codes_error error = ledger_publish(ledger, owner.book, &post);
    if (error != CODES_ERROR_NONE) {
        blob_drop(post.publish.blob, pool);
    }
    return error;
}

static enum codes_error ask(void)
{
    struct blob *name = blob_create(pool, 4);
    const struct post post = {.kind = POST_INTEREST, .interest = {.blob = name}};
    const enum codes_error error = ledger_ask(ledger, owner.book, &post);
    if (error != CODES_ERROR_NONE) {
        blob_drop(name, pool);
    }
    return error;
}

static void flush(void)
{
    ledger_flush(ledger);
    bus_flush(bus, HOME);
}

/* The first item that is done: the error; and forgets it. */
static struct ledger_answer done(void)
{
    struct ledger_item *item = ledger_first_done(ledger);
    ck_assert_ptr_nonnull(item);
    const struct ledger_answer answer = ledger_look(item);
    if (answer.post.kind == POST_INTEREST) {
        blob_drop(answer.post.interest.blob, pool);
    }
    ledger_forget(ledger, item);
    return answer;
}

static uint64_t published(void)
{
    return metrics_read(&metrics, METRIC_PUBLICATIONS);
}

static void deliver(void)
{
    while (ledger_deliver(ledger, 3) > 0) {
    }
}

/* -- the archive ------------------------------------------------------------------------------- */

static struct post take(enum post_kind kind)
{
    struct bus_post packed;
    flush();
    ck_assert_uint_eq(bus_take(bus, ARCHIVE, &packed, 1), 1);
    const struct post post = post_unpack(&packed);
    ck_assert_uint_eq(post.kind, kind);
    return post;
}

static void nothing_is_asked(void)
{
    struct bus_post packed;
    flush();
    ck_assert_uint_eq(bus_take(bus, ARCHIVE, &packed, 1), 0);
}

static void say(const struct post *post)
{
    struct bus_post packed = post_pack(post);
    bus_answer(bus, ARCHIVE, HOME, &packed);
    bus_flush(bus, ARCHIVE);
    ck_assert_uint_eq(bus_take(bus, HOME, &packed, 1), 1);
    const struct post taken = post_unpack(&packed);
    if (taken.kind == POST_ARCHIVE_PAGE) {
        ledger_take_page(ledger, taken.archive_page.page);
    } else {
        ledger_take_batch(ledger, taken.archive_batch.batch);
    }
}

static void say_page(struct archive_page *page, enum archive_result result)
{
    page->result = result;
    say(&(struct post){.kind = POST_ARCHIVE_PAGE, .archive_page = {page}});
}

static struct archive_page *take_page(void)
{
    return take(POST_ARCHIVE_READ).archive_page.page;
}

static void add_records(struct archive_page *page, uint64_t first, const char *const *values,
                        uint32_t count)
{
    ck_assert(archive_post_reserve(page, count, 64));
    for (uint32_t i = 0; i < count; i++) {
        archive_post_add_record(
            page, (struct archive_record){.offset = first + i, .value = view(values[i])});
    }
}

static struct archive_batch *take_batch(void)
{
    return take(POST_ARCHIVE_APPEND).archive_batch.batch;
}

static void say_batch(struct archive_batch *batch, enum archive_result result)
{
    batch->runs[0].result = result;
    say(&(struct post){.kind = POST_ARCHIVE_APPENDED, .archive_batch = {batch}});
}

/* "R1:a2:b" for a reset and two publications. */
static void batch_is(const struct archive_batch *batch, const char *expected)
{
    char found[256] = "";
    size_t used = 0;
    ck_assert_uint_eq(batch->run_count, 1);
    for (uint32_t i = 0; i < batch->entry_count; i++) {
        const struct archive_entry *entry = &batch->entries[i];
        static const char kinds[] = {' ', ' ', 'R', 'T', 'X'};
        used += (size_t)snprintf(found + used, sizeof(found) - used,
                                 entry->kind == ARCHIVE_APPEND ? "%c%llu:%.*s" : "%c%llu%.*s",
                                 kinds[entry->kind], (unsigned long long)entry->offset,
                                 (int)entry->value.size,
                                 entry->value.size == 0 ? "" : (const char *)entry->value.data);
    }
    ck_assert_str_eq(found, expected);
}

/* A stream that nobody knew, with its reset stored. */
static void begin(void)
{
    ck_assert_int_eq(ask(), CODES_ERROR_NONE);
    say_page(take_page(), ARCHIVE_ABSENT);
    ck_assert_int_eq(done().error, CODES_ERROR_NONE);
    say_batch(take_batch(), ARCHIVE_DONE);
    ck_assert(ledger_is_loaded(owner.book) && ledger_is_idle(owner.book));
}

START_TEST(accepts_what_is_stored)
{
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    struct archive_page *page = take_page();
    ck_assert_int_eq(page->range, ARCHIVE_NEWEST);
    ck_assert_uint_eq(page->since, KEEP);
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    nothing_is_asked();
    say_page(page, ARCHIVE_ABSENT);
    ck_assert(owner.begun == 1 && owner.epoch == 101 && owner.top == 0);

    struct archive_batch *batch = take_batch();
    batch_is(batch, "R0 1:a 2:b");
    ck_assert_uint_eq(batch->runs[0].epoch, 101);
    ck_assert(!batch->runs[0].power);
    /* Under way: what comes is gathered, and nobody is told anything. */
    ck_assert_int_eq(publish("c"), CODES_ERROR_NONE);
    ck_assert_int_eq(publish("d"), CODES_ERROR_NONE);
    nothing_is_asked();
    deliver();
    ck_assert_uint_eq(owner.top, 0);
    ck_assert_ptr_null(ledger_first_done(ledger));

    say_batch(batch, ARCHIVE_DONE);
    deliver();
    ck_assert_uint_eq(owner.top, 2);
    ck_assert_str_eq(owner.heard[2], "b");
    for (uint64_t offset = 1; offset <= 2; offset++) {
        const struct ledger_answer answer = done();
        ck_assert(answer.error == CODES_ERROR_NONE && answer.offset == offset);
        ck_assert_uint_eq(answer.epoch, 101);
    }
    batch = take_batch();
    batch_is(batch, " 3:c 4:d");
    ck_assert_int_eq(owner.idle, 0);
    say_batch(batch, ARCHIVE_DONE);
    deliver();
    ck_assert_uint_eq(owner.top, 4);
    ck_assert_int_eq(owner.idle, 1);
    (void)done();
    (void)done();
    ck_assert_uint_eq(published(), 4);
    ck_assert(ledger_is_quiet(ledger));
    ck_assert_uint_eq(ledger_item_count(ledger), 0);
}
END_TEST

START_TEST(refuses_what_is_not_stored)
{
    begin();
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    struct archive_batch *batch = take_batch();
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    say_batch(batch, ARCHIVE_REFUSED);
    ck_assert_int_eq(done().error, CODES_ERROR_INTERNAL);
    ck_assert_int_eq(owner.refused, 1);
    /* The next one has its offset. */
    batch = take_batch();
    batch_is(batch, " 1:b");
    say_batch(batch, ARCHIVE_DONE);
    deliver();
    ck_assert_str_eq(owner.heard[1], "b");
    ck_assert_int_eq(done().error, CODES_ERROR_NONE);
    ck_assert_uint_eq(published(), 1);
}
END_TEST

/* How a run ended that nobody knows the end of, by the page that says it. */
static const struct {
    const char *why;
    enum archive_result result;
    const char *stored[3];
    const char *again; /* what goes out after it; NULL: nothing */
} unknown[] = {
    {"all of it", ARCHIVE_UNKNOWN, {"a", "b", NULL}, NULL},
    {"nothing", ARCHIVE_UNKNOWN, {NULL}, " 1:a 2:b"},
    {"some, which cannot be", ARCHIVE_UNKNOWN, {"a", NULL}, " 2:b"},
    {"nothing, it is said", ARCHIVE_CONFLICT, {NULL}, " 1:a 2:b"},
};

START_TEST(finds_out_what_is_stored)
{
    begin();
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    say_batch(take_batch(), unknown[_i].result);
    ck_assert_ptr_null(ledger_first_done(ledger));
    struct archive_page *page = take_page();
    ck_assert(page->range == ARCHIVE_SINCE && page->since == 0);
    uint32_t count = 0;
    while (unknown[_i].stored[count] != NULL) {
        count++;
    }
    if (count > 0) {
        add_records(page, 1, unknown[_i].stored, count);
    }
    page->epoch = 101;
    page->top = count;
    page->first = 1;
    say_page(page, ARCHIVE_DONE);
    deliver();
    ck_assert_msg(owner.top == count, "%s", unknown[_i].why);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(done().error, CODES_ERROR_NONE);
    }
    if (unknown[_i].again == NULL) {
        nothing_is_asked();
    } else {
        struct archive_batch *batch = take_batch();
        batch_is(batch, unknown[_i].again);
        say_batch(batch, ARCHIVE_DONE);
        deliver();
    }
    ck_assert_uint_eq(owner.top, 2);
    ck_assert(strcmp(owner.heard[1], "a") == 0 && strcmp(owner.heard[2], "b") == 0);
    ck_assert_int_eq(owner.begun, 1);
    ck_assert_uint_eq(published(), 2);
}
END_TEST

START_TEST(nobody_waits_for_ever)
{
    begin();
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    struct archive_batch *batch = take_batch();
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    ledger_tick(ledger, TIMEOUT);
    ck_assert_ptr_null(ledger_first_done(ledger));
    ledger_tick(ledger, TIMEOUT + 1);
    ck_assert_int_eq(done().error, CODES_ERROR_INTERNAL);
    ck_assert_int_eq(done().error, CODES_ERROR_INTERNAL);
    ck_assert(ledger_is_quiet(ledger) && ledger_has_given(ledger));
    ck_assert_int_eq(owner.refused, 1); /* of the other one nobody knows */
    /* What had been sent is delivered when it turns out to be stored; the other one went. */
    say_batch(batch, ARCHIVE_DONE);
    deliver();
    ck_assert_uint_eq(owner.top, 1);
    ck_assert_str_eq(owner.heard[1], "a");
    ck_assert_ptr_null(ledger_first_done(ledger));
    ck_assert_uint_eq(published(), 1);
    nothing_is_asked();
    ck_assert_uint_eq(ledger_item_count(ledger), 0);
}
END_TEST

/* Its publisher was told that it failed: it is not sent a second time. */
START_TEST(what_failed_is_not_sent_again)
{
    begin();
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    struct archive_batch *batch = take_batch();
    ledger_tick(ledger, TIMEOUT + 1);
    ck_assert_int_eq(done().error, CODES_ERROR_INTERNAL);
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    say_batch(batch, ARCHIVE_UNKNOWN);
    struct archive_page *page = take_page();
    page->epoch = 101;
    page->first = 1;
    say_page(page, ARCHIVE_DONE);
    deliver();
    batch = take_batch();
    batch_is(batch, " 1:b");
    say_batch(batch, ARCHIVE_DONE);
    ck_assert_uint_eq(published(), 1);
}
END_TEST

/* Its publisher was told that it failed, for nobody could say; it is published all the same. */
START_TEST(what_failed_may_be_stored)
{
    static const char *const stored[] = {"a"};
    begin();
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    say_batch(take_batch(), ARCHIVE_UNKNOWN);
    say_page(take_page(), ARCHIVE_REFUSED);
    ck_assert_int_eq(done().error, CODES_ERROR_INTERNAL);
    ck_assert_uint_eq(published(), 0);
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    struct archive_page *page = take_page();
    add_records(page, 1, stored, 1);
    page->epoch = 101;
    page->top = 1;
    page->first = 1;
    say_page(page, ARCHIVE_DONE);
    deliver();
    ck_assert_uint_eq(published(), 1);
    struct archive_batch *batch = take_batch();
    batch_is(batch, " 2:b");
    say_batch(batch, ARCHIVE_DONE);
    deliver();
    ck_assert_int_eq(done().error, CODES_ERROR_NONE);
    ck_assert_uint_eq(published(), 2);
}
END_TEST

START_TEST(has_bounds)
{
    ledger_close(ledger, owner.book);
    ledger_destroy(ledger);
    blob_pool_destroy(pool);
    bus_destroy(bus);
    open_ledger(10, 4, 8);
    ck_assert_int_eq(publish("12345"), CODES_ERROR_NONE);
    ck_assert_int_eq(publish("123456"), CODES_ERROR_INTERNAL); /* bytes */
    ck_assert_int_eq(publish("1"), CODES_ERROR_NONE);
    ck_assert_int_eq(publish("2"), CODES_ERROR_NONE);
    ck_assert_int_eq(ask(), CODES_ERROR_NONE);
    ck_assert_int_eq(ask(), CODES_ERROR_INTERNAL); /* items */
    ck_assert_int_eq(publish("3"), CODES_ERROR_INTERNAL);
    ck_assert_uint_eq(ledger_item_count(ledger), 4);
}
END_TEST

static struct post post_of(const char *value)
{
    const struct publication_source source = {.channel = view("room"), .data = view(value)};
    return (struct post){
        .kind = POST_PUBLISH,
        .publish = {.blob = publication_create(pool, &source), .name_size = 4},
    };
}

/* A publication may be a question first: it is kept all that time. */
START_TEST(what_asks_has_its_bytes)
{
    ledger_close(ledger, owner.book);
    ledger_destroy(ledger);
    blob_pool_destroy(pool);
    bus_destroy(bus);
    open_ledger(10, 4, 8);
    const struct post first = post_of("12345");
    const struct post second = post_of("123456");
    ck_assert_int_eq(ledger_ask(ledger, owner.book, &first), CODES_ERROR_NONE);
    ck_assert_int_eq(ledger_ask(ledger, owner.book, &second), CODES_ERROR_INTERNAL);
    ck_assert_int_eq(publish("123456"), CODES_ERROR_INTERNAL);
    say_page(take_page(), ARCHIVE_REFUSED);
    const struct ledger_answer answer = done();
    ck_assert_ptr_eq(answer.post.publish.blob, first.publish.blob);
    blob_drop(first.publish.blob, pool);
    blob_drop(second.publish.blob, pool);
    ck_assert_int_eq(publish("1234567890"), CODES_ERROR_NONE);
}
END_TEST

START_TEST(refuses_what_no_record_can_hold)
{
    struct blob *large = blob_create(pool, ARCHIVE_VALUE_SIZE_MAX + 1);
    ck_assert_ptr_nonnull(large);
    memset(large->data, 'x', ARCHIVE_VALUE_SIZE_MAX + 1);
    large->end = ARCHIVE_VALUE_SIZE_MAX + 1;
    const struct post post = {.kind = POST_PUBLISH, .publish = {.blob = large}};
    ck_assert_int_eq(ledger_publish(ledger, owner.book, &post), CODES_ERROR_LIMIT_EXCEEDED);
    ck_assert(ledger_is_idle(owner.book));
    blob_drop(large, pool);
}
END_TEST

/* A stream that is known to the store comes page by page; questions wait for the last one. */
START_TEST(loads)
{
    static const char *const first[] = {"e", "f"};
    static const char *const second[] = {"g"};
    ck_assert_int_eq(ask(), CODES_ERROR_NONE);
    struct archive_page *page = take_page();
    add_records(page, 5, first, 2);
    page->epoch = 7;
    page->top = 7;
    page->first = 3;
    page->more = true;
    say_page(page, ARCHIVE_DONE);
    ck_assert(owner.begun == 1 && owner.epoch == 7 && owner.top == 4);
    deliver();
    ck_assert_uint_eq(owner.top, 6);
    ck_assert(!ledger_is_loaded(owner.book));
    ck_assert_ptr_null(ledger_first_done(ledger));

    page = take_page();
    ck_assert(page->range == ARCHIVE_SINCE && page->since == 6);
    add_records(page, 7, second, 1);
    page->epoch = 7;
    page->top = 7;
    page->first = 3;
    say_page(page, ARCHIVE_DONE);
    deliver();
    ck_assert(ledger_is_loaded(owner.book));
    ck_assert_int_eq(owner.idle, 0); /* somebody is to be answered */
    ck_assert_int_eq(done().error, CODES_ERROR_NONE);
    ck_assert_int_eq(owner.idle, 1);
    ck_assert_str_eq(owner.heard[7], "g");

    ck_assert_int_eq(publish("h"), CODES_ERROR_NONE);
    struct archive_batch *batch = take_batch();
    batch_is(batch, " 8:h");
    ck_assert_uint_eq(batch->runs[0].epoch, 7);
    ck_assert_uint_eq(published(), 0); /* what was there before us */
    say_batch(batch, ARCHIVE_DONE);
    ck_assert_uint_eq(published(), 1);
}
END_TEST

START_TEST(is_refused_while_nobody_knows)
{
    ck_assert_int_eq(ask(), CODES_ERROR_NONE);
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    say_page(take_page(), ARCHIVE_REFUSED);
    ck_assert_int_eq(done().error, CODES_ERROR_INTERNAL);
    ck_assert_int_eq(done().error, CODES_ERROR_INTERNAL);
    ck_assert(ledger_is_idle(owner.book) && !ledger_is_loaded(owner.book));
    nothing_is_asked();
    /* The next one tries again. */
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    say_page(take_page(), ARCHIVE_ABSENT);
    struct archive_batch *batch = take_batch();
    batch_is(batch, "R0 1:b");
    say_batch(batch, ARCHIVE_DONE);
}
END_TEST

START_TEST(a_reset_that_failed_is_repeated)
{
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    say_page(take_page(), ARCHIVE_ABSENT);
    say_batch(take_batch(), ARCHIVE_REFUSED);
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    struct archive_batch *batch = take_batch();
    batch_is(batch, "R0 1:b");
    say_batch(batch, ARCHIVE_UNKNOWN);
    /* It was not stored: the epoch that clients know stays. */
    say_page(take_page(), ARCHIVE_ABSENT);
    batch = take_batch();
    batch_is(batch, "R0 1:b");
    ck_assert_uint_eq(batch->runs[0].epoch, 101);
    ck_assert_int_eq(owner.begun, 1);
    say_batch(batch, ARCHIVE_DONE);
}
END_TEST

/* What comes back of a store that lost what it had: another life, and nobody is told a lie. */
static const struct {
    const char *why;
    enum archive_result result;
    uint64_t epoch;
    uint64_t top;
    uint64_t begun_epoch;
    const char *batch;
} losses[] = {
    {"damaged", ARCHIVE_DAMAGED, 0, 0, 102, "R0 1:b"},
    {"gone", ARCHIVE_ABSENT, 0, 0, 102, "R0 1:b"},
    {"another epoch", ARCHIVE_DONE, 9, 3, 9, " 4:b"},
    {"an older state", ARCHIVE_DONE, 101, 0, 101, " 1:b"},
};

START_TEST(begins_anew)
{
    begin();
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    say_batch(take_batch(), ARCHIVE_DONE);
    deliver();
    (void)done();
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    say_batch(take_batch(), ARCHIVE_UNKNOWN);
    for (int i = 0; i < (losses[_i].result == ARCHIVE_DONE ? 2 : 1); i++) {
        struct archive_page *page = take_page();
        ck_assert_int_eq(page->range, i == 0 ? ARCHIVE_SINCE : ARCHIVE_NEWEST);
        page->epoch = losses[_i].epoch;
        page->top = losses[_i].top;
        page->first = losses[_i].top + 1;
        say_page(page, losses[_i].result);
    }
    deliver();
    ck_assert_int_eq(owner.begun, 2);
    ck_assert_uint_eq(owner.epoch, losses[_i].begun_epoch);
    struct archive_batch *batch = take_batch();
    batch_is(batch, losses[_i].batch);
    ck_assert_uint_eq(batch->runs[0].epoch, losses[_i].begun_epoch);
    say_batch(batch, ARCHIVE_DONE);
    deliver();
    ck_assert_int_eq(done().error, CODES_ERROR_NONE);
}
END_TEST

/* A stream that the store has dropped for its age, while somebody has it here, goes on. */
START_TEST(goes_on_where_it_was)
{
    begin();
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    say_batch(take_batch(), ARCHIVE_DONE);
    deliver();
    (void)done();
    ledger_tick(ledger, UINT64_C(2000000001)); /* position_ms later */
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    say_batch(take_batch(), ARCHIVE_ABSENT);
    say_page(take_page(), ARCHIVE_ABSENT);
    struct archive_batch *batch = take_batch();
    batch_is(batch, "R1 2:b");
    ck_assert_uint_eq(batch->runs[0].epoch, 101);
    ck_assert_uint_eq(batch->runs[0].record_ms, 1000);
    say_batch(batch, ARCHIVE_DONE);
    deliver();
    const struct ledger_answer answer = done();
    ck_assert_int_eq(answer.error, CODES_ERROR_NONE);
    ck_assert(answer.epoch == 101 && answer.offset == 2);
    ck_assert(owner.begun == 1 && owner.top == 2);
}
END_TEST

/* Nobody knew whether it was stored, and then it was too old: it was, and is not sent again. */
START_TEST(what_expired_was_stored)
{
    begin();
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    }
    say_batch(take_batch(), ARCHIVE_UNKNOWN);
    for (int i = 0; i < 2; i++) {
        struct archive_page *page = take_page();
        ck_assert_int_eq(page->range, i == 0 ? ARCHIVE_SINCE : ARCHIVE_NEWEST);
        page->epoch = 101;
        page->top = 2;
        page->first = 3;
        say_page(page, ARCHIVE_DONE);
    }
    deliver();
    for (uint64_t offset = 1; offset <= 2; offset++) {
        const struct ledger_answer answer = done();
        ck_assert_int_eq(answer.error, CODES_ERROR_NONE);
        ck_assert(answer.epoch == 101 && answer.offset == offset);
    }
    ck_assert(owner.begun == 2 && owner.epoch == 101 && owner.top == 2);
    ck_assert_uint_eq(published(), 2);
    nothing_is_asked();
}
END_TEST

/* The store is told how long, with what goes there anyway, until it knows. */
START_TEST(says_how_long)
{
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    struct archive_page *page = take_page();
    page->epoch = 7;
    page->first = 1;
    page->record_ms = 1000;
    page->position_ms = 3000; /* as it was configured once */
    say_page(page, ARCHIVE_DONE);
    deliver();
    struct archive_batch *batch = take_batch();
    ck_assert(batch->runs[0].record_ms == 1000 && batch->runs[0].position_ms == 2000);
    say_batch(batch, ARCHIVE_REFUSED);
    for (uint64_t ms = 1000; ms > 0; ms -= 1000) {
        ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
        batch = take_batch();
        ck_assert_uint_eq(batch->runs[0].record_ms, ms);
        say_batch(batch, ARCHIVE_DONE);
        deliver();
    }
    ck_assert_int_eq(publish("c"), CODES_ERROR_NONE);
    batch = take_batch();
    ck_assert_uint_eq(batch->runs[0].record_ms, 0);
    say_batch(batch, ARCHIVE_DONE);
    deliver();
}
END_TEST

static void set_keep(uint32_t count, uint64_t record_ms, uint64_t position_ms)
{
    const struct ledger_keep keep = {count, record_ms, position_ms};
    ledger_set_keep(ledger, owner.book, &keep);
}

static struct archive_batch *take_keep(const char *entries, uint64_t record_ms,
                                       uint64_t position_ms)
{
    struct archive_batch *batch = take_batch();
    batch_is(batch, entries);
    ck_assert_uint_eq(batch->runs[0].record_ms, record_ms);
    ck_assert_uint_eq(batch->runs[0].position_ms, position_ms);
    return batch;
}

/* Other times than it was opened with: the store hears of them at once, and once. */
START_TEST(says_how_long_now)
{
    begin();
    set_keep(KEEP, 1000, 2000);
    nothing_is_asked();
    set_keep(3, 1000, 2000); /* the number is ours alone */
    nothing_is_asked();
    set_keep(3, 1000, 2500);
    ck_assert(!ledger_is_flushed(ledger) && !ledger_is_idle(owner.book));
    struct archive_batch *batch = take_keep("T1", 1000, 2500);
    ck_assert(ledger_is_flushed(ledger));
    say_batch(batch, ARCHIVE_DONE);
    ck_assert(ledger_is_idle(owner.book));
    nothing_is_asked();

    /* With what goes there anyway; and again when it has changed meanwhile. */
    set_keep(3, 1000, 3000);
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    batch = take_keep(" 1:a", 1000, 3000);
    set_keep(3, 4000, 5000);
    nothing_is_asked();
    say_batch(batch, ARCHIVE_DONE);
    deliver();
    say_batch(take_keep("T1", 4000, 5000), ARCHIVE_REFUSED);
    nothing_is_asked();
    ledger_tick(ledger, 1 + TIMEOUT);
    say_batch(take_keep("T1", 4000, 5000), ARCHIVE_UNKNOWN);
    struct archive_page *page = take_page();
    page->epoch = 101;
    page->top = 1;
    page->first = 1;
    page->record_ms = 1000;
    page->position_ms = 3000;
    say_page(page, ARCHIVE_DONE);
    deliver();
    say_batch(take_keep("T1", 4000, 5000), ARCHIVE_DONE);
    nothing_is_asked();
    ck_assert_int_eq(done().error, CODES_ERROR_NONE);
}
END_TEST

/* What nobody knows of is compared when it is opened, and what is removed does not come back. */
START_TEST(says_how_long_later)
{
    set_keep(7, 3000, 4000);
    nothing_is_asked();
    ck_assert_int_eq(ask(), CODES_ERROR_NONE);
    struct archive_page *page = take_page();
    ck_assert_uint_eq(page->since, 7);
    page->epoch = 7;
    page->first = 1;
    page->record_ms = 1000;
    page->position_ms = 2000;
    say_page(page, ARCHIVE_DONE);
    deliver();
    ck_assert_int_eq(done().error, CODES_ERROR_NONE);
    say_batch(take_keep("T1", 3000, 4000), ARCHIVE_DONE);

    ledger_remove(ledger, owner.book);
    struct archive_batch *batch = take_keep("X0", 0, 0);
    set_keep(7, 1000, 2000);
    say_batch(batch, ARCHIVE_DONE);
    nothing_is_asked();
}
END_TEST

/* The store has dropped it by the times that it knew: nothing was lost, whatever is wanted now. */
START_TEST(goes_on_after_a_change)
{
    begin();
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    say_batch(take_batch(), ARCHIVE_DONE);
    deliver();
    (void)done();
    ledger_tick(ledger, UINT64_C(2000000001)); /* position_ms later */
    set_keep(KEEP, 1000, 1000000);
    say_batch(take_keep("T1", 1000, 1000000), ARCHIVE_ABSENT);
    say_page(take_page(), ARCHIVE_ABSENT);
    say_batch(take_keep("R1", 1000, 1000000), ARCHIVE_DONE);
    ck_assert(owner.begun == 1 && owner.epoch == 101);

    /* From now on that it is gone before its time is a loss. */
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    say_batch(take_batch(), ARCHIVE_ABSENT);
    say_page(take_page(), ARCHIVE_ABSENT);
    ck_assert_int_eq(owner.begun, 2);
    say_batch(take_batch(), ARCHIVE_DONE);
    deliver();
}
END_TEST

START_TEST(trims_and_removes)
{
    begin();
    for (uint64_t i = 1; i <= 100; i++) {
        ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
        struct archive_batch *batch = take_batch();
        const struct archive_entry *last = &batch->entries[batch->entry_count - 1];
        ck_assert_msg((last->kind == ARCHIVE_TRIM) == (i == 75), "publication %d", (int)i);
        ck_assert(last->kind != ARCHIVE_TRIM || last->offset == 65);
        say_batch(batch, ARCHIVE_DONE);
        deliver();
        (void)done();
        if (owner.top >= KEEP) {
            ledger_trim(ledger, owner.book, owner.top - KEEP + 1, false);
        }
    }
    ledger_trim(ledger, owner.book, 101, true);
    struct archive_batch *batch = take_batch();
    batch_is(batch, "T101");
    say_batch(batch, ARCHIVE_DONE);
    ledger_trim(ledger, owner.book, 101, true);
    nothing_is_asked();

    ledger_remove(ledger, owner.book);
    batch = take_batch();
    batch_is(batch, "X0");
    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    say_batch(batch, ARCHIVE_DONE);
    ck_assert(!ledger_is_loaded(owner.book));
    say_page(take_page(), ARCHIVE_ABSENT);
    batch = take_batch();
    batch_is(batch, "R0 1:b");
    say_batch(batch, ARCHIVE_DONE);
}
END_TEST

/* The store is away: what is only to be trimmed is tried again later, or with a publication. */
START_TEST(what_nobody_waits_for_rests)
{
    begin();
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    say_batch(take_batch(), ARCHIVE_DONE);
    deliver();
    (void)done();
    ledger_trim(ledger, owner.book, 2, true);
    struct archive_batch *batch = take_batch();
    batch_is(batch, "T2");
    say_batch(batch, ARCHIVE_REFUSED);
    nothing_is_asked();
    ck_assert(ledger_is_flushed(ledger) && !ledger_is_idle(owner.book));

    ck_assert_int_eq(publish("b"), CODES_ERROR_NONE);
    batch = take_batch();
    batch_is(batch, " 2:bT2");
    say_batch(batch, ARCHIVE_REFUSED);
    ck_assert_int_eq(done().error, CODES_ERROR_INTERNAL);
    nothing_is_asked();
    ledger_tick(ledger, TIMEOUT);
    nothing_is_asked();
    ledger_tick(ledger, 1 + TIMEOUT);
    batch = take_batch();
    batch_is(batch, "T2");
    say_batch(batch, ARCHIVE_DONE);
    ck_assert(ledger_is_idle(owner.book));
    nothing_is_asked();
}
END_TEST

/* Without a credit it waits, and is not lost. */
START_TEST(waits_for_credits)
{
    ledger_close(ledger, owner.book);
    ledger_destroy(ledger);
    blob_pool_destroy(pool);
    bus_destroy(bus);
    open_ledger(1 << 20, 1000, 1);
    struct owner other = {.begun = 0};
    const struct ledger_book_options options = {
        .owner = &other, .channel = view("other"), .keep = {.count = KEEP}, .power = true};
    other.book = ledger_open(ledger, &options);
    begin();
    ck_assert_int_eq(publish("a"), CODES_ERROR_NONE);
    struct archive_batch *batch = take_batch();
    struct blob *name = blob_create(pool, 4);
    const struct post post = {.kind = POST_HISTORY, .history = {.blob = name}};
    ck_assert_int_eq(ledger_ask(ledger, other.book, &post), CODES_ERROR_NONE);
    nothing_is_asked();
    say_batch(batch, ARCHIVE_DONE);
    struct archive_page *page = take_page();
    ck_assert_uint_eq(page->channel_size, 5);
    say_page(page, ARCHIVE_ABSENT);
    batch = take_batch();
    ck_assert(batch->runs[0].power);
    say_batch(batch, ARCHIVE_DONE);
    deliver();
    ledger_close(ledger, other.book); /* with its question: that is the very end */
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("ledger");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, accepts_what_is_stored);
    tcase_add_test(tcase, refuses_what_is_not_stored);
    tcase_add_loop_test(tcase, finds_out_what_is_stored, 0, COUNT(unknown));
    tcase_add_test(tcase, nobody_waits_for_ever);
    tcase_add_test(tcase, what_failed_is_not_sent_again);
    tcase_add_test(tcase, what_failed_may_be_stored);
    tcase_add_test(tcase, has_bounds);
    tcase_add_test(tcase, what_asks_has_its_bytes);
    tcase_add_test(tcase, refuses_what_no_record_can_hold);
    tcase_add_test(tcase, loads);
    tcase_add_test(tcase, is_refused_while_nobody_knows);
    tcase_add_test(tcase, a_reset_that_failed_is_repeated);
    tcase_add_loop_test(tcase, begins_anew, 0, COUNT(losses));
    tcase_add_test(tcase, goes_on_where_it_was);
    tcase_add_test(tcase, what_expired_was_stored);
    tcase_add_test(tcase, says_how_long);
    tcase_add_test(tcase, says_how_long_now);
    tcase_add_test(tcase, says_how_long_later);
    tcase_add_test(tcase, goes_on_after_a_change);
    tcase_add_test(tcase, trims_and_removes);
    tcase_add_test(tcase, what_nobody_waits_for_rests);
    tcase_add_test(tcase, waits_for_credits);
    Suite *suite = suite_create("chat/ledger");
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
