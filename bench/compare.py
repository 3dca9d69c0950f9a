#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""parleyd beside other WebSocket servers and beside the floor, in one run; compare.sh prepares it.

usage: compare.py [--rounds N] [--seconds S] [--quick] [--servers A,B] [--only REGEX] [--json FILE]
                  [--add FILE]

The exit status is 1 when a server got no figure for something that it can do, 2 when the command
line is wrong, 128 and the number of the signal when one ended it: then the table has what there was
until then, and no server is left.

Method: server and generator each on a CPU of its own, never two servers at once. Runs are
interleaved: a round takes every case, a case every server, so that what the machine does at the
time hits all of them alike. Each server is started anew for each run. A figure is the median of the
rounds. What is reported is the server's CPU time (user and kernel), which says what a server costs
also where the generator is the limit; a run with a lost or wrong message is no figure, and its
reason stands below the table.

The floor is raw TCP without any protocol, `parley-bench floor`. Its messages have the size of the
frame that a WebSocket server gets: the payload and 6 bytes (8 from 126 bytes on); its connects are
a request and a reply as long as those of a handshake.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time

import compare_figures
import compare_machine

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "build/release/parley-bench"
PARLEYD = ROOT / "build/release/parleyd"
PEERS = ROOT / "bench/peers"
RUN_SECONDS_MAX = 200
LISTEN_SECONDS_MAX = 10
FILES_SPARE = 200  # open files that a server or the generator has besides its connections
CHAT = "/connection/websocket"

SERVERS = ("floor epoll", "floor uring", "parleyd epoll", "parleyd uring", "bun (uWebSockets)",
           "npm ws", "libwebsockets", "python websockets", "nginx + nchan")


class Failure(Exception):
    """A run gives no figure, for this reason."""


class Case:
    """One line of the table. Subscribed: parleyd's session, the others' broadcast."""

    def __init__(self, part, name, count, window=0, flags=(), size=None, subscribed=False):
        self.part, self.name, self.count, self.window = part, name, count, window
        self.flags = ["-c", count, *(["-w", window] if window else []), *flags]
        self.size, self.subscribed = size, subscribed


def cases(quick):
    counts = [100, 1000] if quick else [100, 1000, 9900]
    sizes = {20: "20 B", 512: "512 B", 16384: "16 KiB"}
    for size, text in sizes.items():
        for count in counts:
            for window in (1, 16):
                name = f"echo {text}, {count:,} connections, {window} in flight"
                yield Case("echo", name, count, window, size=size)
    for count in counts[1:]:
        for name, window, flags in (("one at a time", 1, []),
                                    ("bursts of 16", 16, ["--burst", 16]),
                                    ("saturation", 256, ["--burst", 32])):
            yield Case("fanout", f"fan-out to {count:,}, {name}", count, window, flags, 50, True)
    for name, subscribed in (("", False), (", subscribed", True)):
        yield Case("idle", f"idle connection{name}", counts[-1], subscribed=subscribed)
    for name, subscribed in (("", False), (", subscribed", True)):
        yield Case("connect", f"connects{name}", 64, subscribed=subscribed)


def too_many(chosen, files):
    """[(case, why)]: those that need more open files than a process may have."""
    return [(case, f"{case.name} is left out: it needs {case.count + FILES_SPARE:,} open files in"
                   f" one process, and there are {files:,}")
            for case in chosen if case.count + FILES_SPARE > files]


def too_large(chosen, tcp_bytes):
    """[(case, why)]: those of which more is under way than the kernel keeps for TCP. It counts
    what it allocates, not what is in it: some two bytes for each one."""
    under_way = {case: case.count * case.window * (case.size or 0) for case in chosen}
    return [(case, f"{case.name} is left out: {under_way[case]:,} bytes are under way, which"
                   f" take twice as much, and the kernel keeps {tcp_bytes:,} for all of TCP"
                   " (net.ipv4.tcp_mem)")
            for case in chosen if 2 * under_way[case] > tcp_bytes]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# -- servers -------------------------------------------------------------------------------------

