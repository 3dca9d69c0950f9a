# SPDX-License-Identifier: Apache-2.0
"""What compare.py has of the machine: CPUs, open files, and processes that end when it does.

Every process gets a group of its own, so that its children (nginx's workers) end with it, and it is
known by a pid that nobody else can get: it is not waited for until its group is empty. A signal
that comes while a process is begun or ended has to wait for that.
"""

import contextlib
import os
import pathlib
import platform
import resource
import select
import signal
import subprocess
import time

END_SECONDS_MAX = 10  # for a group to end after SIGTERM; then SIGKILL
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asks for the end. Raised once: what is cleaned up on the way is not disturbed."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


def siblings_of(cpu):
    """CPUs that share a core with this one, itself too."""
    path = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        text = path.read_text().strip()
    except OSError:
        return {cpu}
    found = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def choose_cpus(allowed, siblings=siblings_of):
    """(server's, generator's, sentence or None): of two cores, of two CPUs, or one and the same."""
    server, *rest = sorted(allowed)
    if not rest:
        return server, server, (
            f"Only CPU {server} is there: server and generator take turns on it, so rates and"
            " latencies are those of both together, and CPU times contain what that costs.")
    others = [cpu for cpu in rest if cpu not in siblings(server)]
    if others:
        return server, others[0], None
    return server, rest[0], f"CPUs {server} and {rest[0]} share a core: each slows the other down."


def processor():
    """What this machine calls its CPU."""
    for line in pathlib.Path("/proc/cpuinfo").read_text(errors="replace").split("\n"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def first_line(command, folder):
    """What a program says first when it is run there; None: it does not, or is not there."""
    try:
        done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True,
                              text=True, timeout=END_SECONDS_MAX, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().split("\n")[0] or None


def tcp_bytes_max():
    """What the kernel keeps for all TCP sockets, at most."""
    pages = pathlib.Path("/proc/sys/net/ipv4/tcp_mem").read_text().split()[2]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def can_write(path):
    """Whether a file can be there, before hours are spent on what it gets."""
    target = pathlib.Path(path)
    there = target if target.exists() else target.absolute().parent
    return not target.is_dir() and os.access(there, os.W_OK)


def raise_open_files():
    """The soft limit becomes the hard one, for us and all that we start. Returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def group_of(text):
    """The process group in a line of /proc/PID/stat; None: it has ended. The name may be "a) b"."""
    state, _, group = text.rpartition(")")[2].split()[:3]
    return None if state in "ZX" else int(group)


def group_is_alive(group):
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if group_of(path.read_text()) == group:
                return True
    return False


class Process:
    """One that we started, and its group. Made by Processes only."""

    def __init__(self, popen):
        self.popen, self.pid = popen, popen.pid
        self.pidfd = os.pidfd_open(popen.pid)

    def has_ended(self, seconds=0.0):
        """Waits at most so long. It stays a zombie, so that its pid stays its own."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(1000 * seconds))

    def status(self):
        """As a sentence wants it: "status 1", "SIGKILL". Only after its end."""
        what = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if what.si_code == os.CLD_EXITED:
            return f"status {what.si_status}"
        return signal.Signals(what.si_status).name

    def _signal(self, number, seconds):
        os.killpg(self.pid, number)
        end = time.monotonic() + seconds
        while group_is_alive(self.pid) and time.monotonic() < end:
            time.sleep(0.01)

    def end(self):
        if group_is_alive(self.pid):
            self._signal(signal.SIGTERM, END_SECONDS_MAX)
        if group_is_alive(self.pid):
            self._signal(signal.SIGKILL, END_SECONDS_MAX)
        self.popen.wait()
        os.close(self.pidfd)


class Processes:
    """All that is running. A context: at its end, however it comes, nothing is."""

    def __init__(self):
        self._running = []
        self._handlers = {}  # that were there before
        self._held = 0      # more than 0: a signal waits
        self._signal = None  # the first that came
        self._is_told = False

    def __enter__(self):
        for number in SIGNALS:
            self._handlers[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_):
        with self.held():
            while self._running:
                self.end(self._running[-1])
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _take(self, number, _frame):
        self._signal = self._signal or number
        self._tell()

    def _tell(self):
        if self._signal is not None and self._held == 0 and not self._is_told:
            self._is_told = True
            raise Stopped(self._signal)

    @contextlib.contextmanager
    def held(self):
        """Signals wait until the end of it."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self._tell()

    def start(self, command, cpu, errors):
        """`errors` is the file that gets what it says on standard error."""
        words = ["taskset", "-c", str(cpu), *(str(word) for word in command)]
        with self.held(), open(errors, "wb") as file:
            # It is known to us before anything can happen that makes us forget it.
            process = Process(subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file,
                start_new_session=True))
            self._running.append(process)
        return process

    def end(self, process):
        with self.held():
            process.end()
            self._running.remove(process)
