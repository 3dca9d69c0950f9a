/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_API_PRIVATE_H
#define PROTO_API_PRIVATE_H
/*
 * Private to proto/api*.c:
 *
 *   api.c           bodies, batches, lists
 *   api_fields.c    the members of each method
 *   api_fault.c     what is wrong with them
 */
#include <stdbool.h>
#include <string.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/api.h"
#include "proto/fields.h"
#include "proto/utf8.h"

enum {
    API_DATA_DEPTH_MAX = COMMAND_DEPTH_MAX - 2, /* as deep as what a client may publish */
};

/* Rows are methods, whose inner tables are of struct api_command; and of struct api_batch. */
extern const struct fields_table api_methods;
extern const struct fields_table api_batch_fields;

/* The member that is wrong, or missing, whatever the channels are called; NULL: none. */
NODISCARD const char *api_find_fault(const struct simd_ops *simd, struct api_command *command);

_Static_assert(sizeof(struct span) == sizeof(struct bytes), "they differ by a const");

/* The body was lent to write to, and the view is a part of it. */
static inline struct span api_lent(struct bytes view)
{
    struct span span;
    memcpy(&span, &view, sizeof(span));
    return span;
}

static inline bool api_is_utf8(const struct simd_ops *simd, struct bytes text)
{
    struct utf8_state state = {0};
    return utf8_check(simd, &state, text) == UTF8_VALID && utf8_is_complete(state);
}

#endif /* PROTO_API_PRIVATE_H */
