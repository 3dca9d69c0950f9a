// SPDX-License-Identifier: Apache-2.0
/*
 * The server API, as a back end sees it: with curl, with Node, and byte by byte; and what it says
 * reaches subscribers that use the npm package centrifuge.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { BackEnd, Stream } from '../lib/api.mjs';
import { RawChat, Sdk, UNHURRIED } from '../lib/chat.mjs';
import { Wire, head, request } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { Server } from '../lib/server.mjs';
import { SECRET, makeKey, makeToken, seconds } from '../lib/tokens.mjs';
import { Mailbox, until, within } from '../lib/wait.mjs';

const KEY = 'the key of the tests, 0123456789';

const run = promisify(execFile);
const curl = async (...args) => (await run('curl', ['--silent', '--max-time', '20', ...args])).stdout;
const numbers = (count) => Array.from({ length: count }, (_, i) => i);
const back = (server, options = {}) => new BackEnd(server, { key: KEY, ...options });

async function curlPublishes(server) {
  const sdk = await Sdk.connect(server);
  const room = await sdk.subscribe('kept:curl');
  const url = `http://127.0.0.1:${server.internalPort}/api`;
  const data = JSON.stringify({ channel: 'kept:curl', data: { text: 'hello' }, tags: { from: 'curl' } });
  for (const header of [`X-API-Key: ${KEY}`, `Authorization: apikey ${KEY}`]) {
    const answer = JSON.parse(await curl('--header', header, '--data', data, `${url}/publish`));
    const got = await room.publication.take('what curl said');
    assert.deepEqual(got.data, { text: 'hello' });
    assert.deepEqual(got.tags, { from: 'curl' });
    assert.equal(got.info, undefined, 'nobody said it');
    assert.equal(answer.result.offset, got.offset);
  }
  /* One connection for both. */
  const both = await curl('--header', `X-API-Key: ${KEY}`, '--data', '{"channel":"kept:curl"}',
    '--write-out', '|%{num_connects}|', `${url}/presence_stats`, `${url}/history`);
  assert.match(both, /^\{"result":\{"num_clients":1,"num_users":1\}\}\|1\|\{"result":\{"publications":\[\],"epoch":"[0-9a-f]{16}","offset":2\}\}\|0\|$/);
  /* A body that it first asks for. */
  const large = JSON.stringify({ channel: 'kept:curl', data: 'x'.repeat(30000) });
  const asked = await curl('--header', `X-API-Key: ${KEY}`, '--header', 'Expect: 100-continue', '--include',
    '--data', large, `${url}/publish`);
  assert.match(asked, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
  assert.equal((await room.publication.take('the large one')).data.length, 30000);
  sdk.close();
}

async function keys(server) {
  const post = (headers, method = 'info') => new BackEnd(server).post(`/api/${method}`, '{}', headers);
  for (const headers of [{}, { 'X-API-Key': 'wrong' }, { 'X-API-Key': `${KEY}x` },
    { Authorization: `Bearer ${KEY}` }, { Authorization: KEY }]) {
    for (const method of ['info', 'nothing']) {
      const refused = await post(headers, method);
      assert.equal(refused.status, 401, JSON.stringify(headers));
      assert.equal(refused.headers.connection, 'close');
    }
  }
  /* Not in the URL, where it would be logged on the way. */
  assert.equal((await new BackEnd(server).post(`/api/info?api_key=${encodeURIComponent(KEY)}`, '{}')).status, 401);
  assert.equal((await post({ 'X-API-Key': KEY })).status, 200);
  assert.equal((await request(server.port, 'POST', '/api/info', { 'X-API-Key': KEY })).status, 405,
    'not for clients');
  assert.ok((await server.metrics()).value('parley_rejected_total{reason="api_key"}') >= 10);
  await until(() => /event="back end refused" .* status=401 why="X-API-Key is missing or wrong"/.test(server.log()), 'why in the log');
  assert.ok(!server.log().includes(KEY));
}

