/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of the archive: pages of what is stored of a channel, and what follows from them.
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
    PAGE_COUNT = ARCHIVE_PAGE_COUNT_MAX,
    NS_PER_MS = 1000000,
};

/* -- asking for pages -------------------------------------------------------------------------- */

void ledger_want_page(struct ledger *ledger, struct ledger_book *book)
{
    if (book->state == LEDGER_CLOSED) {
        book->state = LEDGER_WANTED;
        list_push_back(&ledger->wanted, &book->wanted);
    }
}

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
void ledger_ask_pages(struct ledger *ledger)
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
    ledger_set_idle(ledger, book, 0);
    begin(ledger, book, ledger->options.ops->new_epoch(ledger->options.context), 0);
    book->must_reset = true;
    ledger_compare_keep(book, 0, 0);
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
        ledger_count_stored(ledger, book);
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
    ledger_set_idle(ledger, book, page->idle_ms);
    ledger_compare_keep(book, page->record_ms, page->position_ms);
    book->page = page;
    book->page_next = 0;
    ledger_mark_delivery(ledger, book);
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

/* What was sent, and is on the page; NULL: the record is of nothing that we still have. */
static struct ledger_item *find_sent(const struct ledger_book *book,
                                     const struct archive_record *record)
{
    struct list_link *const link = list_first(&book->sent);
    struct ledger_item *const item = link == NULL ? NULL : LEDGER_PLACED(link);
    const bool is_it =
        item != NULL && item->answer.offset == record->offset && item->answer.epoch == book->epoch;
    return is_it ? item : NULL;
}

/* Who sent it is answered. */
static struct blob *take_sent(struct ledger *ledger, struct ledger_item *item)
{
    struct blob *const blob = item->blob;
    ledger->bytes -= blob_bytes(blob).size;
    item->blob = NULL;
    ledger_end_item(ledger, item, CODES_ERROR_NONE);
    ledger_drop_publication(ledger, item);
    return blob;
}

/*
 * The blob of a record; NULL: no memory. Once the book was loaded, what is stored and was not known
 * is ours, though nobody may be left who waits for it.
 */
static struct blob *take_record(struct ledger *ledger, const struct ledger_book *book,
                                const struct archive_record *record)
{
    struct ledger_item *const item = find_sent(book, record);
    const bool is_new = item != NULL || book->is_loaded;
    struct blob *const blob = item != NULL
                                  ? take_sent(ledger, item)
                                  : publication_restore(ledger->options.pool, book->options.channel,
                                                        record->value, (uint8_t)record->tag);
    if (is_new && blob != NULL) {
        ledger_count_stored(ledger, book);
    }
    return blob;
}

bool ledger_deliver_record(struct ledger *ledger, struct ledger_book *book)
{
    struct archive_page *const page = book->page;
    if (book->page_next < page->record_count) {
        const struct archive_record *const record = &page->records[book->page_next];
        CHECK(record->offset == book->stored + 1);
        struct blob *const blob = take_record(ledger, book, record);
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
