/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_ANNOT_H
#define CORE_ANNOT_H
/*
 * Annotations that a tool checks. If no tool checks it, write a comment instead.
 *
 *   NODISCARD    the caller must look at the result            gcc, clang
 *   ON_REACTOR   call only from code that is on a reactor       clang -Wthread-safety
 *   ROLE_TRUSTED in a definition: takes or gives a role, so its body is not analysed
 *   ANY_THREAD   safe from every thread                         documentation only
 *
 * clang proves "some reactor"; CHECK(reactor_is_current(r)) proves "this reactor".
 */
#define NODISCARD __attribute__((warn_unused_result))
#define ANY_THREAD

#if defined(__clang__)
#define ON_REACTOR          __attribute__((requires_capability(reactor_role)))
#define BECOMES_REACTOR     __attribute__((acquire_capability(reactor_role)))
#define STOPS_BEING_REACTOR __attribute__((release_capability(reactor_role)))
#define ROLE_TRUSTED        __attribute__((no_thread_safety_analysis))
struct __attribute__((capability("role"))) thread_role {
    char unused;
};
#else
#define ON_REACTOR
#define BECOMES_REACTOR
#define STOPS_BEING_REACTOR
#define ROLE_TRUSTED
struct thread_role {
    char unused;
};
#endif

/* Declared so that the attributes can name it. Never defined, never read. */
extern struct thread_role reactor_role;

#endif /* CORE_ANNOT_H */
