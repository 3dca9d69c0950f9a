/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_CHAT_FAKE_VERIFIER_H
#define TESTS_UNIT_CHAT_FAKE_VERIFIER_H
/*
 * A verifier whose tokens are names in a table of the test's: the claims are what stands there.
 *
 * "expired" and "later" are tokens of that verdict; what is not in the table is invalid.
 */
#include "chat/claims.h"
#include "tests/unit/chat/testing.h"

struct fake_token {
    const char *text;
    enum claims_kind kind;
    struct claims claims;
};

struct fake_tokens {
    const struct fake_token *list;
    int count;
};

static inline enum claims_verdict fake_verify(void *context, enum claims_kind kind,
                                              struct bytes token, struct claims *claims)
{
    const struct fake_tokens *tokens = context;

    if (is_text(token, "expired")) {
        return CLAIMS_EXPIRED;
    }
    if (is_text(token, "later")) {
        return CLAIMS_UNAVAILABLE;
    }
    for (int i = 0; i < tokens->count; i++) {
        if (tokens->list[i].kind == kind && is_text(token, tokens->list[i].text)) {
            *claims = tokens->list[i].claims;
            return CLAIMS_VALID;
        }
    }
    return CLAIMS_INVALID;
}

#endif /* TESTS_UNIT_CHAT_FAKE_VERIFIER_H */
