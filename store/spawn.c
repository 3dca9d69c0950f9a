/* SPDX-License-Identifier: Apache-2.0 */
#include "store/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"

enum { CHILD_SOCKET = 3, READ_SIZE = 1024, READS_MAX = 64 };

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        /* Linux frees the descriptor even if close() fails. */
        (void)close(*fd);
        *fd = -1;
    }
}

/* The child's descriptors 0 to 3, the rest closed; the signals as a program finds them at start. */
static int describe_child(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                          int socket, int errors)
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
    result = result != 0 ? result : posix_spawn_file_actions_adddup2(actions, socket, CHILD_SOCKET);
    result =
        result != 0 ? result : posix_spawn_file_actions_addclosefrom_np(actions, CHILD_SOCKET + 1);
    result = result != 0 ? result : posix_spawnattr_setsigmask(attributes, &none);
    result = result != 0 ? result : posix_spawnattr_setsigdefault(attributes, &all);
    result = result != 0 ? result
                         : posix_spawnattr_setflags(attributes,
                                                    POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return -result;
}

static int spawn_process(const char *program, char *const arguments[], int socket, int errors,
                         pid_t *pid)
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
    result = describe_child(&actions, &attributes, socket, errors);
    if (result == 0) {
        result = -posix_spawn(pid, program, &actions, &attributes, arguments, environ);
    }
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return result;
}

/* A descriptor above those that the child's own are copied to, so that none is overwritten. */
static int lift(int *fd)
{
    const int lifted = fcntl(*fd, F_DUPFD_CLOEXEC, CHILD_SOCKET + 1);
    if (lifted < 0) {
        return -errno;
    }
    close_fd(fd);
    *fd = lifted;
    return 0;
}

int spawn_start(struct spawn *spawn, const char *program, char *const arguments[])
{
    CHECK(program != NULL);
    int sockets[2] = {-1, -1};
    int pipes[2] = {-1, -1};
    *spawn = (struct spawn){.pid_fd = -1, .socket = -1, .errors = -1};

    int result = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0 ||
        pipe2(pipes, O_CLOEXEC) != 0) {
        result = -errno;
        goto close_all;
    }
    result = lift(&sockets[1]);
    result = result != 0 ? result : lift(&pipes[1]);
    if (result != 0) {
        goto close_all;
    }
    if (fcntl(sockets[0], F_SETFL, O_NONBLOCK) != 0 || fcntl(pipes[0], F_SETFL, O_NONBLOCK) != 0) {
        result = -errno;
        goto close_all;
    }
    pid_t pid = 0;
    result = spawn_process(program, arguments, sockets[1], pipes[1], &pid);
    if (result != 0) {
        goto close_all;
    }
    spawn->pid = pid;
    spawn->pid_fd = pidfd_open(pid, 0);
    if (spawn->pid_fd < 0) {
        result = -errno;
        spawn_kill(spawn);
        (void)waitpid(pid, NULL, 0);
        spawn->pid = 0;
        goto close_all;
    }
    spawn->socket = sockets[0];
    spawn->errors = pipes[0];
    close_fd(&sockets[1]);
    close_fd(&pipes[1]);
    return 0;

close_all:
    for (int i = 0; i < 2; i++) {
        close_fd(&sockets[i]);
        close_fd(&pipes[i]);
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

void spawn_close_socket(struct spawn *spawn)
{
    close_fd(&spawn->socket);
}

void spawn_kill(struct spawn *spawn)
{
    if (spawn->pid > 0) {
        (void)kill(spawn->pid, SIGKILL);
    }
}

void spawn_close(struct spawn *spawn)
{
    close_fd(&spawn->socket);
    close_fd(&spawn->errors);
    close_fd(&spawn->pid_fd);
}
