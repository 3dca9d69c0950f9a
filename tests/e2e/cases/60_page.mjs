// SPDX-License-Identifier: Apache-2.0
/*
 * Debian's Chromium on the chat page: people talk, come later, leave, lose their connection and go on
 * after a restart of the server; nothing is lost, nothing is there twice.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { Sdk } from '../lib/chat.mjs';
import { Link } from '../lib/link.mjs';
import { group } from '../lib/runner.mjs';
import { Server, settings } from '../lib/server.mjs';
import { PATIENCE_MS, until } from '../lib/wait.mjs';

const CHROMIUM = '/usr/bin/chromium';
const HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b>bold</b>';

const GAP = 'Some messages may be missing here';

const byId = (page, id) => page.locator(`[data-testid="${id}"]`);
const lastMessage = (page) => page.locator('[data-testid="message"]').last();

async function open(browser, address, name, { room = 'lobby', problems, prepare, ...options }) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  await prepare?.(page);
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('pageerror', (error) => problems.push(`${name}: ${error.message}`));
  page.on('console', (message) => {
    /* While the server is away, the browser itself says that it cannot connect. */
    if (message.type() === 'error' && !/WebSocket connection to|ERR_CONNECTION/.test(message.text())) {
      problems.push(`${name}: ${message.text()}`);
    }
  });
  await page.goto(`${address}?room=${room}`);
  await byId(page, 'name-input').fill(name);
  await byId(page, 'join').click();
  await isIn(page, room);
  return page;
}

/* The longer a server was away, the longer the SDK waits before it tries again: up to this. */
const RETRY_MS = 20000;

function hasState(page, state) {
  const timeout = PATIENCE_MS + (state === 'connected' ? RETRY_MS : 0);
  return page.waitForSelector(`[data-testid="connection-state"][data-state="${state}"]`, { timeout });
}

/* A page is connected a moment before it is in its rooms. */
async function isIn(page, room = 'lobby') {
  await hasState(page, 'connected');
  await page.waitForSelector(`[data-testid="room-${room}"][data-state="subscribed"]`);
}

/* The longer a link was cut, the later the page comes back. */
async function mend(link, page) {
  link.mend();
  await isIn(page);
}

/* By the key: for a click the browser draws the page until nothing on it moves. */
async function say(page, text) {
  await byId(page, 'message-input').fill(text);
  await byId(page, 'message-input').press('Enter');
}

const numbered = (word, count) => Array.from({ length: count }, (_, i) => `${word} ${i + 1}`);

/* What the room shows, marks too. */
function shown(page) {
  return page.locator('#messages > li').evaluateAll((items) => items
    .map((item) => (item.querySelector('.text') ?? item).textContent));
}

async function sees(page, text) {
  await until(async () => (await shown(page)).includes(text), `the page to show ${text}`);
}

/* All of it, in this order, and nothing else. */
async function showsAll(page, wanted) {
  let seen = [];
  await until(async () => {
    seen = await shown(page);
    return seen.length >= wanted.length;
  }, `${wanted.length} entries`).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(seen)}`);
  });
  assert.deepEqual(seen, wanted);
}

/* What is being sent, as [state, text]. */
function outgoing(page) {
  return byId(page, 'outgoing').evaluateAll((items) => items
    .map((item) => [item.dataset.state, item.querySelector('.text').textContent]));
}

function hasOutgoing(page, wanted) {
  return until(async () => JSON.stringify(await outgoing(page)) === JSON.stringify(wanted),
    `outgoing to be ${JSON.stringify(wanted)}`);
}

async function hasPeople(page, wanted) {
  let seen = null;
  await until(async () => {
    seen = await page.locator('#people-list > li').allTextContents();
    return JSON.stringify(seen) === JSON.stringify(wanted);
  }, `${JSON.stringify(wanted)} to be there`).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(seen)}`);
  });
}

