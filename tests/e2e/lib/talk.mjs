// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes to a socket, and all that comes back; what a proxy says first.
 */
import { closeAtEnd } from './cleanup.mjs';
import { within } from './wait.mjs';

/*
 * Says `bytes` (one text or buffer, or several, each written apart) over a socket of net or tls: all that
 * it hears until it is closed, or until there is what `enough` looks for.
 */
export async function talk(socket, bytes, { enough = null } = {}) {
  closeAtEnd(() => socket.destroy());
  let heard = '';
  const ended = new Promise((resolve) => {
    socket.on('data', (data) => {
      heard += data.toString('latin1');
      if (enough?.test(heard)) {
        resolve();
      }
    });
    socket.on('error', () => {});
    socket.once('close', resolve);
    [bytes].flat().forEach((one) => socket.write(one, 'latin1'));
  });
  await within(ended, 'an answer').catch((error) => {
    throw new Error(`${error.message} to ${bytes}: there is ${heard}`);
  });
  socket.destroy();
  return heard;
}

/* Of the first answer in it; 0: there is none. */
export function statusIn(heard) {
  return Number(heard.match(/^HTTP\/1\.1 (\d+)/)?.[1] ?? 0);
}

export const PROXY_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

/* A PROXY header, version 2: first byte, family, what is there, and what length it says that it has. */
export function proxyHeader(versionCommand, family, body, length = body.length) {
  const start = Buffer.from([versionCommand, family, length >> 8, length & 255]);
  return Buffer.concat([PROXY_SIGNATURE, start, body]);
}
