/* SPDX-License-Identifier: Apache-2.0 */
#include "store/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>

#include "core/check.h"
#include "core/monotime.h"
#include "store/codec.h"
#include "store/complain.h"
#include "store/damage.h"
#include "store/gather.h"
#include "store/opening.h"
#include "store/output.h"
#include "store/reader.h"
#include "store/sweep.h"

enum {
    ANSWERS_MAX = 32768, /* batches of one group */
    ANSWERS_SIZE_MAX = ANSWERS_MAX * (WIRE_HEADER_SIZE + WIRE_COMMITTED_SIZE),
    FRAME_SIZE_MAX = WIRE_HEADER_SIZE + WIRE_BODY_SIZE_MAX,
    ANSWER_SIZE_MAX = WIRE_HEADER_SIZE + WIRE_STATS_SIZE, /* of one question */
    OUTPUT_SIZE = 2 * (ANSWERS_SIZE_MAX + ANSWER_SIZE_MAX),
    SLOW_COMMIT_MS = 1000,
    MOVE_SIZE = 65536,       /* bytes of questions without a group, after which the rest moves */
    LAST_ANSWERS_MS = 10000, /* that the other side may take to read them */
};

struct answer {
    uint64_t id;
    struct wire_committed committed;
};

struct child {
    const struct child_options *options;
    struct engine *engine;
    struct gather *gather;
    struct sweep *sweep;
    struct reader *reader;

    /* [0, parsed) belongs to the group that is open, [parsed, end) was not looked at. */
    uint8_t *input;
    size_t input_size;
    size_t parsed;
    size_t end;

    struct output output;

    struct answer *answers; /* to the batches of the open group, in order */
    size_t answer_count;
    uint64_t group_began_ns;
    bool group_syncs;
    bool space_is_low;

    bool input_ended;
    enum child_end end_reason; /* other than CHILD_ENDED: the loop is over */
    struct wire_stats stats;
};

/* --- Commits --- */

static void count_commit(struct child *child, uint64_t took_ns)
{
    child->stats.commits++;
    child->stats.synced += child->group_syncs;
    if (took_ns > child->stats.commit_ns_max) {
        child->stats.commit_ns_max = took_ns;
    }
    if (took_ns > SLOW_COMMIT_MS * MONOTIME_NS_PER_MS) {
        char text[64];
        (void)snprintf(text, sizeof(text), "%llu ms",
                       (unsigned long long)(took_ns / MONOTIME_NS_PER_MS));
        complain("the disk is slow: a commit took", text);
    }
}

/* When no group points into the input, what was not looked at may move to its begin. */
static void forget_parsed(struct child *child)
{
    memmove(child->input, child->input + child->parsed, child->end - child->parsed);
    child->end -= child->parsed;
    child->parsed = 0;
}

static void commit_group(struct child *child)
{
    if (!gather_is_empty(child->gather)) {
        char error[ENGINE_ERROR_SIZE] = "";
        const uint64_t began_ns = monotime_read();
        const enum engine_result result = gather_commit(child->gather, child->group_syncs, error);
        if (result != ENGINE_OK) {
            struct damage damage;
            if (result == ENGINE_DAMAGED && damage_read(error, &damage)) {
                damage_note(child->options->engine.path, &damage);
            }
            complain("a commit failed", error);
            child->end_reason = CHILD_NOT_STORED;
            return;
        }
        count_commit(child, monotime_read() - began_ns);
    }
    for (size_t i = 0; i < child->answer_count; i++) {
        const struct answer *const answer = &child->answers[i];
        uint8_t *const body = output_begin(&child->output, WIRE_COMMITTED_SIZE);
        output_end(&child->output, WIRE_COMMITTED, answer->id,
                   wire_write_committed(&answer->committed, body));
    }
    child->answer_count = 0;
    child->group_syncs = false;
    forget_parsed(child);
}

static bool group_is_open(const struct child *child)
{
    return child->answer_count > 0;
}

/* Deletions wait for no disk: what a crash takes back is deleted again. */
static void sweep_some(struct child *child)
{
    char error[ENGINE_ERROR_SIZE] = "";
    sweep_step(child->sweep, monotime_read(), error);
    if (error[0] != '\0') {
        complain("the age of a stream cannot be told", error);
    }
    commit_group(child);
}

/* Asked once per group: a group is small beside the space that is kept free. */
static void look_at_space(struct child *child)
{
    struct statvfs space;
    if (statvfs(child->options->engine.path, &space) != 0) {
        return;
    }
    const uint64_t free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
    const bool is_low = free_bytes < child->options->free_bytes_min;
    child->stats.free_bytes = free_bytes;
    child->stats.is_full = is_low;
    if (is_low && !child->space_is_low) {
        char text[96];
        (void)snprintf(text, sizeof(text), "%llu bytes are left, %llu are kept free",
                       (unsigned long long)free_bytes,
                       (unsigned long long)child->options->free_bytes_min);
        complain("the disk is full", text);
    }
    if (!is_low && child->space_is_low) {
        complain("the disk has room again", "");
    }
    child->space_is_low = is_low;
}