async function talk(alice, bob) {
  assert.equal(await byId(alice, 'connection-state').textContent(), 'Connected');
  assert.equal(await byId(alice, 'my-name').textContent(), 'Alice');
  await byId(alice, 'message-input').fill('Hello from Alice');
  await byId(alice, 'send').click();
  await sees(bob, 'Hello from Alice');
  assert.match(await lastMessage(bob).locator('.author').textContent(), /^Alice$/);
  assert.equal(await lastMessage(bob).getAttribute('data-own'), 'false');
  await sees(alice, 'Hello from Alice');
  assert.equal(await lastMessage(alice).getAttribute('data-own'), 'true');
  await say(bob, 'Grüße von Bob ☃');
  await sees(alice, 'Grüße von Bob ☃');
  assert.match(await lastMessage(alice).locator('.author').textContent(), /^Bob$/);
}

async function hostileText(alice, bob, server) {
  await say(alice, HOSTILE);
  await sees(bob, HOSTILE);
  /* By a client that is not the page: a name, and data that is no message. */
  const sdk = await Sdk.connect(server);
  await sdk.publish('lobby', { name: HOSTILE, text: 'a hostile name', sent: 'never' });
  await sees(bob, 'a hostile name');
  await sdk.publish('lobby', [HOSTILE]);
  await sees(bob, JSON.stringify([HOSTILE]));
  /* Who had no answer and tried again has said it once. */
  const again = { id: 'tried-twice', name: 'Carol', text: 'Tried twice' };
  await sdk.publish('lobby', again);
  await sdk.publish('lobby', again);
  await sdk.publish('lobby', { ...again, id: 'other', text: 'Tried once' });
  for (const page of [alice, bob]) {
    await sees(page, 'Tried once');
    assert.equal((await shown(page)).filter((text) => text === 'Tried twice').length, 1);
  }
  sdk.close();
  for (const page of [alice, bob]) {
    assert.equal(await page.evaluate(() => window.hacked), undefined, 'nothing ran');
    assert.equal(await page.locator('#messages img, #messages script, #messages b').count(), 0);
  }
}

async function rooms(alice, bob) {
  for (const page of [alice, bob]) {
    await byId(page, 'room-input').fill('tea');
    await byId(page, 'add-room').click();
    await page.waitForFunction(() => document.querySelector('[data-testid="room-title"]').textContent === 'tea');
    await isIn(page, 'tea');
  }
  await say(alice, 'Tea?');
  await sees(bob, 'Tea?');
  await byId(bob, 'room-lobby').click();
  await bob.waitForFunction(() => document.querySelector('[data-testid="room-title"]').textContent === 'lobby');
  assert.equal(await bob.locator('[data-testid="message"] .text', { hasText: 'Tea?' }).count(), 0);
  await byId(alice, 'room-lobby').click();
}

/* A server without a durable store forgets: the page keeps what it has, and says that it may miss some. */
async function restart(alice, bob, server) {
  const before = await shown(alice);
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  await Promise.all([hasState(alice, 'reconnecting'), hasState(bob, 'reconnecting')]);
  await say(bob, 'Back again');
  assert.deepEqual(await outgoing(bob), [['waiting', 'Back again']]);
  await server.restart();
  await Promise.all([isIn(alice), isIn(bob)]);
  await sees(alice, 'Back again');
  await say(alice, 'I can hear you');
  await sees(bob, 'I can hear you');
  for (const page of [alice, bob]) {
    await showsAll(page, [...before, GAP, 'Back again', 'I can hear you']);
    assert.deepEqual(await outgoing(page), []);
    assert.equal(await page.locator('#announcement').textContent(), `${GAP}.`);
  }
}

/* With a durable store nothing is missing, whoever was there and whoever comes later. */
async function durable({ server, enter }) {
  const room = 'durable:lobby';
  const alice = await enter('Alice', { room });
  const bob = await enter('Bob', { room });
  const all = [];
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    all.push(`Before ${signal}`, `After ${signal}`);
    await say(bob, `Before ${signal}`);
    await sees(alice, `Before ${signal}`);
    await hasOutgoing(bob, []);
    await server.stop(signal);
    await Promise.all([hasState(alice, 'reconnecting'), hasState(bob, 'reconnecting')]);
    await say(bob, `After ${signal}`);
    await server.restart();
    await Promise.all([isIn(alice, room), isIn(bob, room)]);
    await showsAll(alice, all);
    await showsAll(bob, all);
    await hasOutgoing(bob, []);
  }
  const carol = await enter('Carol', { room });
  await showsAll(carol, ['Earlier messages', ...all, 'You came in here']);
}

