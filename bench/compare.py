#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""parleyd beside other WebSocket servers and beside the floor, in one run; compare.sh prepares it.

usage: compare.py [--rounds N] [--seconds S] [--quick] [--servers A,B] [--only REGEX] [--json FILE]

The exit status is 1 when a server got no figure for something that it can do.

Method: the server on CPU 0, the generator on CPU 1, never two servers at once. Runs are
interleaved: a round takes every case, a case every server, so that what the machine does at the
time hits all of them alike. Each server is started anew for each run. A figure is the median of the
rounds. What is reported is the server's CPU time (user and kernel), which says what a server costs
also where the generator is the limit; a run with a lost or wrong message is no figure but "failed".

The floor is raw TCP without any protocol, `parley-bench floor`. Its messages have the size of the
frame that a WebSocket server gets: the payload and 6 bytes (8 from 126 bytes on).
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "build/release/parley-bench"
PARLEYD = ROOT / "build/release/parleyd"
PEERS = ROOT / "bench/peers"
RUN_SECONDS_MAX = 200
CHAT = "/connection/websocket"

SERVERS = ("floor epoll", "floor uring", "parleyd epoll", "parleyd uring", "bun (uWebSockets)",
           "npm ws", "libwebsockets", "python websockets", "nginx + nchan")


class Case:
    """One line of the table for each server."""

    def __init__(self, part, name, scenario, flags, size=None):
        self.part, self.name, self.scenario = part, name, scenario
        self.flags, self.size = flags, size


def cases(quick):
    counts = [100, 1000] if quick else [100, 1000, 9900]
    sizes = {20: "20 B", 512: "512 B", 16384: "16 KiB"}
    for size, text in sizes.items():
        for count in counts:
            for window in (1, 16):
                name = f"echo {text}, {count:,} connections, {window} in flight"
                yield Case("echo", name, "echo", ["-c", count, "-w", window], size)
    for count in counts[1:]:
        for name, window in (("one at a time", ["-w", 1]),
                             ("bursts of 16", ["-w", 16, "--burst", 16]),
                             ("saturation", ["-w", 256, "--burst", 32])):
            yield Case("fanout", f"fan-out to {count:,}, {name}", "fanout",
                       ["-c", count, *window], 50)
    yield Case("idle", "idle connection", "idle", ["-c", 1000 if quick else 9900])
    yield Case("connect", "connects", "connect", ["-c", 64])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def nchan_command(port, folder):
    text = (PEERS / "nchan.conf").read_text()
    for key, value in (("PORT", port), ("DIR", folder), ("MODULES", "/usr/lib/nginx/modules")):
        text = text.replace(f"@{key}@", str(value))
    config = pathlib.Path(folder, "nginx.conf")
    config.write_text(text)
    return ["nginx", "-e", f"{folder}/error.log", "-c", str(config)]


def parleyd_command(name, port, folder):
    config = pathlib.Path(folder, "parley.json")
    limits = {"command_rate": 1000000, "command_burst": 1000000,
              "queue_max_size": 16 * 1024 * 1024}
    config.write_text(json.dumps({"client": {"insecure": True, **limits},
                                  "echo": {"enabled": True}}))
    return [PARLEYD, "--config", config, "--backend", name.split()[1], "--reactors", "1",
            "--listen", f"127.0.0.1:{port}", "--internal-listen", f"127.0.0.1:{free_port()}",
            "--log-level", "error"]


def command_of(name, case, port, folder):
    """The server's command; None: it cannot do this."""
    if name.startswith("floor"):
        if case.part == "connect" or case.part == "idle":
            return None
        return [BENCH, "floor", "--backend", name.split()[1], "--listen", f"127.0.0.1:{port}",
                *(["--fanout"] if case.part == "fanout" else [])]
    if name.startswith("parleyd"):
        return parleyd_command(name, port, folder)
    if name.startswith("nginx"):
        return nchan_command(port, folder) if case.part != "echo" else None
    return {
        "bun (uWebSockets)": [PEERS / "node_modules/@oven/bun-linux-x64/bin/bun", "run",
                              PEERS / "bun_server.js", port],
        "npm ws": ["node", PEERS / "ws_server.mjs", port],
        "libwebsockets": [ROOT / "build/peers/lws_server", port],
        "python websockets": ["/usr/bin/python3", PEERS / "websockets_server.py", port],
    }[name]


