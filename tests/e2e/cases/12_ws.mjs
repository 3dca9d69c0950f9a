// SPDX-License-Identifier: Apache-2.0
/*
 * The npm package ws against /echo.
 */
import assert from 'node:assert/strict';

import WebSocket from 'ws';

import { closeAtEnd } from '../lib/cleanup.mjs';
import { group } from '../lib/runner.mjs';
import { Mailbox, within } from '../lib/wait.mjs';

async function open(server) {
  const socket = new WebSocket(server.echoUrl, { maxPayload: 64 << 20 });
  closeAtEnd(() => socket.terminate());
  const box = { messages: new Mailbox('message'), pongs: new Mailbox('pong'), close: null };
  box.close = new Promise((resolve) => {
    socket.on('close', (code, reason) => {
      box.messages.end(`close ${code}`);
      resolve({ code, reason: reason.toString() });
    });
  });
  socket.on('message', (data, isBinary) => box.messages.put({ data, isBinary }));
  socket.on('pong', (data) => box.pongs.put(data.toString()));
  socket.on('error', () => {});
  await within(new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  }), 'ws to open');
  return { socket, ...box };
}

async function echoes(client, data, isBinary) {
  client.socket.send(data, { binary: isBinary });
  const got = await client.messages.take('an echo');
  assert.equal(got.isBinary, isBinary);
  assert.ok(got.data.equals(Buffer.from(data)), `${data.length} bytes come back`);
}

async function messages(server) {
  const client = await open(server);
  assert.equal(client.socket.extensions, '', 'no extension was accepted');
  for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20]) {
    await echoes(client, Buffer.alloc(size, 'ab'), true);
    await echoes(client, 'é'.repeat(size / 2), false);
  }
  client.socket.close(1000);
  assert.equal((await within(client.close, 'the close')).code, 1000);
}

async function fragmentsAndPings(server) {
  const client = await open(server);
  for (let i = 0; i < 50; i += 1) {
    client.socket.send(`first ${i} `, { fin: false });
    client.socket.ping(`ping ${i}`);
    client.socket.send('second ', { fin: false });
    client.socket.send('third', { fin: true });
  }
  for (let i = 0; i < 50; i += 1) {
    const got = await client.messages.take('a message made of fragments');
    assert.equal(got.data.toString(), `first ${i} second third`);
  }
  /* RFC 6455 lets a server answer only the latest ping: that one it must. */
  let last;
  do {
    last = await client.pongs.take('the last pong');
  } while (last !== 'ping 49');
  client.socket.close();
  assert.equal((await within(client.close, 'the close')).code, 1005);
}

async function closeCodes(server) {
  for (const [code, reason] of [[1000, ''], [1000, 'done'], [3000, 'ours'], [4999, 'µ'.repeat(61)]]) {
    const client = await open(server);
    client.socket.close(code, reason);
    assert.equal((await within(client.close, 'the close')).code, code);
  }
}

async function tooBig(server) {
  const client = await open(server);
  client.socket.send(Buffer.alloc((16 << 20) + 1));
  assert.equal((await within(client.close, 'the close')).code, 1009);
}

async function noProtocol(server) {
  const socket = new WebSocket(server.echoUrl, ['something', 'else']);
  const error = await within(new Promise((resolve) => { socket.once('error', resolve); }), 'a refusal');
  assert.match(error.message, /subprotocol/i, 'a client that insists on a protocol sees none');
}

group({
  name: 'ws',
  on: 'backends',
  server: {
    config: {
      client: { insecure: true, control_rate: 10000, control_burst: 10000 },
      echo: { enabled: true },
      websocket: { close_timeout: '1m' }, /* what is said before a close frame is long, or read late */
    },
  },
  cases: [
    ['messages', messages],
    ['fragments and pings', fragmentsAndPings],
    ['close codes', closeCodes],
    ['one byte too many', tooBig],
    ['sub-protocols that we do not speak', noProtocol],
  ],
});
