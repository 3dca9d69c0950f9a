/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/store/bare.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"

enum {
    LOG_HEAD_SIZE = 24, /* a key and a checksum, as a log would have them */
    BLOCK_SIZE = 16 << 20,
    QUESTION_SIZE = 64,
    ANSWER_SIZE = 50 * (24 + MESSAGE_SIZE) + 80, /* a page of 50 records */
};

void bare_write(int fd, const struct messages *messages, uint64_t from, uint64_t count)
{
    static uint8_t block[BLOCK_SIZE];
    size_t size = 0;
    CHECK(count <= BLOCK_SIZE / (LOG_HEAD_SIZE + MESSAGE_SIZE));
    for (uint64_t i = 0; i < count; i++) {
        memset(block + size, 0x5a, LOG_HEAD_SIZE);
        memcpy(block + size + LOG_HEAD_SIZE, messages_text(messages, from + i).data, MESSAGE_SIZE);
        size += LOG_HEAD_SIZE + MESSAGE_SIZE;
    }
    CHECK(write(fd, block, size) == (ssize_t)size);
    CHECK(fdatasync(fd) == 0);
}

/* Until the other end is closed. */
_Noreturn static void answer_all(int fd)
{
    static const uint8_t answer[ANSWER_SIZE];
    uint8_t question[QUESTION_SIZE];
    while (recv(fd, question, sizeof(question), MSG_WAITALL) == QUESTION_SIZE &&
           send(fd, answer, sizeof(answer), MSG_NOSIGNAL) == ANSWER_SIZE) {
    }
    _exit(0);
}

void bare_process_start(struct bare_process *process)
{
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    process->pid = fork();
    CHECK(process->pid >= 0);
    if (process->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(fds[0]);
        answer_all(fds[1]);
    }
    (void)close(fds[1]);
    process->fd = fds[0];
    process->owed = 0;
}

void bare_process_ask(struct bare_process *process)
{
    static const uint8_t question[QUESTION_SIZE];
    CHECK(process->owed == 0);
    CHECK(send(process->fd, question, sizeof(question), MSG_NOSIGNAL) == QUESTION_SIZE);
    process->owed = ANSWER_SIZE;
}

void bare_process_hear(struct bare_process *process)
{
    static uint8_t bytes[ANSWER_SIZE];
    const ssize_t size = recv(process->fd, bytes, process->owed, MSG_DONTWAIT);
    CHECK(size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR)));
    process->owed -= size > 0 ? (size_t)size : 0;
}

void bare_process_end(struct bare_process *process)
{
    (void)close(process->fd);
    CHECK(waitpid(process->pid, NULL, 0) == process->pid);
}
