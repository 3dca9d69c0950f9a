// SPDX-License-Identifier: Apache-2.0
/*
 * The servers of bench/peers that come from Debian, until the case ends: /echo and /fanout, as
 * bench/compare.py starts them.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { freshFile } from './certificates.mjs';
import { run } from './proxies.mjs';
import { ROOT, findPorts } from './server.mjs';

const PEERS = path.join(ROOT, 'bench/peers');

function buildLws() {
  const program = path.join(path.dirname(freshFile('lws', '')), 'lws_server');
  execFileSync('cc', ['-o', program, path.join(PEERS, 'lws_server.c'), '-lwebsockets']);
  return program;
}

function nchanConfig(port) {
  const text = fs.readFileSync(path.join(PEERS, 'nchan.conf'), 'utf8');
  const values = { PORT: port, DIR: path.dirname(freshFile('nchan', '')),
    MODULES: '/usr/lib/nginx/modules', FILES: 1024, CONNECTIONS: 512 };
  return freshFile('nchan.conf', text.replace(/@(\w+)@/g, (_, key) => values[key]));
}

const COMMANDS = {
  libwebsockets: (port) => [buildLws(), String(port)],
  'python3-websockets': (port) => ['/usr/bin/python3', path.join(PEERS, 'websockets_server.py'), String(port)],
  'nginx + nchan': (port) => ['nginx', '-e', 'stderr', '-c', nchanConfig(port)],
};

/* The URL of it, without a path. */
export async function startPeer(name) {
  const { port } = await findPorts();
  const [program, ...args] = COMMANDS[name](port);
  await run(program, args, port);
  return `ws://127.0.0.1:${port}`;
}
