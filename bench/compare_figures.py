# SPDX-License-Identifier: Apache-2.0
"""From reports of parley-bench to figures, and from figures to the table of compare.py.

A report gives a figure only when it says that everything was verified; else it gives a reason.
"""

import itertools
import statistics

FAULTS = ("connect_failed", "lost", "duplicated", "reordered", "corrupted", "errors", "closed")
FLOORS = ("floor epoll", "floor uring")


def other_run(case, load, report):
    """The report is of something else than what was asked for: which; None: it is not."""
    options = report["options"]
    for key, wanted in (("scenario", load[0]), ("url", load[1]), ("connections", case.count)):
        if options[key] != wanted:
            return f"the report is of {key} {options[key]}, not {wanted}"
    return None


def traffic_fault(case, results):
    """Each message sent is expected at each receiver, and what is expected has come."""
    receivers = 1 if case.part == "echo" else case.count
    under_way = (case.window + 1) * case.count  # at most, when counting begins and when it ends
    sent, expected, received = (results[key] for key in ("sent", "expected", "received"))
    if received == 0:
        return "nothing was delivered"
    if abs(expected - sent * receivers) > under_way:
        return f"{expected} deliveries expected of {sent} messages to {receivers}"
    if abs(received - expected) > under_way:
        return f"{received} deliveries of {expected}"
    return None


def fault_of(case, load, report):
    """Why this run gives no figure; None: it was verified."""
    results = report["results"]
    found = [f"{name} {results[name]}" for name in FAULTS if results[name] != 0]
    if found:
        return ", ".join(found)
    if not results["clean"]:
        return "the generator calls the run not clean"
    other = other_run(case, load, report)
    if other is not None:
        return other
    if report["server"] is None:
        return "nothing is known of the server"
    if case.part == "idle":
        here = report["points"][-1]["connected"] if report["points"] else 0
        return None if here == case.count else f"{here} of {case.count} connected at the end"
    if case.part == "connect":
        is_timed = results["connects"] > 0 and report["latency"]["count"] > 0
        return None if is_timed else "nobody connected"
    return traffic_fault(case, results)


def figure_of(case, report):
    """(value, part of it in user space or None): µs per delivery or connect, or bytes."""
    server, results = report["server"], report["results"]
    if case.part == "idle":
        return server["user_bytes_per_connection"], None
    if case.part == "connect":
        return (server["user_ns"] + server["system_ns"]) / 1000 / results["connects"], None
    user, system = server["user_us_per_delivery"], server["system_us_per_delivery"]
    return user + system, user


def run_of(case, load, report):
    """What the JSON says of one run; `reason` is None where there is a figure."""
    reason = fault_of(case, load, report)
    figure, user = (None, None) if reason is not None else figure_of(case, report)
    results, latency = report["results"], report["latency"]
    count = results["connects"] if case.part == "connect" else results["received"]
    has_rate = case.part != "idle" and results["seconds"] > 0
    has_latency = latency["count"] > 0
    return {
        "reason": reason, "figure": figure, "user": user,
        "rate_per_s": count / results["seconds"] if has_rate else None,
        "p50_us": latency["percentiles_ns"]["50"] / 1000 if has_latency else None,
        "p99_us": latency["percentiles_ns"]["99"] / 1000 if has_latency else None,
        "generator_bound": results["generator_bound"],
        "generator_share": report["generator"]["thread_share"],
        "per_cpu_s": 1e6 / figure if figure and case.part == "connect" else None,
    }


def failed_run(reason):
    return {"reason": reason, "figure": None, "user": None, "rate_per_s": None, "p50_us": None,
            "p99_us": None, "generator_bound": None, "generator_share": None, "per_cpu_s": None}


def figures_in(runs):
    return [run["figure"] for run in runs if run["reason"] is None]


def floors_of(case, found):
    """By round the better floor, one denominator for everybody; None where both failed."""
    rounds = itertools.zip_longest(*(found.get((case.name, one), []) for one in FLOORS))
    return [min((run["figure"] for run in runs if run is not None and run["reason"] is None),
                default=None) for runs in rounds]


def ratio_of(runs, floors):
    """
    Of a run to the floor of its own round, when the machine was as fast as it was then; the median.
    None: there is none.
    """
    ratios = [run["figure"] / floor for run, floor in zip(runs, floors)
              if run["reason"] is None and floor is not None]
    return statistics.median(ratios) if ratios else None


def text_of(case, runs, floors):
    """One cell. Marks: (g), and (2 of 5) where rounds failed."""
    figures = figures_in(runs)
    some = "" if len(figures) == len(runs) else f" ({len(figures)} of {len(runs)})"
    if not figures:
        return "failed" + some
    middle = statistics.median(figures)
    if case.part == "idle":
        return f"{middle:,.0f} B [{min(figures):,.0f}-{max(figures):,.0f}]{some}"
    text = f"{middle:.2f} µs [{min(figures):.2f}-{max(figures):.2f}]"
    users = [run["user"] for run in runs if run["user"] is not None]
    if users:
        text += f", user {statistics.median(users):.2f}"
    if case.part == "connect":
        text += f", {1e6 / middle:,.0f} per CPU second"
    ratio = ratio_of(runs, floors)
    if ratio is not None:
        text += (f", {100 / ratio:.0f} % of the floor's rate" if case.part == "connect"
                 else f", {ratio:.2f} x")
    bound = sum(bool(run["generator_bound"]) for run in runs if run["reason"] is None)
    return text + (" (g)" if 2 * bound >= len(figures) and case.part != "idle" else "") + some


def table(cases, servers, found):
    """The lines of the table and of what belongs below it. `found`: runs by (case, server)."""
    lines = ["| " + " | ".join(["server CPU", *servers]) + " |",
             "|" + " --- |" * (len(servers) + 1)]
    for case in cases:
        cells = [case.name]
        for name in servers:
            runs = found.get((case.name, name))
            floors = [] if name in FLOORS else floors_of(case, found)
            cells.append("-" if runs is None else text_of(case, runs, floors))
        lines.append("| " + " | ".join(cells) + " |")
    if any("(g)" in line for line in lines):
        lines += ["", "(g): in at least half of the rounds the generator was the limit, so the"
                  " server could do more; its CPU time is what it is."]
    failed = [f"- round {number}: {case}, {name}: {run['reason']}"
              for (case, name), runs in found.items()
              for number, run in enumerate(runs, 1) if run["reason"] is not None]
    if failed:
        lines += ["", "Failed rounds:", "", *failed]
    return lines
