/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/ledger.h"

#include <errno.h>
#include <stdlib.h>

#include "chat/archive_post.h"
#include "chat/ledger_private.h"
#include "core/blob.h"
#include "core/check.h"

int ledger_create(const struct ledger_options *options, struct ledger **ledger)
{
    CHECK(options->timeout_ns > 0);
    CHECK(options->item_count_max > 0);

    struct ledger *const created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    list_init(&created->waiting);
    list_init(&created->done);
    list_init(&created->dirty);
    list_init(&created->resting);
    list_init(&created->wanted);
    list_init(&created->deliveries);
    *ledger = created;
    return 0;
}

/* -- what is taken, and refused ---------------------------------------------------------------- */

/* Of the book's publications, what is in the list is answered with an error and forgotten. */
void ledger_refuse_list(struct ledger *ledger, struct list_link *list)
{
    for (struct list_link *link = list_pop_front(list); link != NULL; link = list_pop_front(list)) {
        struct ledger_item *item = LEDGER_PLACED(link);
        ledger_end_item(ledger, item, CODES_ERROR_INTERNAL);
        ledger_drop_publication(ledger, item);
    }
}

/* The store cannot be asked: nobody who waits for the book is kept waiting. */
void ledger_refuse_all(struct ledger *ledger, struct ledger_book *book)
{
    ledger_refuse_list(ledger, &book->sent);
    ledger_refuse_list(ledger, &book->queued);
    for (struct list_link *link = list_first(&book->questions); link != NULL;
         link = list_after(&book->questions, link)) {
        ledger_end_item(ledger, LEDGER_PLACED(link), CODES_ERROR_INTERNAL);
    }
}

enum codes_error ledger_publish(struct ledger *ledger, struct ledger_book *book,
                                const struct post *post)
{
    CHECK(post->kind == POST_PUBLISH);
    struct blob *const blob = post->publish.blob;
    const size_t size = blob_bytes(blob).size;

    if (size > ARCHIVE_VALUE_SIZE_MAX) {
        return CODES_ERROR_LIMIT_EXCEEDED;
    }
    if (ledger->bytes + size > ledger->options.bytes_max) {
        return CODES_ERROR_INTERNAL;
    }
    struct ledger_item *const item = ledger_add_item(ledger, book, post);
    if (item == NULL) {
        return CODES_ERROR_INTERNAL;
    }
    item->blob = blob;
    item->answer.post.publish.blob = NULL;
    ledger->bytes += size;
    list_push_back(&book->queued, &item->place);
    ledger_mark_dirty(ledger, book);
    return CODES_ERROR_NONE;
}

enum codes_error ledger_ask(struct ledger *ledger, struct ledger_book *book,
                            const struct post *post)
{
    CHECK(!ledger_is_certain(book));
    const size_t size = post->kind == POST_PUBLISH ? blob_bytes(post->publish.blob).size : 0;
    if (ledger->bytes + size > ledger->options.bytes_max) {
        return CODES_ERROR_INTERNAL;
    }
    struct ledger_item *const item = ledger_add_item(ledger, book, post);
    if (item == NULL) {
        return CODES_ERROR_INTERNAL;
    }
    item->asked_bytes = size;
    ledger->bytes += size;
    item->answer.is_question = true;
    list_push_back(&book->questions, &item->place);
    ledger_want_page(ledger, book);
    return CODES_ERROR_NONE;
}

void ledger_destroy(struct ledger *ledger)
{
    if (ledger == NULL) {
        return;
    }
    CHECK(list_is_empty(&ledger->waiting));
    ledger_forget_done(ledger);
    CHECK(ledger->bytes == 0);
    CHECK(ledger->item_count == 0);
    for (uint32_t i = 0; i < ledger->batch_count; i++) {
        archive_post_destroy_batch(ledger->batches[i]);
    }
    for (uint32_t i = 0; i < ledger->page_count; i++) {
        archive_post_destroy_page(ledger->pages[i]);
    }
    free(ledger);
}

/* -- books ------------------------------------------------------------------------------------- */

struct ledger_book *ledger_open(struct ledger *ledger, const struct ledger_book_options *options)
{
    (void)ledger;
    CHECK(options->channel.size > 0 && options->channel.size <= ARCHIVE_NAME_SIZE_MAX);

    struct ledger_book *const book = calloc(1, sizeof(*book));
    if (book != NULL) {
        book->options = *options;
        book->gone_ms = options->keep.position_ms;
        list_init(&book->queued);
        list_init(&book->sent);
        list_init(&book->stored_items);
        list_init(&book->questions);
    }
    return book;
}

bool ledger_is_loaded(const struct ledger_book *book)
{
    return book->is_loaded;
}

bool ledger_is_certain(const struct ledger_book *book)
{
    return book->state == LEDGER_OPEN;
}

bool ledger_is_idle(const struct ledger_book *book)
{
    return !book->has_run && book->state != LEDGER_ASKED && book->state != LEDGER_WANTED &&
           book->page == NULL && !list_is_linked(&book->delivery) &&
           !list_is_linked(&book->dirty) && list_is_empty(&book->queued) &&
           list_is_empty(&book->sent) && list_is_empty(&book->stored_items) &&
           list_is_empty(&book->questions);
}

void ledger_maybe_idle(struct ledger *ledger, struct ledger_book *book)
{
    if (ledger_is_idle(book)) {
        ledger->options.ops->on_idle(ledger->options.context, book->options.owner);
    }
}

static void forget_link(struct list_link *link)
{
    if (list_is_linked(link)) {
        list_remove(link);
    }
}

