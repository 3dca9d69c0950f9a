#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stands in for a service manager that opens sockets and keeps them: sd_listen_fds(3).

usage: sockets.py hold CONTROL PLACE...    opens them, and says "listening"
       sockets.py run CONTROL COMMAND...   is COMMAND, with these sockets

PLACE is a port of 127.0.0.1, udp:PORT, or the path of a unix socket; CONTROL is the path of the
socket that they are handed out by. Node cannot hand out sockets that it does not accept from.
"""
import os
import socket
import sys

BACKLOG = 128
PLACES_MAX = 16
FIRST = 3


def open_place(place):
    if place.startswith("/"):
        made = socket.socket(socket.AF_UNIX)
        made.bind(place)
    else:
        is_udp = place.startswith("udp:")
        made = socket.socket(type=socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", int(place.removeprefix("udp:"))))
        if is_udp:
            return made
    made.listen(BACKLOG)
    return made


def hold(path, places):
    control = socket.socket(socket.AF_UNIX)
    control.bind(path)
    control.listen()
    held = [open_place(place) for place in places]
    print("listening", flush=True)
    while True:
        asker, _ = control.accept()
        with asker:
            socket.send_fds(asker, [b"x"], [one.fileno() for one in held])


def run(path, command):
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(path)
        _, received, _, _ = socket.recv_fds(control, 1, PLACES_MAX)
    above = [os.dup2(fd, FIRST + PLACES_MAX + i) for i, fd in enumerate(received)]
    for i, fd in enumerate(above):
        os.dup2(fd, FIRST + i)
    os.closerange(FIRST + len(above), FIRST + 2 * PLACES_MAX)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(above)),
                      LISTEN_FDNAMES=":".join(f"s{i}" for i in range(len(above))))
    os.execvp(command[0], command)


if __name__ == "__main__":
    {"hold": hold, "run": run}[sys.argv[1]](sys.argv[2], sys.argv[3:])
