/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_ARCHIVE_H
#define TESTS_SIM_SIM_ARCHIVE_H
/*
 * Stands where the archive and its store would be: takes the homes' batches and questions, answers
 * late, refuses at random, and dies in the middle of what it was given, of which it then has some
 * and not the rest, and says of none whether.
 *
 * It knows which publications it has: the only ones that anybody may have seen, or been told of.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/list.h"
#include "tests/sim/sim_world.h"

struct bus;

/* A record of a stream. */
struct sim_record {
    uint8_t *data;
    size_t size;
    uint64_t time_ns;
};

struct sim_stored {
    bool exists;
    uint8_t name[64];
    size_t name_size;
    uint64_t epoch;
    uint64_t top;
    uint64_t first;
    struct sim_record *records; /* [0]: offset 1 */
    size_t capacity;
};

struct sim_archive {
    struct sim_world *world;
    struct bus *bus;
    size_t port;
    uint64_t down_until_ns;
    uint64_t due_ns; /* of the next batch */
    struct list_link batches;
    struct list_link pages;
    struct sim_stored streams[SIM_CHANNEL_MAX];
    size_t stream_count;
};

void sim_archive_begin(struct sim_archive *archive, struct sim_world *world, struct bus *bus,
                       size_t port);

/* Does one thing. False: there is nothing that it could do now. */
bool sim_archive_run_one(struct sim_archive *archive);

/* When it will do something by itself. */
NODISCARD uint64_t sim_archive_next_ns(const struct sim_archive *archive);

/* Answers everything that it has and takes nothing more. */
void sim_archive_finish(struct sim_archive *archive);

void sim_archive_end(struct sim_archive *archive);

#endif /* TESTS_SIM_SIM_ARCHIVE_H */
