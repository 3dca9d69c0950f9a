/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "core/monotime.h"
#include "store/codec.h"
#include "store/lane.h"
#include "store/spawn.h"

enum {
    FRAME_SIZE_MAX = WIRE_HEADER_SIZE + WIRE_BODY_SIZE_MAX,
    READS_QUEUE_MAX = 1 << 20, /* bytes; some thousand reads */
    KILLED_MS = 1000,          /* that a killed child may take to be gone, until it is given up */
};

/* The child's sockets: what is one at a time there, and what its reader answers beside that. */
enum { LANE_BATCHES, LANE_READS, LANE_COUNT };

_Static_assert((int)LANE_COUNT == (int)SPAWN_SOCKETS, "a lane for each");

/* A question that was not answered; its place is its id modulo questions_max. */
struct question {
    uint64_t tag;
    uint64_t end;          /* position in the stream of its lane behind its frame */
    uint64_t submitted_ns; /* of the step before, which is near enough */
    enum wire_type type;
    bool answered;
};

struct store {
    struct store_options options;
    const char *arguments[STORE_ARGUMENTS_MAX + 6];
    struct spawn spawn;
    int epoll;
    int timer; /* for the next start */
    uint64_t now_ns;

    enum store_state state;
    bool changed; /* a STORE_CHANGED is due */
    bool burying; /* the socket has ended: all questions are to be answered, the child reaped */
    uint64_t ready_ns;
    uint64_t open_us;
    uint32_t backoff_ms; /* before the next start but one */
    uint32_t starts;
    bool damaged; /* the last child that ended could not repair the store */
    char reason[STORE_REASON_SIZE];

    struct question *questions;
    uint64_t next_id;   /* of the next question */
    uint64_t oldest_id; /* next_id: all are answered */

    struct lane lanes[LANE_COUNT];
};

static void set_state(struct store *store, enum store_state state)
{
    if (store->state != state) {
        store->state = state;
        store->changed = true;
    }
}

/* --- The child --- */

