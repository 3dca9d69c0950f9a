/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H
/*
 * CHECK stays in every build: it guards state whose corruption would spread.
 * DCHECK is for inner loops: tests, fuzzers and sanitizer builds only.
 * Neither may have side effects. A failed check prints one line and aborts.
 */
_Noreturn void check_failed(const char *condition, const char *file, int line);

#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

#ifdef FULL_CHECKS
#define DCHECK(condition) CHECK(condition)
#else
#define DCHECK(condition) ((void)sizeof(!(condition)))
#endif

/* For a branch that cannot be taken, such as the end of a switch over our own enum. */
#define NEVER(why) check_failed(why, __FILE__, __LINE__)

#endif /* CORE_CHECK_H */
