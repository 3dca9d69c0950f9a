#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench/compare.py: what it starts it also ends, what failed is told, what is not verified is none.

Signals are tried on a process that runs compare.py's main() with a server and a generator of ours:
each writes down its pid, has a child like nginx its worker, and would live for a minute.
"""

import copy
import json
import os
import pathlib
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))
import compare  # noqa: E402
import compare_figures  # noqa: E402
import compare_machine  # noqa: E402

PATIENCE_S = 30

DRIVER = textwrap.dedent("""
    import pathlib, sys
    sys.path.insert(0, sys.argv.pop(1))
    folder = pathlib.Path(sys.argv.pop(1))
    import compare, compare_machine
    compare_machine.END_SECONDS_MAX = 1
    compare.command_of = lambda name, case, port, *_: [
        sys.executable, folder / "fake.py", "server", port, folder]
    compare.BENCH = folder / "generator.sh"
    sys.exit(compare.main())
""")

FAKE = textwrap.dedent("""
    import os, pathlib, signal, socket, sys, time
    what, port, folder = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
    if what == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if what == "server":
        listener = socket.create_server(("127.0.0.1", port))
    child = os.fork()
    (folder / f"{os.getpid()}.pid").touch()
    time.sleep(60)
""")


def until(look, what):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        value = look()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE_S} s for {what}")


def is_alive(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return compare_machine.group_of(text) is not None
    except OSError:
        return False


def case_of(part, **more):
    return compare.Case(part, more.pop("name", part), more.pop("count", 10), **more)


def report_of(case, load, **results):
    """As parley-bench writes it, for a run in which all went well."""
    receivers = case.count if case.part == "fanout" else 1
    found = {"clean": True, "generator_bound": False, "seconds": 2.0, "connects": 50, "sent": 1000,
             "expected": 1000 * receivers, "received": 1000 * receivers,
             **{name: 0 for name in compare_figures.FAULTS}, **results}
    return {"options": {"scenario": load[0], "url": load[1], "connections": case.count},
            "results": found, "points": [{"connected": case.count}],
            "server": {"user_ns": 1000000, "system_ns": 4000000, "user_us_per_delivery": 1.0,
                       "system_us_per_delivery": 4.0, "user_bytes_per_connection": 300.0},
            "generator": {"thread_share": 0.5},
            "latency": {"count": 10, "percentiles_ns": {"50": 2000, "99": 9000}}}


class Ending(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        (self.path / "fake.py").write_text(FAKE)
        (self.path / "generator.sh").write_text(
            f"#!/bin/sh\nexec {sys.executable} {self.path}/fake.py stubborn 0 {self.path}\n")
        (self.path / "generator.sh").chmod(0o755)
        self.addCleanup(self.kill_all)

    def pids(self):
        return [int(path.stem) for path in self.path.glob("*.pid")]

    def kill_all(self):
        for pid in self.pids():
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)

    def ends_all_at(self, number):
        with open(self.path / "errors", "wb") as errors:
            driver = subprocess.Popen(
                [sys.executable, "-c", DRIVER, BENCH, self.path, "--quick", "--only", "connects$",
                 "--servers", "libwebsockets", "--json", self.path / "out.json"],
                stdout=subprocess.DEVNULL, stderr=errors)
        self.addCleanup(driver.kill)
        until(lambda: len(self.pids()) == 4 or driver.poll() is not None, "four processes")
        self.assertIsNone(driver.poll(), (self.path / "errors").read_text())
        self.assertTrue(all(is_alive(pid) for pid in self.pids()))
        driver.send_signal(number)
        self.assertEqual(driver.wait(PATIENCE_S), 128 + number)
        self.assertEqual([pid for pid in self.pids() if is_alive(pid)], [])
        written = json.loads((self.path / "out.json").read_text())
        self.assertEqual(written["stopped"], signal.Signals(number).name)

    def test_sigterm(self):
        self.ends_all_at(signal.SIGTERM)

    def test_sigint(self):
        self.ends_all_at(signal.SIGINT)

    def start_two(self, processes):
        for number, what in enumerate(("server", "stubborn")):
            processes.start([sys.executable, self.path / "fake.py", what, compare.free_port(),
                             self.path], min(os.sched_getaffinity(0)), self.path / f"{number}.err")
        until(lambda: len(self.pids()) == 4, "four processes")

    def test_exception(self):
        self.addCleanup(setattr, compare_machine, "END_SECONDS_MAX",
                        compare_machine.END_SECONDS_MAX)
        compare_machine.END_SECONDS_MAX = 0.2
        with self.assertRaises(ZeroDivisionError), compare_machine.Processes() as processes:
            self.start_two(processes)
            raise ZeroDivisionError
        self.assertEqual([pid for pid in self.pids() if is_alive(pid)], [])

    def test_leader_that_ended_before_its_child(self):
        before = signal.getsignal(signal.SIGTERM)
        with compare_machine.Processes() as processes:
            process = processes.start(
                ["sh", "-c", f"sleep 60 & echo > {self.path}/$!.pid; exit 7"],
                min(os.sched_getaffinity(0)), self.path / "err")
            self.assertTrue(process.has_ended(PATIENCE_S))
            self.assertEqual(process.status(), "status 7")
            self.assertTrue(is_alive(self.pids()[0]))
            processes.end(process)
            self.assertFalse(is_alive(self.pids()[0]))
        self.assertEqual(signal.getsignal(signal.SIGTERM), before)

    def test_signal_waits_while_something_begins(self):
        with self.assertRaises(compare_machine.Stopped), compare_machine.Processes() as processes:
            with processes.held():
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.01)
                reached = True
        self.assertTrue(reached)

    def test_reason_has_the_last_words(self):
        case = case_of("echo", window=1, size=20)
        setting = {"files": 1000, "server_cpu": min(os.sched_getaffinity(0)), "seconds": 1}
        setting["generator_cpu"] = setting["server_cpu"]
        original = compare.command_of
        self.addCleanup(setattr, compare, "command_of", original)
        compare.command_of = lambda *_: ["sh", "-c", "echo why not >&2; exit 3"]
        with compare_machine.Processes() as setting["processes"]:
            run = compare.run_one(setting, "libwebsockets", case)
        self.assertEqual(run["reason"], "the server ended with status 3: why not")
        self.assertIsNone(run["figure"])


    def test_npm_ws_without_bufferutil_is_refused(self):
        if platform.machine() == "x86_64":
            with self.assertRaisesRegex(compare.Failure, "without bufferutil"):
                compare.check_server("npm ws", os.getpid())


class Machine(unittest.TestCase):
    def test_cpus(self):
        alone = lambda cpu: {cpu}  # noqa: E731
        pairs = lambda cpu: {cpu & ~1, cpu | 1}  # noqa: E731
        self.assertEqual(compare_machine.choose_cpus({3, 7}, alone), (3, 7, None))
        self.assertEqual(compare_machine.choose_cpus({4, 5, 6}, pairs), (4, 6, None))
        *cpus, note = compare_machine.choose_cpus({4, 5}, pairs)
        self.assertEqual(cpus, [4, 5])
        self.assertIn("share a core", note)
        *cpus, note = compare_machine.choose_cpus({6}, alone)
        self.assertEqual(cpus, [6, 6])
        self.assertIn("Only CPU 6", note)

    def test_one_cpu_is_said_and_does_not_stop_it(self):
        cpu = min(os.sched_getaffinity(0))
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                ["taskset", "-c", str(cpu), sys.executable, BENCH / "compare.py", "--quick",
                 "--only", "^connects$", "--servers", "libwebsockets", "--json", f"{folder}/json"],
                capture_output=True, text=True, timeout=PATIENCE_S, check=False)
            written = json.loads(pathlib.Path(folder, "json").read_text())
        self.assertIn(f"Only CPU {cpu}", done.stdout)
        self.assertTrue(written["one_cpu"])
        self.assertIn(f"Only CPU {cpu}", written["notes"][0])
        self.assertEqual((written["server_cpu"], written["generator_cpu"]), (cpu, cpu))
        self.assertEqual(len(written["rows"]), 1)
        self.assertIn("libwebsockets", written["versions"])
        self.assertIn(written["processor"], done.stdout)

    def test_open_files(self):
        code = ("import compare_machine, resource; hard = compare_machine.raise_open_files();"
                "print(hard, *resource.getrlimit(resource.RLIMIT_NOFILE))")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              check=True, cwd=BENCH, preexec_fn=lambda: resource.setrlimit(
                                  resource.RLIMIT_NOFILE, (64, 1000)))
        self.assertEqual(done.stdout.split(), ["1000"] * 3)

    def test_too_many_connections_are_left_out(self):
        chosen = list(compare.cases(False))
        self.assertEqual(compare.too_many(chosen, 20000), [])
        left_out = compare.too_many(chosen, 4096)
        self.assertTrue(left_out)
        for case, why in left_out:
            self.assertEqual(case.count, 9900)
            self.assertIn("10,100 open files", why)

    def test_more_bytes_than_the_kernel_keeps_are_left_out(self):
        chosen = list(compare.cases(False))
        left_out = compare.too_large(chosen, 2 * 9900 * 16 * 16384 - 1)
        self.assertEqual([case.name for case, _ in left_out],
                         ["echo 16 KiB, 9,900 connections, 16 in flight"])
        self.assertIn("2,595,225,600 bytes are under way", left_out[0][1])
        self.assertEqual(compare.too_large(chosen, 2 * 9900 * 16 * 16384), [])
        self.assertGreater(compare_machine.tcp_bytes_max(), 1 << 20)

    def test_what_cannot_be_is_said_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            for flags, text in ((["--only", "echo ("], "is no regular expression"),
                                (["--only", "nobody"], "fits no case; there are:\n  echo 20 B"),
                                (["--servers", "apache"], "no server 'apache'"),
                                (["--rounds", "0"], "expected more than 0"),
                                (["--json", f"{folder}/no/file"], "no file can be written"),
                                (["--json", folder], "no file can be written"),
                                (["--add", f"{folder}/nothing"], "no JSON of compare.py")):
                done = subprocess.run([sys.executable, BENCH / "compare.py", "--servers",
                                       "libwebsockets", *flags], capture_output=True, text=True,
                                      timeout=PATIENCE_S, check=False)
                self.assertEqual(done.returncode, 2, (flags, done.stderr))
                self.assertIn(text, done.stderr)
            self.assertTrue(compare_machine.can_write(f"{folder}/file"))
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [])

    def test_rounds_are_added_to_earlier_ones(self):
        setting = {"rounds": 2, "seconds": 1, "files": 4096, "server_cpu": 0, "generator_cpu": 1,
                   "versions": {"npm ws": "8"}}
        runs = [{"round": 1, "figure": 4.5, "reason": None}, {"round": 2, "figure": 5.5,
                                                              "reason": None}]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "before.json")
            compare.write_json(path, setting, {("echo", "npm ws"): runs}, [], None)
            found, rounds = compare.read_earlier(path, setting)
            self.assertEqual((found, rounds), ({("echo", "npm ws"): runs}, 2))
            with self.assertRaisesRegex(compare.Failure, "made with seconds 1, not 3"):
                compare.read_earlier(path, {**setting, "seconds": 3})
            with self.assertRaisesRegex(compare.Failure, "one_cpu False, not True"):
                compare.read_earlier(path, {**setting, "generator_cpu": 0})
            path.write_text("[]")
            with self.assertRaisesRegex(compare.Failure, "no JSON of compare.py"):
                compare.read_earlier(path, setting)

    def test_versions(self):
        found = compare.versions_of(["python websockets", "floor epoll", "parleyd uring"])
        self.assertEqual(list(found), ["python websockets", "parleyd"])
        self.assertRegex(found["python websockets"], r"^\d+\.\d+")
        self.assertRegex(found["parleyd"] or "0.1", r"^\d+\.\d+")  # None: it is not built
        self.assertIsNone(compare_machine.first_line(["/nowhere"], BENCH))
        self.assertIsNone(compare_machine.first_line(["false"], BENCH))
        self.assertIsNone(compare_machine.first_line(["true"], BENCH))
        self.assertEqual(compare_machine.first_line(["echo", "1.2\n3"], BENCH), "1.2")
        for name in compare.SERVERS:
            if not name.startswith("bun"):
                self.assertTrue(compare.version_command(name))
        self.assertTrue(compare_machine.processor())

    def test_bun_of_the_architecture(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for word in ("x64", "aarch64-musl"):
                path = root / f"@oven/bun-linux-{word}/bin"
                path.mkdir(parents=True)
                (path / "bun").touch()
            self.assertIn("bun-linux-x64/", str(compare.find_bun(root, "x86_64")))
            self.assertIn("bun-linux-aarch64-musl/", str(compare.find_bun(root, "aarch64")))
            with self.assertRaisesRegex(compare.Failure, "no bun for riscv64"):
                compare.find_bun(root, "riscv64")

    def test_group_of_a_strange_name(self):
        self.assertEqual(compare_machine.group_of("12 (a) Z 3 (b) S 1 77 77 0"), 77)
        self.assertIsNone(compare_machine.group_of("12 (x) Z 1 77 77 0"))


class Verified(unittest.TestCase):
    echo = case_of("echo", window=2, size=20)
    fanout = case_of("fanout", window=2, size=50, subscribed=True)

    def reason(self, case, change=lambda report: None, **results):
        load = [case.part, "ws://127.0.0.1:1/x"]
        report = report_of(case, load, **results)
        change(report)
        return compare_figures.fault_of(case, load, report)

    def test_whole_runs(self):
        for case in (self.echo, self.fanout, case_of("idle"), case_of("connect")):
            self.assertIsNone(self.reason(case), case.part)
            run = compare_figures.run_of(case, ["x", "y"], report_of(case, ["x", "y"]))
            self.assertIsNone(run["reason"])
            self.assertIsNotNone(run["figure"])

    def test_each_fault_is_named(self):
        for name in compare_figures.FAULTS:
            self.assertEqual(self.reason(self.echo, **{name: 3}), f"{name} 3")
        self.assertIn("not clean", self.reason(self.echo, clean=False))

    def test_a_broadcast_that_does_not_reach_all(self):
        self.assertIn("9000 deliveries of 10000", self.reason(self.fanout, received=9000))
        self.assertIn("expected of 1000 messages", self.reason(self.fanout, expected=5000,
                                                               received=5000))
        self.assertIsNone(self.reason(self.fanout, received=9990))

    def test_nothing_is_no_figure(self):
        self.assertIn("nothing", self.reason(self.echo, sent=0, expected=0, received=0))
        self.assertIn("nobody", self.reason(case_of("connect"), connects=0))
        self.assertIn("3 of 10", self.reason(
            case_of("idle"), lambda report: report.update(points=[{"connected": 3}])))
        self.assertIn("server", self.reason(self.echo, lambda report: report.update(server=None)))

    def test_another_run(self):
        for key, value in (("scenario", "idle"), ("url", "ws://else"), ("connections", 11)):
            self.assertIn(f"{key} {value}", self.reason(
                self.echo, lambda report, key=key, value=value: report["options"].update(
                    {key: value})))


def runs_of(*figures, **more):
    return [{**compare_figures.failed_run("lost 1"), "round": number, **more,
             **({} if figure is None else {"reason": None, "figure": figure})}
            for number, figure in enumerate(figures, 1)]


class Table(unittest.TestCase):
    echo = case_of("echo", name="echo", window=1, size=20)

    def test_failed_rounds_are_told(self):
        found = {("echo", "npm ws"): runs_of(None, 5.0, None, 6.0, None),
                 ("echo", "nginx + nchan"): runs_of(None, None),
                 ("echo", "parleyd epoll"): runs_of(1.0, 2.0, 3.0)}
        servers = ["npm ws", "nginx + nchan", "parleyd epoll", "libwebsockets"]
        lines = compare_figures.table([self.echo], servers, found)
        self.assertEqual(lines[2], "| echo | 5.50 µs [5.00-6.00] (2 of 5) | failed (0 of 2)"
                                   " | 2.00 µs [1.00-3.00] | - |")
        for number in (1, 3, 5):
            self.assertIn(f"- round {number}: echo, npm ws: lost 1", lines)
        self.assertEqual(sum("round" in line for line in lines if line.startswith("-")), 5)

    def test_nothing_failed_says_nothing(self):
        lines = compare_figures.table([self.echo], ["npm ws"], {("echo", "npm ws"): runs_of(5.0)})
        self.assertEqual(len(lines), 3)

    def test_ratio_is_to_the_better_floor(self):
        found = {("echo", "floor epoll"): runs_of(4.0), ("echo", "floor uring"): runs_of(2.0),
                 ("echo", "npm ws"): runs_of(5.0)}
        self.assertEqual(compare_figures.floors_of(self.echo, found), [2.0])
        text = compare_figures.text_of(self.echo, found["echo", "npm ws"], [2.0])
        self.assertIn("2.50 x", text)

    def test_ratio_is_to_the_floor_of_the_same_round(self):
        # A machine that becomes slower: in each round the server needs twice what the floor does.
        found = {("echo", "floor epoll"): runs_of(1.0, 2.0, None, 9.0, None),
                 ("echo", "floor uring"): runs_of(3.0, 4.0, 5.0, None, None),
                 ("echo", "npm ws"): runs_of(2.0, 4.0, 10.0, None, 7.0)}
        floors = compare_figures.floors_of(self.echo, found)
        self.assertEqual(floors, [1.0, 2.0, 5.0, 9.0, None])
        self.assertEqual(compare_figures.ratio_of(found["echo", "npm ws"], floors), 2.0)
        self.assertIsNone(compare_figures.ratio_of(runs_of(None), floors))
        self.assertIsNone(compare_figures.ratio_of(runs_of(1.0), []))
        self.assertEqual(compare_figures.floors_of(self.echo, {}), [])

    def test_connects(self):
        text = compare_figures.text_of(case_of("connect"), runs_of(20.0, 40.0, 50.0),
                                       [30.0, 30.0, 30.0])
        self.assertEqual(text, "40.00 µs [20.00-50.00], 25,000 per CPU second, 75 % of the"
                               " floor's rate")

    def test_idle_has_its_spread(self):
        text = compare_figures.text_of(case_of("idle"), runs_of(300, 280, 1310), [])
        self.assertEqual(text, "300 B [280-1,310]")

    def test_generator_bound_is_marked(self):
        runs = runs_of(1.0, 2.0, generator_bound=True)
        self.assertTrue(compare_figures.text_of(self.echo, runs, []).endswith(" (g)"))
        lines = compare_figures.table([self.echo], ["npm ws"], {("echo", "npm ws"): runs})
        self.assertTrue(lines[-1].startswith("(g): "))
        runs = copy.deepcopy(runs) + runs_of(1.0, 2.0, 3.0, generator_bound=False)
        self.assertNotIn("(g)", compare_figures.text_of(self.echo, runs, []))

    def test_a_run_has_rate_and_latency(self):
        load = ["echo", "ws://127.0.0.1:1/x"]
        run = compare_figures.run_of(self.echo, load, report_of(self.echo, load))
        self.assertEqual((run["rate_per_s"], run["p50_us"], run["p99_us"]), (500.0, 2.0, 9.0))
        self.assertEqual((run["generator_bound"], run["generator_share"]), (False, 0.5))


class Loads(unittest.TestCase):
    def test_subscribed(self):
        idle = [case for case in compare.cases(True) if case.part in ("idle", "connect")]
        self.assertEqual([case.subscribed for case in idle], [False, True] * 2)
        for case in idle:
            ours = compare.load_of("parleyd epoll", case, 1)
            self.assertEqual("--session" in ours, case.subscribed)
            theirs = compare.load_of("npm ws", case, 1)
            self.assertTrue(theirs[1].endswith("/fanout" if case.subscribed else "/echo"))

    def test_floor(self):
        by_part = {case.part: case for case in compare.cases(True)}
        self.assertIn("--connect", compare.floor_command("floor uring", by_part["connect"], 1))
        self.assertIn("--fanout", compare.floor_command("floor uring", by_part["fanout"], 1))
        self.assertIsNone(compare.floor_command("floor uring", by_part["idle"], 1))
        echo = next(compare.cases(True))
        self.assertEqual(compare.load_of("floor epoll", echo, 1)[-2:], ["-s", 26])


if __name__ == "__main__":
    unittest.main()