static int watch(const struct store *store, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.fd = fd}};
    return epoll_ctl(store->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static void flush_lane(struct store *store, struct lane *lane)
{
    const bool waited = lane->waits;
    lane_flush(lane);
    if (lane->waits != waited) {
        struct epoll_event event = {.events = EPOLLIN | (lane->waits ? (uint32_t)EPOLLOUT : 0),
                                    .data = {.fd = lane->fd}};
        (void)epoll_ctl(store->epoll, EPOLL_CTL_MOD, lane->fd, &event);
    }
}

/* Arms the timer for the next start, and doubles the pause after that. */
static void schedule_start(struct store *store)
{
    const uint32_t pause_ms = store->backoff_ms;
    const struct itimerspec when = {
        .it_value = {.tv_sec = pause_ms / 1000, .tv_nsec = (long)(pause_ms % 1000) * 1000000 + 1}};
    (void)timerfd_settime(store->timer, 0, &when, NULL);
    store->backoff_ms =
        pause_ms > store->options.backoff_max_ms / 2 ? store->options.backoff_max_ms : 2 * pause_ms;
}

static int start_child(struct store *store)
{
    /* execv() wants strings that it promises not to write to. */
    char *arguments[STORE_ARGUMENTS_MAX + 6];
    memcpy(arguments, store->arguments, sizeof(arguments));
    int result = spawn_start(&store->spawn, store->options.program, arguments);
    if (result != 0) {
        return result;
    }
    store->spawn.on_line = store->options.on_line;
    store->spawn.context = store->options.line_context;
    store->starts++;
    result = watch(store, store->spawn.errors, EPOLLIN);
    result = result != 0 ? result : watch(store, store->spawn.pid_fd, EPOLLIN);
    for (int i = 0; i < LANE_COUNT; i++) {
        lane_begin(&store->lanes[i], store->spawn.sockets[i]);
        result = result != 0 ? result : watch(store, store->spawn.sockets[i], EPOLLIN);
    }
    return result;
}

static void start_again(struct store *store)
{
    uint64_t expirations = 0;
    if (store->state != STORE_DOWN ||
        read(store->timer, &expirations, sizeof(expirations)) != sizeof(expirations)) {
        return;
    }
    if (store->burying) {
        /* It had this long to end by itself, so that we learn how; two at a time must not be. */
        spawn_kill(&store->spawn);
        schedule_start(store);
        return;
    }
    const int result = start_child(store);
    if (result != 0) {
        (void)snprintf(store->reason, sizeof(store->reason), "%.200s cannot be started: %s",
                       store->options.program, strerror(-result));
        store->burying = store->spawn.pid > 0;
        schedule_start(store);
        return;
    }
    set_state(store, STORE_STARTING);
}

/* The child has died or does not make sense any more. What it did not answer follows. */
static void lose_child(struct store *store)
{
    if (store->burying) {
        return;
    }
    spawn_read_errors(&store->spawn);
    (void)snprintf(store->reason, sizeof(store->reason), "parley-store ended%s%.250s",
                   store->spawn.line[0] == '\0' ? "" : ": ", store->spawn.line);
    if (store->state == STORE_READY &&
        store->now_ns - store->ready_ns >
            store->options.backoff_max_ms * (uint64_t)MONOTIME_NS_PER_MS) {
        store->backoff_ms = store->options.backoff_min_ms;
    }
    store->burying = true;
    spawn_close_sockets(&store->spawn);
    set_state(store, STORE_DOWN);
    schedule_start(store);
}

static void bury_child(struct store *store)
{
    char how[64];
    if (store->spawn.pid <= 0 || !spawn_reap(&store->spawn, how, sizeof(how))) {
        return;
    }
    spawn_read_errors(&store->spawn);
    (void)snprintf(store->reason, sizeof(store->reason), "parley-store ended with %s%s%.200s", how,
                   store->spawn.line[0] == '\0' ? "" : ": ", store->spawn.line);
    store->damaged =
        WIFEXITED(store->spawn.status) && WEXITSTATUS(store->spawn.status) == SPAWN_NOT_REPAIRED;
    spawn_close(&store->spawn);
}

/* --- Questions --- */

static struct lane *lane_of(struct store *store, enum wire_type type)
{
    return &store->lanes[type == WIRE_READ ? LANE_READS : LANE_BATCHES];
}

/* Where the body of a question goes; NULL: `verdict` says why there is no room. */
static uint8_t *begin_question(struct store *store, enum wire_type type, size_t body_size,
                               enum store_verdict *verdict)
{
    CHECK(body_size <= WIRE_BODY_SIZE_MAX);
    if (store->state == STORE_DOWN) {
        *verdict = STORE_REFUSED;
        return NULL;
    }
    const bool full = store->next_id - store->oldest_id >= store->options.questions_max;
    uint8_t *const body = full ? NULL : lane_room(lane_of(store, type), body_size);
    *verdict = body != NULL ? STORE_QUEUED : STORE_FULL;
    return body;
}

static void end_question(struct store *store, enum wire_type type, uint64_t tag, size_t body_size)
{
    const struct wire_header header = {
        .id = store->next_id, .body_size = (uint32_t)body_size, .type = type};
    struct lane *const lane = lane_of(store, type);
    lane_queue(lane, &header);
    store->questions[store->next_id & (store->options.questions_max - 1)] = (struct question){
        .tag = tag, .end = lane->queued, .submitted_ns = store->now_ns, .type = type};
    store->next_id++;
}

enum store_verdict store_commit(struct store *store, uint64_t tag, enum wire_durability durability,
                                const struct wire_entry *entries, size_t count)
{
    const size_t size = wire_batch_size(entries, count);
    if (size == 0) {
        return STORE_TOO_BIG;
    }
    enum store_verdict verdict;
    uint8_t *const body = begin_question(store, WIRE_BATCH, size, &verdict);
    if (body != NULL) {
        wire_write_batch(durability, entries, count, body);
        end_question(store, WIRE_BATCH, tag, size);
    }
    return verdict;
}

enum store_verdict store_read(struct store *store, uint64_t tag, const struct wire_read *read)
{
    if (read->channel.size < 1 || read->channel.size > WIRE_CHANNEL_SIZE_MAX ||
        read->count_max < 1 || read->count_max > WIRE_READ_COUNT_MAX ||
        read->bytes_max > WIRE_PAGE_BYTES_MAX) {
        return STORE_TOO_BIG;
    }
    enum store_verdict verdict;
    uint8_t *const body = begin_question(store, WIRE_READ, WIRE_READ_SIZE_MAX, &verdict);
    if (body != NULL) {
        end_question(store, WIRE_READ, tag, wire_write_read(read, body));
    }
    return verdict;
}

enum store_verdict store_ask_stats(struct store *store, uint64_t tag)
{
    enum store_verdict verdict;
    if (begin_question(store, WIRE_STAT, 0, &verdict) != NULL) {
        end_question(store, WIRE_STAT, tag, 0);
    }
    return verdict;
}

void store_flush(struct store *store)
{
    if (store->burying || store->spawn.pid <= 0) {
        return;
    }
    for (int i = 0; i < LANE_COUNT; i++) {
        flush_lane(store, &store->lanes[i]);
    }
}

/* --- Answers --- */

static void forget_answered(struct store *store)
{
    while (store->oldest_id < store->next_id &&
           store->questions[store->oldest_id & (store->options.questions_max - 1)].answered) {
        store->oldest_id++;
    }
}

/* The question that an answer belongs to; NULL: there is none of this type. */
static struct question *find_question(struct store *store, uint64_t id, enum wire_type type)
{
    if (id < store->oldest_id || id >= store->next_id) {
        return NULL;
    }
    struct question *const question = &store->questions[id & (store->options.questions_max - 1)];
    return question->answered || question->type != type ? NULL : question;
}

static enum wire_verdict read_answer(struct bytes body, enum wire_type type,
                                     struct store_completion *completion, enum wire_type *asked)
{
    switch (type) {
    case WIRE_COMMITTED:
        *asked = WIRE_BATCH;
        completion->event = STORE_COMMITTED;
        return wire_read_committed(body, &completion->committed);
    case WIRE_PAGE:
        *asked = WIRE_READ;
        completion->event = STORE_PAGE;
        return wire_read_page(body, &completion->page);
    case WIRE_STATS:
        *asked = WIRE_STAT;
        completion->event = STORE_STATS;
        return wire_read_stats(body, &completion->stats);
    case WIRE_BATCH:
    case WIRE_READ:
    case WIRE_STAT:
    case WIRE_READY:
        break;
    }
    return WIRE_BAD_TYPE;
}

static bool take_ready(struct store *store, struct bytes body)
{
    if (body.size != 8 || store->state != STORE_STARTING) {
        return false;
    }
    store->open_us = codec_get_u64(body.data);
    store->ready_ns = store->now_ns;
    store->reason[0] = '\0';
    set_state(store, STORE_READY);
    return true;
}

/* True when `completion` was filled. A frame that makes no sense costs the child its life. */
static bool take_frame(struct store *store, const struct wire_header *header, struct bytes body,
                       struct store_completion *completion)
{
    if (header->type == WIRE_READY) {
        if (!take_ready(store, body)) {
            lose_child(store);
        }
        return false;
    }
    enum wire_type asked = WIRE_STAT;
    if (read_answer(body, header->type, completion, &asked) != WIRE_OK) {
        lose_child(store);
        return false;
    }
    struct question *const question = find_question(store, header->id, asked);
    if (question == NULL) {
        lose_child(store);
        return false;
    }
    completion->tag = question->tag;
    question->answered = true;
    forget_answered(store);
    return true;
}

/* What lies in the input already. */
static size_t take_frames(struct store *store, struct lane *lane,
                          struct store_completion *completions, size_t count)
{
    size_t filled = 0;
    while (filled < count && !store->burying) {
        struct wire_header header;
        struct bytes body;
        const enum wire_verdict verdict = lane_next(lane, &header, &body);
        if (verdict == WIRE_NEED_MORE) {
            break;
        }
        if (verdict != WIRE_OK) {
            lose_child(store);
            break;
        }
        filled += take_frame(store, &header, body, &completions[filled]);
    }
    return filled;
}

/* All that has come, on all lanes. A child that has ended is lost when its last answer is taken. */
static size_t take_answers(struct store *store, struct store_completion *completions, size_t count)
{
    size_t filled = 0;
    bool has_ended = false;
    if (store->spawn.pid <= 0) {
        return 0;
    }
    for (int i = LANE_COUNT - 1; i >= 0; i--) {
        struct lane *const lane = &store->lanes[i];
        filled += take_frames(store, lane, completions + filled, count - filled);
        while (filled < count && !store->burying && lane_receive(lane)) {
            filled += take_frames(store, lane, completions + filled, count - filled);
        }
        has_ended = has_ended || lane->has_ended;
    }
    if (has_ended && filled < count) {
        lose_child(store);
    }
    return filled;
}

/* After a death: every question gets its end. */
static size_t give_up_questions(struct store *store, struct store_completion *completions,
                                size_t count)
{
    size_t filled = 0;
    forget_answered(store);
    while (filled < count && store->oldest_id < store->next_id) {
        struct question *const question =
            &store->questions[store->oldest_id & (store->options.questions_max - 1)];
        const bool sent = question->end <= lane_sent(lane_of(store, question->type));
        completions[filled++] = (struct store_completion){
            .event = sent ? STORE_LOST : STORE_NOT_SENT, .tag = question->tag};
        question->answered = true;
        forget_answered(store);
    }
    return filled;
}

size_t store_step(struct store *store, uint64_t now_ns, struct store_completion *completions,
                  size_t count)
{
    CHECK(count > 0);
    store->now_ns = now_ns;
    for (int i = 0; i < LANE_COUNT; i++) {
        lane_make_room(&store->lanes[i]); /* views of the step before are over */
    }
    spawn_read_errors(&store->spawn);
    start_again(store);
    store_flush(store);

    size_t filled = take_answers(store, completions, count);
    if (store->burying) {
        filled += give_up_questions(store, completions + filled, count - filled);
        bury_child(store);
        store->burying = store->oldest_id < store->next_id || store->spawn.pid > 0;
    }
    if (store->changed && filled < count) {
        completions[filled++] =
            (struct store_completion){.event = STORE_CHANGED, .state = store->state};
        store->changed = false;
    }
    return filled;
}

/* --- Views, start and end --- */

int store_fd(const struct store *store)
{
    return store->epoll;
}

struct store_view store_look(const struct store *store)
{
    const bool open = store->oldest_id < store->next_id;
    return (struct store_view){
        .state = store->state,
        .questions = (uint32_t)(store->next_id - store->oldest_id),
        .queue_bytes = lane_queue_bytes(&store->lanes[LANE_BATCHES]) +
                       lane_queue_bytes(&store->lanes[LANE_READS]),
        .oldest_ns = open ? store->questions[store->oldest_id & (store->options.questions_max - 1)]
                                .submitted_ns
                          : 0,
        .open_us = store->open_us,
        .starts = store->starts,
        .child = (int)store->spawn.pid,
        .damaged = store->damaged && store->state != STORE_READY,
        .reason = store->state == STORE_READY ? store->spawn.line : store->reason,
    };
}

static void store_free(struct store *store)
{
    spawn_close(&store->spawn);
    if (store->timer >= 0) {
        (void)close(store->timer);
    }
    if (store->epoll >= 0) {
        (void)close(store->epoll);
    }
    free(store->questions);
    for (int i = 0; i < LANE_COUNT; i++) {
        lane_free(&store->lanes[i]);
    }
    free(store);
}

static bool child_is_gone(struct store *store, uint32_t timeout_ms, bool *well)
{
    struct pollfd poll_fd = {.fd = store->spawn.pid_fd, .events = POLLIN};
    char how[64] = "";
    while (poll(&poll_fd, 1, (int)timeout_ms) < 0 && errno == EINTR) {
    }
    const bool gone = spawn_reap(&store->spawn, how, sizeof(how));
    *well = gone && strcmp(how, "exit status 0") == 0;
    return gone;
}

bool store_close(struct store *store, uint32_t timeout_ms)
{
    bool well = true;
    if (store == NULL) {
        return well;
    }
    spawn_close_sockets(&store->spawn);
    if (store->spawn.pid > 0 && !child_is_gone(store, timeout_ms, &well)) {
        spawn_kill(&store->spawn);
        (void)child_is_gone(store, KILLED_MS, &well);
    }
    store_free(store);
    return well;
}

static int store_open_files(struct store *store)
{
    store->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (store->epoll < 0) {
        return -errno;
    }
    store->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (store->timer < 0) {
        return -errno;
    }
    return watch(store, store->timer, EPOLLIN);
}

static void describe_arguments(struct store *store)
{
    size_t count = 0;
    store->arguments[count++] = store->options.program;
    store->arguments[count++] = "serve";
    store->arguments[count++] = "--path";
    store->arguments[count++] = store->options.path;
    const char *const *const more = store->options.arguments;
    for (size_t i = 0; more != NULL && more[i] != NULL; i++) {
        CHECK(i < STORE_ARGUMENTS_MAX);
        store->arguments[count++] = more[i];
    }
    store->arguments[count] = NULL;
}

int store_create(const struct store_options *options, uint64_t now_ns, struct store **store)
{
    CHECK(options->program != NULL && options->path != NULL);
    CHECK(options->queue_bytes_max >= FRAME_SIZE_MAX);
    CHECK(options->questions_max > 0 &&
          (options->questions_max & (options->questions_max - 1)) == 0);
    CHECK(options->backoff_min_ms > 0 && options->backoff_min_ms <= options->backoff_max_ms);

    struct store *const created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    created->now_ns = now_ns;
    created->epoll = created->timer = -1;
    created->backoff_ms = options->backoff_min_ms;
    created->spawn = (struct spawn){.pid_fd = -1, .sockets = {-1, -1}, .errors = -1};
    created->questions = calloc(options->questions_max, sizeof(created->questions[0]));
    int result = -ENOMEM;
    if (created->questions == NULL ||
        !lane_allocate(&created->lanes[LANE_BATCHES], options->queue_bytes_max) ||
        !lane_allocate(&created->lanes[LANE_READS], READS_QUEUE_MAX)) {
        goto free_created;
    }
    describe_arguments(created);
    result = store_open_files(created);
    if (result != 0) {
        goto free_created;
    }
    result = start_child(created);
    if (result != 0) {
        goto free_created;
    }
    *store = created;
    return 0;

free_created:
    if (created->spawn.pid > 0) {
        bool well;
        spawn_kill(&created->spawn);
        (void)child_is_gone(created, KILLED_MS, &well);
    }
    store_free(created);
    return result;
}