/* Every method, on one connection. */
async function methods(server) {
  const api = back(server);
  const [alice, bob] = await Promise.all([Sdk.connect(server), Sdk.connect(server)]);
  const room = await alice.subscribe('kept:methods');
  await bob.subscribe('kept:methods');
  const first = await api.result('publish', { channel: 'kept:methods', data: 1 });
  assert.equal(first.offset, 1);
  const again = { channel: 'kept:methods', data: { text: 'once' }, idempotency_key: 'k' };
  assert.deepEqual(await api.result('publish', again), { offset: 2, epoch: first.epoch });
  assert.deepEqual(await api.result('publish', again), { offset: 2, epoch: first.epoch });
  assert.equal(await api.error('publish', { ...again, data: 'other' }), 107);
  const b64data = Buffer.from('{"b": [1]}').toString('base64');
  assert.equal((await api.result('publish', { channel: 'kept:methods', b64data })).offset, 3);
  assert.deepEqual((await room.publication.takeMany(3, 'three')).map((one) => one.data),
    [1, { text: 'once' }, { b: [1] }]);
  assert.deepEqual(await api.result('publish', { channel: 'plain:x', data: 1 }), {});

  const history = await api.result('history', { channel: 'kept:methods', limit: 2, reverse: true });
  assert.deepEqual(history.publications.map((one) => one.offset), [3, 2]);
  assert.equal(history.epoch, first.epoch);
  const since = { offset: 2, epoch: first.epoch };
  assert.deepEqual((await api.result('history', { channel: 'kept:methods', limit: 9, since })).publications,
    [{ data: { b: [1] }, offset: 3 }]);
  assert.equal(await api.error('history', { channel: 'kept:methods', limit: 9, since: { offset: 7 } }), 112);

  /* What is forgotten keeps its place: the next one follows, and nobody is told anything. */
  await api.result('publish', { channel: 'kept:removed', data: 1 });
  const removed = await alice.subscribe('kept:removed');
  assert.deepEqual(await api.result('history_remove', { channel: 'kept:removed' }), {});
  assert.deepEqual((await api.result('history', { channel: 'kept:removed', limit: 9 })).publications, []);
  assert.equal((await api.result('publish', { channel: 'kept:removed', data: 2 })).offset, 2);
  assert.equal((await removed.publication.take('the next one')).offset, 2);
  assert.equal(await api.error('history_remove', { channel: 'plain:x' }), 108);

  const { presence } = await api.result('presence', { channel: 'kept:methods' });
  assert.deepEqual(Object.keys(presence).sort(), [alice, bob].map((one) => one.context.client).sort());
  assert.deepEqual(await api.result('presence_stats', { channel: 'kept:methods' }),
    { num_clients: 2, num_users: 1 });
  const { nodes } = await api.result('info', {});
  assert.equal(nodes.length, 1);
  assert.ok(nodes[0].num_clients >= 2 && nodes[0].num_subs >= 2 && nodes[0].uptime >= 0);
  assert.match(nodes[0].uid, /^[0-9a-f]{32}$/);

  for (const [method, params, code] of [
    ['publish', { channel: 'nobody:knows', data: 1 }, 102], ['publish', { data: 1 }, 107],
    ['publish', { channel: 'x' }, 107], ['publish', { channel: 'ä', data: 1 }, 107], ['publish', [], 107],
    ['publish', { channel: 'plain:x', data: 1, tags: { a: 1 } }, 107], ['history', { channel: 'plain:x' }, 108],
    ['presence', { channel: 'plain:x' }, 108], ['presence_stats', {}, 107], ['rpc', { method: 'm', params: {} }, 104],
    ['rpc', {}, 107], ['channels', { pattern: '{a,b}' }, 107], ['broadcast', { channels: [], data: 1 }, 107]]) {
    assert.equal(await api.error(method, params), code, `${method} ${JSON.stringify(params)}`);
  }
  assert.equal(api.sockets.size, 1, 'one connection for all of it');
  assert.equal((await api.post('/api/nothing', '{}')).status, 404);
  assert.equal((await api.post('/api', '{}')).status, 415);
  alice.close();
  bob.close();
}

/* What is for those who are there: in its place, without an offset, and nobody gets it later. */
async function skipsHistory(server) {
  const api = back(server);
  const channel = 'kept:skipped';
  const sdk = await Sdk.connect(server);
  const room = await sdk.subscribe(channel);
  const said = JSON.stringify({ channel, data: 'passes', skip_history: true });
  const answer = await curl('--header', `X-API-Key: ${KEY}`, '--data', said,
    `http://127.0.0.1:${server.internalPort}/api/publish`);
  assert.equal(answer, '{"result":{}}');
  assert.equal((await api.result('publish', { channel, data: 1 })).offset, 1);
  const { responses } = await api.result('broadcast', { channels: [channel, 'plain:x'], data: 'too', skip_history: true });
  assert.deepEqual(responses, [{ result: {} }, { result: {} }]);
  assert.deepEqual((await room.publication.takeMany(3, 'all of it')).map((one) => [one.data, one.offset]),
    [['passes', undefined], [1, 1], ['too', undefined]]);
  /* Many, between others, from a stream: in one order, on each reactor. */
  const others = await Promise.all(numbers(3).map(() => Sdk.connect(server)));
  const rooms = await Promise.all(others.map((one) => one.subscribe(channel)));
  const stream = await Stream.open(server, { key: KEY });
  const passes = (i) => i % 3 !== 0;
  numbers(900).forEach((i) => stream.write({ publish: { channel, data: i, skip_history: passes(i) } }));
  const answered = await stream.takeMany(900);
  assert.ok(answered.every((one, i) => passes(i) === (one.publish.offset === undefined)));
  for (const one of [room, ...rooms]) {
    const heard = await one.publication.takeMany(900, 'what was streamed');
    assert.deepEqual(heard.map((publication) => publication.data), numbers(900));
    assert.deepEqual(heard.map((publication) => publication.offset),
      numbers(900).map((i) => (passes(i) ? undefined : 2 + i / 3)));
  }
  await stream.end();
  /* Who comes back recovers what has an offset, and its position is the one that it had. */
  sdk.centrifuge.disconnect();
  await sdk.disconnected.take('to be away');
  await api.result('publish', { channel, data: 'nobody hears it', skip_history: true });
  await api.result('publish', { channel, data: 'missed' });
  sdk.centrifuge.connect();
  assert.equal((await room.subscribed.take('to be back')).recovered, true);
  assert.equal((await room.publication.take('what was missed')).data, 'missed');
  assert.equal((await api.result('history', { channel })).offset, 302);
  assert.equal(room.subscribed.size + room.unsubscribed.size + room.publication.size, 0);
  for (const [params, message] of [[{ idempotency_key: 'k' }, 'not available: idempotency_key'], [{ version: 1 }, 'not available: version']]) {
    const { error } = await api.call('publish', { channel, data: 1, skip_history: true, ...params });
    assert.deepEqual(error, { code: 108, message });
  }
  [sdk, ...others].forEach((one) => one.close());
}

