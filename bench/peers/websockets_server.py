#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's python3-websockets: /echo and /fanout. The argument is the port."""

import asyncio
import sys

import websockets

ROOM = set()


async def serve(socket, path):
    fanout = path == "/fanout"
    if fanout:
        ROOM.add(socket)
    try:
        async for message in socket:
            if fanout:
                websockets.broadcast(ROOM, message)
            else:
                await socket.send(message)
    except websockets.ConnectionClosed:
        pass
    finally:
        ROOM.discard(socket)


async def main():
    async with websockets.serve(serve, "127.0.0.1", int(sys.argv[1]), compression=None,
                                max_size=1 << 24, ping_interval=None, backlog=4096):
        print("ready", flush=True)
        await asyncio.Future()


asyncio.run(main())
