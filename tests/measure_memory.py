#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""User-space bytes per idle connection of parleyd, for README.md and CHANGELOG.md.

usage: measure_memory.py [--parleyd FILE] [--count N] [--backend uring|epoll ...]

Method: one reactor; private dirty memory of the process (smaps_rollup) before and after N clients
connected and went idle. `raw`: WebSocket on /echo, after one echo. `session`: Centrifuge protocol,
connected and subscribed to one channel, 100 members each. Everything counts, buffers and slack of
the allocator too. Clients use many loopback addresses, 1,000 connections on each.
"""

import argparse
import os
import pathlib
import socket
import struct
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
UPGRADE = ("GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cGFybGV5IG1lYXN1cmVzIQ==\r\n\r\n")


def private_dirty(pid):
    for line in open(f"/proc/{pid}/smaps_rollup", encoding="ascii"):
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Private_Dirty in smaps_rollup")


def text_frame(payload):
    key = os.urandom(4)
    masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    assert len(payload) < 126
    return struct.pack("BB", 0x81, 0x80 | len(payload)) + key + masked


def read_until(client, needle):
    received = b""
    while needle not in received:
        part = client.recv(4096)
        if not part:
            raise RuntimeError(f"closed, after {received!r}")
        received += part


def connect(port, index, kind):
    client = socket.socket()
    client.settimeout(10)
    client.bind((f"127.0.1.{1 + index // 1000}", 0))
    client.connect(("127.0.0.1", port))
    client.sendall(UPGRADE.format("/echo" if kind == "raw" else "/connection/websocket").encode())
    read_until(client, b"\r\n\r\n")
    if kind == "raw":
        client.sendall(text_frame(b"hello there"))
        read_until(client, b"hello there")
    else:
        commands = '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"room%d"}}'
        client.sendall(text_frame((commands % (index // 100)).encode()))
        read_until(client, b'"subscribe"')
    return client


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure(parleyd, backend, kind, count):
    port, internal = free_port(), free_port()
    server = subprocess.Popen(
        [parleyd, "--backend", backend, "--reactors", "1", "--echo", "--log-level", "error",
         "--listen", f"127.0.0.1:{port}", "--internal-listen", f"127.0.0.1:{internal}"],
        stdout=subprocess.PIPE)
    try:
        server.stdout.readline()  # the chat page: it listens
        before = private_dirty(server.pid)
        clients = [connect(port, i, kind) for i in range(count)]
        time.sleep(1)
        after = private_dirty(server.pid)
        for client in clients:
            client.close()
        return (after - before) / count
    finally:
        server.terminate()
        server.wait(30)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--parleyd", default=str(ROOT / "build/release/parleyd"))
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--backend", nargs="*", default=["uring", "epoll"])
    args = parser.parse_args()
    for backend in args.backend:
        for kind in ("raw", "session"):
            size = measure(args.parleyd, backend, kind, args.count)
            print(f"{backend:6} {kind:8} {args.count} connections: {size:.0f} bytes each")


if __name__ == "__main__":
    main()
