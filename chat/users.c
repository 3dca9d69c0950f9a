/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/users.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

struct users {
    struct table_key key;
    struct table *table;
};

static struct bytes name_of(const void *value)
{
    const struct user *user = value;
    return (struct bytes){user->name, user->name_size};
}

struct users *users_create(const struct table_key *key)
{
    struct users *users = malloc(sizeof(*users));
    if (users == NULL) {
        return NULL;
    }
    users->key = *key;
    users->table = table_create(name_of);
    if (users->table == NULL) {
        free(users);
        return NULL;
    }
    return users;
}

void users_destroy(struct users *users)
{
    if (users != NULL) {
        CHECK(table_count(users->table) == 0);
        table_destroy(users->table);
        free(users);
    }
}

struct user *users_find(const struct users *users, struct bytes name)
{
    return table_find(users->table, table_hash(&users->key, name), name);
}

static struct user *create_user(struct users *users, struct bytes name)
{
    CHECK(name.size > 0 && name.size <= UINT16_MAX);
    struct user *user = malloc(sizeof(*user) + name.size);
    if (user == NULL) {
        return NULL;
    }
    *user = (struct user){
        .hash = table_hash(&users->key, name),
        .key = quota_key_of(&users->key, name),
        .name_size = (uint16_t)name.size,
    };
    list_init(&user->sessions);
    memcpy(user->name, name.data, name.size);
    if (table_insert(users->table, user->hash, user) != 0) {
        free(user);
        return NULL;
    }
    return user;
}

struct user *users_enter(struct users *users, struct bytes name, struct list_link *link)
{
    struct user *user = users_find(users, name);
    if (user == NULL) {
        user = create_user(users, name);
    }
    if (user != NULL) {
        list_push_back(&user->sessions, link);
        user->session_count++;
    }
    return user;
}

void users_leave(struct users *users, struct user *user, struct list_link *link)
{
    CHECK(user->session_count > 0);
    list_remove(link);
    if (--user->session_count == 0) {
        CHECK(list_is_empty(&user->sessions));
        const void *removed = table_remove(users->table, user->hash, name_of(user));
        CHECK(removed == user);
        free(user);
    }
}

size_t users_count(const struct users *users)
{
    return table_count(users->table);
}
