// SPDX-License-Identifier: Apache-2.0
/*
 * The command line, the configuration file, and what is said at the start.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { certificate } from '../lib/certificates.mjs';
import { RawChat } from '../lib/chat.mjs';
import { group } from '../lib/runner.mjs';
import { ROOT, Server, findPorts, runParleyd, writeConfig } from '../lib/server.mjs';

async function help() {
  for (const flag of ['--help', '-h']) {
    const { status, stdout, stderr } = await runParleyd([flag]);
    assert.equal(status, 0);
    assert.equal(stderr, '');
    for (const wanted of ['--config', '--check-config', '--listen', '--internal-listen', '--reactors',
      '--backend', '--simd', '--echo', '--log-level', '--version', '--help']) {
      assert.ok(stdout.includes(wanted), wanted);
    }
  }
}

async function version() {
  const { status, stdout, stderr } = await runParleyd(['--version']);
  assert.equal(status, 0);
  assert.equal(stderr, '');
  assert.match(stdout, /^parleyd \d+\.\d+\.\d+/);
  assert.match(stdout, /OpenSSL +\d+\.\d+\.\d+/);
  assert.match(stdout, /liburing +\d+\.\d+/);
  assert.match(stdout, /back end +(uring|epoll)/);
  assert.match(stdout, /SIMD +(scalar|sse4|avx2|avx512)/);
}

async function badFlags() {
  for (const [why, ...args] of [
    ['an unknown flag', '--no-such-flag'],
    ['a short one', '-x'],
    ['an argument', 'start'],
    ['no value', '--config'],
    ['a value that takes none', '--echo=yes'],
    ['an unknown back end', '--backend', 'kqueue'],
    ['an unknown level', '--log-level', 'loud'],
    ['no reactors', '--reactors', '0'],
    ['negative reactors', '--reactors', '-1'],
    ['reactors with a unit', '--reactors', '2x'],
    ['a port alone', '--listen', '8000'],
    ['port 0', '--listen', '127.0.0.1:0'],
    ['port 65536', '--listen', '127.0.0.1:65536'],
    ['a name', '--listen', 'localhost:8000'],
    ['every address, in development mode', '--listen', '0.0.0.0:8000'],
    ['another address, in development mode', '--listen', '192.0.2.1:8000'],
    ['every IPv6 address, in development mode', '--listen', '[::]:8000'],
    ['every address for the metrics', '--internal-listen', '0.0.0.0:9000'],
    ['one port for both', '--listen', '127.0.0.1:8000', '--internal-listen', '127.0.0.1:8000'],
    ['a file that is not there', '--config', '/nonexistent/parley.yaml'],
    ['a directory', '--config', '/'],
  ]) {
    const { status, stdout, stderr } = await runParleyd(args);
    assert.equal(status, 2, `${why}: ${stderr}`);
    assert.equal(stdout, '', why);
    assert.match(stderr, /^parleyd: .+\n$/, `${why}: one line`);
  }
}

async function goodConfigs() {
  const example = path.join(ROOT, 'deploy/parley.example.yaml');
  const { status, stdout, stderr } = await runParleyd(['--config', example, '--check-config']);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /message_size_limit: 65536/);
  /* What it prints is a configuration: the same one. */
  const again = await runParleyd(['--config', writeConfig('printed.yaml', stdout), '--check-config']);
  assert.equal(again.status, 0, again.stderr);
  assert.equal(again.stdout, stdout);
  const json = await runParleyd(['--check-config', '--config', writeConfig('good.json', JSON.stringify({
    http_server: { port: 8123 }, client: { ping_interval: '9s', allowed_origins: ['https://a.example'] },
    channel: { namespaces: [{ name: 'news', allow_subscribe_for_client: true }] },
  }, null, 2))]);
  assert.equal(json.status, 0, json.stderr);
  assert.match(json.stdout, /port: 8123/);
  assert.match(json.stdout, /ping_interval: 9s/);
  assert.match(json.stdout, /https:\/\/a\.example/);
  const empty = await runParleyd(['--check-config', '--config', writeConfig('empty.yaml', '# nothing\n')]);
  assert.equal(empty.status, 0, empty.stderr);
}