def nchan_command(port, folder, files):
    text = (PEERS / "nchan.conf").read_text()
    for key, value in (("PORT", port), ("DIR", folder), ("MODULES", "/usr/lib/nginx/modules"),
                       ("FILES", files), ("CONNECTIONS", files - FILES_SPARE // 2)):
        text = text.replace(f"@{key}@", str(value))
    config = pathlib.Path(folder, "nginx.conf")
    config.write_text(text)
    return ["nginx", "-e", f"{folder}/error.log", "-c", str(config)]


def parleyd_command(name, port, folder):
    config = pathlib.Path(folder, "parley.json")
    limits = {"command_rate": 1000000, "command_burst": 1000000,
              "queue_max_size": 16 * 1024 * 1024}
    config.write_text(json.dumps({"client": {"insecure": True, **limits},
                                  "shutdown": {"grace": "0s"},
                                  "echo": {"enabled": True}}))
    return [PARLEYD, "--config", config, "--backend", name.split()[1], "--reactors", "1",
            "--listen", f"127.0.0.1:{port}", "--internal-listen", f"127.0.0.1:{free_port()}",
            "--log-level", "error"]


def floor_command(name, case, port):
    kind = {"echo": [], "fanout": ["--fanout"], "connect": ["--connect"]}.get(case.part)
    return None if kind is None else [BENCH, "floor", "--backend", name.split()[1],
                                      "--listen", f"127.0.0.1:{port}", *kind]


def find_bun(modules, machine):
    """The one of this architecture, as npm has installed it."""
    word = {"x86_64": "x64", "aarch64": "aarch64"}.get(machine, machine)
    for kind in ("", "-baseline", "-musl", "-musl-baseline"):
        path = modules / f"@oven/bun-linux-{word}{kind}/bin/bun"
        if path.exists():
            return path
    raise Failure(f"npm has installed no bun for {machine}")


def command_of(name, case, port, folder, files):
    """The server's command; None: it cannot do this."""
    if name.startswith("floor"):
        return floor_command(name, case, port)
    if name.startswith("parleyd"):
        return parleyd_command(name, port, folder)
    if name.startswith("nginx"):
        return nchan_command(port, folder, files) if case.subscribed else None
    if name.startswith("bun"):
        return [find_bun(PEERS / "node_modules", platform.machine()), "run",
                PEERS / "bun_server.js", port]
    return {
        "npm ws": ["node", PEERS / "ws_server.mjs", port],
        "libwebsockets": [ROOT / "build/peers/lws_server", port],
        "python websockets": ["/usr/bin/python3", PEERS / "websockets_server.py", port],
    }[name]


def version_command(name):
    """What prints its version, in the folder of the peers."""
    if name.startswith(("floor", "parleyd")):
        return [PARLEYD, "--version"]
    if name.startswith("bun"):
        return [find_bun(PEERS / "node_modules", platform.machine()), "--version"]
    return {
        "npm ws": ["node", "-p",
                   "`${require('ws/package.json').version}, node ${process.version}`"],
        "libwebsockets": ["pkg-config", "--modversion", "libwebsockets"],
        "python websockets": ["/usr/bin/python3", "-c",
                              "import websockets.version; print(websockets.version.version)"],
        "nginx + nchan": ["dpkg-query", "--show", "--showformat=${Package} ${Version}  ",
                          "nginx", "libnginx-mod-nchan"],
    }[name]


def versions_of(servers):
    """{server: version}; None where it cannot be told. The floor is ours."""
    found = {}
    for name in servers:
        key = "parleyd" if name.startswith(("floor", "parleyd")) else name
        if key not in found:
            try:
                line = compare_machine.first_line(version_command(name), PEERS)
                found[key] = line and line.removeprefix(f"{key} ")
            except Failure:
                found[key] = None
    return found


def check_server(name, pid):
    """That it runs as its authors recommend, as far as it can be seen from outside."""
    if name == "npm ws" and platform.machine() == "x86_64":
        if "bufferutil.node" not in pathlib.Path(f"/proc/{pid}/maps").read_text():
            raise Failure("npm ws runs without bufferutil")


# -- one run -------------------------------------------------------------------------------------

def load_of(name, case, port):
    """What parley-bench is told: scenario, URL, flags."""
    flags = case.flags + ([] if case.size is None else ["-s", case.size])
    if name.startswith("floor"):
        if case.part == "fanout":
            # What the Centrifuge protocol has around 50 bytes, about.
            flags = [*case.flags, "-s", case.size + 70]
        elif case.size is not None:
            flags = [*case.flags, "-s", case.size + (6 if case.size < 126 else 8)]
        return [case.part, f"tcp://127.0.0.1:{port}", *flags]
    if name.startswith("parleyd") and case.subscribed:
        url = f"ws://127.0.0.1:{port}{CHAT}"
        if case.part == "fanout":
            return ["chat", url, *flags]
        return [case.part, url, *flags, "--session"]
    return [case.part, f"ws://127.0.0.1:{port}{'/fanout' if case.subscribed else '/echo'}", *flags]


def last_words(folder, *names):
    """The last line that one of these files has, to be put behind a reason."""
    for name in names:
        path = pathlib.Path(folder, name)
        lines = path.read_text(errors="replace").split("\n") if path.exists() else []
        lines = [line.strip() for line in lines if line.strip()]
        if lines:
            return f": {lines[-1][:200]}"
    return ""


def wait_for_port(port, server, folder):
    end = time.monotonic() + LISTEN_SECONDS_MAX
    while time.monotonic() < end:
        if server.has_ended():
            words = last_words(folder, "server.err", "error.log")
            raise Failure(f"the server ended with {server.status()}{words}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Failure("the server does not listen")


def read_report(generator, load, path, folder):
    if not generator.has_ended(RUN_SECONDS_MAX):
        raise Failure(f"the generator did not end within {RUN_SECONDS_MAX} s")
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        words = last_words(folder, "generator.err")
        raise Failure(f"no report of parley-bench {load[0]}, {generator.status()}{words}") from None


def measure(setting, name, case, folder):
    """A run as in the JSON; None: this server cannot do it."""
    port = free_port()
    command = command_of(name, case, port, folder, setting["files"])
    if command is None:
        return None
    processes, report = setting["processes"], pathlib.Path(folder, "report.json")
    server = processes.start(command, setting["server_cpu"], f"{folder}/server.err")
    try:
        wait_for_port(port, server, folder)
        check_server(name, server.pid)
        load = load_of(name, case, port)
        generator = processes.start(
            [BENCH, *load, "-d", setting["seconds"], "--warmup", "0.5", "--drain", 60,
             "--server-pid", server.pid, "--json", report],
            setting["generator_cpu"], f"{folder}/generator.err")
        try:
            return compare_figures.run_of(case, load, read_report(generator, load, report, folder))
        finally:
            processes.end(generator)
    finally:
        processes.end(server)


def run_one(setting, name, case):
    """As measure(), and what fails is a run too, with its reason."""
    made = tempfile.TemporaryDirectory(prefix="parley-compare-", ignore_cleanup_errors=True)
    with made as folder:
        try:
            return measure(setting, name, case, folder)
        except (Failure, OSError, subprocess.SubprocessError) as error:
            return compare_figures.failed_run(str(error) or type(error).__name__)


# -- all of it -----------------------------------------------------------------------------------

def run_all(setting, chosen, servers, found):
    """Adds to `found`: (case, server) -> runs, one for each round."""
    rounds = setting["rounds"]
    for number in range(setting["rounds_before"] + 1, rounds + 1):
        for case in chosen:
            for name in servers:
                run = run_one(setting, name, case)
                if run is None:
                    continue
                found.setdefault((case.name, name), []).append({"round": number, **run})
                what = run["reason"] if run["figure"] is None else f"{run['figure']:.2f}"
                print(f"round {number}/{rounds}: {case.name}, {name}: {what}", file=sys.stderr,
                      flush=True)


def setting_of(setting):
    """What runs must have in common to be in one table, as the JSON has it."""
    return {"format": 2, "machine": platform.machine(), "kernel": platform.release(),
            "seconds": setting["seconds"],
            "one_cpu": setting["server_cpu"] == setting["generator_cpu"]}


def read_earlier(path, setting):
    """(found, rounds) of an earlier --json; Failure: it cannot be in one table with `setting`."""
    try:
        earlier = json.loads(pathlib.Path(path).read_text())
        for key, value in setting_of(setting).items():
            if earlier[key] != value:
                raise Failure(f"{path} was made with {key} {earlier[key]}, not {value}")
        return ({(row["case"], row["server"]): row["runs"] for row in earlier["rows"]},
                earlier["rounds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"{path} is no JSON of compare.py: {error}") from error


def write_json(path, setting, found, notes, stopped):
    keys = ("rounds", "files", "server_cpu", "generator_cpu")
    pathlib.Path(path).write_text(json.dumps({
        **setting_of(setting), "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **{key: setting[key] for key in keys},
        "processor": compare_machine.processor(), "versions": setting["versions"],
        "notes": notes, "stopped": stopped,
        "rows": [{"case": case, "server": name,
                  "figures": compare_figures.figures_in(runs), "runs": runs}
                 for (case, name), runs in found.items()],
    }, indent=1, ensure_ascii=False) + "\n")


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer connections, one round of 1 s")
    parser.add_argument("--servers", help="some of: " + ", ".join(SERVERS))
    parser.add_argument("--only", default="", help="cases whose name this regular expression fits")
    parser.add_argument("--json", help="write every run there, also those that failed")
    parser.add_argument("--add", metavar="JSON",
                        help="add the rounds to those of this earlier --json")
    args = parser.parse_args()
    if args.rounds < 1 or args.seconds <= 0:
        parser.error("--rounds and --seconds: expected more than 0")
    servers = args.servers.split(",") if args.servers else list(SERVERS)
    for name in servers:
        if name not in SERVERS:
            parser.error(f"no server {name!r}; there are: {', '.join(SERVERS)}")
    try:
        re.compile(args.only)
    except re.error as error:
        parser.error(f"--only {args.only!r} is no regular expression: {error}")
    if not any(re.search(args.only, case.name) for case in cases(args.quick)):
        names = "".join(f"\n  {case.name}" for case in cases(args.quick))
        parser.error(f"--only {args.only!r} fits no case; there are:{names}")
    if args.json and not compare_machine.can_write(args.json):
        parser.error(f"--json {args.json}: no file can be written there")
    return args, servers


def main():
    args, servers = read_arguments()
    server_cpu, generator_cpu, note = compare_machine.choose_cpus(os.sched_getaffinity(0))
    setting = {"rounds": 1 if args.quick else args.rounds,
               "seconds": 1 if args.quick else args.seconds,
               "files": compare_machine.raise_open_files(),
               "server_cpu": server_cpu, "generator_cpu": generator_cpu,
               "versions": versions_of(servers)}
    chosen = [case for case in cases(args.quick) if re.search(args.only, case.name)]
    left_out = (too_many(chosen, setting["files"]) +
                too_large(chosen, compare_machine.tcp_bytes_max()))
    chosen = [case for case in chosen if case not in [one for one, _ in left_out]]
    notes = ([note] if note else []) + [why for _, why in left_out]
    for line in notes:
        print(line, file=sys.stderr, flush=True)

    found, stopped, status = {}, None, None
    setting["rounds_before"] = 0
    if args.add:
        try:
            found, setting["rounds_before"] = read_earlier(args.add, setting)
        except Failure as error:
            print(f"compare.py: error: {error}", file=sys.stderr)
            return 2
        setting["rounds"] += setting["rounds_before"]
    try:
        with compare_machine.Processes() as processes:
            setting["processes"] = processes
            run_all(setting, chosen, servers, found)
    except compare_machine.Stopped as error:
        stopped, status = str(error), 128 + error.number
        notes.append(f"Stopped by {stopped}: this is what there was until then.")
    for line in notes:
        print(line + "\n")
    print("\n".join(compare_figures.table(chosen, servers, found)))
    print(f"\n{compare_machine.processor()}, {platform.system()} {platform.release()},"
          f" {time.strftime('%Y-%m-%d')}, {setting['rounds']} rounds of {setting['seconds']} s: "
          + "; ".join(f"{name} {version or '(version unknown)'}"
                      for name, version in setting["versions"].items()))
    if args.json:
        write_json(args.json, setting, found, notes, stopped)
    if status is not None:
        return status
    has_all = all(compare_figures.figures_in(runs) for runs in found.values())
    return 0 if found and has_all else 1


if __name__ == "__main__":
    sys.exit(main())
