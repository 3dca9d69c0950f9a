/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_RELOAD_ANSWER_H
#define SERVER_RELOAD_ANSWER_H
/*
 * What a back end is told that asked for a reload, as JSON:
 *
 *   {"changed":["client.channel_limit"],"needs_restart":["reactor.count"]}
 *   {"code":107,"message":"parley.yaml:3:5: ..."}
 *
 * Pure but for memory: a blob with one share; NULL: there is none.
 */
#include "core/annot.h"

struct blob;
struct blob_pool;
struct config_changes;

NODISCARD struct blob *reload_answer_changes(struct blob_pool *pool,
                                             const struct config_changes *changes);
NODISCARD struct blob *reload_answer_error(struct blob_pool *pool, const char *why);

#endif /* SERVER_RELOAD_ANSWER_H */