/* The state of something, which is published when it is newer than the last one. */
async function versions(server) {
  const api = back(server);
  const channel = 'kept:versions';
  const sdk = await Sdk.connect(server);
  const room = await sdk.subscribe(channel);
  const publish = (data, version, version_epoch) => api.result('publish', { channel, data, version, version_epoch });
  const first = await publish('a 5', 5, 'a');
  assert.equal(first.offset, 1);
  assert.deepEqual(await publish('a 5', 5, 'a'), first);
  assert.deepEqual(await publish('a 4', 4, 'a'), first);
  assert.deepEqual(await publish('4', 4), first);
  assert.equal((await publish('b 1', 1, 'b')).offset, 2);
  assert.equal((await publish('none')).offset, 3);
  const body = JSON.stringify({ channels: [channel, 'kept:versions-2'], data: 'b 1', version: 1, version_epoch: 'b' });
  const { result } = JSON.parse(await curl('--header', `X-API-Key: ${KEY}`, '--data', body,
    `http://127.0.0.1:${server.internalPort}/api/broadcast`));
  assert.deepEqual(result.responses.map((one) => one.result.offset), [3, 1]);
  /* Whatever comes first: of many at once the highest is the last. */
  const together = numbers(50).map((i) => ({ publish: { channel, data: `b ${2 + (i * 7) % 50}`, version: 2 + (i * 7) % 50, version_epoch: 'b' } }));
  const replies = await api.batch(together, { parallel: true });
  const top = replies.at(-1).publish.offset;
  const heard = (await room.publication.takeMany(top, 'the newest')).map((one) => one.data);
  assert.deepEqual(heard.slice(0, 3), ['a 5', 'b 1', 'none']);
  const rising = heard.slice(3).map((data) => Number(data.slice(2)));
  assert.deepEqual(rising, rising.toSorted((a, b) => a - b));
  assert.equal(rising.at(-1), 51);
  assert.equal(room.publication.size, 0);
  assert.ok((await server.metrics()).value('parley_publish_superseded_total') >= 4 + 50 - rising.length);
  assert.equal((await api.call('publish', { channel: 'plain:x', data: 1, version: 1 })).error.message, 'not available: version');
  sdk.close();
}

/* Who asks for deltas is told that there are none, and is given everything as it is. */
async function deltas(server) {
  const api = back(server);
  const channel = 'kept:deltas';
  const sdk = await Sdk.connect(server);
  const raw = await RawChat.connect(server);
  const { subscribe } = await raw.ask({ subscribe: { channel, delta: 'fossil' } });
  assert.equal(subscribe.delta, undefined);
  const room = await sdk.subscribe(channel, { delta: 'fossil' });
  const states = numbers(5).map((i) => ({ long: 'the same all the time '.repeat(20), i }));
  for (const data of states) {
    await api.result('publish', { channel, data, delta: true });
    assert.deepEqual((await raw.push()).pub.data, data);
  }
  assert.deepEqual((await room.publication.takeMany(5, 'all of them')).map((one) => one.data), states);
  sdk.centrifuge.disconnect();
  await sdk.disconnected.take('to be away');
  await api.result('broadcast', { channels: [channel], data: { missed: true }, delta: true });
  sdk.centrifuge.connect();
  assert.equal((await room.subscribed.take('to be back')).recovered, true);
  assert.deepEqual((await room.publication.take('what was missed')).data, { missed: true });
  sdk.close();
  raw.destroy();
}

/* To as many channels as there are, whose homes are everywhere; each hears it once. */
async function broadcasts(server) {
  const api = back(server);
  const sdk = await Sdk.connect(server);
  const channels = numbers(60).map((i) => `kept:broadcast-${i}`);
  const rooms = await Promise.all(channels.map((channel) => sdk.subscribe(channel)));
  const { responses } = await api.result('broadcast', { channels: [...channels, 'nobody:x', 7], data: { n: 1 } });
  assert.equal(responses.length, 62);
  responses.slice(0, 60).forEach((one) => assert.equal(one.result.offset, 1));
  assert.deepEqual(responses.slice(60).map((one) => one.error.code), [102, 107]);
  for (const room of rooms) {
    assert.deepEqual((await room.publication.take('the broadcast')).data, { n: 1 });
  }
  /* More than may be in flight. */
  const many = numbers(5000).map((i) => `plain:${i}`);
  const answer = await api.result('broadcast', { channels: many, data: 1 });
  assert.equal(answer.responses.length, 5000);
  assert.ok(answer.responses.every((one) => JSON.stringify(one) === '{"result":{}}'));
  sdk.close();
}

async function batches(server) {
  const api = back(server);
  const publish = (data) => ({ publish: { channel: 'kept:batch', data } });
  const history = { history: { channel: 'kept:batch', limit: 100 } };
  /* One after the other: what is published is in the history that is asked for next. */
  const replies = await api.batch([publish(0), history, publish(1), history, { fly: {} }, publish(2), 3, { info: {} }]);
  assert.deepEqual(replies.map((one) => Object.keys(one)[0]),
    ['publish', 'history', 'publish', 'history', 'error', 'publish', 'error', 'info']);
  assert.deepEqual([replies[1], replies[3]].map((one) => one.history.publications.length), [1, 2]);
  assert.deepEqual([replies[4], replies[6]].map((one) => one.error.code), [104, 107]);
  const parallel = await api.batch(numbers(300).map((i) => publish(i)), { parallel: true });
  assert.deepEqual(parallel.map((one) => one.publish.offset), numbers(300).map((i) => i + 4));
  const inside = await api.batch([{ broadcast: { channels: ['kept:a', 'no:b'], data: 1 } }, publish(3)]);
  assert.equal(inside[0].broadcast.responses[1].error.code, 102);
  assert.ok(inside[1].publish.offset > 300);
  assert.deepEqual(await api.batch([]), []);
  assert.equal(await api.error('batch', { commands: {} }), 107);
}

