/* SPDX-License-Identifier: Apache-2.0 */
#include "core/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "core/check.h"

static void *thread_main(void *argument)
{
    struct thread *thread = argument;

    /* Only a name for people: without it everything still works. */
    (void)pthread_setname_np(pthread_self(), thread->name);
    thread->run(thread->context);
    return NULL;
}

/* The affinity belongs to the attributes, so the thread never runs on another CPU first. */
static int set_affinity(pthread_attr_t *attributes, int cpu)
{
    const size_t cpus = (size_t)cpu + 1;
    cpu_set_t *set = CPU_ALLOC(cpus);
    if (set == NULL) {
        return -ENOMEM;
    }
    const size_t set_size = CPU_ALLOC_SIZE(cpus);
    CPU_ZERO_S(set_size, set);
    CPU_SET_S((size_t)cpu, set_size, set);
    const int error = pthread_attr_setaffinity_np(attributes, set_size, set);
    CPU_FREE(set);
    return -error;
}

int thread_start(const char *name, int cpu, void (*run)(void *context), void *context,
                 struct thread *thread)
{
    CHECK(name != NULL);
    CHECK(cpu >= THREAD_NOT_PINNED);
    CHECK(run != NULL);
    CHECK(thread != NULL);

    pthread_attr_t attributes;
    int result = -pthread_attr_init(&attributes);
    if (result != 0) {
        return result;
    }
    sigset_t all_signals;
    (void)sigfillset(&all_signals); /* fails only for a NULL */
    result = -pthread_attr_setsigmask_np(&attributes, &all_signals);
    if (result == 0 && cpu != THREAD_NOT_PINNED) {
        result = set_affinity(&attributes, cpu);
    }
    if (result == 0) {
        thread->run = run;
        thread->context = context;
        (void)snprintf(thread->name, sizeof(thread->name), "%s", name); /* cut on purpose */
        result = -pthread_create(&thread->handle, &attributes, thread_main, thread);
    }
    (void)pthread_attr_destroy(&attributes); /* never fails on an initialised one */
    return result;
}

void thread_join(struct thread *thread)
{
    CHECK(thread != NULL);

    const int error = pthread_join(thread->handle, NULL);
    CHECK(error == 0);
}

uintptr_t thread_self(void)
{
    const pthread_t self = pthread_self();
    _Static_assert(sizeof(self) == sizeof(uintptr_t), "glibc's pthread_t is an address");
    return (uintptr_t)self;
}
