/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded in front of the C library (LD_PRELOAD) of parley-store: makes its disk slow or broken.
 * The file that PARLEY_STORE_SHIM names says how, and is looked at by every fdatasync and write:
 *
 *   slow MILLISECONDS   each fdatasync takes that much longer
 *   hold                fdatasync waits until something else is said, and then does that; a minute
 *                       at most, for who should say it may be gone
 *   eio                 fdatasync fails with EIO
 *   enospc              writes to files fail with ENOSPC
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { HOLD_LOOKS_MAX = 12000, HOLD_LOOK_MS = 5 };

/* What the control file says now; empty when there is none. */
static void look(char text[static 64])
{
    text[0] = '\0';
    const char *const path = getenv("PARLEY_STORE_SHIM");
    const int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        const ssize_t got = read(fd, text, 63);
        text[got > 0 ? got : 0] = '\0';
        (void)close(fd);
    }
}

static void pause_for(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&pause, NULL);
}

static int (*next_fdatasync(void))(int)
{
    int (*found)(int) = NULL;
    void *const symbol = dlsym(RTLD_NEXT, "fdatasync");
    memcpy(&found, &symbol, sizeof(found));
    return found;
}

static ssize_t (*next_write(void))(int, const void *, size_t)
{
    ssize_t (*found)(int, const void *, size_t) = NULL;
    void *const symbol = dlsym(RTLD_NEXT, "write");
    memcpy(&found, &symbol, sizeof(found));
    return found;
}

int fdatasync(int fd)
{
    char text[64];
    look(text);
    for (int i = 0; i < HOLD_LOOKS_MAX && strncmp(text, "hold", 4) == 0; i++) {
        pause_for(HOLD_LOOK_MS);
        look(text);
    }
    if (strncmp(text, "eio", 3) == 0) {
        errno = EIO;
        return -1;
    }
    if (strncmp(text, "slow ", 5) == 0) {
        pause_for(strtol(text + 5, NULL, 10));
    }
    return next_fdatasync()(fd);
}

ssize_t write(int fd, const void *data, size_t size)
{
    char text[64];
    struct stat status;
    look(text);
    if (strncmp(text, "enospc", 6) == 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        errno = ENOSPC;
        return -1;
    }
    return next_write()(fd, data, size);
}
