// SPDX-License-Identifier: Apache-2.0
/*
 * A WebSocket client that says exactly the bytes a test wants, wrong ones too, and reads a server's
 * frames strictly (RFC 6455 section 5).
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import zlib from 'node:zlib';

import { UPGRADE, Wire, head } from './http.mjs';
import { within } from './wait.mjs';

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/* options: fin, rsv (bits), masked, key, lengthBytes (0, 2, 8: how the length is written), length */
export function frame(opcode, payload = '', options = {}) {
  const { fin = true, rsv = 0, masked = true } = options;
  const body = Buffer.isBuffer(payload) ? payload : Buffer.from(payload, 'utf8');
  const length = BigInt(options.length ?? body.length);
  const lengthBytes = options.lengthBytes ?? (length < 126n ? 0 : length < 65536n ? 2 : 8);
  const header = Buffer.alloc(2 + lengthBytes);
  header[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  if (lengthBytes === 0) {
    header[1] = Number(length);
  } else if (lengthBytes === 2) {
    header[1] = 126;
    header.writeUInt16BE(Number(length), 2);
  } else {
    header[1] = 127;
    header.writeBigUInt64BE(length, 2);
  }
  if (!masked) {
    return Buffer.concat([header, body]);
  }
  header[1] |= 0x80;
  const key = options.key ?? crypto.randomBytes(4);
  const maskedBody = Buffer.allocUnsafe(body.length);
  for (let i = 0; i < body.length; i += 1) {
    maskedBody[i] = body[i] ^ key[i & 3];
  }
  return Buffer.concat([header, key, maskedBody]);
}

export function closeFrame(code, reason = '') {
  const text = Buffer.isBuffer(reason) ? reason : Buffer.from(reason, 'utf8');
  const payload = Buffer.alloc(2 + text.length);
  payload.writeUInt16BE(code, 0);
  text.copy(payload, 2);
  return frame(CLOSE, payload);
}

export const DEFLATE = { 'Sec-WebSocket-Extensions': 'permessage-deflate' };
const ACCEPTED = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

/* The payload of a compressed message (RFC 7692 section 7.2.1), and back. */
export function deflated(payload, options = {}) {
  const flush = zlib.constants.Z_SYNC_FLUSH;
  return zlib.deflateRawSync(payload, { finishFlush: flush, ...options }).subarray(0, -4);
}

export function inflated(payload) {
  return zlib.inflateRawSync(Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]),
    { finishFlush: zlib.constants.Z_SYNC_FLUSH });
}

export class FrameClient {
  /* A handshake that fails leaves no connection behind. */
  static async connect(port, path, headers = {}, options = {}) {
    const client = new FrameClient();
    client.wire = await Wire.open(port, options);
    try {
      await client.#shakeHands(path, headers);
    } catch (error) {
      client.destroy();
      throw error;
    }
    return client;
  }

