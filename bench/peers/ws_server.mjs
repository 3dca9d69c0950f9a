// SPDX-License-Identifier: Apache-2.0
/*
 * npm ws: /echo and /fanout. The argument is the port.
 */
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  perMessageDeflate: false,
  backlog: 4096,
  maxPayload: 16 * 1024 * 1024,
});
const room = new Set();

server.on('connection', (socket, request) => {
  const fanout = request.url === '/fanout';
  if (fanout) {
    room.add(socket);
    socket.on('close', () => room.delete(socket));
  }
  socket.on('error', () => {});
  socket.on('message', (data, isBinary) => {
    for (const one of fanout ? room : [socket]) {
      one.send(data, { binary: isBinary });
    }
  });
});
server.on('listening', () => console.log('ready'));
