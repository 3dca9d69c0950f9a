/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the archive is given to store: runs, and what follows from how they ended.
 */
#include "chat/archive_post.h"
#include "chat/ledger.h"
#include "chat/ledger_private.h"
#include "chat/publication.h"
#include "core/bus.h"
#include "core/check.h"

enum {
    BATCH_RUNS_MAX = 256,     /* books that share one post */
    BATCH_ENTRIES_MAX = 4096, /* of them */
    ENTRIES_BESIDES = 2,      /* a reset before the publications, a trim behind */
    TRIM_COUNT_MIN = 64,      /* a trim costs the store about as much as a publication */
};

void ledger_mark_dirty(struct ledger *ledger, struct ledger_book *book)
{
    if (book->rests) {
        list_remove(&book->dirty);
        book->rests = false;
    }
    if (book->state == LEDGER_CLOSED) {
        ledger_want_page(ledger, book);
    } else if (book->state == LEDGER_OPEN && !book->has_run && !list_is_linked(&book->dirty)) {
        list_push_back(&ledger->dirty, &book->dirty);
    }
}

/* Nobody waits for what it has: a store that is away need not be asked all the time. */
static void rest(struct ledger *ledger, struct ledger_book *book)
{
    if (list_is_empty(&ledger->resting)) {
        ledger->rested_ns = ledger->now_ns + ledger->options.timeout_ns;
    }
    list_push_back(&ledger->resting, &book->dirty);
    book->rests = true;
}

void ledger_end_rest(struct ledger *ledger)
{
    for (struct list_link *link = list_first(&ledger->resting); link != NULL;
         link = list_first(&ledger->resting)) {
        ledger_mark_dirty(ledger, LIST_OWNER(link, struct ledger_book, dirty));
    }
}

/* -- giving runs ------------------------------------------------------------------------------- */

static bool wants_trim(const struct ledger_book *book)
{
    return book->keep > book->kept &&
           (book->trims_soon || book->keep - book->kept >= TRIM_COUNT_MIN);
}

/* How long goes with something else. Where there is nothing, a trim is right, and may be empty. */
static bool has_only_times(const struct ledger_book *book, const struct archive_run *run)
{
    return book->keeps_soon && run->count == 0;
}

/* Moves publications from `queued` to the run, as many as may go together. */
static void add_publications(struct ledger_book *book, struct archive_batch *batch,
                             struct archive_run *run)
{
    size_t size = 0;
    uint64_t offset = book->stored;
    for (struct list_link *link = list_first(&book->queued);
         link != NULL && run->count + ENTRIES_BESIDES <= ARCHIVE_RUN_COUNT_MAX &&
         batch->entry_count + ENTRIES_BESIDES < batch->entry_capacity;
         link = list_first(&book->queued)) {
        struct ledger_item *const item = LEDGER_PLACED(link);
        const uint8_t key_size = item->answer.post.publish.key_size;
        const struct bytes value = publication_stored(item->blob, key_size);
        if (size > 0 && size + value.size > ARCHIVE_RUN_SIZE_MAX) {
            return;
        }
        size += value.size;
        offset++;
        item->answer.offset = offset;
        item->answer.epoch = book->epoch;
        archive_post_add_entry(batch, (struct archive_entry){
                                          .kind = ARCHIVE_APPEND,
                                          .tag = key_size,
                                          .offset = offset,
                                          .value = value,
                                      });
        list_remove(link);
        list_push_back(&book->sent, link);
    }
}

static void add_run(struct ledger_book *book, struct archive_batch *batch)
{
    CHECK(list_is_empty(&book->sent));
    struct archive_run *const run =
        archive_post_add_run(batch, (struct archive_run){
                                        .owner = book,
                                        .channel = book->options.channel,
                                        .epoch = book->epoch,
                                        .power = book->options.power,
                                    });
    if (book->must_keep && !book->must_remove) {
        run->record_ms = book->options.keep.record_ms;
        run->position_ms = book->options.keep.position_ms;
    }
    if (book->must_remove) {
        archive_post_add_entry(batch, (struct archive_entry){.kind = ARCHIVE_REMOVE});
        book->must_remove = false;
        book->is_removed = true;
    } else {
        if (book->must_reset) {
            archive_post_add_entry(
                batch, (struct archive_entry){.kind = ARCHIVE_RESET, .offset = book->stored});
        }
        add_publications(book, batch, run);
        if (wants_trim(book) || has_only_times(book, run)) {
            archive_post_add_entry(batch, (struct archive_entry){
                                              .kind = ARCHIVE_TRIM,
                                              .offset = book->keep,
                                          });
        }
    }
    book->has_run = run->count > 0;
    if (run->count == 0) {
        batch->run_count--;
    }
}

