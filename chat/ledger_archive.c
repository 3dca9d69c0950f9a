/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger and the archive: runs and pages, and what follows from their answers.
 */
#include "chat/archive_post.h"
#include "chat/ledger.h"
#include "chat/ledger_private.h"
#include "chat/publication.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"

enum {
    BATCH_RUNS_MAX = 256,     /* books that share one post */
    BATCH_ENTRIES_MAX = 4096, /* of them */
    ENTRIES_BESIDES = 2,      /* a reset before the publications, a trim behind */
    TRIM_COUNT_MIN = 64,      /* a trim costs the store about as much as a publication */
    PAGE_COUNT = ARCHIVE_PAGE_COUNT_MAX,
    NS_PER_MS = 1000000,
};

void ledger_mark_dirty(struct ledger *ledger, struct ledger_book *book)
{
    if (book->state == LEDGER_CLOSED) {
        ledger_want_page(ledger, book);
    } else if (book->state == LEDGER_OPEN && !book->has_run && !list_is_linked(&book->dirty)) {
        list_push_back(&ledger->dirty, &book->dirty);
    }
}

void ledger_want_page(struct ledger *ledger, struct ledger_book *book)
{
    if (book->state == LEDGER_CLOSED) {
        book->state = LEDGER_WANTED;
        list_push_back(&ledger->wanted, &book->wanted);
    }
}

static void set_idle(const struct ledger *ledger, struct ledger_book *book, uint64_t idle_ms)
{
    book->idle_ms = idle_ms;
    book->idle_ns = ledger->now_ns;
}

static void mark_delivery(struct ledger *ledger, struct ledger_book *book)
{
    if (!list_is_linked(&book->delivery)) {
        list_push_back(&ledger->deliveries, &book->delivery);
    }
}

/* -- asking for pages -------------------------------------------------------------------------- */

static bool ask_page(struct ledger *ledger, struct ledger_book *book)
{
    struct archive_page *const page = archive_post_create_page(book->options.channel);
    if (page == NULL) {
        return false;
    }
    page->owner = book;
    page->range = book->is_begun ? ARCHIVE_SINCE : ARCHIVE_NEWEST;
    page->since = book->is_begun ? book->stored : book->options.keep.count;
    page->count_max = PAGE_COUNT;

    const struct post post = {.kind = POST_ARCHIVE_READ, .archive_page = {page}};
    const struct bus_post packed = post_pack(&post);
    if (bus_ask(ledger->options.bus, ledger->options.reactor, ledger->options.archive, &packed) !=
        BUS_POSTED) {
        archive_post_destroy_page(page);
        return false;
    }
    ledger->pages[ledger->page_count++] = page;
    book->state = LEDGER_ASKED;
    return true;
}

