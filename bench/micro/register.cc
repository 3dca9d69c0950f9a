// SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>

extern "C" {
#include "bench/micro/micro.h"
}

static const micro_case *const lists[] = {
    simd_micro_cases,       frame_micro_cases,      command_micro_cases, table_micro_cases,
    stream_micro_cases,     event_micro_cases,      ring_micro_cases,    roster_micro_cases,
    timerwheel_micro_cases, permessage_micro_cases,
};

// One call of run() covers a batch, so the indirect call is not what we measure.
static constexpr benchmark::IterationCount iterations_per_call = 256;

static void run_case(benchmark::State &state, const micro_case *row)
{
    void *context = row->setup(row);
    if (context == nullptr) {
        state.SkipWithError("not on this machine");
        return;
    }
    while (state.KeepRunningBatch(iterations_per_call)) {
        row->run(context, iterations_per_call);
    }
    if (row->bytes_per_iteration > 0) {
        state.SetBytesProcessed(state.iterations() *
                                static_cast<int64_t>(row->bytes_per_iteration));
    }
    row->teardown(context);
}

int main(int argc, char **argv)
{
    for (const micro_case *list : lists) {
        for (const micro_case *row = list; row->name != nullptr; row++) {
            benchmark::RegisterBenchmark(row->name, run_case, row);
        }
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
