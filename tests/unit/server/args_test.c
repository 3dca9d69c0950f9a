/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: refusals from a table with their exact texts, what each flag sets, and the
 * rules of development mode. The help itself is printed to a file and looked at.
 */
#include "server/args.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { FLAGS_MAX = 8 };

/* getopt reorders argv, so it gets an array of its own. The result may point into `texts`. */
static enum args_outcome parse(const char *const flags[FLAGS_MAX], struct args *args, char *error)
{
    static char texts[FLAGS_MAX][64];
    char name[] = "parleyd";
    char *argv[FLAGS_MAX + 2] = {name};
    int argc = 1;

    for (size_t i = 0; i < FLAGS_MAX && flags[i] != NULL; i++) {
        ck_assert_uint_lt(strlen(flags[i]), sizeof(texts[i]));
        (void)snprintf(texts[i], sizeof(texts[i]), "%s", flags[i]);
        argv[argc] = texts[i];
        argc++;
    }
    return args_parse(argc, argv, args, error, CONFIG_ERROR_SIZE);
}

static const struct {
    const char *why;
    const char *flags[FLAGS_MAX];
    const char *error;
} refusals[] = {
    {"unknown", {"--foo"}, "--foo: there is no such option; parleyd --help shows all"},
    {"unknown with a value",
     {"--foo=1"},
     "--foo=1: there is no such option; parleyd --help shows all"},
    {"unknown letter", {"-x"}, "-x: there is no such option; parleyd --help shows all"},
    {"unknown, after others",
     {"--echo", "--simd", "avx2", "--foo"},
     "--foo: there is no such option; parleyd --help shows all"},
    {"no value", {"--listen"}, "--listen: expected a value after it; parleyd --help shows all"},
    {"no value of a letter", {"-c"}, "-c: expected a value after it; parleyd --help shows all"},
    {"a value too many", {"--echo=1"}, "--echo=1: it takes no value; parleyd --help shows all"},
    {"no option", {"serve"}, "serve: expected options only; parleyd --help shows all"},
    {"no option, after others",
     {"--echo", "serve"},
     "serve: expected options only; parleyd --help shows all"},
    {"control characters",
     {"--\n\033[31m"},
     "--??[31m: there is no such option; parleyd --help shows all"},
    {"no port",
     {"--listen", "127.0.0.1"},
     "--listen: expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000, found \"127.0.0.1\""},
    {"no address",
     {"--listen", ":80"},
     "--listen: expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000, found \":80\""},
    {"port 0",
     {"--listen", "127.0.0.1:0"},
     "--listen: expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000, found \"127.0.0.1:0\""},
    {"port too big",
     {"--internal-listen", "127.0.0.1:65536"},
     "--internal-listen: expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000, found "
     "\"127.0.0.1:65536\""},
    {"IPv6 without brackets",
     {"--listen", "::1:80"},
     "--listen: expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000, found \"::1:80\""},
    {"IPv4 in brackets",
     {"--listen", "[127.0.0.1]:80"},
     "--listen: expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000, found \"[127.0.0.1]:80\""},
    {"empty brackets",
     {"--listen", "[]:80"},
     "--listen: expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000, found \"[]:80\""},
    {"host name",
     {"--listen", "localhost:80"},
     "--listen: expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000, found \"localhost:80\""},
    {"empty",
     {"--listen", ""},
     "--listen: expected ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000, found \"\""},
    {"no reactor",
     {"--reactors", "0"},
     "--reactors: expected 1 to 1024 threads, or auto, found \"0\" (write auto)"},
    {"too many reactors",
     {"-r1025"},
     "--reactors: expected 1 to 1024 threads, or auto, found \"1025\""},
    {"back end",
     {"--backend=kqueue"},
     "--backend: expected one of auto, uring, epoll, found \"kqueue\""},
    {"SIMD",
     {"--simd", "mmx"},
     "--simd: expected one of auto, scalar, sse4, avx2, avx512, found \"mmx\""},
    {"log level",
     {"--log-level", "trace"},
     "--log-level: expected one of debug, info, warn, error, found \"trace\""},
};

START_TEST(refuses)
{
    char error[CONFIG_ERROR_SIZE];
    struct args args;
    struct args untouched;

    memset(&args, 0x5a, sizeof(args));
    memcpy(&untouched, &args, sizeof(args));
    ck_assert_msg(parse(refusals[_i].flags, &args, error) == ARGS_BAD, "%s", refusals[_i].why);
    ck_assert_str_eq(error, refusals[_i].error);
    ck_assert_mem_eq(&args, &untouched, sizeof(args));
}
END_TEST

