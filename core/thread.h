/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_THREAD_H
#define CORE_THREAD_H
/*
 * Create, name, pin, join.
 *
 * Signals   all are blocked in the new thread: they are the business of the main thread.
 * Owner     `struct thread` is the caller's memory and must stay where it is until the join.
 * Threads   ANY_THREAD; start and join one thread from the same thread.
 */
#include <pthread.h>
#include <stdint.h>

#include "core/annot.h"

enum {
    THREAD_NAME_SIZE_MAX = 16, /* bytes with the zero; the kernel's limit, longer is cut */
    THREAD_NOT_PINNED = -1,
};

struct thread {
    pthread_t handle;
    void (*run)(void *context);
    void *context;
    char name[THREAD_NAME_SIZE_MAX];
};

/*
 * Runs run(context) on a new thread that is called `name` and pinned to `cpu` (the kernel's
 * number), or not pinned. 0, or -errno and no thread: -EINVAL when this process may not use `cpu`.
 */
NODISCARD int thread_start(const char *name, int cpu, void (*run)(void *context), void *context,
                           struct thread *thread);

/* Waits until the thread has returned. Once per started thread. */
void thread_join(struct thread *thread);

/* Names the calling thread, without a system call. Never 0; may come again after a thread ended. */
NODISCARD uintptr_t thread_self(void);

#endif /* CORE_THREAD_H */
