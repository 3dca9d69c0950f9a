#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which cases of two runs differ by more than the noise.

usage: compare.py BEFORE.json AFTER.json
       compare.py --trim GOOGLE_BENCHMARK.json COMMIT     (for run.sh: what is kept of a run)

A case has changed when both hold: a two-sided Mann-Whitney test over the repetitions says
p < 0.001 (there are a hundred cases, so 0.05 would cry wolf five times), and the medians differ by
3 % at least (within one run repetitions are alike; from run to run they are less so).
Exit status: 0, or 1 when a case has become slower. 2: the command line is wrong, a file is no such
run, or the runs are of two machines, which are not compared.
"""

import json
import math
import platform
import statistics
import sys

P_MAX = 0.001
CHANGE_MIN = 0.03


def ranks(values):
    """The rank of each value, ties sharing theirs, and the sum of t^3 - t over the ties."""
    order = sorted(range(len(values)), key=values.__getitem__)
    result, ties, start = [0.0] * len(values), 0, 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for index in order[start:end]:
            result[index] = (start + 1 + end) / 2
        ties += (end - start) ** 3 - (end - start)
        start = end
    return result, ties


def p_value(a, b):
    """Mann-Whitney, two-sided, by the normal approximation; 1 when there is too little to say."""
    if len(a) < 5 or len(b) < 5:
        return 1.0
    count = len(a) + len(b)
    ranked, ties = ranks(a + b)
    u = sum(ranked[:len(a)]) - len(a) * (len(a) + 1) / 2
    variance = len(a) * len(b) / 12 * (count + 1 - ties / (count * (count - 1)))
    if variance <= 0:
        return 1.0
    z = max(0.0, abs(u - len(a) * len(b) / 2) - 0.5) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))


def judge(before, after):
    """The relative change of the medians, and whether it is beyond the noise."""
    a, b = before["cpu_ns"], after["cpu_ns"]
    change = statistics.median(b) / statistics.median(a) - 1
    return change, abs(change) >= CHANGE_MIN and p_value(a, b) < P_MAX


def compare(before, after):
    """Lines to print, and how many cases became slower."""
    lines, slower = [], 0
    old = {case["name"]: case for case in before["cases"]}
    new = {case["name"]: case for case in after["cases"]}
    for name in sorted(old.keys() & new.keys()):
        change, is_real = judge(old[name], new[name])
        if is_real:
            slower += change > 0
            lines.append(f"{name:44} {old[name]['median']:10.2f} -> {new[name]['median']:10.2f} ns"
                         f"  {100 * change:+6.1f} %  {'slower' if change > 0 else 'faster'}")
    lines += [f"{name:44} only before" for name in sorted(old.keys() - new.keys())]
    lines += [f"{name:44} only after" for name in sorted(new.keys() - old.keys())]
    lines.append(f"{len(old.keys() & new.keys())} compared, {slower} slower")
    return lines, slower


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = {}
        for line in file:
            key, _, value = line.partition(":")
            found.setdefault(key.strip(), value.strip())
    wanted = ("model name", "cpu family", "model")
    return ", ".join(f"{key} {found.get(key, '?')}" for key in wanted)


def trim(raw, commit):
    """What is kept of a run of Google Benchmark."""
    samples = {}
    for row in raw["benchmarks"]:
        if row.get("run_type") == "iteration" and not row.get("error_occurred"):
            samples.setdefault(row["run_name"], []).append(round(row["cpu_time"], 3))
    cases = [{"name": name, "median": round(statistics.median(values), 3), "min": min(values),
              "max": max(values), "repetitions": len(values), "cpu_ns": sorted(values)}
             for name, values in sorted(samples.items())]
    return {"machine": processor(), "kernel": platform.release(), "commit": commit,
            "date": raw["context"]["date"], "cases": cases}


def load(path):
    """A run; None, after a line that says why, when it is none."""
    try:
        with open(path, encoding="utf-8") as file:
            run = json.load(file)
        return {"machine": run["machine"], "cases": run["cases"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"compare.py: {path} is no run: {error!r}", file=sys.stderr)
        return None


def write(result):
    """One case per line, so that a diff of two results can be read."""
    head = {key: value for key, value in result.items() if key != "cases"}
    rows = ",\n".join("  " + json.dumps(case) for case in result["cases"])
    print(json.dumps(head)[:-1] + ', "cases": [\n' + rows + "\n]}")


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "--trim":
        with open(arguments[1], encoding="utf-8") as file:
            write(trim(json.load(file), arguments[2]))
        return 0
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    before, after = map(load, arguments)
    if before is None or after is None:
        return 2
    if before["machine"] != after["machine"]:
        print(f"two machines: {before['machine']} and {after['machine']}", file=sys.stderr)
        return 2
    lines, slower = compare(before, after)
    print("\n".join(lines))
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