/* Several requests in one write, and cut at each byte: answered one after the other. */
async function pipelining(server) {
  const post = (channel, data, headers = {}) => {
    const body = JSON.stringify({ channel, data });
    return `${head('POST', '/api/publish', { 'X-API-Key': KEY, 'Content-Length': String(body.length), ...headers })}${body}`;
  };
  const wire = await Wire.open(server.internalPort);
  const all = numbers(20).map((i) => post('kept:pipeline', i)).join('');
  wire.write(all.slice(0, 3000) + all.slice(3000) + head('GET', '/health') + post('kept:pipeline', 20));
  for (let i = 0; i < 20; i += 1) {
    assert.equal(JSON.parse((await wire.response()).body).result.offset, i + 1);
  }
  assert.equal((await wire.response()).body.toString(), 'ok\n');
  assert.equal(JSON.parse((await wire.response()).body).result.offset, 21);
  await wire.writeChopped(post('kept:pipeline', 21) + post('kept:pipeline', 22));
  assert.equal(JSON.parse((await wire.response()).body).result.offset, 22);
  assert.equal(JSON.parse((await wire.response()).body).result.offset, 23);
  /* In chunks. */
  const body = JSON.stringify({ channel: 'kept:pipeline', data: 23 });
  const chunked = head('POST', '/api/publish', { 'X-API-Key': KEY, 'Transfer-Encoding': 'chunked' })
    + `${body.slice(0, 10).length.toString(16)}\r\n${body.slice(0, 10)}\r\n`
    + `${(body.length - 10).toString(16)}\r\n${body.slice(10)}\r\n0\r\n\r\n`;
  wire.write(chunked + post('kept:pipeline', 24, { Connection: 'close' }));
  assert.equal(JSON.parse((await wire.response()).body).result.offset, 24);
  const last = await wire.response();
  assert.equal(JSON.parse(last.body).result.offset, 25);
  assert.equal(last.headers.get('connection'), 'close');
  assert.equal(await wire.closed(), 'end');
}

async function streams(server) {
  const sdk = await Sdk.connect(server);
  const room = await sdk.subscribe('kept:stream');
  const stream = await Stream.open(server, { key: KEY });
  assert.equal(stream.response.statusCode, 200);
  for (const i of numbers(2000)) {
    stream.write({ publish: { channel: i % 2 === 0 ? 'kept:stream' : `plain:${i}`, data: i } });
  }
  const got = await stream.takeMany(2000);
  assert.deepEqual(got.filter((_, i) => i % 2 === 0).map((one) => one.publish.offset), numbers(1000).map((i) => i + 1));
  const heard = await room.publication.takeMany(1000, 'what was streamed');
  assert.deepEqual(heard.map((one) => one.data), numbers(1000).map((i) => 2 * i));
  /* What is no publication waits for those before it, and those behind it wait. */
  stream.write({ publish: { channel: 'kept:other', data: 1 } });
  stream.write({ history: { channel: 'kept:other', limit: 5 } });
  stream.write({ publish: { channel: 'kept:other', data: 2 } });
  stream.write({ broadcast: { channels: ['kept:other', 'no:x'], data: 3 } });
  stream.write({ history: { channel: 'kept:other', limit: 5 } });
  const mixed = await stream.takeMany(5);
  assert.equal(mixed[1].history.publications.length, 1);
  assert.equal(mixed[3].broadcast.responses[1].error.code, 102);
  assert.equal(mixed[4].history.publications.length, 3);
  /* A line that is none costs itself. */
  stream.write('{"publish":');
  stream.write('');
  stream.write('{"fly":{}}\r');
  stream.write({ publish: { channel: 'kept:other', data: 4 } });
  const broken = await stream.takeMany(3);
  assert.deepEqual(broken.map((one) => one.error?.code), [107, 104, undefined]);
  await stream.end();
  /* Its length declared, and over while as much is under way as may be: nothing more has to come. */
  const lines = numbers(3000).map((i) => JSON.stringify({ publish: { channel: 'plain:sized', data: i } }));
  const { text } = await back(server).post('/api', lines.join('\n'), { 'Content-Type': 'application/x-ndjson' });
  assert.deepEqual(text.trim().split('\n').map((one) => JSON.parse(one).publish !== undefined), lines.map(() => true));
  sdk.close();
}