START_TEST(nothing_is_nothing)
{
    static const char *const flags[FLAGS_MAX] = {NULL};
    char error[CONFIG_ERROR_SIZE];
    struct args args;

    ck_assert_int_eq(parse(flags, &args, error), ARGS_RUN);
    ck_assert_ptr_null(args.config_file);
    ck_assert(!args.check_config && !args.version && !args.echo);
    ck_assert(!args.has_reactors && !args.has_backend && !args.has_simd && !args.has_log_level);
    ck_assert_uint_eq(args.listen.port, 0);
    ck_assert_uint_eq(args.internal_listen.port, 0);
}
END_TEST

START_TEST(reads_all)
{
    static const char *const first[FLAGS_MAX] = {
        "--config", "a.yaml", "--check-config", "--version", "--listen=0.0.0.0:80", "--echo"};
    static const char *const second[FLAGS_MAX] = {"--internal-listen=[::1]:9001",
                                                  "--reactors=3",
                                                  "--backend=uring",
                                                  "--simd=scalar",
                                                  "--log-level=debug",
                                                  "--config=b.yaml",
                                                  "--"};
    char error[CONFIG_ERROR_SIZE];
    struct args args;

    ck_assert_int_eq(parse(first, &args, error), ARGS_RUN);
    ck_assert_str_eq(args.config_file, "a.yaml");
    ck_assert(args.check_config && args.version && args.echo);
    ck_assert_str_eq(args.listen.address, "0.0.0.0");
    ck_assert_uint_eq(args.listen.port, 80);

    ck_assert_int_eq(parse(second, &args, error), ARGS_RUN);
    ck_assert_str_eq(args.config_file, "b.yaml");
    ck_assert(!args.check_config && !args.version && !args.echo);
    ck_assert_str_eq(args.internal_listen.address, "::1");
    ck_assert_uint_eq(args.internal_listen.port, 9001);
    ck_assert(args.has_reactors && args.has_backend && args.has_simd && args.has_log_level);
    ck_assert_uint_eq(args.reactors, 3);
    ck_assert_int_eq(args.backend, CONFIG_BACKEND_URING);
    ck_assert_int_eq(args.simd, CONFIG_SIMD_SCALAR);
    ck_assert_int_eq(args.log_level, CONFIG_LOG_DEBUG);
}
END_TEST

START_TEST(help_names_every_flag)
{
    static const char *const flags[FLAGS_MAX] = {"--help"};
    static const char *const expected[] = {
        "--config",   "--check-config", "--version", "--listen", "--internal-listen",
        "--reactors", "--backend",      "--simd",    "--echo",   "--log-level",
        "--help",     "Examples:",
    };
    char text[8192] = {0};
    char error[CONFIG_ERROR_SIZE];
    struct args args;
    FILE *file = tmpfile();

    ck_assert_ptr_nonnull(file);
    (void)fflush(stdout);
    const int standard_output = dup(STDOUT_FILENO);
    ck_assert_int_ge(standard_output, 0);
    ck_assert_int_ge(dup2(fileno(file), STDOUT_FILENO), 0);
    const enum args_outcome outcome = parse(flags, &args, error);
    (void)fflush(stdout);
    ck_assert_int_ge(dup2(standard_output, STDOUT_FILENO), 0);
    (void)close(standard_output);

    ck_assert_int_eq(outcome, ARGS_HELP);
    rewind(file);
    ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, file), 0);
    (void)fclose(file);
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        ck_assert_msg(strstr(text, expected[i]) != NULL, "%s", expected[i]);
    }
}
END_TEST

START_TEST(development_mode_is_open_and_local)
{
    static const char *const flags[FLAGS_MAX] = {"--listen=127.1.2.3:8001"};
    char error[CONFIG_ERROR_SIZE];
    struct args args;
    struct config config;

    ck_assert_int_eq(parse(flags, &args, error), ARGS_RUN);
    config_init_defaults(&config);
    ck_assert_int_eq(args_apply(&args, &config, error, sizeof(error)), 0);
    ck_assert(config.development);
    ck_assert(config.client.insecure);
    ck_assert_uint_eq(config.shutdown.grace_ns, 0);
    const struct policy *options = &config.channel.without_namespace;
    ck_assert_uint_eq(options->history_size, 100);
    ck_assert_uint_eq(options->history_ttl_ns, UINT64_C(600000000000));
    ck_assert(options->force_recovery);
    ck_assert(options->presence);
    ck_assert(options->join_leave);
    ck_assert(options->force_push_join_leave);
    ck_assert_str_eq(config.http_server.address, "127.1.2.3");
    ck_assert_uint_eq(config.http_server.port, 8001);
    ck_assert_str_eq(config.http_server.internal_address, "127.0.0.1");
    ck_assert_uint_eq(config.http_server.internal_port, 9000);
}
END_TEST

