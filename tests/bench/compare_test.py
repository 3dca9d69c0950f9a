#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/micro/compare.py: what it calls a change, and what not."""

import contextlib
import io
import json
import pathlib
import random
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench/micro"))
import compare  # noqa: E402


def run(**cases):
    rows = [{"run_type": "iteration", "run_name": name, "cpu_time": value}
            for name, values in cases.items() for value in values]
    return compare.trim({"context": {"date": "today"}, "benchmarks": rows}, "c0ffee")


def noisy(center, seed, spread=0.02, count=12):
    source = random.Random(seed)
    return [center * (1 + source.uniform(-spread, spread)) for _ in range(count)]


class Compare(unittest.TestCase):
    def test_exact_p(self):
        # 12 against 12 without overlap: U = 0, z = 71.5 / sqrt(300).
        self.assertAlmostEqual(compare.p_value(list(range(12)), list(range(12, 24))), 3.66e-5, 6)
        self.assertEqual(compare.p_value([1.0] * 12, [1.0] * 12), 1.0)

    def test_ties_share_their_rank(self):
        self.assertEqual(compare.ranks([3, 1, 3]), ([2.5, 1, 2.5], 6))

    def test_noise_is_no_change(self):
        for seed in range(50):
            lines, slower = compare.compare(run(a=noisy(10, seed)), run(a=noisy(10, seed + 1000)))
            self.assertEqual((slower, len(lines)), (0, 1), lines)

    def test_slower_and_faster_are_told(self):
        lines, slower = compare.compare(run(a=noisy(10, 1)), run(a=noisy(11, 2)))
        self.assertEqual(slower, 1)
        self.assertIn("slower", lines[0])
        lines, slower = compare.compare(run(a=noisy(11, 1)), run(a=noisy(10, 2)))
        self.assertEqual(slower, 0)
        self.assertIn("faster", lines[0])

    def test_wide_spread_hides_a_difference(self):
        lines, slower = compare.compare(run(a=noisy(10, 1, 0.5)), run(a=noisy(11, 2, 0.5)))
        self.assertEqual((slower, len(lines)), (0, 1), lines)

    def test_too_few_repetitions_say_nothing(self):
        self.assertEqual(compare.compare(run(a=[1.0] * 4), run(a=[9.0] * 4))[1], 0)

    def test_missing_cases_are_named(self):
        lines, _ = compare.compare(run(a=noisy(1, 1)), run(b=noisy(1, 1)))
        self.assertTrue(any("only before" in line for line in lines))
        self.assertTrue(any("only after" in line for line in lines))

    def test_what_is_no_run_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "run.json")
            path.write_text('{"cases": []}')
            for other in (path, f"{folder}/nothing"):
                errors = io.StringIO()
                with contextlib.redirect_stderr(errors):
                    self.assertEqual(compare.main([str(path), str(other)]), 2)
                self.assertIn("is no run", errors.getvalue())

    def test_two_machines_are_not_compared(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [f"{folder}/{name}" for name in "ab"]
            for path in paths:
                pathlib.Path(path).write_text(json.dumps({"machine": path, "cases": []}))
            errors = io.StringIO()
            with contextlib.redirect_stderr(errors):
                self.assertEqual(compare.main(paths), 2)
            self.assertIn("two machines", errors.getvalue())

    def test_errors_are_left_out(self):
        raw = {"context": {"date": "today"}, "benchmarks": [
            {"run_type": "iteration", "run_name": "a", "cpu_time": 0, "error_occurred": True}]}
        self.assertEqual(compare.trim(raw, "c0ffee")["cases"], [])


if __name__ == "__main__":
    unittest.main()
