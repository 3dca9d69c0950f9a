/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The histogram against the sorted values themselves, over twelve powers of ten; and that buckets
 * follow one another without a gap.
 */
#include "bench/load/histogram.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_COUNT = 20000 };

static int by_value(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static uint64_t random_value(void)
{
    return (uint64_t)pow(10, 11.5 * rand() / RAND_MAX);
}

START_TEST(buckets_are_a_ladder)
{
    for (size_t i = 0; i + 1 < HISTOGRAM_BUCKET_COUNT; i++) {
        const uint64_t end = histogram_bucket_end(i);
        ck_assert_uint_eq(histogram_bucket(end), i);
        ck_assert_uint_eq(histogram_bucket(end + 1), i + 1);
    }
    ck_assert_uint_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKET_COUNT - 1);
    ck_assert_uint_eq(histogram_bucket_end(HISTOGRAM_BUCKET_COUNT - 1), HISTOGRAM_VALUE_MAX);
}
END_TEST

START_TEST(percentiles_are_near)
{
    static const double shares[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    static uint64_t values[VALUE_COUNT];
    struct histogram *histogram = calloc(1, sizeof(*histogram));
    double sum = 0;
    ck_assert_ptr_nonnull(histogram);
    srand(42);
    for (size_t i = 0; i < VALUE_COUNT; i++) {
        values[i] = random_value();
        sum += (double)values[i];
        histogram_add(histogram, values[i]);
    }
    qsort(values, VALUE_COUNT, sizeof(values[0]), by_value);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        const size_t rank = (size_t)ceil(shares[i] * VALUE_COUNT) - 1;
        const double got = (double)histogram_percentile(histogram, shares[i]);
        ck_assert_msg(got >= (double)values[rank] && got <= 1.01 * (double)values[rank] + 1,
                      "%g: %g for %g", shares[i], got, (double)values[rank]);
    }
    ck_assert_uint_eq(histogram_count(histogram), VALUE_COUNT);
    ck_assert_uint_eq(histogram_percentile(histogram, 1), values[VALUE_COUNT - 1]);
    ck_assert_double_eq_tol(histogram_mean(histogram), sum / VALUE_COUNT, sum / VALUE_COUNT / 1e9);
    free(histogram);
}
END_TEST

START_TEST(adds_and_subtracts)
{
    struct histogram *three = calloc(3, sizeof(*three));
    ck_assert_ptr_nonnull(three);
    histogram_add(&three[0], 5);
    histogram_add(&three[1], 1000);
    histogram_merge(&three[0], &three[1]);
    ck_assert_uint_eq(histogram_count(&three[0]), 2);
    ck_assert_uint_eq(histogram_percentile(&three[0], 0.5), 5);
    histogram_subtract(&three[0], &three[1], &three[2]);
    ck_assert_uint_eq(histogram_count(&three[2]), 1);
    ck_assert_uint_eq(histogram_percentile(&three[2], 1), 5);
    ck_assert_double_eq(histogram_mean(&three[2]), 5);
    free(three);
}
END_TEST

START_TEST(is_empty)
{
    struct histogram *histogram = calloc(1, sizeof(*histogram));
    ck_assert_ptr_nonnull(histogram);
    ck_assert_uint_eq(histogram_count(histogram), 0);
    ck_assert_uint_eq(histogram_percentile(histogram, 0.99), 0);
    ck_assert_double_eq(histogram_mean(histogram), 0);
    free(histogram);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("histogram");
    tcase_add_test(cases, buckets_are_a_ladder);
    tcase_add_test(cases, percentiles_are_near);
    tcase_add_test(cases, adds_and_subtracts);
    tcase_add_test(cases, is_empty);
    Suite *suite = suite_create("load/histogram");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
