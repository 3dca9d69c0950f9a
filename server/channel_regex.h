/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CHANNEL_REGEX_H
#define SERVER_CHANNEL_REGEX_H
/*
 * `channel_regex`: what the names of a namespace have to look like, as PCRE2 understands it.
 *
 * Patterns are the operator's, names (at most 255 bytes) are strangers'. PCRE2 goes back and forth,
 * so each match has a budget of steps, above which a name does not match: whatever the pattern, a
 * name costs at most some hundred microseconds. RE2, which needs no budget, is C++.
 *
 * Owner     the caller. Frozen once created; ANY_THREAD may match.
 */
#include <stddef.h>

#include "core/annot.h"
#include "core/bytes.h"

struct channel_regex; /* opaque */

enum { CHANNEL_REGEX_ERROR_SIZE = 160 }; /* bytes, with the NUL */

/* NULL and why, with the place in the pattern. */
NODISCARD struct channel_regex *channel_regex_create(const char *pattern,
                                                     char error[CHANNEL_REGEX_ERROR_SIZE]);
void channel_regex_destroy(struct channel_regex *regex); /* NULL: nothing */

/* Does it match anywhere in `rest`? 1: it does; 0; or -ENOMEM. For struct policy_pattern. */
NODISCARD int channel_regex_matches(const void *regex, struct bytes rest) ANY_THREAD;

#endif /* SERVER_CHANNEL_REGEX_H */
