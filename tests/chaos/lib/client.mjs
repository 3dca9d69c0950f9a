// SPDX-License-Identifier: Apache-2.0
/*
 * A client of the npm package `centrifuge` that writes down what it says and hears. The package is the
 * one of tests/e2e, unmodified.
 */
import { createRequire } from 'node:module';

import { sumOf } from '../record.mjs';

const require = createRequire(new URL('../../e2e/package.json', import.meta.url));
export const { Centrifuge } = require('centrifuge');
export const WebSocket = require('ws');

export const OPTIONS = {
  websocket: WebSocket,
  minReconnectDelay: 50,
  maxReconnectDelay: 500,
  timeout: 4000,
  maxServerPingDelay: 1500,
};
const RESUBSCRIBE = { minResubscribeDelay: 50, maxResubscribeDelay: 500 };
const UNANSWERED_MAX = 16;

/* Client-side codes of the package: what became of the message is not known. */
const isUnknown = (error) => typeof error?.code !== 'number' || error.code < 100;

export class ChaosClient {
  constructor({ name, url, recorder }) {
    this.name = name;
    this.recorder = recorder;
    this.connections = 0;
    this.isConnected = false;
    this.unanswered = 0;
    this.keys = 0;
    this.sequences = new Map();
    this.rooms = new Map();
    this.codes = {};
    this.centrifuge = new Centrifuge(url, { ...OPTIONS, name: 'chaos' });
    this.centrifuge.on('connected', ({ client }) => this.#connected(client));
    this.centrifuge.on('connecting', ({ code }) => this.#disconnected(code));
    this.centrifuge.on('disconnected', ({ code }) => this.#disconnected(code));
    this.centrifuge.on('error', () => {});
  }

  #write(kind, fields) {
    this.recorder.write(kind, { client: this.name, ...fields });
  }

  #connected(connection) {
    this.connections += 1;
    this.isConnected = true;
    this.sequences.clear();
    this.#write('connected', { connection });
  }

  #disconnected(code) {
    if (this.isConnected) {
      this.isConnected = false;
      this.codes[code] = (this.codes[code] ?? 0) + 1;
      this.#write('disconnected', { code });
    }
  }

  join(channel) {
    const subscription = this.centrifuge.newSubscription(channel, RESUBSCRIBE);
    const room = { channel, isLive: false, epoch: undefined, isRecovering: false, lastKey: null };
    this.rooms.set(channel, room);
    subscription.on('subscribed', (context) => this.#subscribed(room, context));
    subscription.on('subscribing', ({ code }) => this.#left(room, code));
    subscription.on('unsubscribed', ({ code }) => this.#left(room, code));
    subscription.on('publication', (context) => this.#received(room, context));
    subscription.on('error', () => {});
    subscription.subscribe();
  }

  #subscribed(room, { recovered, wasRecovering, streamPosition }) {
    room.isLive = true;
    room.epoch = streamPosition?.epoch;
    this.#write('subscribed', { channel: room.channel, recovered, wasRecovering, ...streamPosition });
    /* The package hands over what was recovered before it returns from this event. */
    room.isRecovering = true;
    queueMicrotask(() => { room.isRecovering = false; });
  }

  #left(room, code) {
    if (room.isLive) {
      room.isLive = false;
      this.codes[`unsubscribed ${code}`] = (this.codes[`unsubscribed ${code}`] ?? 0) + 1;
      this.#write('unsubscribed', { channel: room.channel, code });
    }
  }

  #received(room, { data, offset }) {
    const position = offset === undefined ? {} : { offset, epoch: room.epoch };
    const key = typeof data?.key === 'string' ? data.key : JSON.stringify(data);
    this.#write('receive', {
      channel: room.channel, key, sum: sumOf(String(data?.body)), via: room.isRecovering ? 'recovery' : 'live',
      ...position,
    });
    room.lastKey = key;
  }

  get canPublish() {
    return this.isConnected && this.unanswered < UNANSWERED_MAX;
  }

  /* Resolves to true when it was acknowledged. Each message is sent once. */
  publish(channel, body) {
    const stream = `${this.name}.${this.connections}.${channel}`;
    const seq = (this.sequences.get(channel) ?? 0) + 1;
    this.sequences.set(channel, seq);
    this.keys += 1;
    const key = `${this.name}.${this.keys}`;
    const answered = { channel, key, attempt: 1 };
    this.#write('publish', { ...answered, sum: sumOf(body), stream, seq });
    return this.#outcome(this.centrifuge.publish(channel, { key, body }), answered);
  }

  /* message: {key, attempt}: the server knows a repeat by the key. The answer has the position. */
  publishOnce(channel, body, { key, attempt }) {
    const answered = { channel, key, attempt };
    this.#write('publish', { ...answered, sum: sumOf(body), idempotent: true });
    const request = { channel, data: { key, body }, idempotency_key: key };
    return this.#outcome(this.centrifuge.rpc('publish', request), answered);
  }

  nextKey() {
    this.keys += 1;
    return `${this.name}.${this.keys}`;
  }

  async #outcome(promise, answered) {
    this.unanswered += 1;
    try {
      const result = await promise;
      const { offset, epoch } = result?.data ?? {};
      this.#write('ack', { ...answered, offset, epoch });
      return true;
    } catch (error) {
      this.#write(isUnknown(error) ? 'unknown' : 'nack', { ...answered, code: error?.code });
      return false;
    } finally {
      this.unanswered -= 1;
    }
  }

  get isJoined() {
    return this.isConnected && [...this.rooms.values()].every((room) => room.isLive);
  }

  close() {
    this.centrifuge.disconnect();
  }
}