/* [why, the file, the line, what has to be in the message] */
const BAD = [
  ['an unknown key', 'client:\n  insecure: true\n  pings: 5s\n', 3, 'client.pings'],
  ['an unknown section', 'cliemt:\n  insecure: true\n', 1, 'cliemt'],
  ['a wrong type', 'client:\n  insecure: 5\n', 2, 'client.insecure'],
  ['a number that is none', 'websocket:\n\n  max_fragments: many\n', 3, 'websocket.max_fragments'],
  ['out of range', 'http_server:\n  port: 70000\n', 2, 'http_server.port'],
  ['0 is not "unlimited"', 'client:\n  channel_limit: 0\n', 2, 'client.channel_limit'],
  ['a size of 0', 'websocket:\n  message_size_limit: 0\n', 2, 'websocket.message_size_limit'],
  ['a negative number', 'client:\n  channel_limit: -1\n', 2, 'client.channel_limit'],
  ['a duration without a unit', 'client:\n  ping_interval: 25\n', 2, 'client.ping_interval'],
  ['a key twice', 'client:\n  insecure: true\n  insecure: false\n', 3, 'client.insecure'],
  ['a section twice', 'client:\n  insecure: true\nclient:\n  insecure: true\n', 3, 'client'],
  ['a list for a value', 'client:\n  channel_limit: [1]\n', 2, 'client.channel_limit'],
  ['a namespace without a name', 'channel:\n  namespaces:\n    - allow_publish_for_client: true\n', 4, 'name'],
  ['a namespace twice', 'channel:\n  namespaces:\n    - name: a\n    - name: a\n', null, 'namespaces[1].name'],
  ['an origin with a path', 'client:\n  allowed_origins: ["https://a.example/path"]\n', 2, 'allowed_origins'],
  ['no YAML', 'client:\n  insecure: "yes\n', null, ''],
  ['a tab', 'client:\n\tinsecure: true\n', 2, ''],
  ['an alias', 'client: &x\n  insecure: true\nwebsocket: *x\n', null, ''],
];

async function badConfigs() {
  for (const [i, [why, text, line, key]] of BAD.entries()) {
    const file = writeConfig(`bad-${i}.yaml`, text);
    for (const args of [['--check-config'], []]) {
      const { status, stdout, stderr } = await runParleyd(['--config', file, ...args]);
      assert.equal(status, 2, `${why}: ${stderr}`);
      assert.equal(stdout, '', why);
      assert.match(stderr, /^parleyd: .+\n$/, `${why}: one line: ${stderr}`);
      assert.ok(stderr.includes(line === null ? `bad-${i}.yaml` : `bad-${i}.yaml:${line}`), `${why}: ${stderr}`);
      assert.ok(stderr.includes(key), `${why}: ${stderr}`);
    }
  }
  /* What a start would not find, or not like, is found before. */
  const { cert } = certificate();
  for (const [cert_pem_file, key_pem_file, why] of [
    ['/nonexistent/cert.pem', cert, /^parleyd: http_server\.tls: .*"\/nonexistent\/cert\.pem": No such file or directory\n$/],
    [cert, cert, /^parleyd: http_server\.tls: .*\n$/],
  ]) {
    const file = writeConfig('bad-tls.json', JSON.stringify({ http_server: { tls: { enabled: true, cert_pem_file, key_pem_file } } }));
    const { status, stdout, stderr } = await runParleyd(['--check-config', '--config', file]);
    assert.deepEqual([status, stdout], [2, ''], stderr);
    assert.match(stderr, why);
  }
  const pings = await runParleyd(['--check-config', '--config',
    writeConfig('pings.yaml', 'client:\n  ping_interval: 5s\n')]);
  assert.equal(pings.status, 2, 'the pong timeout has to be less than the ping interval');
  assert.match(pings.stderr, /pong_timeout/);
}

/* Flags win; what is not given comes from the file. */
async function flagsWin() {
  const ports = await findPorts();
  const file = writeConfig('flags.json', JSON.stringify({
    http_server: { port: ports.port, internal_port: ports.internalPort },
    client: { insecure: true }, reactor: { count: 1, backend: 'epoll' }, log: { level: 'error' },
  }));
  const { stdout } = await runParleyd(['--config', file, '--check-config', '--reactors', '3', '--echo',
    '--log-level', 'debug', '--listen', '127.0.0.2:8001', '--simd', 'scalar']);
  for (const wanted of [/count: 3/, /backend: epoll/, /level: debug/, /address: "?127\.0\.0\.2"?/,
    /port: 8001/, /simd: scalar/, new RegExp(`internal_port: ${ports.internalPort}`)]) {
    assert.match(stdout, wanted);
  }
}