async function twoPeople({ server, enter }) {
  const alice = await enter('Alice');
  const bob = await enter('Bob');
  await talk(alice, bob);
  await hostileText(alice, bob, server);
  await rooms(alice, bob);
  await restart(alice, bob, server);
}

async function robotSays(server, texts) {
  const robot = await Sdk.connect(server);
  for (const text of texts) {
    await robot.publish('lobby', { name: 'Robot', text, sent: Date.now() });
  }
  robot.close();
}

/* Who comes later sees what was said, in order and once. */
async function comesLater({ server, enter }) {
  const alice = await enter('Alice');
  const bob = await enter('Bob');
  const said = numbered('Number', 120);
  await robotSays(server, said.slice(0, -2));
  await sees(alice, said.at(-3));
  await say(alice, said.at(-2));
  await sees(bob, said.at(-2));
  await say(bob, said.at(-1));
  for (const page of [alice, bob]) {
    await showsAll(page, said);
  }

  const carol = await enter('Carol', { viewport: { width: 390, height: 780 }, colorScheme: 'dark' });
  const seen = ['Earlier messages', ...said.slice(-100), 'You came in here']; /* development mode keeps 100 */
  await showsAll(carol, seen);
  assert.equal(await byId(carol, 'message').first().getAttribute('data-own'), 'false');
  assert.equal(await byId(carol, 'room-lobby').getAttribute('aria-label'), 'lobby', 'history is no news');
  await say(carol, 'Hello, I am new');
  await sees(bob, 'Hello, I am new');
  await showsAll(carol, [...seen, 'Hello, I am new']);
  assert.ok(await carol.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth),
    'it fits on a phone');

  /* A tab that is loaded again knows its own messages. */
  await alice.reload();
  await isIn(alice);
  await sees(alice, 'Hello, I am new');
  const own = await byId(alice, 'message').filter({ hasText: said.at(-2) }).getAttribute('data-own');
  assert.equal(own, 'true');
}

/* Names are known of those who have said something, also before we came. */
async function whoIsThere({ enter }) {
  const alice = await enter('Alice');
  await hasPeople(alice, ['Alice (you)']);
  const bob = await enter('Bob');
  await hasPeople(alice, ['Alice (you)', 'someone']);
  await say(bob, 'I am Bob');
  await hasPeople(alice, ['Alice (you)', 'Bob']);
  await say(alice, 'I am Alice');
  await hasPeople(bob, ['Bob (you)', 'Alice']);

  const carol = await enter('Carol', { viewport: { width: 390, height: 780 } });
  await hasPeople(carol, ['Carol (you)', 'Alice', 'Bob']);
  await hasPeople(bob, ['Bob (you)', 'Alice', 'someone']);
  assert.equal(await byId(bob, 'people-count').textContent(), '3');
  await byId(carol, 'room-input').fill('tea');
  await byId(carol, 'add-room').click();
  await hasPeople(carol, ['Carol (you)']);
  await byId(carol, 'room-lobby').click();
  await hasPeople(carol, ['Carol (you)', 'Alice', 'Bob']);

  await bob.close();
  await hasPeople(carol, ['Carol (you)', 'Alice']);
  await hasPeople(alice, ['Alice (you)', 'someone']);
  assert.equal(await byId(alice, 'people-count').textContent(), '2');
}

