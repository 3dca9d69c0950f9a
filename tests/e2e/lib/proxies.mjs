// SPDX-License-Identifier: Apache-2.0
/*
 * HAProxy and nginx with the files of deploy/, in which addresses, ports and certificates are those
 * of a test.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { closeAtEnd } from './cleanup.mjs';
import { freshFile } from './certificates.mjs';
import { ROOT } from './server.mjs';
import { until } from './wait.mjs';

/* The file of deploy/ with each [from, to] in the place of what is there once, and only there. */
export function filled(file, places) {
  const text = fs.readFileSync(path.join(ROOT, 'deploy', file), 'utf8');
  return places.reduce((rest, [from, to]) => {
    const parts = rest.split(from);
    if (parts.length !== 2) {
      throw new Error(`deploy/${file}: "${from}" is there ${parts.length - 1} times, not once`);
    }
    return parts.join(to);
  }, text);
}

function isListening(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/* When the tests end early: nothing of ours stays. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGTERM')));

/* Runs it until the case ends; it is there when it listens at this port. `said`: what it prints. */
export async function run(program, args, port) {
  const proxy = { said: '' };
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  closeAtEnd(() => child.kill('SIGTERM'));
  let hasEnded = false;
  const hear = (data) => { proxy.said += data; };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  child.once('error', hear);
  child.once('close', () => {
    running.delete(child);
    hasEnded = true;
  });
  await until(() => {
    if (hasEnded) {
      throw new Error(`${program} did not start: ${proxy.said}`);
    }
    return isListening(port);
  }, `${program} to listen at ${port}`);
  return proxy;
}

export function startHaproxy(config, port) {
  return run('haproxy', ['-db', '-f', freshFile('haproxy.cfg', config)], port);
}

/* deploy/nginx/parley.conf is a part of http {}; this is what is around it. */
export function startNginx(config, port) {
  const file = freshFile('parley.conf', config);
  const whole = `
    daemon off;
    pid ${path.join(path.dirname(file), 'nginx.pid')};
    error_log stderr;
    events {}
    http {
      access_log off;
      include ${file};
    }`;
  return run('nginx', ['-e', 'stderr', '-c', freshFile('nginx.conf', whole)], port);
}
