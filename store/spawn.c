/* SPDX-License-Identifier: Apache-2.0 */
#include "store/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"

enum {
    CHILD_SOCKETS = 3,
    CHILD_END = CHILD_SOCKETS + SPAWN_SOCKETS,
    READ_SIZE = 1024,
    READS_MAX = 64
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        /* Linux frees the descriptor even if close() fails. */
        (void)close(*fd);
        *fd = -1;
    }
}

/* The child's descriptors 0 to 4, the rest closed; the signals as a program finds them at start. */
static int describe_child(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                          const int sockets[SPAWN_SOCKETS], int errors)
{
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int result = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    result = result != 0 ? result
                         : posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null",
                                                            O_WRONLY, 0);
    result =
        result != 0 ? result : posix_spawn_file_actions_adddup2(actions, errors, STDERR_FILENO);
    for (int i = 0; i < SPAWN_SOCKETS && result == 0; i++) {
        result = posix_spawn_file_actions_adddup2(actions, sockets[i], CHILD_SOCKETS + i);
    }
    result = result != 0 ? result : posix_spawn_file_actions_addclosefrom_np(actions, CHILD_END);
    result = result != 0 ? result : posix_spawnattr_setsigmask(attributes, &none);
    result = result != 0 ? result : posix_spawnattr_setsigdefault(attributes, &all);
    result = result != 0 ? result
                         : posix_spawnattr_setflags(attributes,
                                                    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return -result;
}

/* Ours, and `more` behind it. NULL: no memory. */
static char **extend_environment(char *more)
{
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **const extended = calloc(count + 2, sizeof(extended[0]));
    if (extended != NULL) {
        memcpy(extended, environ, count * sizeof(extended[0]));
        extended[count] = more;
    }
    return extended;
}

/*
 * With huge pages for the child's memory: in its write buffers each step from one record to the
 * next misses the TLB without them. The kernel may refuse (transparent_hugepage/enabled), and
 * whoever has set tunables of the C library has said what is wanted.
 */
static int spawn_process(const char *program, char *const arguments[],
                         const int sockets[SPAWN_SOCKETS], int errors, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int result = posix_spawn_file_actions_init(&actions);
    if (result != 0) {
        return -result;
    }
    result = posix_spawnattr_init(&attributes);
    if (result != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return -result;
    }
    char huge_pages[] = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1";
    char **const environment =
        extend_environment(getenv("GLIBC_TUNABLES") == NULL ? huge_pages : NULL);
    result = environment == NULL ? -ENOMEM : describe_child(&actions, &attributes, sockets, errors);
    if (result == 0) {
        result = -posix_spawn(pid, program, &actions, &attributes, arguments, environment);
    }
    free(environment);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return result;
}

/* A descriptor above those that the child's own are copied to, so that none is overwritten. */
static int lift(int *fd)
{
    const int lifted = fcntl(*fd, F_DUPFD_CLOEXEC, CHILD_END);
    if (lifted < 0) {
        return -errno;
    }
    close_fd(fd);
    *fd = lifted;
    return 0;
}

static void close_all(int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        close_fd(&fds[i]);
    }
}

/* Ours does not block, the child's does. `made` says whether there are two ends; else see errno. */
static int take_ends(bool made, const int ends[2], int *ours, int *theirs)
{
    if (!made) {
        return -errno;
    }
    *ours = ends[0];
    *theirs = ends[1];
    return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0 ? lift(theirs) : -errno;
}

int spawn_start(struct spawn *spawn, const char *program, char *const arguments[])
{
    CHECK(program != NULL);
    int theirs[SPAWN_SOCKETS] = {-1, -1};
    int errors = -1;
    *spawn = (struct spawn){.pid_fd = -1, .sockets = {-1, -1}, .errors = -1};

    int ends[2];
    bool made = pipe2(ends, O_CLOEXEC) == 0;
    int result = take_ends(made, ends, &spawn->errors, &errors);
    for (int i = 0; i < SPAWN_SOCKETS && result == 0; i++) {
        made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;
        result = take_ends(made, ends, &spawn->sockets[i], &theirs[i]);
    }
    if (result == 0) {
        result = spawn_process(program, arguments, theirs, errors, &spawn->pid);
    }
    if (result == 0) {
        spawn->pid_fd = pidfd_open(spawn->pid, 0);
        if (spawn->pid_fd < 0) {
            result = -errno;
            spawn_kill(spawn);
            (void)waitpid(spawn->pid, NULL, 0);
        }
    }
    close_all(theirs, SPAWN_SOCKETS);
    close_fd(&errors);
    if (result != 0) {
        spawn->pid = 0;
        spawn_close(spawn);
    }
    return result;
}

/* Control characters have no place in a log. */
static void take_text(struct spawn *spawn, const char *text, size_t size)
{
    size_t used = strlen(spawn->part);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n') {
            if (used > 0) {
                memcpy(spawn->line, spawn->part, used + 1);
                if (spawn->on_line != NULL) {
                    spawn->on_line(spawn->context, spawn->line);
                }
            }
            used = 0;
            spawn->part[0] = '\0';
        } else if (used + 1 < sizeof(spawn->part)) {
            spawn->part[used++] = (char)((unsigned char)text[i] < ' ' ? ' ' : text[i]);
            spawn->part[used] = '\0';
        }
    }
}

void spawn_read_errors(struct spawn *spawn)
{
    char text[READ_SIZE];
    for (int i = 0; i < READS_MAX && spawn->errors >= 0; i++) {
        const ssize_t got = read(spawn->errors, text, sizeof(text));
        if (got > 0) {
            take_text(spawn, text, (size_t)got);
        } else if (got == 0) {
            close_fd(&spawn->errors);
        } else if (errno != EINTR) {
            return;
        }
    }
}

bool spawn_reap(struct spawn *spawn, char *how, size_t how_size)
{
    int status = 0;
    CHECK(spawn->pid > 0);
    if (waitpid(spawn->pid, &status, WNOHANG) != spawn->pid) {
        return false;
    }
    spawn->pid = 0;
    spawn->status = status;
    if (WIFSIGNALED(status)) {
        (void)snprintf(how, how_size, "signal %d (%s)", WTERMSIG(status),
                       sigdescr_np(WTERMSIG(status)));
    } else {
        (void)snprintf(how, how_size, "exit status %d", WEXITSTATUS(status));
    }
    return true;
}

void spawn_close_sockets(struct spawn *spawn)
{
    close_all(spawn->sockets, SPAWN_SOCKETS);
}

void spawn_kill(struct spawn *spawn)
{
    if (spawn->pid > 0) {
        (void)kill(spawn->pid, SIGKILL);
    }
}

void spawn_close(struct spawn *spawn)
{
    spawn_close_sockets(spawn);
    close_fd(&spawn->errors);
    close_fd(&spawn->pid_fd);
}
