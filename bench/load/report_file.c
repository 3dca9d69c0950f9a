/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/load/report_private.h"
#include "core/check.h"

static int write_piece(int fd, struct bytes piece)
{
    while (piece.size > 0) {
        const ssize_t written = write(fd, piece.data, piece.size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return -errno;
        }
        piece.data += written;
        piece.size -= (size_t)written;
    }
    return 0;
}

/* Opens, writes and closes; a disk can be full as late as that. */
static int write_file(const char *path, int flags, const struct bytes *pieces, size_t piece_count)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0666);
    if (fd < 0) {
        return -errno;
    }
    int result = 0;
    for (size_t i = 0; i < piece_count && result == 0; i++) {
        result = write_piece(fd, pieces[i]);
    }
    if (close(fd) != 0 && result == 0) {
        result = -errno;
    }
    return result;
}

/* There, and neither file nor directory: /dev/stdout, a pipe. Its name is not ours to replace. */
static bool is_device(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

/* The name of the file that is written beside, on the heap. NULL: no memory. */
static char *beside(const char *path)
{
    char *name = NULL;
    return asprintf(&name, "%s.%d.part", path, (int)getpid()) < 0 ? NULL : name;
}

int report_save(const char *path, const struct bytes *pieces, size_t piece_count)
{
    CHECK(path != NULL);

    if (is_device(path)) {
        return write_file(path, 0, pieces, piece_count);
    }
    char *part = beside(path);
    if (part == NULL) {
        return -ENOMEM;
    }
    int result = write_file(part, O_CREAT | O_EXCL, pieces, piece_count);
    if (result == -EEXIST) {
        goto free_part; /* it is not ours */
    }
    if (result == 0 && rename(part, path) != 0) {
        result = -errno;
    }
    if (result != 0) {
        /* The first failure is the one to report. */
        (void)unlink(part);
    }
free_part:
    free(part);
    return result;
}

/* Nothing is left of it. */
int report_try(const char *path)
{
    struct stat status;

    if (is_device(path)) {
        return access(path, W_OK) == 0 ? 0 : -errno;
    }
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return -EISDIR;
    }
    char *part = beside(path);
    if (part == NULL) {
        return -ENOMEM;
    }
    const int result = write_file(part, O_CREAT | O_EXCL, NULL, 0);
    if (result != -EEXIST) {
        (void)unlink(part);
    }
    free(part);
    return result;
}
