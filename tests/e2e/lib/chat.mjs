// SPDX-License-Identifier: Apache-2.0
/*
 * Two clients of the chat protocol: one made by hand from frames, for what no proper client does, and
 * the npm package, with its events in mailboxes.
 */
import assert from 'node:assert/strict';

import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

import { closeAtEnd } from './cleanup.mjs';
import { FrameClient, TEXT } from './frames.mjs';
import { Mailbox, PATIENCE_MS, within } from './wait.mjs';

export const CHAT = '/connection/websocket';

/*
 * Of `client`, where somebody does not read, or is not read by the test, for a while, which on a full
 * machine is a long one. A RawChat answers a ping when it comes upon it.
 */
export const UNHURRIED = { ping_interval: '10m', pong_timeout: '1m', write_stall_timeout: '10m' };

/* One JSON object per line, as it is on the wire. */
export class RawChat {
  static async open(server, headers = {}, options = {}) {
    return RawChat.over(await FrameClient.connect(server.port, CHAT, headers, options));
  }

  static over(frames) {
    const chat = new RawChat();
    chat.frames = frames;
    chat.frames.answersPings = true;
    chat.pending = [];
    chat.id = 0;
    return chat;
  }

  /* `options`: of its socket. */
  static async connect(server, request = {}, options = {}) {
    const chat = await RawChat.open(server, {}, options);
    const reply = await chat.ask({ connect: request });
    assert.ok(reply.connect?.client, JSON.stringify(reply));
    chat.client = reply.connect.client;
    chat.connected = reply.connect;
    return chat;
  }

  say(...commands) {
    this.frames.text(commands.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)))
      .join('\n'));
  }

  /* The next reply or push. */
  async next(what = 'a reply') {
    while (this.pending.length === 0) {
      const got = await this.frames.next(what);
      assert.equal(got.opcode, TEXT, `${what}: opcode ${got.opcode} ${got.payload.toString('latin1')}`);
      assert.ok(got.fin);
      this.pending.push(...got.payload.toString('utf8').replace(/\n$/, '').split('\n'));
      this.pending = this.pending.map((one) => (typeof one === 'string' ? JSON.parse(one) : one));
    }
    return this.pending.shift();
  }

  /* Sends with an id of its own and gives the answer; what else comes first stays in `others`. */
  async ask(command, others = []) {
    this.id += 1;
    const id = this.id;
    this.say({ id, ...command });
    for (;;) {
      const reply = await this.next(`the answer to ${JSON.stringify(command).slice(0, 100)}`);
      if (reply.id === id) {
        return reply;
      }
      others.push(reply);
    }
  }

  async subscribe(channel) {
    const reply = await this.ask({ subscribe: { channel } });
    assert.ok(reply.subscribe, JSON.stringify(reply));
    return reply.subscribe;
  }

  async publish(channel, data) {
    const reply = await this.ask({ publish: { channel, data } });
    assert.ok(reply.publish, JSON.stringify(reply));
  }

  async push(what = 'a publication') {
    const got = await this.next(what);
    assert.ok(got.push?.pub, `${what}: ${JSON.stringify(got).slice(0, 200)}`);
    return got.push;
  }

  expectClose(code, what) {
    assert.deepEqual(this.pending, []);
    return this.frames.expectClose(code, what);
  }

  close(code = 1000) {
    return this.frames.close(code);
  }

  destroy() {
    this.frames.destroy();
  }
}

/* The stock client. Its events: connected, disconnected, connecting. */
export class Sdk {
  constructor(server, options = {}) {
    this.centrifuge = new Centrifuge(server.url ?? server, {
      websocket: WebSocket,
      minReconnectDelay: 50,
      maxReconnectDelay: 300,
      timeout: PATIENCE_MS,
      ...options,
    });
    for (const event of ['connected', 'disconnected', 'connecting']) {
      this[event] = new Mailbox(event);
      this.centrifuge.on(event, (context) => this[event].put(context));
    }
    this.centrifuge.on('error', () => {});
    closeAtEnd(() => this.close());
  }

  static async connect(server, options) {
    const sdk = new Sdk(server, options);
    sdk.centrifuge.connect();
    sdk.context = await sdk.connected.take('to be connected');
    return sdk;
  }

  /* A subscription whose publications are in `publications`; its other events have mailboxes too. */
  newSubscription(channel, options = {}) {
    const subscription = this.centrifuge.newSubscription(channel,
      { minResubscribeDelay: 50, ...options });
    const events = { subscription };
    for (const event of ['publication', 'subscribed', 'unsubscribed', 'subscribing', 'error', 'join',
      'leave']) {
      events[event] = new Mailbox(`${event} ${channel}`);
      subscription.on(event, (context) => events[event].put(context));
    }
    return events;
  }

  async subscribe(channel, options) {
    const events = this.newSubscription(channel, options);
    events.subscription.subscribe();
    await events.subscribed.take('to be subscribed');
    return events;
  }

  publish(channel, data) {
    return within(this.centrifuge.publish(channel, data), `a publish to ${channel}`);
  }

  /* The error of something that has to fail. */
  static async errorOf(promise, what) {
    try {
      await within(promise, what);
    } catch (error) {
      return error;
    }
    throw new Error(`${what} was not refused`);
  }

  close() {
    this.centrifuge.disconnect();
  }
}
