/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_API_KEY_H
#define SERVER_API_KEY_H
/*
 * The key of the server API, and whether a request has it.
 *
 * Only a SHA-256 of it is kept. What a request shows is compared by its own, in a time that says
 * nothing of either (LIMITS.md row 56). Frozen after api_key_load(). ANY_THREAD.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

struct config_http_api;
struct http_request;

enum { API_KEY_DIGEST_SIZE = 32 }; /* bytes */

/* All zero: there is no key, and nothing has it. */
struct api_key {
    uint8_t digest[API_KEY_DIGEST_SIZE];
    bool is_set;
};

/*
 * From the configuration, or the file that it names: its text, without the newline at its end. A
 * thread that may block. False, and a line in `error`.
 */
NODISCARD bool api_key_load(struct api_key *key, const struct config_http_api *config, char *error,
                            size_t error_size);

/* X-API-Key: KEY, or Authorization: apikey KEY. Of several the first. */
NODISCARD bool api_key_is_shown(const struct api_key *key, const struct http_request *request);

#endif /* SERVER_API_KEY_H */
