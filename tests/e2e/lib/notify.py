#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stands in for a service manager: what comes to the socket PATH, one JSON string per datagram.

usage: notify.py PATH

Node has no datagram sockets of the Unix family.
"""
import json
import socket
import sys


def main():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(sys.argv[1])
        print(json.dumps("listening"), flush=True)
        while True:
            print(json.dumps(manager.recv(4096).decode()), flush=True)


if __name__ == "__main__":
    main()
