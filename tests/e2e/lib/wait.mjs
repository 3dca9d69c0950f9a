// SPDX-License-Identifier: Apache-2.0
/*
 * Waiting with an end. The limits only say when a test is lost; no test asserts how long
 * something took.
 */

/* Sanitizers are slow, and the machine may be busy. */
const PRESET = process.env.PARLEY_PRESET ?? 'release';
export const IS_SANITIZED = PRESET === 'asan' || PRESET === 'tsan';
export const SLOWNESS = IS_SANITIZED ? 4 : 1;
export const PATIENCE_MS = 15000 * SLOWNESS;

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/* The promise's value, or an error that names what did not happen. */
export async function within(promise, what, ms = PATIENCE_MS) {
  let timer;
  const lost = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, lost]);
  } finally {
    clearTimeout(timer);
  }
}

/* The first value of `look` that is not false, null or undefined. */
export async function until(look, what, ms = PATIENCE_MS) {
  const end = performance.now() + ms;
  for (;;) {
    const value = await look();
    if (value !== false && value !== null && value !== undefined) {
      return value;
    }
    if (performance.now() > end) {
      throw new Error(`waited ${ms} ms for ${what}`);
    }
    await sleep(20);
  }
}

/* A queue of values that come later: what events become so that a test can be read downwards. */
export class Mailbox {
  #items = [];
  #takers = [];
  #end = null;

  constructor(name) {
    this.name = name;
  }

  put(item) {
    const taker = this.#takers.shift();
    if (taker === undefined) {
      this.#items.push(item);
    } else {
      taker.resolve(item);
    }
  }

  /* Nothing more will come: takers that wait, and later ones, fail with this text. */
  end(why) {
    this.#end ??= why;
    this.#takers.splice(0).forEach((taker) => taker.reject(new Error(this.#text())));
  }

  #text() {
    return `${this.name}: ended (${this.#end}) where more was expected`;
  }

  get size() {
    return this.#items.length;
  }

  get isEnded() {
    return this.#end !== null;
  }

  take(what = 'an item', ms = PATIENCE_MS) {
    if (this.#items.length > 0) {
      return Promise.resolve(this.#items.shift());
    }
    if (this.#end !== null) {
      return Promise.reject(new Error(this.#text()));
    }
    const taker = {};
    const promise = new Promise((resolve, reject) => Object.assign(taker, { resolve, reject }));
    this.#takers.push(taker);
    return within(promise, `${what} (${this.name})`, ms).catch((error) => {
      this.#takers = this.#takers.filter((other) => other !== taker);
      throw error;
    });
  }

  async takeMany(count, what, ms = PATIENCE_MS) {
    const items = [];
    while (items.length < count) {
      items.push(await this.take(`${what}, item ${items.length + 1} of ${count}`, ms));
    }
    return items;
  }
}