def load_of(name, case, port):
    """What parley-bench is told: scenario, URL, flags."""
    size = [] if case.size is None else ["-s", case.size]
    if name.startswith("floor"):
        wire = case.size + (6 if case.size < 126 else 8)
        if case.part == "fanout":
            wire = case.size + 70  # what the Centrifuge protocol has around 50 bytes, about
        return [case.scenario, f"tcp://127.0.0.1:{port}", *case.flags, "-s", wire]
    if name.startswith("parleyd") and case.part == "fanout":
        return ["chat", f"ws://127.0.0.1:{port}{CHAT}", *case.flags, *size]
    path = "/fanout" if case.part == "fanout" or name.startswith("nginx") else "/echo"
    return [case.scenario, f"ws://127.0.0.1:{port}{path}", *case.flags, *size]


def pinned(cpu, command):
    words = [str(word) for word in command]
    return ["taskset", "-c", str(cpu), *words] if os.cpu_count() > 1 else words


def wait_for_port(port, server):
    for _ in range(200):
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with {server.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the server does not listen")


def run_one(name, case, seconds):
    """The report of parley-bench as a dictionary; None: this server cannot do it."""
    folder = tempfile.mkdtemp(prefix="parley-compare-")
    port = free_port()
    command = command_of(name, case, port, folder)
    if command is None:
        shutil.rmtree(folder)
        return None
    server = subprocess.Popen(pinned(0, command), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    report = pathlib.Path(folder, "report.json")
    try:
        wait_for_port(port, server)
        load = pinned(1, [BENCH, *load_of(name, case, port), "-d", seconds, "--warmup", "0.5",
                          "--drain", 60, "--server-pid", server.pid, "--json", report])
        subprocess.run(load, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
                       timeout=RUN_SECONDS_MAX)
        return json.loads(report.read_text()) if report.exists() else {}
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"{name}, {case.name}: {error}", file=sys.stderr)
        return {}
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def figure_of(case, report):
    """(value, user part or None): µs per delivery, bytes or connects/s; None: no figure."""
    if not report or not report["results"]["clean"]:
        return None
    server, results = report["server"], report["results"]
    if case.part == "idle":
        return server["user_bytes_per_connection"], None
    if case.part == "connect":
        cpu_us = (server["user_ns"] + server["system_ns"]) / 1000
        return (cpu_us / results["connects"], None) if results["connects"] else None
    user, system = server["user_us_per_delivery"], server["system_us_per_delivery"]
    return (user + system, user) if user is not None else None


def text_of(case, figures, floor):
    if not figures:
        return "failed"
    values = [figure[0] for figure in figures]
    middle = statistics.median(values)
    if case.part == "idle":
        return f"{middle:,.0f} B"
    text = f"{middle:.2f} µs [{min(values):.2f}-{max(values):.2f}]"
    users = [figure[1] for figure in figures if figure[1] is not None]
    if users:
        text += f", user {statistics.median(users):.2f}"
    if floor:
        text += f", {middle / floor:.2f} x"
    return text


def floor_of(case, found):
    """The median of the better floor: one denominator for everybody."""
    floors = [found.get((case.name, one)) for one in ("floor epoll", "floor uring")]
    return min((statistics.median(figure[0] for figure in figures)
                for figures in floors if figures), default=None)


def print_table(chosen, servers, found):
    print("| " + " | ".join(["server CPU", *servers]) + " |")
    print("|" + " --- |" * (len(servers) + 1))
    for case in chosen:
        cells = [case.name]
        for name in servers:
            figures = found.get((case.name, name))
            floor = None if name.startswith("floor") else floor_of(case, found)
            cells.append("-" if figures is None else text_of(case, figures, floor))
        print("| " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer connections, one round of 1 s")
    parser.add_argument("--servers", help="some of: " + ", ".join(SERVERS))
    parser.add_argument("--only", default="", help="cases whose name this regular expression fits")
    parser.add_argument("--json", help="write all single figures there")
    args = parser.parse_args()
    rounds, seconds = (1, 1) if args.quick else (args.rounds, args.seconds)
    servers = args.servers.split(",") if args.servers else list(SERVERS)
    for name in servers:
        if name not in SERVERS:
            parser.error(f"no server {name!r}; there are: {', '.join(SERVERS)}")
    chosen = [case for case in cases(args.quick) if re.search(args.only, case.name)]

    found = {}
    for number in range(rounds):
        for case in chosen:
            for name in servers:
                report = run_one(name, case, seconds)
                if report is None:
                    continue
                figures = found.setdefault((case.name, name), [])
                figure = figure_of(case, report)
                if figure is not None:
                    figures.append(figure)
                print(f"round {number + 1}/{rounds}: {case.name}, {name}: {figure}",
                      file=sys.stderr, flush=True)
    print_table(chosen, servers, found)
    if args.json:
        rows = [{"case": case, "server": name, "figures": figures}
                for (case, name), figures in found.items()]
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1))
    return 0 if found and all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
