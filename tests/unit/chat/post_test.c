/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Posts go through the bus unchanged, and every kind says whether it holds a share of a blob.
 */
#include "chat/post.h"

#include "tests/unit/chat/testing.h"

START_TEST(packs_and_unpacks)
{
    const struct ids_handle session = {.slot = 1, .generation = 2, .reactor = 3};
    struct blob blob;
    const struct post post = {
        .from = 4,
        .role = BUS_ASK,
        .kind = POST_PUBLISH,
        .word = 5,
        .publish = {.blob = &blob, .hash = 6, .session = session, .command = 7, .name_size = 8},
    };

    const struct bus_post packed = post_pack(&post);
    ck_assert_uint_eq(packed.from, 4);
    ck_assert_uint_eq(packed.role, BUS_ASK);
    ck_assert_uint_eq(packed.kind, POST_PUBLISH);
    ck_assert_uint_eq(packed.word, 5);

    const struct post same = post_unpack(&packed);
    ck_assert_mem_eq(&same, &post, sizeof(post));
    ck_assert_ptr_eq(same.publish.blob, &blob);
    ck_assert_uint_eq(same.publish.hash, 6);
    ck_assert(ids_handle_equal(same.publish.session, session));
    ck_assert_uint_eq(same.publish.command, 7);
    ck_assert_uint_eq(same.publish.name_size, 8);
}
END_TEST

int main(void)
{
    TCase *posts = tcase_create("post");
    tcase_add_test(posts, packs_and_unpacks);
    Suite *suite = suite_create("chat/post");
    suite_add_tcase(suite, posts);
    return run_suite(suite);
}
