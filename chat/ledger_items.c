/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's items: posts that somebody waits for, from when they were taken until they are
 * answered and nothing of them is under way.
 */
#include <stdlib.h>

#include "chat/ledger.h"
#include "chat/ledger_private.h"
#include "core/blob.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"

struct ledger_item *ledger_add_item(struct ledger *ledger, struct ledger_book *book,
                                    const struct post *post)
{
    if (ledger->item_count >= ledger->options.item_count_max) {
        return NULL;
    }
    struct ledger_item *const item = calloc(1, sizeof(*item));
    if (item == NULL) {
        return NULL;
    }
    item->book = book;
    item->deadline_ns = ledger->now_ns + ledger->options.timeout_ns;
    item->answer.post = *post;
    list_push_back(&ledger->waiting, &item->age);
    ledger->item_count++;
    return item;
}

static void free_if_over(struct ledger *ledger, struct ledger_item *item)
{
    if (!list_is_linked(&item->age) && !list_is_linked(&item->place)) {
        CHECK(item->blob == NULL);
        CHECK(ledger->item_count > 0);
        ledger->item_count--;
        free(item);
    }
}

static bool is_done(const struct ledger_item *item)
{
    return item->deadline_ns == 0;
}

/* Whoever waits for it can be answered. Once; later ends of the same item mean nothing. */
void ledger_end_item(struct ledger *ledger, struct ledger_item *item, enum codes_error error)
{
    if (is_done(item)) {
        return;
    }
    item->answer.error = error;
    item->deadline_ns = 0;
    list_remove(&item->age);
    list_push_back(&ledger->done, &item->age);
}

/* The publication is not to be delivered, or was. */
void ledger_drop_publication(struct ledger *ledger, struct ledger_item *item)
{
    if (list_is_linked(&item->place)) {
        list_remove(&item->place);
    }
    if (item->blob != NULL) {
        const struct post_publish *publish = &item->answer.post.publish;
        ledger->options.ops->on_refused(ledger->options.context, item->book->options.owner,
                                        item->blob, publish->key_size);
        ledger->bytes -= blob_bytes(item->blob).size;
        blob_drop(item->blob, ledger->options.pool);
        item->blob = NULL;
    }
    item->book = NULL;
    free_if_over(ledger, item);
}

void ledger_count_stored(struct ledger *ledger, const struct ledger_book *book)
{
    struct metrics *metrics = ledger->options.metrics;

    metrics_add(metrics, METRIC_PUBLICATIONS, 1);
    metrics_add_for(metrics, book->options.counts_as, NAMESPACE_PUBLICATIONS, 1);
}

bool ledger_is_publication(const struct ledger_item *item)
{
    return !item->answer.is_question;
}

struct ledger_item *ledger_first_done(const struct ledger *ledger)
{
    struct list_link *const link = list_first(&ledger->done);
    return link == NULL ? NULL : LIST_OWNER(link, struct ledger_item, age);
}

struct ledger_item *ledger_next_done(const struct ledger *ledger, const struct ledger_item *item)
{
    struct list_link *const link = list_after(&ledger->done, &item->age);
    return link == NULL ? NULL : LIST_OWNER(link, struct ledger_item, age);
}

struct ledger_answer ledger_look(const struct ledger_item *item)
{
    return item->answer;
}

void ledger_forget(struct ledger *ledger, struct ledger_item *item)
{
    CHECK(is_done(item));
    struct ledger_book *const book = item->book;

    list_remove(&item->age);
    ledger->bytes -= item->asked_bytes;
    if (!ledger_is_publication(item) && book != NULL) {
        list_remove(&item->place);
        item->book = NULL;
        ledger_maybe_idle(ledger, book);
    }
    free_if_over(ledger, item);
}

static struct blob *blob_of_question(const struct post *post)
{
    if (post->kind == POST_PUBLISH) {
        return post->publish.blob;
    }
    return post->kind == POST_INTEREST ? post->interest.blob : post->history.blob;
}

/* Nobody is left who could answer them. */
void ledger_forget_done(struct ledger *ledger)
{
    struct ledger_item *item = ledger_first_done(ledger);
    while (item != NULL) {
        struct ledger_item *const next = ledger_next_done(ledger, item);
        if (!ledger_is_publication(item)) {
            blob_drop(blob_of_question(&item->answer.post), ledger->options.pool);
        }
        ledger_forget(ledger, item);
        item = next;
    }
}
