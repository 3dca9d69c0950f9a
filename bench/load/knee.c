/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/knee.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/load/conductor.h"
#include "bench/load/options.h"
#include "bench/load/report.h"
#include "bench/load/stop.h"
#include "bench/load/tally.h"

enum { STEP_COUNT_MAX = 40 };

static const double factor = 1.5;      /* from one rate to the next, while all goes well */
static const double close_by = 1.05;   /* this near is near enough */
static const double sent_share = 0.95; /* of the rate must have been sent, or it was none */
static const double rate_min = 0.1;

struct knee {
    struct report_step steps[STEP_COUNT_MAX];
    size_t step_count;
    double good;             /* the highest rate that passed; 0: none yet */
    double bad;              /* the lowest that did not; 0: none yet */
    struct conductor *shown; /* the run that is reported; NULL: none yet */
};

static const char *find_fault(const struct report *report, const struct report_step *step,
                              uint64_t p99_limit_ns)
{
    if (!report_is_clean(report)) {
        return REPORT_FAULT_MESSAGES;
    }
    if (step->sent_rate < step->rate * sent_share) {
        return REPORT_FAULT_GENERATOR;
    }
    if (step->p99_ns > p99_limit_ns) {
        /* Latency counts from when it was due: who sends late has made it himself. */
        return report_is_generator_bound(report) ? REPORT_FAULT_GENERATOR : REPORT_FAULT_P99;
    }
    return NULL;
}

static struct report_step step_of(const struct report *report)
{
    struct report_step step = {
        .rate = report->options->rate,
        .sent_rate = report->seconds > 0
                         ? (double)tally_read(report->tally, TALLY_SENT) / report->seconds
                         : 0,
        .p99_ns = histogram_percentile(&report->tally->latency, 0.99),
        .lost = tally_read(report->tally, TALLY_LOST),
    };
    step.fault = find_fault(report, &step, report->options->p99_limit_ns);
    return step;
}

static void show(struct knee *knee, struct conductor *conductor, const struct report_step *step)
{
    (void)printf(
        "%12.0f messages/s: p99 %.3f ms, %llu lost: %s%s\n", step->rate, (double)step->p99_ns / 1e6,
        (unsigned long long)step->lost,
        step->fault == NULL ? "passed" : "failed: ", step->fault == NULL ? "" : step->fault);
    (void)fflush(stdout);
    if (step->fault == NULL || knee->good <= 0) {
        conductor_destroy(knee->shown);
        knee->shown = conductor;
    } else {
        conductor_destroy(conductor);
    }
}

/* Up by a factor until one fails, then halfway (in ratio) between the two. 0: it is found. */
static double next_rate(const struct knee *knee, double first)
{
    if (knee->step_count == STEP_COUNT_MAX) {
        return 0;
    }
    if (knee->step_count == 0) {
        return first;
    }
    if (knee->bad <= 0) {
        return knee->good * factor;
    }
    if (knee->good <= 0) {
        return knee->bad / factor >= rate_min ? knee->bad / factor : 0;
    }
    return knee->bad / knee->good > close_by ? sqrt(knee->good * knee->bad) : 0;
}

bool knee_is_found(const struct knee *knee)
{
    return knee->good > 0 && knee->bad > 0 && knee->bad / knee->good <= close_by;
}

struct knee *knee_find(const struct options *wanted, const struct tokens *tokens, struct stop *stop,
                       const char *command_line)
{
    struct knee *knee = calloc(1, sizeof(*knee));
    struct options options = *wanted;

    while (knee != NULL && (options.rate = next_rate(knee, wanted->rate)) > 0) {
        struct conductor *conductor = conductor_create(&options, tokens, stop, command_line);
        /* What was cut short says nothing of its rate. */
        if (conductor == NULL || conductor_perform(conductor) != 0 || stop->signal != 0) {
            conductor_destroy(conductor);
            break;
        }
        const struct report_step step = step_of(conductor_report(conductor));
        knee->steps[knee->step_count++] = step;
        show(knee, conductor, &step);
        if (step.fault == NULL) {
            knee->good = step.rate;
        } else {
            knee->bad = step.rate;
        }
    }
    if (knee != NULL && knee->shown != NULL) {
        struct report *report = conductor_report(knee->shown);
        report->steps = knee->steps;
        report->step_count = knee->step_count;
        report->knee_rate = knee->good;
        report->is_knee_exact = knee_is_found(knee);
        report->signal = stop->signal;
    }
    return knee;
}

void knee_free(struct knee *knee)
{
    if (knee != NULL) {
        conductor_destroy(knee->shown);
        free(knee);
    }
}

const struct report *knee_report(const struct knee *knee)
{
    return knee->shown == NULL ? NULL : conductor_report(knee->shown);
}
