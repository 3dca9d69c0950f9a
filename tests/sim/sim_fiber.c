/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "core/check.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#endif

enum { STACK_SIZE = 512 << 10 }; /* bytes; touched as needed */

struct sim_fiber {
    ucontext_t self;
    ucontext_t scheduler;
    void (*run)(void *context);
    void *context;
    void *stack;
    const void *scheduler_stack; /* as AddressSanitizer knows it */
    size_t scheduler_stack_size;
    void *self_shadow; /* AddressSanitizer's, while it does not run */
    void *scheduler_shadow;
    void *self_race; /* ThreadSanitizer's */
    void *scheduler_race;
    bool has_returned;
};

#ifdef UNDER_ASAN
#include <sanitizer/common_interface_defs.h>

static void leave_stack(void **shadow, const void *stack, size_t size)
{
    __sanitizer_start_switch_fiber(shadow, stack, size);
}

static void enter_stack(void *shadow, const void **old_stack, size_t *old_size)
{
    __sanitizer_finish_switch_fiber(shadow, old_stack, old_size);
}
#else
static void leave_stack(void **shadow, const void *stack, size_t size)
{
    (void)shadow;
    (void)stack;
    (void)size;
}

static void enter_stack(void *shadow, const void **old_stack, size_t *old_size)
{
    (void)shadow;
    (void)old_stack;
    (void)old_size;
}
#endif

#ifdef UNDER_TSAN
#include <sanitizer/tsan_interface.h>

static void *race_create(void)
{
    return __tsan_create_fiber(0);
}

static void race_destroy(void *race)
{
    __tsan_destroy_fiber(race);
}

static void *race_current(void)
{
    return __tsan_get_current_fiber();
}

static void race_switch(void *race)
{
    __tsan_switch_to_fiber(race, 0);
}
#else
static void *race_create(void)
{
    return NULL;
}

static void race_destroy(void *race)
{
    (void)race;
}

static void *race_current(void)
{
    return NULL;
}

static void race_switch(void *race)
{
    (void)race;
}
#endif

/* makecontext() passes integers only. */
static void begin(unsigned high, unsigned low)
{
    struct sim_fiber *fiber = (struct sim_fiber *)(((uintptr_t)high << 32) | (uintptr_t)low);

    enter_stack(NULL, &fiber->scheduler_stack, &fiber->scheduler_stack_size);
    fiber->run(fiber->context);
    fiber->has_returned = true;
    leave_stack(NULL, fiber->scheduler_stack, fiber->scheduler_stack_size);
    race_switch(fiber->scheduler_race);
    (void)setcontext(&fiber->scheduler);
    NEVER("setcontext returned");
}

/* On its own: the compiler takes getcontext() for a function that may return twice. */
static void prepare(struct sim_fiber *fiber)
{
    const int result = getcontext(&fiber->self);
    CHECK(result == 0);
    fiber->self.uc_stack.ss_sp = fiber->stack;
    fiber->self.uc_stack.ss_size = STACK_SIZE;
    const uintptr_t address = (uintptr_t)fiber;
    makecontext(&fiber->self, (void (*)(void))begin, 2, (unsigned)(address >> 32),
                (unsigned)address);
}

struct sim_fiber *sim_fiber_create(void (*run)(void *context), void *context)
{
    struct sim_fiber *fiber = calloc(1, sizeof(*fiber));
    if (fiber == NULL) {
        return NULL;
    }
    fiber->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (fiber->stack == MAP_FAILED) {
        free(fiber);
        return NULL;
    }
    fiber->run = run;
    fiber->context = context;
    fiber->self_race = race_create();
    prepare(fiber);
    return fiber;
}

void sim_fiber_destroy(struct sim_fiber *fiber)
{
    if (fiber == NULL) {
        return;
    }
    CHECK(fiber->has_returned);
    race_destroy(fiber->self_race);
    (void)munmap(fiber->stack, STACK_SIZE);
    free(fiber);
}

void sim_fiber_resume(struct sim_fiber *fiber)
{
    CHECK(!fiber->has_returned);
    fiber->scheduler_race = race_current();
    leave_stack(&fiber->scheduler_shadow, fiber->stack, STACK_SIZE);
    race_switch(fiber->self_race);
    const int result = swapcontext(&fiber->scheduler, &fiber->self);
    CHECK(result == 0);
    enter_stack(fiber->scheduler_shadow, NULL, NULL);
}

void sim_fiber_yield(struct sim_fiber *fiber)
{
    leave_stack(&fiber->self_shadow, fiber->scheduler_stack, fiber->scheduler_stack_size);
    race_switch(fiber->scheduler_race);
    const int result = swapcontext(&fiber->self, &fiber->scheduler);
    CHECK(result == 0);
    enter_stack(fiber->self_shadow, &fiber->scheduler_stack, &fiber->scheduler_stack_size);
}

bool sim_fiber_has_returned(const struct sim_fiber *fiber)
{
    return fiber->has_returned;
}