/* What finds no room waits for an answer of the archive, which wakes us. */
static void ask_pages(struct ledger *ledger)
{
    for (struct list_link *link = list_first(&ledger->wanted);
         link != NULL && ledger->page_count < LEDGER_PAGES_MAX;
         link = list_first(&ledger->wanted)) {
        if (!ask_page(ledger, LIST_OWNER(link, struct ledger_book, wanted))) {
            return;
        }
        list_remove(link);
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
    ask_pages(ledger);
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

/* The store goes by these times; 0: by none. */
static void compare_keep(struct ledger_book *book, uint64_t record_ms, uint64_t position_ms)
{
    const struct ledger_keep *keep = &book->options.keep;

    book->must_keep = record_ms != keep->record_ms || position_ms != keep->position_ms;
    book->keeps_soon = book->must_keep && record_ms > 0;
    book->gone_ms =
        record_ms > 0 && position_ms < keep->position_ms ? position_ms : keep->position_ms;
}

/* They are known not to be stored: again in the queue, before what came later. */
static void take_back(struct ledger *ledger, struct ledger_book *book)
{
    while (!list_is_empty(&book->sent)) {
        struct list_link *const last = book->sent.prev;
        struct ledger_item *const item = LEDGER_PLACED(last);
        list_remove(last);
        if (item->deadline_ns == 0) {
            ledger_drop_publication(ledger, item); /* its publisher was told that it failed */
        } else {
            item->answer.offset = 0;
            list_push_front(&book->queued, last);
        }
    }
}

static void run_is_stored(struct ledger *ledger, struct ledger_book *book,
                          const struct archive_batch *batch, const struct archive_run *run)
{
    if (run->record_ms > 0) {
        compare_keep(book, run->record_ms, run->position_ms);
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
            set_idle(ledger, book, 0);
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
        mark_delivery(ledger, book);
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
    if (!list_is_empty(&book->queued) || book->trims_soon || book->keeps_soon) {
        ledger_mark_dirty(ledger, book);
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

/* -- what pages say ---------------------------------------------------------------------------- */

/* The owner is told of a stream that it does not know. What the last one had is no part of it. */
static void begin(struct ledger *ledger, struct ledger_book *book, uint64_t epoch, uint64_t top)
{
    for (struct list_link *link = list_first(&book->stored_items); link != NULL;
         link = list_first(&book->stored_items)) {
        struct ledger_item *const item = LEDGER_PLACED(link);
        ledger_end_item(ledger, item, CODES_ERROR_NONE);
        ledger_drop_publication(ledger, item);
    }
    book->is_begun = true;
    book->epoch = epoch;
    book->stored = top;
    book->kept = top + 1;
    book->keep = top + 1;
    ledger->options.ops->on_begin(ledger->options.context, book->options.owner, epoch, top);
}

static void begin_anew(struct ledger *ledger, struct ledger_book *book)
{
    set_idle(ledger, book, 0);
    begin(ledger, book, ledger->options.ops->new_epoch(ledger->options.context), 0);
    book->must_reset = true;
    compare_keep(book, 0, 0);
}

/* Did the store have reason to remove it for its age? Else it has lost it. */
static bool is_outlived(const struct ledger *ledger, const struct ledger_book *book)
{
    return book->is_begun &&
           book->idle_ms + (ledger->now_ns - book->idle_ns) / NS_PER_MS >= book->gone_ms;
}

/* The store has it no more, and nothing of it is lost: it goes on where it was. */
static void begin_again(struct ledger_book *book)
{
    book->must_reset = true;
    book->must_keep = true;
    book->kept = book->stored + 1;
    book->keep = book->keep > book->kept ? book->keep : book->kept;
}

/* All is known: what was sent and is not there goes again, and who has asked may. */
static void settle(struct ledger *ledger, struct ledger_book *book)
{
    book->state = LEDGER_OPEN;
    book->is_loaded = true;
    take_back(ledger, book);
    for (struct list_link *link = list_first(&book->questions); link != NULL;
         link = list_after(&book->questions, link)) {
        ledger_end_item(ledger, LEDGER_PLACED(link), CODES_ERROR_NONE);
    }
    if (book->must_reset || book->must_remove || book->keeps_soon ||
        !list_is_empty(&book->queued)) {
        ledger_mark_dirty(ledger, book);
    }
    ledger_maybe_idle(ledger, book);
}

/* What was sent up to there was stored, and was too old before anybody could be given it. */
static void end_expired(struct ledger *ledger, struct ledger_book *book, uint64_t top)
{
    for (struct list_link *link = list_first(&book->sent);
         link != NULL && LEDGER_PLACED(link)->answer.offset <= top;
         link = list_first(&book->sent)) {
        struct ledger_item *const item = LEDGER_PLACED(link);
        ledger_end_item(ledger, item, CODES_ERROR_NONE);
        ledger_drop_publication(ledger, item);
    }
}

/* The page has records for us: they are delivered one by one, and then it is settled. */
static void take_records(struct ledger *ledger, struct ledger_book *book, struct archive_page *page)
{
    const bool continues = page->epoch == book->epoch && page->top >= book->stored;
    const bool has_gap = book->is_begun && page->first > book->stored + 1;
    if (continues && has_gap) {
        end_expired(ledger, book, page->top);
    }
    if (book->is_begun && (!continues || has_gap)) {
        /* Another life than the one we know, or a later part of it: as if we knew nothing. */
        book->is_begun = false;
        book->is_loaded = false;
        book->state = LEDGER_CLOSED;
        ledger_want_page(ledger, book);
        archive_post_destroy_page(page);
        return;
    }
    if (!book->is_begun) {
        begin(ledger, book, page->epoch,
              page->record_count == 0 ? page->top : page->records[0].offset - 1);
        book->kept = page->first;
    }
    book->must_reset = false;
    set_idle(ledger, book, page->idle_ms);
    compare_keep(book, page->record_ms, page->position_ms);
    book->page = page;
    book->page_next = 0;
    mark_delivery(ledger, book);
}

void ledger_take_page(struct ledger *ledger, struct archive_page *page)
{
    struct ledger_book *const book = page->owner;
    uint32_t place = 0;
    while (place < ledger->page_count && ledger->pages[place] != page) {
        place++;
    }
    CHECK(place < ledger->page_count);
    CHECK(book->state == LEDGER_ASKED);
    ledger->pages[place] = ledger->pages[--ledger->page_count];
    if (page->result == ARCHIVE_DONE) {
        take_records(ledger, book, page);
        return;
    }
    const enum archive_result result = page->result;
    archive_post_destroy_page(page);
    if (result == ARCHIVE_REFUSED || result == ARCHIVE_UNKNOWN || result == ARCHIVE_CONFLICT) {
        book->state = LEDGER_CLOSED;
        ledger_refuse_all(ledger, book);
        ledger_maybe_idle(ledger, book);
        return;
    }
    if (result == ARCHIVE_ABSENT &&
        ((book->is_begun && book->stored == 0) || is_outlived(ledger, book))) {
        begin_again(book);
    } else {
        begin_anew(ledger, book);
    }
    settle(ledger, book);
}

/* Who sent what is on the page is answered; a record that nobody waits for comes from the page. */
static struct blob *blob_of(struct ledger *ledger, struct ledger_book *book,
                            const struct archive_record *record)
{
    struct list_link *const link = list_first(&book->sent);
    struct ledger_item *const item = link == NULL ? NULL : LEDGER_PLACED(link);
    if (item == NULL || item->answer.offset != record->offset ||
        item->answer.epoch != book->epoch) {
        return publication_restore(ledger->options.pool, book->options.channel, record->value,
                                   (uint8_t)record->tag);
    }
    struct blob *const blob = item->blob;
    ledger->bytes -= blob_bytes(blob).size;
    item->blob = NULL;
    ledger_end_item(ledger, item, CODES_ERROR_NONE);
    ledger_drop_publication(ledger, item);
    return blob;
}

bool ledger_deliver_record(struct ledger *ledger, struct ledger_book *book)
{
    struct archive_page *const page = book->page;
    if (book->page_next < page->record_count) {
        const struct archive_record *const record = &page->records[book->page_next];
        CHECK(record->offset == book->stored + 1);
        struct blob *const blob = blob_of(ledger, book, record);
        if (blob != NULL) {
            book->page_next++;
            book->stored = record->offset;
            const struct ledger_stored stored = {
                .age_ms = record->age_ms,
                .key_size = (uint8_t)record->tag,
            };
            ledger->options.ops->on_stored(ledger->options.context, book->options.owner, blob,
                                           &stored);
            return true;
        }
        /* No memory: the book is asked for again, by whoever needs it. */
        metrics_add(ledger->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        ledger_refuse_all(ledger, book);
        book->state = LEDGER_CLOSED;
    }
    const bool more = page->more;
    book->page = NULL;
    archive_post_destroy_page(page);
    if (book->state == LEDGER_CLOSED) {
        return false;
    }
    if (more) {
        book->state = LEDGER_CLOSED;
        ledger_want_page(ledger, book);
    } else {
        settle(ledger, book);
    }
    return false;
}
