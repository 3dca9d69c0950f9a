/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_DIRECTORY_H
#define CHAT_DIRECTORY_H
/*
 * The rooms, or the channels, of one reactor: found by name, and by a handle that goes stale.
 *
 * Owner     the roster, or the channels' home. The directory owns no object, only ways to find it.
 * Threads   one.
 * Names     are inside of the objects, which may therefore be of any size.
 */
#include <stddef.h>
#include <stdint.h>

#include "chat/ids.h"
#include "core/annot.h"
#include "core/bytes.h"

struct directory; /* opaque */

/* 0, or -ENOMEM. `name_of` views the name of an object. */
NODISCARD int directory_create(uint16_t reactor, uint32_t count_max,
                               struct bytes (*name_of)(const void *object),
                               struct directory **directory);

/* It must be empty. NULL: nothing. */
void directory_destroy(struct directory *directory);

/* The object of that name, or NULL. `hash` is that of the name. */
NODISCARD void *directory_find(const struct directory *directory, uint64_t hash, struct bytes name);

/* Adds an object under its name, which is not there yet. -ENOMEM (or full), and nothing changed. */
NODISCARD int directory_add(struct directory *directory, uint64_t hash, void *object,
                            uint32_t *slot);

/* Forgets it; its handle goes stale. */
void directory_remove(struct directory *directory, uint64_t hash, const void *object,
                      uint32_t slot);

NODISCARD struct ids_handle directory_handle(const struct directory *directory, uint32_t slot);

/* The object, or NULL when the handle is stale. It must be a handle of this reactor. */
NODISCARD void *directory_at(const struct directory *directory, struct ids_handle handle);

/* The object in a slot, or NULL. Slots from 0 to below directory_slot_end() have ever been used. */
NODISCARD void *directory_slot(const struct directory *directory, uint32_t slot);
NODISCARD uint32_t directory_slot_end(const struct directory *directory);

NODISCARD size_t directory_count(const struct directory *directory);

#endif /* CHAT_DIRECTORY_H */
