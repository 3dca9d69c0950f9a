/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine makes of databases that it finds: stores of other versions, and what others have
 * made. They are made by RocksDB itself, as those versions made them.
 */
#include <check.h>
#include <ftw.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/codec.h"
#include "store/engine.h"

enum { FAMILIES_MAX = 8 };

static char root[64];
static char path[80];

static void setup(void)
{
    (void)snprintf(root, sizeof(root), "/tmp/parley-engine-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    (void)snprintf(path, sizeof(path), "%s/store", root);
}

static int remove_one(const char *name, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(name);
}

static void teardown(void)
{
    ck_assert_int_eq(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static struct bytes text(const char *in)
{
    return (struct bytes){(const uint8_t *)in, strlen(in)};
}

static enum engine_result open_engine(enum engine_mode mode, struct engine **engine, char *error)
{
    const struct engine_options options = {
        .path = path,
        .mode = mode,
        .write_buffer_bytes = 1 << 20,
        .block_cache_bytes = 1 << 20,
        .open_files_max = 64,
    };
    return engine_rocksdb.open(&options, engine, error);
}

/* A store that has one channel with one record. */
static void make_store(void)
{
    char error[ENGINE_ERROR_SIZE] = "";
    struct engine *engine = NULL;
    const struct engine_entry entries[] = {
        {.op = ENGINE_PUT_RECORD,
         .stream_id = 1,
         .record = {.offset = 1, .time_ms = 5, .value = text("hello")}},
        {.op = ENGINE_PUT_META,
         .stream_id = 1,
         .name = text("room"),
         .meta = {.stream_id = 1, .stream = {.epoch = 7, .first = 1}}},
        {.op = ENGINE_PUT_NEXT_ID, .stream_id = 2},
    };
    ck_assert_msg(open_engine(ENGINE_CREATE, &engine, error) == ENGINE_OK, "%s", error);
    ck_assert_int_eq(engine_rocksdb.commit(engine, entries, 3, true, error), ENGINE_OK);
    engine_rocksdb.close(engine);
}

static void expect_store(enum engine_mode mode)
{
    char error[ENGINE_ERROR_SIZE] = "";
    struct engine *engine = NULL;
    struct record_meta meta = {.stream_id = 0};
    ck_assert_msg(open_engine(mode, &engine, error) == ENGINE_OK, "%s", error);
    ck_assert_int_eq(engine_rocksdb.find_stream(engine, text("room"), &meta, error), ENGINE_OK);
    ck_assert(meta.stream.epoch == 7 && meta.stream.top == 1);
    ck_assert_uint_eq(engine_rocksdb.next_stream_id(engine), 2);
    engine_rocksdb.close(engine);
}

static void expect_refusal(enum engine_mode mode, const char *part)
{
    char error[ENGINE_ERROR_SIZE] = "";
    struct engine *engine = NULL;
    ck_assert_int_ne(open_engine(mode, &engine, error), ENGINE_OK);
    ck_assert_ptr_null(engine);
    ck_assert_msg(strstr(error, part) != NULL, "\"%s\", not \"%s\"", error, part);
}

/* --- Databases, as others have them --- */

struct database {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_column_family_handle_t *families[FAMILIES_MAX];
    char **names;
    size_t count;
};

static struct database open_database(void)
{
    struct database database = {.options = rocksdb_options_create()};
    char *failure = NULL;
    rocksdb_options_set_create_if_missing(database.options, 1);
    database.names =
        rocksdb_list_column_families(database.options, path, &database.count, &failure);
    ck_assert_msg(failure == NULL, "%s", failure);
    ck_assert_uint_le(database.count, FAMILIES_MAX);
    const rocksdb_options_t *options[FAMILIES_MAX];
    for (size_t i = 0; i < database.count; i++) {
        options[i] = database.options;
    }
    database.db = rocksdb_open_column_families(database.options, path, (int)database.count,
                                               (const char *const *)database.names, options,
                                               database.families, &failure);
    ck_assert_msg(failure == NULL, "%s", failure);
    return database;
}

static void close_database(struct database *database)
{
    for (size_t i = 0; i < database->count; i++) {
        rocksdb_column_family_handle_destroy(database->families[i]);
    }
    rocksdb_close(database->db);
    rocksdb_list_column_families_destroy(database->names, database->count);
    rocksdb_options_destroy(database->options);
}

/* With what the deletion of a stream had left there, in a table. */
static void add_family(const char *name)
{
    struct database database = open_database();
    char *failure = NULL;
    rocksdb_column_family_handle_t *const family =
        rocksdb_create_column_family(database.db, database.options, name, &failure);
    ck_assert_msg(failure == NULL, "%s", failure);
    rocksdb_writeoptions_t *const writing = rocksdb_writeoptions_create();
    rocksdb_delete_range_cf(database.db, writing, family, "a", 1, "b", 1, &failure);
    ck_assert_msg(failure == NULL, "%s", failure);
    rocksdb_flushoptions_t *const flushing = rocksdb_flushoptions_create();
    rocksdb_flush_cf(database.db, flushing, family, &failure);
    ck_assert_msg(failure == NULL, "%s", failure);
    rocksdb_flushoptions_destroy(flushing);
    rocksdb_writeoptions_destroy(writing);
    rocksdb_column_family_handle_destroy(family);
    close_database(&database);
}

static bool has_family(const char *name)
{
    struct database database = open_database();
    bool found = false;
    for (size_t i = 0; i < database.count; i++) {
        found = found || strcmp(database.names[i], name) == 0;
    }
    close_database(&database);
    return found;
}

static void put_format(uint64_t format)
{
    struct database database = open_database();
    rocksdb_writeoptions_t *const writing = rocksdb_writeoptions_create();
    char *failure = NULL;
    uint8_t value[8];
    codec_put_u64(value, format);
    rocksdb_put(database.db, writing, "parley format", 13, (const char *)value, sizeof(value),
                &failure);
    ck_assert_msg(failure == NULL, "%s", failure);
    rocksdb_writeoptions_destroy(writing);
    close_database(&database);
}

static uint64_t get_format(void)
{
    struct database database = open_database();
    rocksdb_readoptions_t *const reading = rocksdb_readoptions_create();
    char *failure = NULL;
    size_t size = 0;
    char *const value = rocksdb_get(database.db, reading, "parley format", 13, &size, &failure);
    ck_assert(failure == NULL && size == 8);
    const uint64_t format = codec_get_u64((const uint8_t *)value);
    rocksdb_free(value);
    rocksdb_readoptions_destroy(reading);
    close_database(&database);
    return format;
}

/* --- */

/* Who only looks leaves it, who writes drops it; nothing else changes. */
START_TEST(family_of_before_is_dropped)
{
    static const enum engine_mode modes[] = {ENGINE_CREATE, ENGINE_REPAIR};
    make_store();
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        ck_assert(!has_family("keys"));
        add_family("keys");
        expect_store(ENGINE_READ_ONLY);
        ck_assert(has_family("keys"));
        expect_store(modes[i]);
        ck_assert(!has_family("keys"));
        expect_store(modes[i]);
        expect_store(ENGINE_READ_ONLY);
    }
}
END_TEST

START_TEST(formats)
{
    make_store();
    const uint64_t present = get_format();
    put_format(1);
    expect_store(ENGINE_READ_ONLY);
    ck_assert_uint_eq(get_format(), 1);
    expect_store(ENGINE_CREATE);
    ck_assert_uint_eq(get_format(), present);
    const uint64_t unknown[] = {0, present + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        char sentence[64];
        (void)snprintf(sentence, sizeof(sentence), "has format %llu, and this program knows",
                       (unsigned long long)unknown[i]);
        put_format(unknown[i]);
        expect_refusal(ENGINE_CREATE, sentence);
        expect_refusal(ENGINE_READ_ONLY, sentence);
        ck_assert_uint_eq(get_format(), unknown[i]); /* and is left as it was */
    }
    put_format(present);
    expect_store(ENGINE_CREATE);
}
END_TEST

/* The first start came as far as a database, and not as far as its families. */
START_TEST(start_that_was_cut_off)
{
    rocksdb_options_t *const options = rocksdb_options_create();
    char *failure = NULL;
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_close(rocksdb_open(options, path, &failure));
    ck_assert_msg(failure == NULL, "%s", failure);
    rocksdb_options_destroy(options);
    make_store();
    expect_store(ENGINE_CREATE);
}
END_TEST

/* Nothing is changed in them, so that the others can still open them. */
START_TEST(databases_of_others)
{
    rocksdb_options_t *const options = rocksdb_options_create();
    rocksdb_writeoptions_t *const writing = rocksdb_writeoptions_create();
    char *failure = NULL;
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_t *const db = rocksdb_open(options, path, &failure);
    ck_assert_msg(failure == NULL, "%s", failure);
    rocksdb_put(db, writing, "theirs", 6, "x", 1, &failure);
    rocksdb_close(db);
    rocksdb_writeoptions_destroy(writing);
    rocksdb_options_destroy(options);
    expect_refusal(ENGINE_CREATE, "is no store: it is a database of others");
    expect_refusal(ENGINE_READ_ONLY, "is no store: it is a database of others");
    ck_assert(!has_family("streams") && !has_family("meta"));
    add_family("users");
    expect_refusal(ENGINE_CREATE, "is no store: it is a database of others, with a table users");
    expect_refusal(ENGINE_READ_ONLY, "with a table users");
}
END_TEST

int main(void)
{
    TCase *const engine = tcase_create("engine_rocksdb");
    tcase_add_checked_fixture(engine, setup, teardown);
    tcase_add_test(engine, family_of_before_is_dropped);
    tcase_add_test(engine, formats);
    tcase_add_test(engine, start_that_was_cut_off);
    tcase_add_test(engine, databases_of_others);
    Suite *const suite = suite_create("store/engine_rocksdb");
    suite_add_tcase(suite, engine);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
