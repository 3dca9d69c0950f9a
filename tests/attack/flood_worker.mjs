// SPDX-License-Identifier: Apache-2.0
/*
 * The thread of flood.mjs: begins handshakes of TLS as fast as it can and ends none. Each says what
 * a client says first, and is gone with the first byte of an answer, or when that does not come
 * soon. So it computes nothing, where the server has a key to make and a signature for each.
 */
import net from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const { port, localAddress, hello, ms, atOnce, patienceMs } = workerData;
const counts = { begun: 0, answered: 0, reset: 0, left: 0 };
const end = performance.now() + ms;
let open = 0;

function begin() {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
  let how = 'reset';
  const leave = (why) => {
    how = why;
    socket.resetAndDestroy(); /* and the port is free again at once */
  };
  const timer = setTimeout(leave, patienceMs, 'left');
  socket.once('connect', () => socket.write(hello));
  socket.once('data', () => leave('answered'));
  socket.on('error', () => {});
  socket.once('close', () => {
    clearTimeout(timer);
    counts[how] += 1;
    open -= 1;
    goOn();
  });
  counts.begun += 1;
  open += 1;
}

function goOn() {
  while (open < atOnce && performance.now() < end) {
    begin();
  }
  if (open === 0) {
    parentPort.postMessage(counts);
    parentPort.close();
  }
}

goOn();