/* What is said while the history is still asked for is in both, and shown once, after it. */
async function slowHistory({ server, enter }) {
  const old = numbered('Old', 3);
  const live = numbered('Live', 3);
  await robotSays(server, old);
  const held = [];
  const holdHistory = (page) => page.routeWebSocket('**/websocket', (client) => {
    const upstream = client.connectToServer();
    client.onMessage((frame) => {
      const lines = frame.split('\n');
      const isHistory = (line) => line.includes('"history"');
      held.push(...lines.filter(isHistory).map((line) => () => upstream.send(line)));
      const others = lines.filter((line) => !isHistory(line));
      if (others.length > 0) {
        upstream.send(others.join('\n'));
      }
    });
  });
  const alice = await enter('Alice', { prepare: holdHistory });
  await until(() => held.length === 1, 'the page to ask for the history');
  await robotSays(server, live);
  await sees(alice, live.at(-1));
  await showsAll(alice, live);
  held[0]();
  await sees(alice, old[0]);
  const all = ['Earlier messages', ...old, 'You came in here', ...live];
  await showsAll(alice, all);
  await robotSays(server, ['Later']);
  await sees(alice, 'Later');
  await showsAll(alice, [...all, 'Later']);
}

/* Without a restart, by a network that fails. */
async function cutOff({ server, enter }) {
  const link = await Link.open(server.port);
  const alice = await enter('Alice', { address: link.page });
  const bob = await enter('Bob');
  const all = ['Before'];
  await say(bob, 'Before');
  await sees(alice, 'Before');

  /* Both go on while one is away. */
  link.cut();
  await hasState(alice, 'reconnecting');
  const missed = numbered('Missed', 3);
  for (const text of missed) {
    await say(bob, text);
    await sees(bob, text);
  }
  const waited = numbered('Waited', 20);
  for (const text of waited) {
    await say(alice, text);
  }
  assert.deepEqual(await outgoing(alice), waited.map((text) => ['waiting', text]));
  await say(alice, 'One too many');
  assert.match(await byId(alice, 'notice').textContent(), /^Too many messages wait/);
  assert.equal(await byId(alice, 'message-input').inputValue(), 'One too many');
  assert.equal((await outgoing(alice)).length, waited.length);
  await mend(link, alice);
  all.push(...missed, ...waited);
  await hasOutgoing(alice, []);
  await showsAll(alice, all);
  await showsAll(bob, all);

  /* It got there, but nobody told her: what is recovered tells. */
  link.lose('down');
  await say(alice, 'Answer lost');
  await sees(bob, 'Answer lost');
  link.cut();
  await hasOutgoing(alice, [['waiting', 'Answer lost']]);
  await mend(link, alice);
  all.push('Answer lost');
  await hasOutgoing(alice, []);
  await showsAll(alice, all);

  /* It did not get there: it is said again, once. */
  link.lose('up');
  await say(alice, 'Message lost');
  await hasOutgoing(alice, [['sending', 'Message lost']]);
  link.cut();
  await hasOutgoing(alice, [['waiting', 'Message lost']]);
  await mend(link, alice);
  all.push('Message lost');
  await hasOutgoing(alice, []);
  await showsAll(alice, all);
  await showsAll(bob, all);
}

/* Where nothing is kept, nobody knows what was said before: it is not said again unasked. */
async function nothingIsKept({ server, enter }) {
  const link = await Link.open(server.port);
  const alice = await enter('Alice', { address: link.page });
  await say(alice, 'Hello');
  await sees(alice, 'Hello');
  link.lose('up');
  await say(alice, 'Message lost');
  await hasOutgoing(alice, [['sending', 'Message lost']]);
  link.cut();
  await hasOutgoing(alice, [['unsure', 'Message lost']]);
  await mend(link, alice);
  assert.deepEqual(await outgoing(alice), [['unsure', 'Message lost']]);
  await byId(alice, 'outgoing').getByRole('button', { name: 'Try again' }).click();
  await hasOutgoing(alice, []);
  await showsAll(alice, ['Hello', GAP, 'Message lost']);
}

/* More than is recovered, then more than is kept: it says so, and goes on with what there is. */
async function missesTooMuch({ server, enter }) {
  const link = await Link.open(server.port);
  const alice = await enter('Alice', { address: link.page });
  const early = numbered('Early', 5);
  await robotSays(server, early);
  await sees(alice, early.at(-1));
  const late = numbered('Late', 50);
  const later = numbered('Later', 150);
  for (const texts of [late, later]) {
    link.cut();
    await hasState(alice, 'reconnecting');
    await robotSays(server, texts);
    await mend(link, alice);
    await sees(alice, texts.at(-1));
  }
  await showsAll(alice, [...early, GAP, ...late, GAP, ...later.slice(-100)]);
  /* Chromium offers it by itself, and has read what it was given. */
  const metrics = await server.metrics();
  assert.ok(metrics.value('parley_compression_offers_total{result="accepted"}') >= 3);
  assert.ok(metrics.value('parley_deflate_bytes_total{of="compressed"}') > 0);
}