/* Whether a batch makes the store smaller, and may be taken on a full disk. */
static bool only_frees(struct wire_batch batch)
{
    struct wire_entry entry;
    while (batch.count > 0) {
        if (wire_next_entry(&batch, &entry) != WIRE_OK ||
            (entry.kind != WIRE_TRIM && entry.kind != WIRE_REMOVE)) {
            return false;
        }
    }
    return true;
}

static void count_batch(struct child *child, struct wire_batch batch, size_t size)
{
    child->stats.batches++;
    child->stats.entries += batch.count;
    child->stats.entry_bytes += size;
}

static enum wire_verdict take_batch(struct child *child, uint64_t id, struct bytes body)
{
    struct wire_batch batch;
    enum wire_verdict verdict = wire_read_batch(body, &batch);
    if (verdict != WIRE_OK) {
        return verdict;
    }
    if (!group_is_open(child)) {
        child->group_began_ns = monotime_read();
        look_at_space(child);
    }
    struct answer *const answer = &child->answers[child->answer_count];
    answer->id = id;
    if (child->space_is_low && !only_frees(batch)) {
        answer->committed = (struct wire_committed){.result = WIRE_NO_SPACE};
    } else {
        char error[ENGINE_ERROR_SIZE] = "";
        verdict = gather_add(child->gather, batch, &answer->committed, error);
        if (verdict != WIRE_OK) {
            return verdict;
        }
        if (answer->committed.result == WIRE_DAMAGED || answer->committed.result == WIRE_FAILED) {
            complain("a batch was refused", error);
        }
    }
    if (answer->committed.result == WIRE_DONE) {
        child->group_syncs = child->group_syncs || batch.durability == WIRE_DURABLE_POWER;
        count_batch(child, batch, body.size);
    }
    child->answer_count++;
    return WIRE_OK;
}

/* --- Figures --- */

static enum wire_verdict take_stat(struct child *child, uint64_t id, struct bytes body)
{
    if (body.size != 0) {
        return WIRE_BAD_FRAME;
    }
    look_at_space(child);
    child->options->ops->stats(child->engine, &child->stats);
    uint8_t *const answer = output_begin(&child->output, WIRE_STATS_SIZE);
    output_end(&child->output, WIRE_STATS, id, wire_write_stats(&child->stats, answer));
    child->stats.commit_ns_max = 0;
    return WIRE_OK;
}

/* --- Questions --- */

static enum wire_verdict take_frame(struct child *child, const struct wire_header *header,
                                    struct bytes body)
{
    switch (header->type) {
    case WIRE_BATCH:
        return take_batch(child, header->id, body);
    case WIRE_STAT:
        return take_stat(child, header->id, body);
    case WIRE_READ: /* has a socket of its own */
    case WIRE_READY:
    case WIRE_COMMITTED:
    case WIRE_PAGE:
    case WIRE_STATS:
        break;
    }
    return WIRE_BAD_TYPE;
}

/* Whether one more frame may be taken: its answer, and those of the group, have room. */
static bool may_take(const struct child *child)
{
    return output_room(&child->output) >= ANSWER_SIZE_MAX + ANSWERS_SIZE_MAX &&
           child->answer_count < ANSWERS_MAX && gather_has_room(child->gather) &&
           (child->parsed < child->options->group_bytes_max || !group_is_open(child));
}

/* Takes what is complete. False when a frame waits for a commit or for room. */
static bool take_frames(struct child *child)
{
    for (;;) {
        if (!may_take(child)) {
            return false;
        }
        const struct bytes in = {child->input + child->parsed, child->end - child->parsed};
        struct wire_header header;
        enum wire_verdict verdict = wire_read_header(in, &header);
        if (verdict == WIRE_NEED_MORE) {
            return true;
        }
        if (verdict == WIRE_OK) {
            verdict = take_frame(child, &header,
                                 (struct bytes){in.data + WIRE_HEADER_SIZE, header.body_size});
        }
        if (verdict != WIRE_OK) {
            char text[32];
            (void)snprintf(text, sizeof(text), "verdict %d", (int)verdict);
            complain("this is no question", text);
            child->end_reason = CHILD_NOT_TALKING;
            return true;
        }
        child->parsed += WIRE_HEADER_SIZE + header.body_size;
        if (!group_is_open(child) && (child->parsed == child->end || child->parsed >= MOVE_SIZE)) {
            forget_parsed(child);
        }
    }
}

/*
 * Reads what is there, but no more than the group may have, or the frame that has begun needs:
 * what lies behind must be moved when the group is done. True when something came.
 */
static bool receive(struct child *child)
{
    size_t limit = child->options->group_bytes_max;
    const size_t unread = child->end - child->parsed;
    if (unread >= 4) {
        const size_t frame = WIRE_HEADER_SIZE + codec_get_u32(child->input + child->parsed);
        const size_t bounded = frame < FRAME_SIZE_MAX ? frame : FRAME_SIZE_MAX;
        limit = child->parsed + bounded > limit ? child->parsed + bounded : limit;
    } else {
        limit = child->parsed + WIRE_HEADER_SIZE > limit ? child->parsed + WIRE_HEADER_SIZE : limit;
    }
    CHECK(limit <= child->input_size);
    if (child->input_ended || child->end >= limit) {
        return false;
    }
    const ssize_t got =
        recv(child->options->fd, child->input + child->end, limit - child->end, MSG_DONTWAIT);
    if (got > 0) {
        child->end += (size_t)got;
        return true;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        child->input_ended = true;
    }
    return false;
}

