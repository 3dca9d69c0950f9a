/* SPDX-License-Identifier: Apache-2.0 */
#include "store/opening.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/complain.h"
#include "store/damage.h"
#include "store/directory.h"
#include "store/repair.h"

enum { REPAIR_TRIES_MAX = 3 };

static enum opening repair(const struct engine_ops *ops, const struct engine_options *options,
                           struct wire_stats *stats)
{
    struct damage damage;
    char error[ENGINE_ERROR_SIZE] = "";
    if (!damage_find(options->path, &damage)) {
        return OPENING_DONE; /* somebody else was faster */
    }
    if (damage.tries >= REPAIR_TRIES_MAX) {
        complain("the store is damaged, and could not be repaired (its file DAMAGED says so)",
                 damage.reason);
        return OPENING_NOT_REPAIRED;
    }
    damage.tries++;
    damage_note(options->path, &damage);
    if (!repair_table(ops, options, &damage, stats, error)) {
        complain("the store is damaged, and was not repaired", error);
        return OPENING_NOT_REPAIRED;
    }
    damage_forget(options->path);
    return OPENING_DONE;
}

/*
 * What is noted to be damaged is repaired, by one process at a time, and not while another one has
 * the store open: tables are dropped without the engine's own lock.
 */
static enum opening mend(const struct engine_ops *ops, const struct engine_options *options,
                         struct wire_stats *stats)
{
    struct damage damage;
    char error[ENGINE_ERROR_SIZE] = "";
    if (!damage_find(options->path, &damage)) {
        return OPENING_DONE;
    }
    enum opening mended = OPENING_FAILED;
    const int fd = open(options->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        complain("the store is damaged, and is not ours to repair", strerror(errno));
    } else if (directory_judge(options->path, true, error, sizeof(error)) == DIRECTORY_LOCKED) {
        complain(options->path, error);
    } else {
        mended = repair(ops, options, stats);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return mended;
}

enum opening opening_run(const struct engine_ops *ops, const struct engine_options *options,
                         struct wire_stats *stats, struct engine **engine)
{
    char error[ENGINE_ERROR_SIZE] = "";
    struct damage damage;
    enum opening mended = mend(ops, options, stats);
    if (mended != OPENING_DONE) {
        return mended;
    }
    enum engine_result result = ops->open(options, engine, error);
    if (result == ENGINE_DAMAGED && damage_read(error, &damage)) {
        complain(options->path, error);
        damage_note(options->path, &damage);
        mended = mend(ops, options, stats);
        if (mended != OPENING_DONE) {
            return mended;
        }
        result = ops->open(options, engine, error);
    }
    if (result != ENGINE_OK) {
        complain(options->path, error);
        return OPENING_FAILED;
    }
    return OPENING_DONE;
}
