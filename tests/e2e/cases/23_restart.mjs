// SPDX-License-Identifier: Apache-2.0
/*
 * The end of the server, and its return: SIGTERM, SIGINT, a second signal.
 */
import assert from 'node:assert/strict';

import { CHAT, RawChat, Sdk, UNHURRIED } from '../lib/chat.mjs';
import { FrameClient, TEXT } from '../lib/frames.mjs';
import { Wire, head } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { Server } from '../lib/server.mjs';
import { SLOWNESS, until, within } from '../lib/wait.mjs';

/* Every client is told 3001, comes back by itself, and the talk goes on. */
async function reconnects(_, point) {
  const server = await Server.start(point);
  const clients = await Promise.all([Sdk.connect(server), Sdk.connect(server), Sdk.connect(server)]);
  const rooms = await Promise.all(clients.map((one) => one.subscribe('restart')));
  clients.forEach((one) => assert.equal(one.connecting.size, 1));
  await Promise.all(clients.map((one) => one.connecting.take()));
  assert.deepEqual(await server.stop('SIGTERM'), { status: 0, signal: null });
  for (const one of clients) {
    const context = await one.connecting.take('to notice');
    assert.equal(context.code, 3001, context.reason);
    assert.equal(context.reason, 'shutdown');
  }
  /* Who came back at once was let in by a reactor that had not heard of the end. */
  await until(() => clients.every((one) => one.centrifuge.state === 'connecting'), 'all to be gone');
  await Promise.all([...clients.map((one) => one.connected), ...rooms.map((room) => room.subscribed)]
    .map((box) => box.takeMany(box.size)));
  await server.restart();
  await Promise.all(clients.map((one) => one.connected.take('to be back')));
  await Promise.all(rooms.map((room) => room.subscribed.take('to be back in the room')));
  for (const [i, one] of clients.entries()) {
    await one.publish('restart', i);
    for (const room of rooms) {
      assert.equal((await room.publication.take('a word after the restart')).data, i);
    }
  }
  clients.forEach((one) => one.close());
  assert.deepEqual(await server.stop('SIGINT'), { status: 0, signal: null });
}

/* Whatever state a connection is in, it does not hold the server up. */
async function manyStates(_, point) {
  const server = await Server.start({
    ...point,
    echo: true,
    config: { client: { insecure: true, ...UNHURRIED }, websocket: { close_timeout: `${SLOWNESS}s` } },
  });
  const chats = await Promise.all(Array.from({ length: 20 }, () => RawChat.connect(server)));
  await Promise.all(chats.map((chat, i) => chat.subscribe(`states-${i % 3}`)));
  const fresh = await RawChat.open(server);
  const echo = await FrameClient.connect(server.port, '/echo');
  const inside = await FrameClient.connect(server.port, '/echo');
  inside.send(TEXT, 'unfinished', { fin: false });
  const half = await Wire.open(server.port);
  half.write('GET /connection/web');
  const silent = await Wire.open(server.port);
  const idle = await Wire.open(server.port);
  idle.write(head('GET', '/'));
  await idle.response();
  const answers = chats.map((chat) => chat.expectClose(3001, 'shutdown'));
  server.kill('SIGTERM');
  await Promise.all(answers);
  await fresh.expectClose(3001, 'shutdown before connect');
  await echo.expectClose(3001, 'shutdown of an echo');
  await inside.expectClose(3001, 'shutdown inside a message');
  for (const wire of [half, silent, idle]) {
    await within(wire.whenEnded, 'an HTTP connection to end');
    wire.destroy();
  }
  assert.deepEqual(await within(server.exited, 'the exit'), { status: 0, signal: null });
}

/* A client that never answers the close frame costs close_timeout, no more. */
async function deafClients(_, point) {
  const server = await Server.start({
    ...point,
    config: {
      client: { insecure: true }, websocket: { close_timeout: '200ms' }, shutdown: { timeout: '2s' },
    },
  });
  const deaf = await Promise.all(Array.from({ length: 5 }, () => RawChat.connect(server)));
  deaf.forEach((chat) => chat.frames.wire.socket.pause());
  assert.deepEqual(await server.stop('SIGTERM'), { status: 0, signal: null });
  deaf.forEach((chat) => chat.destroy());
}

async function secondSignal(_, point) {
  const server = await Server.start({
    ...point,
    config: {
      client: { insecure: true }, websocket: { close_timeout: '1m' }, shutdown: { timeout: '10m' },
    },
  });
  const deaf = await RawChat.connect(server);
  server.kill('SIGTERM');
  await deaf.frames.expect(8, Buffer.concat([Buffer.from([0x0b, 0xb9]), Buffer.from('shutdown')]),
    'the close frame, which it does not answer');
  server.kill('SIGTERM');
  const end = await within(server.exited, 'an exit at once');
  assert.notEqual(end.status, 0);
  assert.match(server.log(), /second signal/);
  deaf.destroy();
}

async function isRefused(server) {
  const client = await FrameClient.connect(server.port, CHAT).catch(() => null);
  client?.destroy();
  return client === null;
}

/* Nobody new comes in once every reactor has heard that it ends. It does not end before the deaf one goes. */
async function nobodyNew(_, point) {
  const server = await Server.start({
    ...point,
    config: { client: { insecure: true }, websocket: { close_timeout: '1m' }, shutdown: { timeout: '10m' } },
  });
  const deaf = await RawChat.connect(server);
  server.kill('SIGTERM');
  await deaf.frames.next('its close frame');
  await until(() => isRefused(server), 'a connection to be refused');
  assert.equal(server.child.exitCode, null, 'it is there while it refuses');
  deaf.destroy();
  assert.deepEqual(await within(server.exited, 'the exit'), { status: 0, signal: null });
}

group({
  name: 'restart',
  on: 'matrix',
  server: false,
  cases: [
    ['clients come back', reconnects],
    ['connections in many states', manyStates],
    ['clients that do not answer', deafClients],
    ['a second signal', secondSignal],
    ['nobody new while it stops', nobodyNew],
  ],
});
