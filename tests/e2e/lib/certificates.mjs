// SPDX-License-Identifier: Apache-2.0
/*
 * Certificates made by the openssl command, once for each name and kind of key, and the openssl
 * client, which says what it saw.
 */
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { closeAtEnd } from './cleanup.mjs';
import { settings } from './server.mjs';
import { until, within } from './wait.mjs';

const KEYS = {
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['-newkey', 'rsa:2048'],
};
const DONE = /SSL handshake has read/;
const made = new Map();
let folder = null;

function inFolder(name) {
  if (folder === null) {
    fs.mkdirSync(settings.artefacts, { recursive: true });
    folder = fs.mkdtempSync(path.join(settings.artefacts, 'tls-'));
  }
  return path.join(folder, name);
}

/* A file of its own, for what a test changes. */
export function freshFile(name, text) {
  const file = path.join(fs.mkdtempSync(inFolder('own-')), name);
  fs.writeFileSync(file, text);
  return file;
}

/* Self-signed, for these DNS names; `serial` tells it from another of that name. */
export function certificate(names = 'localhost', kind = 'ec', serial = 1) {
  const id = `${names.replaceAll('*', 'any')}-${kind}-${serial}`;
  if (!made.has(id)) {
    const [key, cert] = [inFolder(`${id}.key`), inFolder(`${id}.pem`)];
    const alternatives = names.split(',').map((name) => `DNS:${name}`).join(',');
    execFileSync('openssl', ['req', '-x509', ...KEYS[kind], '-nodes', '-days', '2', '-set_serial',
      String(serial), '-subj', `/CN=${names.split(',')[0]}`, '-addext',
      `subjectAltName=${alternatives}`, '-keyout', key, '-out', cert],
    { stdio: 'ignore' });
    made.set(id, { key, cert });
  }
  return made.get(id);
}

/*
 * openssl s_client with these arguments. Once the handshake is done it says `input` and looks for
 * `enough`: in what it printed, or what a function says. Then, or when the server hangs up, it ends.
 * Resolves with all that it printed.
 */
export function openssl(port, args, { input = '', enough = DONE } = {}) {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...args],
    { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  let waits = true;
  let hasEnded = false;
  closeAtEnd(() => child.kill('SIGKILL'));
  const isEnough = () => (enough instanceof RegExp ? enough.test(said) : enough());
  const hear = async (data) => {
    said += data;
    if (waits && DONE.test(said)) {
      waits = false;
      child.stdin.write(input);
      await until(() => hasEnded || isEnough(), `openssl s_client ${args.join(' ')} to have enough`);
      child.stdin.end();
    }
  };
  child.stdin.on('error', () => {}); // it hung up first
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = new Promise((resolve) => { 
    child.once('close', () => {
      hasEnded = true;
      resolve(said);
    });
  });
  return within(ended, `openssl s_client ${args.join(' ')} to end`);
}