static const struct {
    const char *why;
    const char *flags[FLAGS_MAX];
    const char *error;
} apply_refusals[] = {
    {"every address",
     {"--listen", "0.0.0.0:80"},
     "--listen: expected a loopback address, found \"0.0.0.0\": without --config everybody who "
     "reaches it may do everything"},
    {"every IPv6 address",
     {"--listen", "[::]:80"},
     "--listen: expected a loopback address, found \"::\": without --config everybody who reaches "
     "it may do everything"},
    {"one address",
     {"--internal-listen", "192.0.2.1:80"},
     "--internal-listen: expected a loopback address, found \"192.0.2.1\": without --config "
     "everybody who reaches it may do everything"},
    {"the internal port",
     {"--listen", "127.0.0.1:9000"},
     "http_server.internal_port: expected another port than http_server.port (9000), found 9000"},
};

START_TEST(refuses_to_apply)
{
    char error[CONFIG_ERROR_SIZE];
    struct args args;
    struct config config;
    struct config untouched;

    ck_assert_int_eq(parse(apply_refusals[_i].flags, &args, error), ARGS_RUN);
    config_init_defaults(&config);
    config_init_defaults(&untouched);
    ck_assert_msg(args_apply(&args, &config, error, sizeof(error)) == -EINVAL, "%s",
                  apply_refusals[_i].why);
    ck_assert_str_eq(error, apply_refusals[_i].error);
    ck_assert_mem_eq(&config, &untouched, sizeof(config));
}
END_TEST

START_TEST(flags_win_over_the_file)
{
    static const char text[] = "http_server: {port: 8100}\nreactor: {count: 2, backend: uring}\n"
                               "client: {allowed_origins: [http://a]}\nlog: {level: error}\n";
    static const char *const flags[FLAGS_MAX] = {"--config=x",      "--listen=0.0.0.0:8101",
                                                 "--reactors=auto", "--backend=epoll",
                                                 "--simd=sse4",     "--echo"};
    char error[CONFIG_ERROR_SIZE];
    struct args args;
    struct config config;

    ck_assert_int_eq(parse(flags, &args, error), ARGS_RUN);
    ck_assert_int_eq(config_load_memory("x", (struct bytes){(const uint8_t *)text, strlen(text)},
                                        &config, error, sizeof(error)),
                     0);
    ck_assert_int_eq(args_apply(&args, &config, error, sizeof(error)), 0);
    ck_assert(!config.development);
    ck_assert(!config.client.insecure);
    ck_assert_uint_eq(config.channel.without_namespace.history_size, 0);
    ck_assert(!config.channel.without_namespace.presence);
    ck_assert_str_eq(config.http_server.address, "0.0.0.0");
    ck_assert_uint_eq(config.http_server.port, 8101);
    ck_assert_uint_eq(config.reactor.count, 0);
    ck_assert_int_eq(config.reactor.backend, CONFIG_BACKEND_EPOLL);
    ck_assert_int_eq(config.reactor.simd, CONFIG_SIMD_SSE4);
    ck_assert(config.echo.enabled);
    ck_assert_int_eq(config.log.level, CONFIG_LOG_ERROR);
    ck_assert_uint_eq(config.client.allowed_origins.count, 1);
    config_destroy(&config);
}
END_TEST

int main(void)
{
    TCase *parsed = tcase_create("parse");
    tcase_add_loop_test(parsed, refuses, 0, (int)COUNT_OF(refusals));
    tcase_add_test(parsed, nothing_is_nothing);
    tcase_add_test(parsed, reads_all);
    tcase_add_test(parsed, help_names_every_flag);
    TCase *applied = tcase_create("apply");
    tcase_add_test(applied, development_mode_is_open_and_local);
    tcase_add_loop_test(applied, refuses_to_apply, 0, (int)COUNT_OF(apply_refusals));
    tcase_add_test(applied, flags_win_over_the_file);

    Suite *suite = suite_create("server/args");
    suite_add_tcase(suite, parsed);
    suite_add_tcase(suite, applied);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