async function development() {
  const server = await Server.start({});
  assert.equal(server.stdout, `chat page: http://127.0.0.1:${server.port}/\n`);
  const chat = await RawChat.connect(server);
  await chat.close();
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  /* The log has a thread of its own: it is whole when the server has ended. */
  const lines = server.log().split('\n').filter((line) => /development mode/.test(line));
  assert.equal(lines.length, 1, 'it says so in one line');
}

async function portTaken() {
  const first = await Server.start({ reactors: 1 });
  const second = await runParleyd(['--reactors', '1', '--listen', `127.0.0.1:${first.port}`,
    '--internal-listen', `127.0.0.1:${first.internalPort}`]).then((end) => end, () => null);
  assert.notEqual(second, null, 'two servers on one port: the second has to refuse');
  assert.notEqual(second.status, 0);
  assert.match(second.stderr, /in use/i);
  await first.stop();
}

async function ipv6() {
  const { port, internalPort } = await findPorts();
  const server = new Server({});
  server.ports = { port, internalPort };
  server.options = { args: ['--listen', `[::1]:${port}`] };
  await server.restart();
  try {
    assert.equal(server.stdout, `chat page: http://[::1]:${port}/\n`);
    const got = await fetch(`http://[::1]:${port}/`);
    assert.equal(got.status, 200);
    await got.text();
  } finally {
    await server.stop();
  }
}

group({
  name: 'command line',
  server: false,
  cases: [
    ['--help', help],
    ['--version', version],
    ['bad flags', badFlags],
    ['good configurations', goodConfigs],
    ['bad configurations', badConfigs],
    ['flags win over the file', flagsWin],
    ['development mode', development],
    ['a port that is taken', portTaken],
    ['IPv6', ipv6],
  ],
});

/* Every line is one record, whatever clients say. */
async function jsonLogs(server) {
  const nasty = 'x"\\\u001b[31m\u2028\nlevel=error event=forged';
  for (const channel of [nasty, '{"level":"error"}', '\u0000']) {
    const chat = await RawChat.connect(server);
    await chat.ask({ subscribe: { channel } });
    await chat.ask({ rpc: { method: channel } });
    await chat.close();
  }
  const { UPGRADE, exchange, head } = await import('../lib/http.mjs');
  for (const origin of ['http://evil" level=error', 'x{"level":"error","event":"forged"}', '\\n\\r']) {
    const { wire } = await exchange(server.port, head('GET', '/connection/websocket',
      { ...UPGRADE, Origin: origin }));
    wire.destroy();
  }
  const bad = await RawChat.open(server);
  bad.say('{"forged\nlevel=error');
  await bad.expectClose(3501);
}

function checkJson(server) {
  const lines = server.log().trim().split('\n');
  assert.ok(lines.length >= 2);
  for (const line of lines) {
    const record = JSON.parse(line);
    assert.match(record.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.ok(['debug', 'info', 'warn', 'error'].includes(record.level), line);
    assert.equal(typeof record.event, 'string');
    assert.notEqual(record.event, 'forged');
    assert.ok(!/[\u0000-\u001f\u007f]/.test(line), 'no control bytes');
  }
}

function checkLogfmt(server) {
  for (const line of server.log().trim().split('\n')) {
    assert.match(line, /^time=\S+ level=(debug|info|warn|error) event=("([^"\\]|\\.)*"|[^ "=]+) thread=\S+( [a-z0-9_]+=("([^"\\]|\\.)*"|[^ "=]*))*$/);
    assert.ok(!/[\u0000-\u001f\u007f]/.test(line), 'no control bytes');
    assert.doesNotMatch(line, /event="?forged/);
  }
}

for (const [format, check] of [['json', checkJson], ['logfmt', checkLogfmt]]) {
  group({
    name: `log, ${format}`,
    server: false,
    cases: [['every line is a record', async (_, point) => {
      const server = await Server.start({
        ...point,
        config: { client: { insecure: true }, log: { format, level: 'debug' } },
      });
      await jsonLogs(server);
      assert.deepEqual(await server.stop(), { status: 0, signal: null });
      check(server);
      assert.ok(fs.statSync(server.logFile).size < 65536);
    }]],
  });
}