/* Neither history nor presence nor publishing is offered: the page says what it must, no more. */
async function notOffered({ enter }) {
  const page = await enter('Alice');
  await say(page, 'May I?');
  await hasOutgoing(page, [['refused', 'May I?']]);
  assert.match(await byId(page, 'notice').textContent(), /you may not write in this room/);
  assert.equal(await byId(page, 'people').isVisible(), false);
  await byId(page, 'outgoing').getByRole('button', { name: 'Discard' }).click();
  await showsAll(page, []);
  assert.deepEqual(await outgoing(page), []);
  assert.equal(await byId(page, 'notice').textContent(), '');
}

/* One for all cases of this process, each with contexts of its own, as long as nothing fails. */
let browser = null;

function launch() {
  return chromium.launch({
    executablePath: CHROMIUM,
    timeout: 60000,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/* A case with a server of its own. */
function inChromium(name, run, configFor = () => undefined) {
  return [name, async (_, point) => {
    if (!fs.existsSync(CHROMIUM)) {
      return { skipped: `${CHROMIUM} is not installed` };
    }
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-page-'));
    const server = await Server.start({ ...point, config: configFor(directory) });
    browser ??= await launch();
    const mine = browser;
    browser = null; /* until all has gone well */
    const problems = [];
    const pages = [];
    const enter = async (who, { address = server.page, ...more } = {}) => {
      pages.push(await open(mine, address, who, { problems, ...more }));
      return pages.at(-1);
    };
    try {
      await run({ server, enter });
      assert.deepEqual(problems, [], 'no page had a problem');
      browser = mine;
    } finally {
      const file = `chat-${run.name}-${point.backend}`;
      await Promise.all(pages.filter((page) => !page.isClosed()).map((page, index) =>
        page.screenshot({ path: path.join(settings.artefacts, `${file}-${index + 1}.png`) }).catch(() => {})));
      await Promise.all(mine.contexts().map((context) => context.close()));
      if (browser === null) {
        await mine.close();
      }
      await server.stop();
      fs.rmSync(directory, { recursive: true, force: true });
    }
    return null;
  }];
}

const withStore = (directory) => ({
  client: { insecure: true },
  store: { engine: 'rocksdb', path: path.join(directory, 'store') },
  channel: {
    namespaces: [{
      name: 'durable', history_size: 1000, history_ttl: '1h', force_recovery: true, durability: 'process',
    }],
  },
});

const recoversLittle = {
  websocket: { compression: true },
  client: { insecure: true, recovery_max_publication_limit: 10 },
  channel: { without_namespace: { history_size: 100, history_ttl: '10m', force_recovery: true } },
};

const recoversNothing = {
  client: { insecure: true },
  channel: { without_namespace: { history_size: 100, history_ttl: '10m' } },
};

const readOnly = {
  client: { allow_anonymous_connect_without_token: true },
  channel: {
    without_namespace: { allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true },
  },
};

group({
  name: 'page',
  on: 'backends',
  server: false,
  cases: [
    inChromium('two people in Chromium', twoPeople),
    inChromium('somebody comes later', comesLater),
    inChromium('who is there', whoIsThere),
    inChromium('slow history', slowHistory, () => recoversNothing),
    inChromium('little is offered', notOffered, () => readOnly),
  ],
});

group({
  name: 'page, in trouble',
  on: 'backends',
  server: false,
  cases: [
    inChromium('the connection is cut', cutOff),
    inChromium('too much was missed', missesTooMuch, () => recoversLittle),
    inChromium('a restart with a durable store', durable, withStore),
    inChromium('nothing is kept', nothingIsKept, () => ({ client: { insecure: true } })),
  ],
});
