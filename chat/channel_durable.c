/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels whose publications are stored before anybody sees them: what the ledger says goes to
 * their streams, and what is asked of them waits until the ledger knows.
 */
#include <errno.h>

#include "chat/channel.h"
#include "chat/channel_private.h"
#include "chat/directory.h"
#include "chat/ledger.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/publication.h"
#include "core/blob.h"
#include "core/check.h"
#include "core/metrics.h"

enum {
    ITEM_COUNT_MAX = 1 << 17, /* posts that wait for the archive, of one reactor */
    RENEWED_AT_ONCE = 256,    /* channels: a batch of the ledger's, behind which others wait */
};

static const uint64_t ns_per_ms = 1000000;

/* -- what the ledger says ---------------------------------------------------------------------- */

static uint64_t age_ns(const struct ledger_stored *stored)
{
    const uint64_t age_max_ms = UINT64_MAX / ns_per_ms;
    return stored->age_ms < age_max_ms ? stored->age_ms * ns_per_ms : UINT64_MAX;
}

static void on_begin(void *context, void *owner, uint64_t epoch, uint64_t top)
{
    channel_begin(context, owner, epoch, top);
}

/*
 * The key of what is stored now: it was added when it was taken, or it is read from the store. If
 * it was forgotten meanwhile, and is that of another publication now, it stays so.
 */
