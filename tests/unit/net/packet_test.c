/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet: references, bytes of its own, of memory that it took or of a blob, and that the last
 * reference gives all back.
 */
#include "net/packet.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/blob.h"

START_TEST(holds_bytes_of_every_size)
{
    static const size_t sizes[] = {1, 23, 24, 40, 100, 200, 500, 1000, 1001, 5000, 70000};
    struct packet_pool *pool = packet_pool_create(NULL);
    ck_assert_ptr_nonnull(pool);

    for (int round = 0; round < 3; round++) {
        struct packet *packets[sizeof(sizes) / sizeof(sizes[0])];
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            packets[i] = packet_create(pool, sizes[i]);
            ck_assert_ptr_nonnull(packets[i]);
            ck_assert_uint_eq(packet_span(packets[i]).size, sizes[i]);
            memset(packet_span(packets[i]).data, (int)i, sizes[i]);
        }
        ck_assert_uint_eq(packet_pool_count(pool), sizeof(sizes) / sizeof(sizes[0]));
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            const struct bytes bytes = packet_bytes(packets[i]);
            ck_assert_uint_eq(bytes.size, sizes[i]);
            ck_assert_uint_eq(bytes.data[0], i);
            ck_assert_uint_eq(bytes.data[sizes[i] - 1], i);
            packet_ref(packets[i]);
            packet_unref(packets[i]);
            ck_assert_uint_eq(packet_bytes(packets[i]).data[0], i);
            packet_unref(packets[i]);
        }
        ck_assert_uint_eq(packet_pool_count(pool), 0);
    }
    packet_unref(NULL);
    ck_assert_ptr_null(packet_create(pool, (size_t)UINT32_MAX + 1));
    ck_assert_uint_eq(packet_pool_count(pool), 0);
    packet_pool_destroy(pool);
    packet_pool_destroy(NULL);
}
END_TEST

START_TEST(becomes_shorter)
{
    struct packet_pool *pool = packet_pool_create(NULL);
    struct packet *packet = packet_create(pool, 100);
    ck_assert_ptr_nonnull(packet);
    ck_assert(!packet_is_replaceable(packet));
    packet_set_replaceable(packet);
    ck_assert(packet_is_replaceable(packet));
    packet_shorten(packet, 7);
    ck_assert_uint_eq(packet_bytes(packet).size, 7);
    packet_unref(packet);
    packet = packet_create(pool, 100);
    ck_assert(!packet_is_replaceable(packet));
    packet_unref(packet);
    ck_assert_uint_eq(packet_pool_bytes(pool), 0);

    /* What is counted for it follows, where it has memory of its own size. */
    packet = packet_create(pool, 5000);
    const size_t whole = packet_pool_bytes(pool);
    ck_assert_uint_ge(whole, 5000);
    packet_shorten(packet, 4000);
    ck_assert_uint_eq(packet_pool_bytes(pool), whole - 1000);
    packet_unref(packet);
    ck_assert_uint_eq(packet_pool_bytes(pool), 0);
    packet_pool_destroy(pool);
}
END_TEST

START_TEST(shows_a_blob)
{
    struct blob_pool *blobs = blob_pool_create(1 << 20);
    struct packet_pool *pool = packet_pool_create(blobs);
    struct blob *blob = blob_create(blobs, 100);
    ck_assert_ptr_nonnull(blob);
    memcpy(blob->data + 10, "hello", 5);
    blob->begin = 10;
    blob->end = 15;

    blob_share(blob, 1);
    struct packet *packet = packet_of_blob(pool, blob);
    ck_assert_ptr_nonnull(packet);
    ck_assert_uint_eq(packet_bytes(packet).size, 5);
    ck_assert_ptr_eq(packet_bytes(packet).data, blob->data + 10);
    packet_ref(packet);
    packet_unref(packet);
    ck_assert_uint_eq(blob_pool_count(blobs), 1);
    packet_unref(packet);
    ck_assert_mem_eq(blob_bytes(blob).data, "hello", 5); /* our own share */
    blob_drop(blob, blobs);
    ck_assert_uint_eq(blob_pool_count(blobs), 0);
    packet_pool_destroy(pool);
    blob_pool_destroy(blobs);
}
END_TEST

/* AddressSanitizer tells whether the memory is freed once. */
START_TEST(takes_memory)
{
    struct packet_pool *pool = packet_pool_create(NULL);
    uint8_t *memory = malloc(300);
    ck_assert_ptr_nonnull(memory);
    memcpy(memory + 255, "hello", 5);
    ck_assert_ptr_null(packet_of_memory(pool, memory, 0, (size_t)UINT32_MAX + 1));
    ck_assert_uint_eq(packet_pool_count(pool), 0);

    struct packet *packet = packet_of_memory(pool, memory, 255, 5);
    ck_assert_ptr_nonnull(packet);
    ck_assert_ptr_eq(packet_bytes(packet).data, memory + 255);
    ck_assert_uint_eq(packet_bytes(packet).size, 5);
    ck_assert(!packet_append(packet, packet_bytes(packet), (struct bytes){NULL, 0}));
    ck_assert_uint_ge(packet_pool_bytes(pool), 260);
    packet_ref(packet);
    packet_unref(packet);
    ck_assert_mem_eq(packet_bytes(packet).data, "hello", 5);
    packet_unref(packet);
    ck_assert_uint_eq(packet_pool_count(pool), 0);

    /* Its place in the pool is used again, for bytes of its own. */
    packet = packet_create(pool, 5);
    ck_assert_ptr_nonnull(packet);
    memcpy(packet_span(packet).data, "again", 5);
    ck_assert_mem_eq(packet_bytes(packet).data, "again", 5);
    packet_unref(packet);
    packet_pool_destroy(pool);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("packet");
    tcase_add_test(cases, holds_bytes_of_every_size);
    tcase_add_test(cases, becomes_shorter);
    tcase_add_test(cases, shows_a_blob);
    tcase_add_test(cases, takes_memory);
    Suite *suite = suite_create("net/packet");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