/* At the very end the archive may still have something of it; nobody looks at that again. */
static void disown(struct ledger *ledger, struct ledger_book *book)
{
    struct list_link *const lists[] = {&book->stored_items, &book->sent, &book->queued};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        ledger_refuse_list(ledger, lists[i]);
    }
    for (struct list_link *link = list_first(&book->questions); link != NULL;
         link = list_first(&book->questions)) {
        struct ledger_item *item = LEDGER_PLACED(link);
        ledger_end_item(ledger, item, CODES_ERROR_INTERNAL);
        list_remove(link);
        item->book = NULL;
    }
}

void ledger_close(struct ledger *ledger, struct ledger_book *book)
{
    if (book == NULL) {
        return;
    }
    disown(ledger, book);
    forget_link(&book->dirty);
    forget_link(&book->wanted);
    forget_link(&book->delivery);
    archive_post_destroy_page(book->page);
    free(book);
}

void ledger_set_keep(struct ledger *ledger, struct ledger_book *book,
                     const struct ledger_keep *keep)
{
    struct ledger_keep *const present = &book->options.keep;
    const bool is_other =
        keep->record_ms != present->record_ms || keep->position_ms != present->position_ms;

    CHECK(keep->record_ms > 0 && keep->position_ms > 0);
    *present = *keep;
    if (!is_other) {
        return;
    }
    book->must_keep = true;
    book->keeps_soon = true;
    book->gone_ms = keep->position_ms < book->gone_ms ? keep->position_ms : book->gone_ms;
    if (book->state == LEDGER_OPEN) {
        ledger_mark_dirty(ledger, book); /* else its page says what the store knows */
    }
}

void ledger_trim(struct ledger *ledger, struct ledger_book *book, uint64_t first, bool soon)
{
    if (first > book->keep) {
        book->keep = first;
    }
    if (soon && book->keep > book->kept) {
        book->trims_soon = true;
        ledger_mark_dirty(ledger, book);
    }
}

void ledger_remove(struct ledger *ledger, struct ledger_book *book)
{
    CHECK(ledger_is_idle(book));
    book->must_remove = true;
    ledger_mark_dirty(ledger, book);
}

void ledger_set_idle(const struct ledger *ledger, struct ledger_book *book, uint64_t idle_ms)
{
    book->idle_ms = idle_ms;
    book->idle_ns = ledger->now_ns;
}

void ledger_mark_delivery(struct ledger *ledger, struct ledger_book *book)
{
    if (!list_is_linked(&book->delivery)) {
        list_push_back(&ledger->deliveries, &book->delivery);
    }
}

/* -- time and answers -------------------------------------------------------------------------- */

/* A publication that the archive has stays where it is: it may be stored all the same. */
static void expire(struct ledger *ledger, struct ledger_item *item)
{
    const bool is_queued = ledger_is_publication(item) && item->answer.offset == 0;
    struct ledger_book *const book = item->book;
    CHECK(book != NULL); /* as long as somebody waits */
    const bool is_stored = ledger_is_publication(item) && !is_queued &&
                           item->answer.epoch == book->epoch && item->answer.offset <= book->stored;

    ledger_end_item(ledger, item, is_stored ? CODES_ERROR_NONE : CODES_ERROR_INTERNAL);
    if (is_queued) {
        ledger_drop_publication(ledger, item);
        ledger_maybe_idle(ledger, book);
    }
}

void ledger_tick(struct ledger *ledger, uint64_t now_ns)
{
    ledger->now_ns = now_ns;
    if (now_ns >= ledger->rested_ns) {
        ledger_end_rest(ledger);
    }
    for (struct list_link *link = list_first(&ledger->waiting); link != NULL;
         link = list_first(&ledger->waiting)) {
        struct ledger_item *item = LIST_OWNER(link, struct ledger_item, age);
        if (item->deadline_ns > now_ns) {
            return;
        }
        expire(ledger, item);
    }
}

/* The first publication that is stored, or the first one on the page. False: there is none. */
static bool deliver_one(struct ledger *ledger, struct ledger_book *book)
{
    struct list_link *const link = list_first(&book->stored_items);
    if (link == NULL) {
        return book->page != NULL && ledger_deliver_record(ledger, book);
    }
    struct ledger_item *const item = LEDGER_PLACED(link);
    struct blob *const blob = item->blob;
    CHECK(blob != NULL);
    ledger->bytes -= blob_bytes(blob).size;
    item->blob = NULL;
    const struct ledger_stored stored = {.key_size = item->answer.post.publish.key_size};
    ledger->options.ops->on_stored(ledger->options.context, book->options.owner, blob, &stored);
    ledger_end_item(ledger, item, CODES_ERROR_NONE);
    ledger_drop_publication(ledger, item);
    return true;
}

size_t ledger_deliver(struct ledger *ledger, size_t count)
{
    size_t delivered = 0;
    while (delivered < count && !list_is_empty(&ledger->deliveries)) {
        struct list_link *const link = list_first(&ledger->deliveries);
        struct ledger_book *const book = LIST_OWNER(link, struct ledger_book, delivery);
        if (deliver_one(ledger, book)) {
            delivered++;
            continue;
        }
        list_remove(link);
        ledger_maybe_idle(ledger, book);
    }
    return delivered;
}

bool ledger_is_flushed(const struct ledger *ledger)
{
    return list_is_empty(&ledger->dirty);
}

bool ledger_has_backlog(const struct ledger *ledger)
{
    return !list_is_empty(&ledger->deliveries) || !list_is_empty(&ledger->done);
}

bool ledger_is_quiet(const struct ledger *ledger)
{
    return list_is_empty(&ledger->waiting) && !ledger_has_backlog(ledger);
}

bool ledger_has_given(const struct ledger *ledger)
{
    return ledger->batch_count > 0 || ledger->page_count > 0;
}

size_t ledger_item_count(const struct ledger *ledger)
{
    return ledger->item_count;
}
