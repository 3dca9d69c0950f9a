/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/policy_places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

int policy_places_init(struct policy_places *places, const struct policy_table *table)
{
    *places = (struct policy_places){
        .list = calloc(POLICY_PLACES_MAX, sizeof(*places->list)),
    };
    if (places->list == NULL) {
        return -ENOMEM;
    }
    places->table.policies = places->list;
    policy_places_learn(places, table);
    policy_places_change(places, table);
    return 0;
}

void policy_places_deinit(struct policy_places *places)
{
    free(places->list);
    *places = (struct policy_places){.list = NULL};
}

void policy_places_learn(struct policy_places *places, const struct policy_table *table)
{
    CHECK(table->policy_count >= places->table.policy_count);
    CHECK(table->policy_count <= POLICY_PLACES_MAX);

    for (size_t i = places->table.policy_count; i < table->policy_count; i++) {
        places->list[i] = table->policies[i];
        places->list[i].is_removed = true;
    }
    places->table.policy_count = table->policy_count;
}

void policy_places_change(struct policy_places *places, const struct policy_table *table)
{
    CHECK(table->policy_count == places->table.policy_count);

    for (size_t i = 0; i < table->policy_count; i++) {
        const struct policy *fresh = &table->policies[i];
        struct policy *present = &places->list[i];
        CHECK(fresh->index == i);
        CHECK(policy_has_history(fresh) == policy_has_history(present));
        CHECK(fresh->durability == present->durability);
        *present = *fresh;
    }
    places->table.name_size_max = table->name_size_max;
    places->table.insecure = table->insecure;
}