  async #shakeHands(path, headers) {
    const key = crypto.randomBytes(16).toString('base64');
    this.write(head('GET', path, { ...UPGRADE, 'Sec-WebSocket-Key': key, ...headers }));
    const response = await this.wire.response();
    assert.equal(response.status, 101, 'the handshake');
    assert.equal(response.headers.get('sec-websocket-accept'),
      crypto.createHash('sha1').update(key + GUID).digest('base64'));
    assert.equal(response.headers.get('upgrade').toLowerCase(), 'websocket');
    assert.equal(response.headers.get('connection').toLowerCase(), 'upgrade');
    this.deflates = 'Sec-WebSocket-Extensions' in headers;
    assert.equal(response.headers.get('sec-websocket-extensions'), this.deflates ? ACCEPTED : undefined);
    this.response = response;
  }

  write(bytes) {
    this.wire.write(bytes);
  }

  send(opcode, payload, options) {
    this.wire.write(frame(opcode, payload, options));
  }

  text(text) {
    this.send(TEXT, text);
  }

  async #need(size, what) {
    while (this.wire.received.length < size) {
      await this.wire.more(what);
    }
  }

  /*
   * The next frame of the server. The first ping of the chat comes at a random time, so those are
   * answered in passing where `answersPings` is set.
   */
  async next(what = 'a frame') {
    for (;;) {
      const got = await this.#nextFrame(what);
      if (!this.answersPings || got.opcode !== TEXT || got.payload.toString() !== '{}') {
        return got;
      }
      this.text('{}');
    }
  }

  async #nextFrame(what) {
    await this.#need(2, what);
    const [first, second] = this.wire.received;
    const opcode = first & 0x0f;
    const compressed = this.deflates && (first & 0x40) !== 0;
    assert.equal(first & (compressed ? 0x30 : 0x70), 0, 'no reserved bits');
    assert.ok(!compressed || opcode < CLOSE, 'no compressed control frame');
    assert.equal(second & 0x80, 0, 'servers do not mask');
    assert.ok([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG].includes(opcode), `opcode ${opcode}`);
    let length = second & 0x7f;
    let headerSize = 2;
    if (length === 126) {
      await this.#need(4, what);
      length = this.wire.received.readUInt16BE(2);
      headerSize = 4;
      assert.ok(length > 125, 'the shortest length');
    } else if (length === 127) {
      await this.#need(10, what);
      length = Number(this.wire.received.readBigUInt64BE(2));
      headerSize = 10;
      assert.ok(length > 65535, 'the shortest length');
    }
    if (opcode >= CLOSE) {
      assert.ok((first & 0x80) !== 0 && length <= 125, 'a good control frame');
    }
    await this.#need(headerSize + length, what);
    const bytes = this.wire.take(headerSize + length);
    const payload = bytes.subarray(headerSize);
    return {
      fin: (first & 0x80) !== 0, opcode, compressed, payload: compressed ? inflated(payload) : payload,
    };
  }

  async expect(opcode, payload, what = `opcode ${opcode}`) {
    const got = await this.next(what);
    assert.equal(got.opcode, opcode, `${what}: ${JSON.stringify(got.payload.toString('latin1').slice(0, 100))}`);
    assert.ok(got.fin, 'our server does not fragment');
    const wanted = Buffer.isBuffer(payload) ? payload : Buffer.from(payload, 'utf8');
    assert.ok(got.payload.equals(wanted), `${what}: ${got.payload.length} bytes as sent, not ${wanted.length}`);
  }

  /* The close frame, and the end of the connection after it. Frames before it come in `before`. */
  async expectClose(code, what = `close ${code}`, { reply = true, before = null } = {}) {
    let got;
    do {
      got = await this.next(what);
      if (before !== null && got.opcode !== CLOSE) {
        before.push(got);
      }
    } while (before !== null && got.opcode !== CLOSE);
    assert.equal(got.opcode, CLOSE, `${what}: got opcode ${got.opcode} ${
      JSON.stringify(got.payload.toString('latin1').slice(0, 100))}`);
    if (code === null) {
      assert.equal(got.payload.length, 0, `${what}: an empty close frame`);
    } else {
      assert.ok(got.payload.length >= 2, `${what}: a code`);
      assert.equal(got.payload.readUInt16BE(0), code, what);
    }
    const reason = got.payload.subarray(2);
    assert.equal(Buffer.from(reason.toString('utf8'), 'utf8').equals(reason), true, 'reason is UTF-8');
    if (reply && this.wire.ended === null) {
      this.write(frame(CLOSE, got.payload.subarray(0, 2)));
      this.wire.socket.end();
    }
    await within(this.wire.whenEnded, `the connection to end after ${what}`);
    assert.equal(this.wire.received.length, 0, `${what}: nothing after the close frame`);
    this.destroy();
    return reason.toString('utf8');
  }

  /* Ends it properly from our side. */
  async close(code = 1000) {
    this.write(closeFrame(code));
    await this.expectClose(code, 'our close back', { reply: false });
  }

  destroy() {
    this.wire.destroy();
  }
}