static void remember_key(struct channel_home *home, struct channel *channel,
                         const struct blob *blob, const struct ledger_stored *stored)
{
    const struct idempotency_key key = publication_key(blob, stored->key_size);
    const uint64_t offset = channel->stream.top + 1;
    uint64_t known = 0;

    const enum idempotency_verdict verdict = channel_judge_key(home, channel, &key, &known);
    if (verdict == IDEMPOTENCY_REPEAT) {
        idempotency_settle(channel->keys, key.text, offset);
    } else if (verdict == IDEMPOTENCY_NEW &&
               channel_add_key(home, channel, &key, offset, age_ns(stored)) != 0) {
        metrics_add(home->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
    }
}

static void on_stored(void *context, void *owner, struct blob *blob,
                      const struct ledger_stored *stored)
{
    struct channel_home *home = context;
    struct channel *channel = owner;
    const uint64_t age = age_ns(stored);
    uint64_t time_ns = home->now_ns > age ? home->now_ns - age : 0;

    if (channel->stream.count > 0 && stream_last_time(&channel->stream) > time_ns) {
        time_ns = stream_last_time(&channel->stream); /* somebody has set the clock back */
    }
    if (stored->key_size > 0) {
        remember_key(home, channel, blob, stored);
    }
    channel_send_out(home, channel, blob, time_ns);
    ledger_trim(home->ledger, channel->book, channel_history_first(home, channel), false);
    blob_drop(blob, home->options.pool);
    channel_shrink(home);
}

static void on_refused(void *context, void *owner, const struct blob *blob, uint8_t key_size)
{
    if (key_size == 0) {
        return;
    }
    const struct idempotency_key key = publication_key(blob, key_size);
    uint64_t known = 0;
    if (channel_judge_key(context, owner, &key, &known) == IDEMPOTENCY_REPEAT && known == 0) {
        channel_remove_key(context, owner, key.text);
    }
}

static void on_idle(void *context, void *owner)
{
    channel_settle(context, owner);
}

static uint64_t new_epoch(void *context)
{
    return channel_new_epoch(context);
}

static const struct ledger_ops ledger_ops = {
    .on_begin = on_begin,
    .on_stored = on_stored,
    .on_refused = on_refused,
    .on_idle = on_idle,
    .new_epoch = new_epoch,
};

int channel_create_ledger(struct channel_home *home)
{
    const struct channel_options *options = &home->options;
    if (options->archive == 0) {
        return 0;
    }
    const struct ledger_options ledger = {
        .reactor = options->reactor,
        .archive = options->archive,
        .timeout_ns = options->store_timeout_ns,
        .bytes_max = options->store_bytes_max,
        .item_count_max = ITEM_COUNT_MAX,
        .bus = options->bus,
        .pool = options->pool,
        .metrics = options->metrics,
        .ops = &ledger_ops,
        .context = home,
    };
    return ledger_create(&ledger, &home->ledger);
}

struct ledger *channel_ledger(struct channel_home *home)
{
    return home->ledger;
}

/* Of what somebody configured; the store wants at least one. */
static uint64_t whole_ms(uint64_t ns)
{
    return ns < ns_per_ms ? 1 : ns / ns_per_ms;
}

static struct ledger_keep keep_of(const struct policy *policy)
{
    return (struct ledger_keep){
        .count = policy->history_size,
        .record_ms = whole_ms(policy->history_ttl_ns),
        .position_ms = whole_ms(policy->history_meta_ttl_ns),
    };
}

int channel_open_book(struct channel_home *home, struct channel *channel)
{
    if (home->ledger == NULL || !policy_is_durable(channel->policy)) {
        return 0;
    }
    const struct ledger_book_options options = {
        .owner = channel,
        .channel = {channel->name, channel->name_size},
        .keep = keep_of(channel->policy),
        .counts_as = channel->policy->counts_as,
        .power = channel->policy->durability == POLICY_DURABILITY_POWER,
    };
    channel->book = ledger_open(home->ledger, &options);
    return channel->book == NULL ? -ENOMEM : 0;
}

/* -- another configuration --------------------------------------------------------------------- */

void channel_home_renew(struct channel_home *home)
{
    if (home->ledger != NULL) {
        home->renew_slot = 0;
        home->renew_end = directory_slot_end(home->channels);
    }
}

/* What the archive has not taken yet goes first: its answer wakes us. */
bool channel_is_renewing(const struct channel_home *home)
{
    return home->renew_slot < home->renew_end && ledger_is_flushed(home->ledger);
}

void channel_renew_books(struct channel_home *home)
{
    for (int i = 0; i < RENEWED_AT_ONCE && home->renew_slot < home->renew_end; i++) {
        struct channel *channel = directory_slot(home->channels, home->renew_slot++);
        if (channel == NULL || channel->book == NULL) {
            continue;
        }
        const struct ledger_keep keep = keep_of(channel->policy);
        ledger_set_keep(home->ledger, channel->book, &keep);
        if (!ledger_is_idle(channel->book)) {
            channel_settle(home, channel); /* not to be forgotten while the store is told */
        }
    }
}

/* -- what is asked ----------------------------------------------------------------------------- */

static struct bytes channel_of(const struct post *post, uint64_t *hash)
{
    switch ((enum post_kind)post->kind) {
    case POST_PUBLISH:
        *hash = post->publish.hash;
        return publication_channel(post->publish.blob, post->publish.name_size);
    case POST_INTEREST:
        *hash = post->interest.hash;
        return blob_bytes(post->interest.blob);
    case POST_HISTORY:
        *hash = post->history.hash;
        return blob_bytes(post->history.blob);
    default:
        break;
    }
    NEVER("a post that no channel is asked by");
}

static enum codes_error ask(struct channel_home *home, struct channel *channel,
                            const struct post *post, bool *waits)
{
    const enum codes_error error = ledger_ask(home->ledger, channel->book, post);
    *waits = error == CODES_ERROR_NONE;
    return error;
}

static enum codes_error store(struct channel_home *home, struct channel *channel,
                              const struct post *post, bool *waits)
{
    const enum codes_error error = ledger_publish(home->ledger, channel->book, post);
    *waits = error == CODES_ERROR_NONE;
    return error;
}

/* Under a key: it is stored if nothing else is, or is under way, and that has to be certain. */
static enum codes_error store_once(struct channel_home *home, struct channel *channel,
                                   const struct post *post, bool *waits)
{
    const struct idempotency_key key = publication_key(post->publish.blob, post->publish.key_size);
    uint64_t offset = 0;

    if (!ledger_is_certain(channel->book)) {
        return ask(home, channel, post, waits);
    }
    switch (channel_judge_key(home, channel, &key, &offset)) {
    case IDEMPOTENCY_CONFLICT:
        return CODES_ERROR_BAD_REQUEST;
    case IDEMPOTENCY_REPEAT:
        /* channel_publish() says where it is; as long as that is not known, to try again. */
        return offset == 0 ? CODES_ERROR_INTERNAL : CODES_ERROR_NONE;
    case IDEMPOTENCY_NEW:
        break;
    }
    if (channel_add_key(home, channel, &key, 0, 0) != 0) {
        return CODES_ERROR_INTERNAL;
    }
    const enum codes_error error = store(home, channel, post, waits);
    if (error != CODES_ERROR_NONE) {
        channel_remove_key(home, channel, key.text);
    }
    return error;
}

static enum codes_error publish(struct channel_home *home, struct channel *channel,
                                const struct post *post, bool *waits)
{
    return post->publish.key_size > 0 ? store_once(home, channel, post, waits)
                                      : store(home, channel, post, waits);
}

enum codes_error channel_wait_turn(struct channel_home *home, const struct post *post, bool *waits)
{
    uint64_t hash = 0;
    const struct bytes name = channel_of(post, &hash);
    const struct policy *policy = policy_recall(home->options.policies, name);
    CHECK(policy != NULL);

    *waits = false;
    if (home->ledger == NULL || !policy_is_durable(policy)) {
        return CODES_ERROR_NONE;
    }
    struct channel *channel = channel_find_or_open(home, hash, name);
    if (channel == NULL) {
        metrics_add(home->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    enum codes_error error = CODES_ERROR_NONE;
    if (post->kind == POST_PUBLISH) {
        error = publish(home, channel, post, waits);
    } else if (!ledger_is_loaded(channel->book)) {
        error = ask(home, channel, post, waits);
    }
    if (*waits || error != CODES_ERROR_NONE) {
        /* What waits keeps it from being forgotten; if nothing does, it may be here for nobody. */
        channel_settle(home, channel);
    }
    return error;
}
