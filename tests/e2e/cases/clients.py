# SPDX-License-Identifier: Apache-2.0
"""python3-websockets against a running parleyd: echo, close codes, and a chat by hand.

usage: clients.py echo|close|chat|compressed|windows CHAT_URL ECHO_URL
"""

import asyncio
import json
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

facts = 0
PATIENCE = {"open_timeout": 60, "ping_timeout": 60, "close_timeout": 60}  # of a full machine


def connect(url, **options):
    return websockets.connect(url, **PATIENCE, **options)


def holds(fact, what):
    global facts
    if not fact:
        raise SystemExit(f"does not hold: {what}")
    facts += 1


async def echo(url):
    async with connect(url, max_size=1 << 25, compression="deflate") as socket:
        holds(not socket.extensions, "no compression was agreed on")
        for message in ["", "a", "Grüße, 水, 𝄞", "x" * 65536, b"", bytes(range(256)) * 300,
                        "y" * (1 << 20)]:
            await socket.send(message)
            holds(await socket.recv() == message, f"echo of {len(message)}")
        await socket.send(iter(["in ", "", "four ", "fragments"]))
        holds(await socket.recv() == "in four fragments", "fragments")
        await socket.send(iter([b"\xff", b"\x00\xff"]))
        holds(await socket.recv() == b"\xff\x00\xff", "binary fragments")
        for payload in [b"", b"payload", b"p" * 125]:
            await asyncio.wait_for(await socket.ping(payload), 60)
            holds(True, "pong")
    holds(socket.close_code == 1000, "closed well")


async def compressed(url):
    async with connect(url, max_size=1 << 25, compression="deflate") as socket:
        holds([extension.name for extension in socket.extensions] == ["permessage-deflate"],
              "compression was agreed on")
        for message in ["", "a", "Grüße, 水, 𝄞", "x" * 65536, b"", bytes(range(256)) * 300,
                        "y" * (1 << 20)]:
            await socket.send(message)
            holds(await socket.recv() == message, f"echo of {len(message)}")
        await socket.send(iter(["in ", "", "four ", "fragments" * 100]))
        holds(await socket.recv() == "in four " + "fragments" * 100, "fragments")
    holds(socket.close_code == 1000, "closed well")


async def windows(url):
    """Windows are agreed on and kept to: zlib with a smaller one cannot read what is beyond it."""
    text = "".join(f"{number}:{number * number} " for number in range(4000)) * 2
    for server_bits, client_bits in [(9, 9), (9, 15), (12, 10), (15, True), (None, 15)]:
        offer = ClientPerMessageDeflateFactory(server_max_window_bits=server_bits,
                                               client_max_window_bits=client_bits)
        async with connect(url, compression=None, extensions=[offer]) as socket:
            extension = socket.extensions[0]
            holds(extension.remote_max_window_bits == (9 if server_bits else 15), "the window")
            holds(extension.remote_no_context_takeover, "no takeover by the server")
            holds(extension.local_no_context_takeover, "nor by the client")
            for message in [text, "z", text[:600]]:
                await socket.send(message)
                holds(await socket.recv() == message, f"echo of {len(message)}")


async def close(url):
    for code, reason in [(1000, ""), (1001, "gone"), (3456, "ours"), (4999, "ü" * 61)]:
        socket = await connect(url)
        await socket.close(code, reason)
        holds(socket.close_code == code, f"close {code}: {socket.close_code}")
    socket = await connect(url)
    try:
        await socket.send(b"z" * ((1 << 24) + 1))  # may be told before all of it is gone
        await asyncio.wait_for(socket.recv(), 60)
        holds(False, "a message too big was echoed")
    except websockets.ConnectionClosed:
        holds(socket.close_code == 1009, f"too big: {socket.close_code}")


async def receive(socket):
    """The replies and pushes of the next frame; a ping among them is answered."""
    frame = await asyncio.wait_for(socket.recv(), 60)
    messages = [json.loads(line) for line in frame.split("\n")]
    if {} in messages:
        await socket.send("{}")
    return [message for message in messages if message]


async def ask(socket, command, replies):
    await socket.send(json.dumps(command))
    while command["id"] not in replies:
        for reply in await receive(socket):
            if "id" in reply:
                replies[reply["id"]] = reply
            elif "push" in reply:
                replies.setdefault("pushes", []).append(reply["push"])
    return replies[command["id"]]


async def hear(socket, count, pushes):
    while len(pushes) < count:
        for message in await receive(socket):
            pushes.append(message["push"])


async def chat(url):
    async with connect(url, subprotocols=["centrifuge-json"]) as alice, \
            connect(url) as bob:
        holds(alice.subprotocol == "centrifuge-json", "the sub-protocol")
        seen = ({}, {})
        for index, socket in enumerate([alice, bob]):
            reply = await ask(socket, {"id": 1, "connect": {"name": "python"}}, seen[index])
            holds(reply["connect"]["client"], "connected")
            holds(reply["connect"]["ping"] == 25 and reply["connect"]["pong"] is True, "pings")
            reply = await ask(socket, {"id": 2, "subscribe": {"channel": "python"}}, seen[index])
            holds(reply == {"id": 2, "subscribe": {}}, f"subscribed: {reply}")
        pushes = seen[1].get("pushes", [])
        listening = asyncio.create_task(hear(bob, 50, pushes))  # and answers pings meanwhile
        for number in range(3, 53):
            data = {"text": f"Nachricht {number} ☃", "list": [number, None, 1.5e-3]}
            reply = await ask(alice, {"id": number, "publish": {"channel": "python", "data": data}},
                              seen[0])
            holds(reply == {"id": number, "publish": {}}, "published")
        await listening
        texts = [push["pub"]["data"]["text"] for push in pushes]
        holds(texts == [f"Nachricht {number} ☃" for number in range(3, 53)], "all, in order")
        holds(all(push["channel"] == "python" for push in pushes), "the channel")


def main():
    part, chat_url, echo_url = sys.argv[1:]
    run = {"echo": lambda: echo(echo_url), "close": lambda: close(echo_url),
           "chat": lambda: chat(chat_url), "compressed": lambda: compressed(echo_url),
           "windows": lambda: windows(echo_url)}[part]
    asyncio.run(run())
    print(f"{facts} facts hold")


main()
