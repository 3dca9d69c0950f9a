/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_STORE_DRIVER_H
#define TESTS_STORE_DRIVER_H
/*
 * A store in a directory of its own, for tests: one question at a time, or many with a count of
 * what came back. Each wait has an end, at which the test fails.
 */
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

enum { DRIVER_PATH_SIZE = 256, DRIVER_BYTES_MAX = WIRE_BODY_SIZE_MAX };

struct driver {
    struct store *store;
    char root[DRIVER_PATH_SIZE]; /* a temporary directory */
    char path[DRIVER_PATH_SIZE]; /* of the store, in it */
    /* What came back for questions that nobody waits for. */
    void (*on_completion)(void *context, const struct store_completion *completion);
    void *context;
    /* The answer to the question that driver_ask...() waits for. */
    struct store_completion answer;
    uint8_t *bytes; /* what the answer views */
    bool answered;
};

enum { DRIVER_TAG = 0x7fffffff };

/* A directory under TMPDIR or /tmp; `path` may be changed before driver_start(). */
void driver_open(struct driver *driver);
/* Ends the child if there is one, and removes the directory. */
void driver_close(struct driver *driver);

/* Starts the store with these arguments for the child (ended by NULL; or NULL). */
void driver_start(struct driver *driver, const char *const *arguments);
void driver_stop(struct driver *driver);

/* Lets the store work until something happened or `ms` are over. */
void driver_work(struct driver *driver, int ms);
/* Until the state is reached. */
void driver_until_state(struct driver *driver, enum store_state state);
/* Until no question is open. */
void driver_until_quiet(struct driver *driver);

/* One question and its answer; the views live until the next call. */
struct store_completion driver_commit(struct driver *driver, enum wire_durability durability,
                                      const struct wire_entry *entries, size_t count);
struct wire_page driver_read(struct driver *driver, struct wire_read read);
/* A page without records: what is known of the stream. */
struct wire_page driver_look(struct driver *driver, const char *channel);
struct wire_stats driver_stats(struct driver *driver);

struct bytes driver_text(const char *text);
/* Entries. */
struct wire_entry driver_append(const char *channel, uint64_t epoch, uint64_t offset,
                                const char *value);
struct wire_entry driver_entry(enum wire_kind kind, const char *channel, uint64_t epoch,
                               uint64_t offset);

/* Runs a program and takes what it says (stdout and stderr); returns its exit status. */
int driver_run(const char *command, char *output, size_t output_size);
/* `parley-store ARGUMENTS`. */
int driver_tool(const char *arguments, char *output, size_t output_size);

#endif /* TESTS_STORE_DRIVER_H */
