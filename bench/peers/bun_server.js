// SPDX-License-Identifier: Apache-2.0
/*
 * Bun, whose WebSocket server is uWebSockets: /echo, and /fanout, which is its own publish to a
 * topic. The argument is the port.
 */
const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.argv[2]),
  fetch(request, bun) {
    const fanout = new URL(request.url).pathname === '/fanout';
    return bun.upgrade(request, { data: { fanout } }) ? undefined
      : new Response('', { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    maxPayloadLength: 16 * 1024 * 1024,
    backpressureLimit: 64 * 1024 * 1024,
    idleTimeout: 0,
    open(socket) {
      if (socket.data.fanout) {
        socket.subscribe('all');
      }
    },
    message(socket, message) {
      if (socket.data.fanout) {
        server.publish('all', message);
      } else {
        socket.send(message);
      }
    },
  },
});
console.log('ready');
