/* SPDX-License-Identifier: Apache-2.0 */
#include "store/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"

enum { PATH_SIZE = 4096 };

/* Names that an engine leaves in a directory where it began, but did not get as far as CURRENT. */
static bool is_of_engine(const char *name)
{
    return strcmp(name, "LOCK") == 0 || strncmp(name, "LOG", 3) == 0 ||
           strncmp(name, "MANIFEST-", 9) == 0 || strcmp(name, "IDENTITY") == 0 ||
           strstr(name, ".dbtmp") != NULL;
}

static enum directory_verdict judge_content(DIR *directory, char *error, size_t error_size)
{
    char stranger[NAME_MAX + 1] = "";
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        if (strcmp(entry->d_name, "CURRENT") == 0) {
            return DIRECTORY_STORE;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, "lost+found") != 0 && !is_of_engine(entry->d_name)) {
            (void)snprintf(stranger, sizeof(stranger), "%s", entry->d_name);
        }
    }
    if (stranger[0] == '\0') {
        return DIRECTORY_EMPTY;
    }
    (void)snprintf(error, error_size, "is no store: it has files of others, such as %.200s",
                   stranger);
    return DIRECTORY_FOREIGN;
}

/* The engine holds a record lock on LOCK as long as it has the directory open. */
static bool is_locked(const char *path, char *error, size_t error_size)
{
    char name[PATH_SIZE];
    (void)snprintf(name, sizeof(name), "%s/LOCK", path);
    const int fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    const bool locked = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    if (locked) {
        (void)snprintf(error, error_size, "is in use by process %d", (int)lock.l_pid);
    }
    (void)close(fd);
    return locked;
}

enum directory_verdict directory_judge(const char *path, bool look_at_lock, char *error,
                                       size_t error_size)
{
    CHECK(path != NULL);
    CHECK(error_size > 0);

    DIR *const directory = opendir(path);
    if (directory == NULL) {
        const int reason = errno;
        (void)snprintf(error, error_size, "%s",
                       reason == ENOENT    ? "does not exist"
                       : reason == ENOTDIR ? "is not a directory"
                                           : strerror(reason));
        return reason == ENOENT    ? DIRECTORY_MISSING
               : reason == ENOTDIR ? DIRECTORY_FOREIGN
                                   : DIRECTORY_REFUSED;
    }
    const enum directory_verdict verdict = judge_content(directory, error, error_size);
    (void)closedir(directory);
    if (verdict == DIRECTORY_STORE && look_at_lock && is_locked(path, error, error_size)) {
        return DIRECTORY_LOCKED;
    }
    return verdict;
}