/* Answers that nobody reads: no more is asked, and all is answered once it is read. */
async function backPressure(server) {
  const count = 600;
  const api = back(server);
  await api.batch(numbers(8).map((i) => ({ publish: { channel: 'kept:heavy', data: `${i}${'z'.repeat(8000)}` } })));
  const asked = async () => (await server.metrics()).value('parley_api_commands_total{method="history"}');
  const before = await asked();
  const stream = await Stream.open(server, { key: KEY });
  stream.response.pause();
  stream.request.end(`${JSON.stringify({ history: { channel: 'kept:heavy', limit: 10 } })}\n`.repeat(count));
  /* It stands still long before it has asked everything; others do not. */
  let last = -1;
  await until(async () => {
    const now = await asked();
    await api.result('publish', { channel: 'plain:x', data: 1 });
    const stands = now === last && now > before;
    last = now;
    return stands;
  }, 'it to stand still');
  assert.ok(last - before < count * 0.8, `${last - before} asked`);
  stream.response.resume();
  const got = await stream.takeMany(count);
  assert.ok(got.every((one) => one.history.publications.length === 8));
  assert.equal(await within(stream.ended, 'its end'), 'end');
}

/* A whole body has so long, however much of it keeps coming. */
async function slowBody(server) {
  const slow = await Wire.open(server.internalPort);
  slow.write(head('POST', '/api/publish', { 'X-API-Key': KEY, 'Content-Length': '1000' }));
  let isOver = false;
  slow.whenEnded.then(() => { isOver = true; });
  const drip = (async () => {
    while (!isOver && slow.received.length === 0) {
      slow.write(' ');
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  })();
  assert.equal((await slow.response()).status, 408);
  await drip;
  await slow.closed();
}

async function slowLine(server) {
  const half = await Stream.open(server, { key: KEY });
  half.request.write('{"publish":');
  assert.equal((await half.take()).error.code, 107);
  assert.equal(await within(half.ended, 'its end'), 'end');
}

async function slow(server) {
  await Promise.all([slowBody(server), slowLine(server)]);
  assert.equal((await server.metrics()).rejected('body_timeout'), 2);
}

async function limits(server) {
  const api = back(server);
  const large = JSON.stringify({ channel: 'plain:x', data: 'x'.repeat(70000) });
  assert.equal((await api.post('/api/publish', large)).status, 413);
  /* Not declared, and found while it comes. */
  const chunked = await api.post('/api/publish', (outgoing) => {
    outgoing.write(large.slice(0, 40000));
    outgoing.end(large.slice(40000));
  });
  assert.equal(chunked.status, 413);
  /* A line too long. */
  const stream = await Stream.open(server, { key: KEY });
  stream.write({ publish: { channel: 'plain:x', data: 1 } });
  assert.deepEqual(await stream.take(), { publish: {} });
  stream.request.write(large);
  assert.equal((await stream.take()).error.code, 106);
  assert.equal(await within(stream.ended, 'its end'), 'end');
  /* An answer has a limit, too: what has no room in it is an error. */
  await Promise.all(numbers(20).map((i) => back(server).result('publish', { channel: 'kept:big', data: `${i}${'y'.repeat(8000)}` })));
  const history = { history: { channel: 'kept:big', limit: 10 } };
  const replies = await back(server).batch([history, history, history, { info: {} }]);
  assert.deepEqual(replies.map((one) => one.error?.code), [undefined, undefined, 106, undefined]);
  const metrics = await server.metrics();
  assert.ok(metrics.rejected('body_too_big') >= 2);
  assert.ok(metrics.value('parley_api_commands_total{method="publish"}') > 20);
  assert.ok(metrics.value('parley_api_errors_total{method="history"}') >= 1);
}

/* Two parties that could read a request in two ways, and other bytes that are none. */
async function smuggling(server) {
  const key = { 'X-API-Key': KEY };
  const inner = head('POST', '/api/publish', { ...key, 'Content-Length': '31' });
  for (const [headers, body, status] of [
    [{ 'Content-Length': '5', 'Transfer-Encoding': 'chunked' }, `0\r\n\r\n${inner}`, 400],
    [{ 'Content-Length': ['5', '6'] }, inner, 400],
    [{ 'Content-Length': '+5' }, inner, 400],
    [{ 'Transfer-Encoding': 'gzip, chunked' }, inner, 400],
    [{ 'Transfer-Encoding': 'chunked' }, `0x5\r\nhello\r\n0\r\n\r\n${inner}`, 400],
    [{ 'Transfer-Encoding': 'chunked' }, `5;a=b\r\nhello\r\n0\r\n\r\n${inner}`, 400],
    [{ 'Transfer-Encoding': 'chunked' }, `0\r\nX-API-Key: x\r\n\r\n${inner}`, 400],
    [{ 'Content-Length': '2', Expect: 'wonders' }, `{}${inner}`, 417]]) {
    const wire = await Wire.open(server.internalPort);
    wire.write(head('POST', '/api/info', { ...key, ...headers }) + body);
    assert.equal((await wire.response()).status, status, JSON.stringify(headers));
    await wire.closed();
  }
}

/* Past the store; and what the store could not answer for is refused. */
async function passesBy(server, api) {
  const channel = 'durable:passes';
  const sdk = await Sdk.connect(server);
  const room = await sdk.subscribe(channel);
  assert.deepEqual(await api.result('publish', { channel, data: 'passes', skip_history: true }), {});
  assert.equal((await api.result('publish', { channel, data: 'stays' })).offset, 1);
  assert.deepEqual((await room.publication.takeMany(2, 'both')).map((one) => one.offset), [undefined, 1]);
  assert.equal((await api.result('history', { channel, limit: 9 })).publications.length, 1);
  assert.equal(await api.error('publish', { channel, data: 1, version: 1 }), 108);
  sdk.close();
}

/* What was answered is stored; who is cut off may say it again under its key. */
async function kill(_, point) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-api-'));
  const server = await Server.start({
    ...point, config: { ...durable, store: { engine: 'rocksdb', path: path.join(directory, 'store') } },
  });
  const untilReady = () => until(
    async () => (await request(server.internalPort, 'GET', '/ready')).status === 200, 'the store to be ready');
  try {
    await untilReady();
    const command = (i) => ({ publish: { channel: 'durable:x', data: i, idempotency_key: `k${i}` } });
    const stream = await Stream.open(server, { key: KEY });
    numbers(3000).forEach((i) => stream.write(command(i)));
    const answered = await stream.takeMany(100);
    server.kill('SIGKILL');
    await server.exited;
    for (;;) {
      try {
        answered.push(await stream.take());
      } catch {
        break;
      }
    }
    await until(() => server.restart().then(() => true, () => false), 'the ports to be free');
    await untilReady();
    const api = back(server);
    await passesBy(server, api);
    const again = await api.batch(numbers(3000).map(command), { parallel: true });
    assert.ok(answered.length >= 100);
    answered.forEach((one, i) => assert.deepEqual(again[i], one, `publication ${i}`));
    /* All are there, each once. */
    assert.deepEqual(again.map((one) => one.publish.offset).sort((a, b) => a - b), numbers(3000).map((i) => i + 1));
    const { offset } = await api.result('history', { channel: 'durable:x' });
    assert.equal(offset, 3000);
    /* In the store, too. */
    await api.result('history_remove', { channel: 'durable:x' });
    assert.equal((await api.result('publish', { channel: 'durable:x', data: 'new' })).offset, 3001);
    const left = await api.result('history', { channel: 'durable:x', limit: 9 });
    assert.deepEqual(left.publications, [{ data: 'new', offset: 3001 }]);
    assert.deepEqual(await server.stop(), { status: 0, signal: null });
  } finally {
    server.kill('SIGKILL');
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/* A stream that is open when the server ends is ended by it, with everything answered. */
async function drain(_, point) {
  const server = await Server.start({ ...point, config: { ...config, shutdown: { timeout: '5s', grace: '0s' } } });
  const stream = await Stream.open(server, { key: KEY });
  const idle = back(server);
  await idle.result('info', {});
  stream.write({ publish: { channel: 'kept:x', data: 1 } });
  assert.equal((await stream.take()).publish.offset, 1);
  const stopped = server.stop();
  assert.equal(await within(stream.ended, 'the end of the stream'), 'end');
  assert.deepEqual(await stopped, { status: 0, signal: null });
}

const hmac = makeKey('HS256');
const signIn = (server, claims) => Sdk.connect(server, { token: makeToken(hmac, claims) });

/* By user, by client, and all but some: on whatever reactors they are. */
async function users(server) {
  const api = back(server);
  const channels = async (params) => (await api.result('channels', params)).channels;
  await until(async () => Object.keys(await channels({})).length === 0, 'those before to have gone');
  const [one, two, bob, nobody] = await Promise.all([signIn(server, { sub: 'alice' }),
    signIn(server, { sub: 'alice' }), signIn(server, { sub: 'bob' }), Sdk.connect(server)]);
  const all = [one, two, bob];
  const came = all.map((sdk) => {
    const box = { subscribed: new Mailbox('subscribed'), publication: new Mailbox('publication') };
    sdk.centrifuge.on('subscribed', (context) => box.subscribed.put(context));
    sdk.centrifuge.on('publication', (context) => box.publication.put(context));
    return box;
  });
  assert.deepEqual(await api.result('subscribe', { user: 'alice', channel: 'kept:server', data: { hello: 1 }, info: { role: 2 } }), {});
  for (const box of came.slice(0, 2)) {
    const context = await box.subscribed.take('a subscription of the server');
    assert.equal(context.channel, 'kept:server');
    assert.deepEqual(context.data, { hello: 1 });
  }
  await api.result('publish', { channel: 'kept:server', data: 1 });
  for (const box of came.slice(0, 2)) {
    assert.equal((await box.publication.take('what is said there')).data, 1);
  }
  const { presence } = await api.result('presence', { channel: 'kept:server' });
  assert.deepEqual(Object.values(presence).map((who) => [who.user, who.chan_info]), [['alice', { role: 2 }], ['alice', { role: 2 }]]);
  assert.deepEqual(await api.result('presence_stats', { channel: 'kept:server' }), { num_clients: 2, num_users: 1 });
  const rooms = await Promise.all(all.map((sdk) => sdk.subscribe('kept:room')));
  assert.deepEqual(await channels({}), { 'kept:room': { num_clients: 3 }, 'kept:server': { num_clients: 2 } });
  assert.deepEqual(await channels({ pattern: 'k*:r??m' }), { 'kept:room': { num_clients: 3 } });
  assert.deepEqual(await channels({ pattern: 'room' }), {});

  assert.deepEqual(await api.result('unsubscribe', { user: 'alice', channel: 'kept:room', client: one.context.client }), {});
  assert.equal((await rooms[0].unsubscribed.take('to be unsubscribed')).code, 2000);
  assert.deepEqual(await channels({ pattern: 'kept:room' }), { 'kept:room': { num_clients: 2 } });
  await api.result('unsubscribe', { user: 'alice', channel: 'kept:server' });
  await api.result('unsubscribe', { user: 'somebody', channel: 'kept:room' });

  const disconnect = { code: 4501, reason: 'that will do, "alice"' };
  await api.result('disconnect', { user: 'alice', whitelist: [two.context.client], disconnect });
  assert.deepEqual(await one.disconnected.take('to be sent away'), disconnect);
  await api.result('disconnect', { user: 'alice' });
  assert.equal((await two.disconnected.take('to be sent away')).code, 3503);
  /* The end of a token, which the SDK answers with another connection. */
  await bob.connecting.take('what came before');
  await api.result('refresh', { user: 'bob', expired: true });
  assert.equal((await bob.connecting.take('its end')).code, 3005);
  await bob.connected.take('to be back');
  await api.result('refresh', { user: 'bob', expire_at: 1 });
  assert.equal((await bob.connecting.take('its end')).code, 3005);
  await api.result('disconnect', { user: '', client: nobody.context.client });
  assert.equal((await nobody.disconnected.take('to be sent away')).code, 3503);
  for (const [method, params, code] of [
    ['disconnect', {}, 107], ['disconnect', { user: 'x', disconnect: { code: 1000, reason: '' } }, 107],
    ['disconnect', { user: 'x', disconnect: { code: 4000, reason: 'r'.repeat(124) } }, 107],
    ['subscribe', { user: 'x' }, 107], ['subscribe', { user: 'x', channel: 'no:x' }, 102],
    ['unsubscribe', { channel: 'kept:x' }, 107],
    ['block_user', {}, 107], ['revoke_token', { user: 'x' }, 107]]) {
    assert.equal(await api.error(method, params), code, `${method} ${JSON.stringify(params)}`);
  }
  bob.close();
}

/* What we cannot do is refused by name, unless it says nothing; what nobody knows is skipped, as Centrifugo does. */
async function members(server) {
  const api = back(server);
  const connection = { user: 'x', client: '', session: '' };
  for (const [method, params, message] of [
    ['publish', { channel: 'kept:x' }, 'bad request: data'],
    ['publish', { channel: 'kept:x', data: 1, b64data: 'MQ==' }, 'bad request: b64data'],
    ['publish', { channel: 'kept:x', data: 1, skip_history: 'yes' }, 'bad request'],
    ['subscribe', { ...connection, channel: 'kept:x', recover_since: { offset: 1 } }, 'bad request: recover_since'],
    ['subscribe', { ...connection, channel: 'kept:x', expire_at: 5 }, 'bad request: expire_at'],
    ['subscribe', { ...connection, channel: 'kept:x', session: 's' }, 'bad request: session'],
    ['unsubscribe', { ...connection, channel: 'kept:x', session: 's' }, 'bad request: session'],
    ['disconnect', { ...connection, session: 's' }, 'bad request: session'],
    ['disconnect', { ...connection, disconnect: { code: 1, reason: '' } }, 'bad request: disconnect.code'],
    ['refresh', { ...connection, info: {} }, 'bad request: info'],
    ['invalidate_user_tokens', { user: 'x', channel: 'kept:x' }, 'bad request: channel'],
    ['rpc', { method: 'm' }, 'method not found']]) {
    assert.equal((await api.call(method, params)).error?.message, message, `${method} ${JSON.stringify(params)}`);
  }
  const replies = await api.batch([{ subscribe: { channel: 'kept:x' } }, { info: {} }]);
  assert.deepEqual(replies[0].error, { code: 107, message: 'bad request: user' });
  const nothing = { channel: 'plain:x', skip_history: false, version: 0, version_epoch: '', idempotency_key: '', b64data: '', tags: null };
  assert.deepEqual(await api.result('publish', { ...nothing, data: 1, delta: true, unheard_of: { a: [1] } }), {});
  const none = { info: null, b64info: '', data: null, b64data: '', recover_since: null, override: {}, expire_at: 0 };
  assert.deepEqual(await api.result('subscribe', { ...connection, ...none, channel: 'kept:x' }), {});
}

/* The end of a connection, as a back end sets it: its client is told, and the SDK makes nothing of that. */
async function refreshes(server) {
  const api = back(server);
  const [raw, sdk] = await Promise.all([RawChat.connect(server), signIn(server, { sub: 'carol' })]);
  const told = async (expire_at) => {
    assert.deepEqual(await api.result('refresh', { user: '', client: raw.client, expire_at }), {});
    return (await raw.next('to be told')).push.refresh;
  };
  const refresh = await told(seconds(60));
  assert.ok(refresh.expires && refresh.ttl > 50 && refresh.ttl <= 60, JSON.stringify(refresh));
  assert.deepEqual(await told(0), {});
  assert.deepEqual(await api.result('refresh', { user: '', client: raw.client, expired: true }), {});
  await raw.expectClose(3005, 'the end');
  const room = await sdk.subscribe('kept:refreshes');
  await api.result('refresh', { user: 'carol', expire_at: seconds(60) });
  await api.result('publish', { channel: 'kept:refreshes', data: 'still here' });
  assert.equal((await room.publication.take('what is said meanwhile')).data, 'still here');
  await sdk.connecting.take('what came before');
  await api.result('refresh', { user: 'carol', client: sdk.context.client, expire_at: seconds(1) });
  assert.equal((await sdk.connecting.take('its end')).code, 3005);
  await sdk.connected.take('to be back');
  sdk.close();
}

/* What the policy of a channel says, but not for this subscription. */
async function overrides(server) {
  const api = back(server);
  const sdk = await signIn(server, { sub: 'dave' });
  const subscribed = new Mailbox('subscribed');
  sdk.centrifuge.on('subscribed', (context) => subscribed.put(context));
  const subscribe = async (channel, override) => {
    await api.result('subscribe', { user: 'dave', channel, override, b64info: Buffer.from('{"role":1}').toString('base64') });
    return subscribed.take(channel);
  };
  assert.equal((await subscribe('kept:as-it-is', {})).recoverable, true);
  const hidden = { force_recovery: { value: false }, presence: { value: false } };
  assert.equal((await subscribe('kept:not-so', hidden)).recoverable, false);
  const presence = async (channel) => Object.values((await api.result('presence', { channel })).presence);
  assert.deepEqual((await presence('kept:as-it-is')).map((who) => who.chan_info), [{ role: 1 }]);
  assert.deepEqual(await presence('kept:not-so'), []);
  sdk.close();
}

/* What is forbidden goes at once, and does not come again; another token, or another user, does. */
async function revocation(server) {
  const api = back(server);
  const refused = async (claims) => {
    const sdk = new Sdk(server, { token: makeToken(hmac, claims) });
    sdk.centrifuge.connect();
    assert.equal((await sdk.disconnected.take('to be refused')).code, 3500);
  };
  const [first, second, other] = await Promise.all([signIn(server, { sub: 'eve', jti: 'one', iat: 1000 }),
    signIn(server, { sub: 'eve', jti: 'two', iat: 2000 }), signIn(server, { sub: 'mallory', jti: 'three' })]);
  await until(async () => (await api.result('info', {})).nodes[0].num_users === 2, 'two users, of three connections');
  await api.result('revoke_token', { uid: 'one', expire_at: seconds(60) });
  assert.equal((await first.disconnected.take('to be sent away')).code, 3500);
  await refused({ sub: 'eve', jti: 'one', iat: 1000 });
  await until(() => /event="token refused" .* reason=revoked why="a back end/.test(server.log()), 'the reason in the log');
  (await signIn(server, { sub: 'eve', jti: 'four', iat: 3000 })).close();
  await api.result('invalidate_user_tokens', { user: 'eve', issued_before: 2001, expire_at: seconds(60) });
  assert.equal((await second.disconnected.take('to be sent away')).code, 3500);
  await api.result('invalidate_user_tokens', { user: 'eve', issued_before: 1500, expire_at: seconds(60) });
  await refused({ sub: 'eve', jti: 'five', iat: 2000 });
  await refused({ sub: 'eve' });
  const late = await signIn(server, { sub: 'eve', iat: 2001 });
  await api.result('block_user', { user: 'eve' });
  assert.equal((await late.disconnected.take('to be sent away')).code, 3503);
  await refused({ sub: 'eve', iat: 5000 });
  await api.result('unblock_user', { user: 'eve' });
  (await signIn(server, { sub: 'eve', iat: 5000 })).close();
  /* What has expired is over; and none is forgotten for another one. */
  await api.result('block_user', { user: 'eve', expire_at: 1 });
  (await signIn(server, { sub: 'eve', iat: 5000 })).close();
  const replies = await api.batch(numbers(50).map((i) => ({ revoke_token: { uid: `many-${i}` } })));
  assert.ok(replies.filter((one) => one.error?.code === 106).length > 30);
  await refused({ sub: 'x', jti: 'many-0' });
  assert.equal(other.disconnected.size, 0);
  other.close();
}

async function off(_, point) {
  const server = await Server.start({ ...point, config: {} });
  const refused = await new BackEnd(server).post('/api/info', '{}', { 'X-API-Key': '' });
  assert.equal(refused.status, 404);
  assert.match(refused.text, /http_api\.key is not set/);
  await server.stop();
  const open = await Server.start({ ...point, config: { http_api: { insecure: true } } });
  assert.equal((await new BackEnd(open).call('info', {})).result.nodes.length, 1);
  assert.equal((await new BackEnd(open).post('/api/info', '{}', { Origin: 'http://evil.example' })).status, 403);
  await open.stop();
}

const kept = { history_size: 10000, history_ttl: '10m', force_recovery: true, presence: true };
const config = {
  client: {
    insecure: true, command_rate: 100000, command_burst: 100000, expired_close_delay: '0s',
    token: { hmac_secret_key: SECRET }, ...UNHURRIED,
  },
  http_api: { key: KEY, max_revocations: 20, max_body_bytes: 65536, max_answer_bytes: 200000 },
  channel: { namespaces: [{ name: 'kept', ...kept }, { name: 'plain' }] },
};
const durable = structuredClone(config);
durable.http_api.max_body_bytes = 1 << 20;
durable.http_api.max_answer_bytes = 1 << 20;
durable.channel.namespaces.push({ name: 'durable', ...kept, durability: 'process' });

group({
  name: 'api',
  on: 'matrix',
  server: { config },
  remains: ['parley_channels'],
  cases: [
    ['curl', curlPublishes],
    ['keys', keys],
    ['methods', methods],
    ['skip_history', skipsHistory],
    ['version', versions],
    ['delta', deltas],
    ['broadcast', broadcasts],
    ['batch', batches],
    ['pipelining', pipelining],
    ['streams', streams],
    ['back-pressure', backPressure],
    ['limits', limits],
    ['smuggling', smuggling],
    ['users', users],
    ['members', members],
    ['refresh', refreshes],
    ['override', overrides],
    ['revocation', revocation],
    ['kill -9', kill],
    ['drain', drain],
    ['off', off],
  ],
});

group({
  name: 'api, who is slow',
  on: 'backends',
  server: { config: { http_api: { key: KEY, body_timeout: '1s' } } },
  cases: [['bodies and lines', slow]],
});
