// SPDX-License-Identifier: Apache-2.0
/*
 * Debian's Chromium on the chat page: two people talk, and go on after a restart of the server.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { Sdk } from '../lib/chat.mjs';
import { group } from '../lib/runner.mjs';
import { ARTEFACTS, Server } from '../lib/server.mjs';
import { PATIENCE_MS } from '../lib/wait.mjs';

const CHROMIUM = '/usr/bin/chromium';
const HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b>bold</b>';

const byId = (page, id) => page.locator(`[data-testid="${id}"]`);
const lastMessage = (page) => page.locator('[data-testid="message"]').last();

async function open(browser, server, name, { room = null, problems }) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('pageerror', (error) => problems.push(`${name}: ${error.message}`));
  page.on('console', (message) => {
    /* While the server is away, the browser itself says that it cannot connect. */
    if (message.type() === 'error' && !/WebSocket connection to|ERR_CONNECTION/.test(message.text())) {
      problems.push(`${name}: ${message.text()}`);
    }
  });
  await page.goto(room === null ? server.page : `${server.page}?room=${room}`);
  await byId(page, 'name-input').fill(name);
  await byId(page, 'join').click();
  await hasState(page, 'connected');
  return page;
}

function hasState(page, state) {
  return page.waitForSelector(`[data-testid="connection-state"][data-state="${state}"]`);
}

async function say(page, text) {
  await byId(page, 'message-input').fill(text);
  await byId(page, 'send').click();
}

async function sees(page, text) {
  await page.waitForFunction((wanted) => [...document.querySelectorAll('[data-testid="message"] .text')]
    .some((one) => one.textContent === wanted), text);
}

async function talk(alice, bob) {
  assert.equal(await byId(alice, 'connection-state').textContent(), 'Connected');
  assert.equal(await byId(alice, 'my-name').textContent(), 'Alice');
  await say(alice, 'Hello from Alice');
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
    /* Who is not subscribed yet does not get what is said. */
    await page.waitForSelector('[data-testid="room-tea"][data-state="subscribed"]');
  }
  await say(alice, 'Tea?');
  await sees(bob, 'Tea?');
  await byId(bob, 'room-lobby').click();
  await bob.waitForFunction(() => document.querySelector('[data-testid="room-title"]').textContent === 'lobby');
  assert.equal(await bob.locator('[data-testid="message"] .text', { hasText: 'Tea?' }).count(), 0);
  await byId(alice, 'room-lobby').click();
}

async function restart(alice, bob, server) {
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  await Promise.all([hasState(alice, 'reconnecting'), hasState(bob, 'reconnecting')]);
  await server.restart();
  await Promise.all([hasState(alice, 'connected'), hasState(bob, 'connected')]);
  /* A page is connected a moment before it is back in its rooms: say it until it is heard. */
  for (let i = 0; ; i += 1) {
    await say(bob, `Back again ${i}`);
    const heard = await alice.waitForFunction(
      (wanted) => [...document.querySelectorAll('[data-testid="message"] .text')]
        .some((one) => one.textContent === wanted), `Back again ${i}`, { timeout: 2000 })
      .then(() => true, () => false);
    if (heard) {
      break;
    }
    assert.ok(i < 5, 'Alice hears Bob after the restart');
  }
  await say(alice, 'I can hear you');
  await sees(bob, 'I can hear you');
}

async function twoPages(_, point) {
  if (!fs.existsSync(CHROMIUM)) {
    return { skipped: `${CHROMIUM} is not installed` };
  }
  const server = await Server.start(point);
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    timeout: 60000,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const problems = [];
  try {
    const alice = await open(browser, server, 'Alice', { problems });
    const bob = await open(browser, server, 'Bob', { problems });
    await talk(alice, bob);
    await hostileText(alice, bob, server);
    await rooms(alice, bob);
    await restart(alice, bob, server);
    await alice.screenshot({ path: path.join(ARTEFACTS, `chat-${point.backend}.png`) });
    assert.deepEqual(problems, [], 'neither page had a problem');
  } finally {
    await browser.close();
    await server.stop();
  }
  return null;
}

group({ name: 'page', on: 'backends', server: false, cases: [['two people in Chromium', twoPages]] });