/* The books that are dirty, as far as there is room; those that are left over stay it. */
static struct archive_batch *build_batch(struct ledger *ledger)
{
    struct archive_batch *const batch =
        archive_post_create_batch(BATCH_RUNS_MAX, BATCH_ENTRIES_MAX);
    if (batch == NULL) {
        return NULL; /* tried again */
    }
    for (struct list_link *link = list_first(&ledger->dirty);
         link != NULL && batch->run_count < batch->run_capacity &&
         batch->entry_count + ENTRIES_BESIDES < batch->entry_capacity;
         link = list_first(&ledger->dirty)) {
        struct ledger_book *const book = LIST_OWNER(link, struct ledger_book, dirty);
        list_remove(link);
        add_run(book, batch);
        if (!book->has_run) {
            ledger_maybe_idle(ledger, book);
        }
    }
    if (batch->run_count == 0) {
        archive_post_destroy_batch(batch);
        return NULL;
    }
    return batch;
}

void ledger_flush(struct ledger *ledger)
{
    ledger_ask_pages(ledger);
    while (!list_is_empty(&ledger->dirty) && ledger->batch_count < LEDGER_BATCHES_MAX &&
           bus_credits(ledger->options.bus, ledger->options.reactor, ledger->options.archive) > 0) {
        struct archive_batch *const batch = build_batch(ledger);
        if (batch == NULL) {
            return;
        }
        const struct post post = {.kind = POST_ARCHIVE_APPEND, .archive_batch = {batch}};
        const struct bus_post packed = post_pack(&post);
        const enum bus_result asked =
            bus_ask(ledger->options.bus, ledger->options.reactor, ledger->options.archive, &packed);
        CHECK(asked == BUS_POSTED); /* there was a credit */
        ledger->batches[ledger->batch_count++] = batch;
    }
}

/* -- how runs ended ---------------------------------------------------------------------------- */

void ledger_compare_keep(struct ledger_book *book, uint64_t record_ms, uint64_t position_ms)
{
    const struct ledger_keep *keep = &book->options.keep;

    book->must_keep = record_ms != keep->record_ms || position_ms != keep->position_ms;
    book->keeps_soon = book->must_keep && record_ms > 0;
    book->gone_ms =
        record_ms > 0 && position_ms < keep->position_ms ? position_ms : keep->position_ms;
}

static void run_is_stored(struct ledger *ledger, struct ledger_book *book,
                          const struct archive_batch *batch, const struct archive_run *run)
{
    if (run->record_ms > 0) {
        ledger_compare_keep(book, run->record_ms, run->position_ms);
    }
    for (uint32_t i = 0; i < run->count; i++) {
        const struct archive_entry *entry = &batch->entries[run->first + i];
        switch (entry->kind) {
        case ARCHIVE_RESET:
            book->must_reset = false;
            break;
        case ARCHIVE_APPEND:
            CHECK(entry->offset == book->stored + 1);
            book->stored = entry->offset;
            ledger_count_stored(ledger, book);
            ledger_set_idle(ledger, book, 0);
            break;
        case ARCHIVE_TRIM:
            book->kept = entry->offset;
            book->trims_soon = false;
            break;
        case ARCHIVE_REMOVE:
            break;
        }
    }
    list_splice_back(&book->stored_items, &book->sent);
    if (!list_is_empty(&book->stored_items)) {
        ledger_mark_delivery(ledger, book);
    }
}

/* The stream is gone, or may be: whoever comes next asks what there is. */
static void run_has_removed(struct ledger *ledger, struct ledger_book *book,
                            enum archive_result result)
{
    book->is_removed = false;
    book->keeps_soon = false;
    book->state = LEDGER_CLOSED;
    if (result == ARCHIVE_DONE || result == ARCHIVE_ABSENT) {
        book->is_begun = false;
        book->is_loaded = false;
        book->stored = 0;
        book->kept = 0;
        book->keep = 0;
    }
    if (!list_is_empty(&book->queued)) {
        ledger_want_page(ledger, book);
    }
}

static void take_run(struct ledger *ledger, const struct archive_batch *batch,
                     const struct archive_run *run)
{
    struct ledger_book *const book = run->owner;
    CHECK(book->has_run && book->state == LEDGER_OPEN);
    book->has_run = false;
    if (book->is_removed) {
        run_has_removed(ledger, book, run->result);
    } else if (run->result == ARCHIVE_DONE) {
        run_is_stored(ledger, book, batch, run);
    } else if (run->result == ARCHIVE_REFUSED) {
        ledger_refuse_list(ledger, &book->sent);
    } else {
        book->state = LEDGER_CLOSED;
        ledger_want_page(ledger, book);
    }
    const bool has_more = book->trims_soon || book->keeps_soon;
    if (!list_is_empty(&book->queued) || (has_more && run->result != ARCHIVE_REFUSED)) {
        ledger_mark_dirty(ledger, book);
    } else if (has_more) {
        rest(ledger, book);
    }
    ledger_maybe_idle(ledger, book);
}

void ledger_take_batch(struct ledger *ledger, struct archive_batch *batch)
{
    uint32_t place = 0;
    while (place < ledger->batch_count && ledger->batches[place] != batch) {
        place++;
    }
    CHECK(place < ledger->batch_count);
    ledger->batches[place] = ledger->batches[--ledger->batch_count];
    for (uint32_t i = 0; i < batch->run_count; i++) {
        take_run(ledger, batch, &batch->runs[i]);
    }
    archive_post_destroy_batch(batch);
}
