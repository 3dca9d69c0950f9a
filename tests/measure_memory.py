#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""User-space bytes per idle connection of parleyd, for README.md and CHANGELOG.md.

usage: measure_memory.py [--parleyd FILE] [--count N] [--backend uring|epoll ...] [--kind KIND ...]

Method: one reactor; private dirty memory of the process (smaps_rollup) before and after N clients
connected and went idle. `raw`: WebSocket on /echo, after one echo. `session`: Centrifuge protocol,
connected and subscribed to one channel, 100 members each. `tls`, `tls12`: the same over TLS 1.3 or
1.2, with a certificate of P-256. Everything counts, buffers and slack of the allocator too. Clients
use many loopback addresses, 1,000 connections on each.
"""

import argparse
import json
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import urllib.request

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


def trusting(kind):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if kind == "tls12":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def certificate(folder):
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    return {"enabled": True, "cert_pem_file": cert, "key_pem_file": key}


def configure(folder, kind):
    """Nobody is asked whether he is there while others connect, which may take a while."""
    config = {"client": {"insecure": True, "ping_interval": "1h", "pong_timeout": "50m",
                         "stale_close_delay": "1h"}}
    if kind.startswith("tls"):
        config["http_server"] = {"tls": certificate(folder)}
    path = pathlib.Path(folder, "parley.json")
    path.write_text(json.dumps(config), encoding="ascii")
    return path


def open_connections(port):
    """Those of clients: one of all is ours."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("parley_connections_open "):
                return int(line.split()[1]) - 1
    raise RuntimeError("no parley_connections_open")


def connect(port, index, kind):
    client = socket.socket()
    client.settimeout(10)
    client.bind((f"127.0.1.{1 + index // 1000}", 0))
    client.connect(("127.0.0.1", port))
    if kind.startswith("tls"):
        client = trusting(kind).wrap_socket(client)
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


def measure(parleyd, backend, kind, count, folder):
    port, internal = free_port(), free_port()
    server = subprocess.Popen(
        [parleyd, "--backend", backend, "--reactors", "1", "--echo", "--log-level", "error",
         "--listen", f"127.0.0.1:{port}", "--internal-listen", f"127.0.0.1:{internal}",
         "--config", configure(folder, kind)],
        stdout=subprocess.PIPE)
    try:
        server.stdout.readline()  # the chat page: it listens
        before = private_dirty(server.pid)
        clients = [connect(port, i, kind) for i in range(count)]
        time.sleep(1)
        after = private_dirty(server.pid)
        left = open_connections(internal)
        assert left == count, f"{left} of {count} are left"
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
    parser.add_argument("--kind", nargs="*", default=["raw", "session", "tls", "tls12"])
    args = parser.parse_args()
    for backend in args.backend:
        for kind in args.kind:
            with tempfile.TemporaryDirectory() as folder:
                size = measure(args.parleyd, backend, kind, args.count, folder)
            print(f"{backend:6} {kind:8} {args.count} connections: {size:.0f} bytes each")


if __name__ == "__main__":
    main()
