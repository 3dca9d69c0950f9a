#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what ctest ran.

usage: totals.py JUNIT_XML      prints `PART N passed, N failed, N skipped` for each part, which is
                                what stands before the first slash of a test's name

One ctest test is a program of many. What it says of itself counts: the line of Check
(`100%: Checks: 13, Failures: 0, Errors: 0`) or our own (`N passed, N failed, N skipped`). A program
that fails without a failure in its own numbers (a sanitizer spoke, it hung, it crashed) is one more
failure; one that passes without numbers is one pass.
"""

import re
import sys
import xml.etree.ElementTree

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.MULTILINE)
OURS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)


def count(case):
    """(passed, failed, skipped) of one program."""
    output = case.findtext("system-out") or ""
    passed = failed = skipped = 0
    for checks, failures, errors in CHECK.findall(output):
        failed += int(failures) + int(errors)
        passed += int(checks) - int(failures) - int(errors)
    own = OURS.findall(output)
    if own:
        passed, failed, skipped = (a + int(b) for a, b in zip((passed, failed, skipped), own[-1]))
    status = case.get("status")
    if status in ("disabled", "notrun") and case.find("skipped") is not None:
        return passed, failed, skipped + 1
    if status != "run" and failed == 0:
        return passed, 1, skipped
    if passed + failed + skipped == 0:
        return 1, 0, 0
    return passed, failed, skipped


def main():
    sums = {}
    for case in xml.etree.ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        part = case.get("name").split("/")[0]
        sums[part] = [a + b for a, b in zip(sums.get(part, (0, 0, 0)), count(case))]
    for part, numbers in sums.items():
        print(part, "{} passed, {} failed, {} skipped".format(*numbers))


if __name__ == "__main__":
    main()