static bool group_is_due(const struct child *child)
{
    const uint64_t linger_ns = child->options->linger_us * MONOTIME_NS_PER_US;
    return group_is_open(child) &&
           (gather_is_empty(child->gather) || monotime_read() - child->group_began_ns >= linger_ns);
}

static void wait_for_socket(const struct child *child, bool wants_input)
{
    struct pollfd poll_fd = {.fd = child->options->fd};
    poll_fd.events = (short)((wants_input && !child->input_ended ? POLLIN : 0) |
                             (output_waits(&child->output) ? POLLOUT : 0));
    uint64_t due_ns = sweep_next_ns(child->sweep);
    if (group_is_open(child)) {
        due_ns = child->group_began_ns + child->options->linger_us * MONOTIME_NS_PER_US;
    }
    const uint64_t now_ns = monotime_read();
    const uint64_t wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
    const struct timespec timeout = {.tv_sec = (time_t)(wait_ns / MONOTIME_NS_PER_S),
                                     .tv_nsec = (long)(wait_ns % MONOTIME_NS_PER_S)};
    (void)ppoll(&poll_fd, 1, &timeout, NULL);
}

static void serve(struct child *child)
{
    while (child->end_reason == CHILD_ENDED) {
        const bool came = receive(child);
        const bool took_all = take_frames(child);
        const bool over = child->input_ended && !came;
        if (group_is_open(child) && (!took_all || over || group_is_due(child))) {
            commit_group(child);
        }
        if (!group_is_open(child) && !over && child->end_reason == CHILD_ENDED &&
            monotime_read() >= sweep_next_ns(child->sweep)) {
            sweep_some(child);
        }
        if (!output_flush(&child->output)) {
            child->input_ended = true; /* what has come is stored all the same */
        }
        if (over && took_all) {
            break;
        }
        if (!came && (took_all || !may_take(child))) {
            wait_for_socket(child, took_all);
        }
    }
    if (group_is_open(child) && child->end_reason != CHILD_NOT_STORED) {
        commit_group(child);
    }
    output_flush_last(&child->output, LAST_ANSWERS_MS);
}

/* --- Start and end --- */

static void child_free(struct child *child)
{
    sweep_destroy(child->sweep);
    gather_destroy(child->gather);
    free(child->input);
    output_free(&child->output);
    free(child->answers);
}

static bool child_allocate(struct child *child)
{
    const struct child_options *const options = child->options;
    child->input_size = options->group_bytes_max + (size_t)FRAME_SIZE_MAX;
    child->input = malloc(child->input_size);
    const bool has_output = output_allocate(&child->output, options->fd, OUTPUT_SIZE);
    child->answers = calloc(ANSWERS_MAX, sizeof(child->answers[0]));
    child->gather = gather_create(options->ops, child->engine, options->streams_max);
    const struct sweep_options sweep = {
        .ops = options->ops,
        .engine = child->engine,
        .gather = child->gather,
        .stats = &child->stats,
        .streams_per_s = options->sweep_per_s,
    };
    child->sweep = sweep_create(&sweep);
    return child->input != NULL && has_output && child->answers != NULL && child->gather != NULL &&
           child->sweep != NULL;
}

static void say_ready(struct child *child, uint64_t open_ns)
{
    uint8_t *const body = output_begin(&child->output, 8);
    codec_put_u64(body, open_ns / MONOTIME_NS_PER_US);
    output_end(&child->output, WIRE_READY, 0, 8);
    (void)output_flush(&child->output); /* who does not hear it, the loop finds out */
}

enum child_end child_run(const struct child_options *options)
{
    CHECK(options->group_bytes_max > 0);
    struct child child = {.options = options};
    const uint64_t began_ns = monotime_read();
    const enum opening opened =
        opening_run(options->ops, &options->engine, &child.stats, &child.engine);
    if (opened != OPENING_DONE) {
        return opened == OPENING_FAILED ? CHILD_NOT_OPENED : CHILD_NOT_REPAIRED;
    }
    enum child_end end = CHILD_NO_MEMORY;
    child.end_reason = CHILD_ENDED;
    if (child_allocate(&child)) {
        const struct reader_options reads = {options->ops, child.engine, options->reads_fd,
                                             options->fd};
        child.reader = reader_start(&reads);
    }
    if (child.reader != NULL) {
        say_ready(&child, monotime_read() - began_ns);
        serve(&child);
        const bool sense = reader_end(child.reader);
        end = sense ? child.end_reason : CHILD_NOT_TALKING;
    } else {
        complain("no memory", "");
    }
    child_free(&child);
    options->ops->close(child.engine);
    return end;
}
