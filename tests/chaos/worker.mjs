// SPDX-License-Identifier: Apache-2.0
/*
 * A process full of clients. run.mjs starts it and talks to it over IPC: it asks {do, ...} and gets one
 * {did, ...}. The first message has the options of `start`.
 */
import { Recorder } from './record.mjs';
import { ChaosClient } from './lib/client.mjs';
import { Random } from './lib/random.mjs';
import { sleep, until } from '../e2e/lib/wait.mjs';

const TICK_MS = 20;
const REPEATABLE_MAX = 50;
const SETTLE_MS = 30000;

let world;

/* options: index, url, file, seed, clients, rooms (channels of each), rate, bodyMax, channels */
function start(options) {
  const random = new Random(options.seed + 1000 * options.index);
  const recorder = new Recorder(options.file);
  const clients = Array.from({ length: options.clients }, (_, i) => {
    const client = new ChaosClient({ name: `w${options.index}c${i}`, url: options.url, recorder });
    const offset = (options.index * options.clients + i) * options.rooms;
    for (let k = 0; k < Math.min(options.rooms, options.channels.length); k += 1) {
      client.join(options.channels[(offset + k) % options.channels.length].channel);
    }
    client.centrifuge.connect();
    return client;
  });
  world = { options, random, recorder, clients, repeatable: [], due: 0, pending: new Set(), acks: 0, timer: null };
  world.timer = setInterval(tick, TICK_MS);
  return { clients: clients.length };
}

function bodyOf(size) {
  const { random } = world;
  return `${random.next().toString(36)} ☃ `.repeat(Math.ceil(size / 10)).slice(0, size);
}

function track(promise) {
  world.pending.add(promise);
  promise.then((isAcked) => {
    world.acks += isAcked ? 1 : 0;
    world.pending.delete(promise);
  });
}

/* What is due is sent; who cannot leaves it out, so that nothing piles up. */
function tick() {
  const { options, random, clients } = world;
  world.due = Math.min(world.due + (options.rate * TICK_MS) / 1000, 100);
  for (; world.due >= 1; world.due -= 1) {
    const client = random.pick(clients);
    if (client.canPublish) {
      publish(client, random.pick(options.channels));
    }
  }
}

function publish(client, { channel, idempotency }) {
  const { random, options } = world;
  const size = random.chance(0.9) ? random.between(1, 200) : random.between(200, options.bodyMax);
  if (!idempotency || random.chance(0.5)) {
    track(client.publish(channel, bodyOf(size)));
  } else if (world.repeatable.length === 0 || random.chance(0.5)) {
    const message = { channel, body: bodyOf(size), key: client.nextKey(), attempt: 1 };
    world.repeatable = [...world.repeatable.slice(1 - REPEATABLE_MAX), message];
    track(client.publishOnce(channel, message.body, message));
  } else {
    const message = random.pick(world.repeatable);
    message.attempt += 1;
    const body = random.chance(0.2) ? bodyOf(size) : message.body;
    track(client.publishOnce(message.channel, body, { ...message }));
  }
}

/* Much at once in one channel, for those who read slowly. */
function burst({ channel, count, size }) {
  const ready = world.clients.filter((client) => client.canPublish);
  for (let i = 0; i < count && ready.length > 0; i += 1) {
    track(ready[i % ready.length].publish(channel, bodyOf(size)));
  }
  return { count: ready.length > 0 ? count : 0 };
}

async function quiet() {
  clearInterval(world.timer);
  await until(() => world.pending.size === 0, 'the last publishes to be answered', SETTLE_MS);
  return {};
}

function notJoined() {
  return world.clients.filter((client) => !client.isJoined)
    .map((client) => `${client.name} ${client.centrifuge.state} ${[...client.rooms.values()]
      .filter((room) => !room.isLive).map((room) => room.channel).join(' ')}`);
}

async function joined({ ms = SETTLE_MS }) {
  const end = Date.now() + ms;
  while (notJoined().length > 0 && Date.now() < end) {
    await sleep(20);
  }
  return { missing: notJoined() };
}

/* One more message to each of these channels; says the keys of those that were acknowledged. */
async function mark({ channels }) {
  const [client] = world.clients;
  const keys = {};
  for (const channel of channels) {
    const isAcked = await client.publish(channel, 'the last');
    keys[channel] = isAcked ? `${client.name}.${client.keys}` : null;
  }
  return { keys };
}

async function marked({ keys, ms }) {
  const missing = () => world.clients.flatMap((client) => [...client.rooms.values()]
    .filter((room) => room.lastKey !== keys[room.channel]).map((room) => `${client.name} ${room.channel}`));
  const end = Date.now() + ms;
  while (missing().length > 0 && Date.now() < end) {
    await sleep(20);
  }
  return { missing: missing() };
}

function close() {
  world.clients.forEach((client) => client.close());
  world.recorder.close();
  const codes = {};
  world.clients.flatMap((client) => Object.entries(client.codes))
    .forEach(([code, count]) => { codes[code] = (codes[code] ?? 0) + count; });
  return { codes };
}

const acked = () => ({ acks: world.acks });
const flush = () => (world.recorder.flush(), {});
const ACTIONS = { start, burst, acked, quiet, joined, mark, marked, close, flush };

process.on('message', async ({ do: action, ...options }) => {
  try {
    process.send({ did: action, ...await ACTIONS[action](options) });
  } catch (error) {
    process.send({ did: action, error: error.stack });
  }
});
process.on('disconnect', () => process.exit(1));
