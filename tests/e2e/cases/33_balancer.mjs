// SPDX-License-Identifier: Apache-2.0
/*
 * Two servers behind HAProxy and nginx, which run with the files that deploy/ ships. Three ways in:
 * TLS ends at HAProxy, at nginx, or goes through HAProxy with a PROXY header before it.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import tls from 'node:tls';

import WebSocket from 'ws';

import { BackEnd } from '../lib/api.mjs';
import { certificate, freshFile } from '../lib/certificates.mjs';
import { CHAT, Sdk } from '../lib/chat.mjs';
import { closeAtEnd } from '../lib/cleanup.mjs';
import { UPGRADE, head } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { filled, startHaproxy, startNginx } from '../lib/proxies.mjs';
import { ROOT, Server, findPorts } from '../lib/server.mjs';
import { statusIn, talk } from '../lib/talk.mjs';
import { until, within } from '../lib/wait.mjs';

const FORGED = '192.0.2.66';

async function findMany(count) {
  const found = new Set();
  while (found.size < count) {
    const { port, internalPort } = await findPorts();
    found.add(port).add(internalPort);
  }
  return [...found];
}

/* As deploy/README.md has it. */
function configOf(tlsPort, { grace, client = {} }) {
  const { cert, key } = certificate();
  return {
    client: { insecure: true, ...client },
    http_api: { insecure: true },
    shutdown: { grace },
    http_server: {
      trusted_proxies: ['127.0.0.1'],
      tls: { cert_pem_file: cert, key_pem_file: key },
      listeners: [{ port: tlsPort, tls: true, proxy_protocol: 'required', trusted_proxies: ['127.0.0.1'] }],
    },
  };
}

function haproxyPlaces([a, b], ports) {
  const { cert, key } = certificate();
  const both = freshFile('both.pem', fs.readFileSync(cert, 'utf8') + fs.readFileSync(key, 'utf8'));
  const [plain, secure, through, metrics] = ports;
  return [
    ['bind :80\n', `bind 127.0.0.1:${plain}\n`],
    ['bind :443 ', `bind 127.0.0.1:${secure} `],
    ['/etc/haproxy/parley.pem', both],
    ['10.0.0.11:8000 check port 9000', `127.0.0.1:${a.port} check port ${a.internalPort}`],
    ['10.0.0.12:8000 check port 9000', `127.0.0.1:${b.port} check port ${b.internalPort}`],
    ['bind :8443\n', `bind 127.0.0.1:${through}\n`],
    ['10.0.0.11:8443 send-proxy-v2 check port 9000',
      `127.0.0.1:${a.tlsPort} send-proxy-v2 check port ${a.internalPort}`],
    ['10.0.0.12:8443 send-proxy-v2 check port 9000',
      `127.0.0.1:${b.tlsPort} send-proxy-v2 check port ${b.internalPort}`],
    ['bind 127.0.0.1:8405\n', `bind 127.0.0.1:${metrics}\n`],
  ];
}

function nginxPlaces([a, b], [plain, secure]) {
  const { cert, key } = certificate();
  return [
    ['listen 80;', `listen 127.0.0.1:${plain};`],
    ['listen 443 ssl;', `listen 127.0.0.1:${secure} ssl;`],
    ['/etc/nginx/parley.pem', cert],
    ['/etc/nginx/parley.key', key],
    ['server 10.0.0.11:8000 ', `server 127.0.0.1:${a.port} `],
    ['server 10.0.0.12:8000 ', `server 127.0.0.1:${b.port} `],
  ];
}

/* All of it, for the cases of a group that come one after the other. */
class Site {
  /*
   * grace: of the first server; checks: of HAProxy, which fail if they take longer than it waits between
   * two; client: of the servers; haproxyMore, nginxMore: what else is changed in the files, for times.
   */
  static async start(point, { grace = '0s', checks = 'inter 10s fall 2', client, haproxyMore = [], nginxMore = [] } = {}) {
    const site = new Site();
    const ports = await findMany(8);
    site.servers = await Promise.all(ports.slice(0, 2).map(async (tlsPort, i) => {
      const config = configOf(tlsPort, { grace: i === 0 ? grace : '0s', client });
      const server = await Server.start({ ...point, echo: true, config });
      server.tlsPort = tlsPort;
      return server;
    }));
    site.haproxyPorts = ports.slice(2, 6);
    site.nginxPorts = ports.slice(6, 8);
    site.haproxy = await startHaproxy(
      filled('haproxy/haproxy.cfg', [...haproxyPlaces(site.servers, site.haproxyPorts),
        ['inter 1s fall 2', checks], ...haproxyMore]),
      site.haproxyPorts[3]);
    site.nginx = await startNginx(
      filled('nginx/parley.conf', [...nginxPlaces(site.servers, site.nginxPorts), ...nginxMore]),
      site.nginxPorts[0]);
    site.ways = { 'HAProxy': site.haproxyPorts[1], 'HAProxy, through': site.haproxyPorts[2],
      'nginx': site.nginxPorts[1] };
    return site;
  }

  isLogged(pattern) {
    return until(() => this.servers.some((server) => pattern.test(server.log())), `${pattern} in a log`);
  }

  async rejected(reason) {
    const metrics = await Promise.all(this.servers.map((server) => server.metrics()));
    return metrics.reduce((sum, one) => sum + one.rejected(reason), 0);
  }

  async stop() {
    for (const server of this.servers) {
      assert.deepEqual(await server.stop(), { status: 0, signal: null });
    }
  }
}

const secure = (from) => ({
  ca: fs.readFileSync(certificate().cert), servername: 'localhost', localAddress: from,
});

/* The stock client, which claims another address than its own. */
function connect(port) {
  const headers = { 'X-Forwarded-For': FORGED, 'X-Real-IP': FORGED };
  class Forging extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { ...secure(), headers });
    }
  }
  return Sdk.connect(`wss://127.0.0.1:${port}${CHAT}`, { websocket: Forging });
}

/* These bytes over TLS: all that comes back until it closes, or until there is what is wanted. */
function say(port, bytes, { from = '127.0.0.1', enough = /\r\n\r\n/ } = {}) {
  return talk(tls.connect({ port, host: '127.0.0.1', ...secure(from) }), bytes, { enough });
}

const get = (target) => head('GET', target, { Connection: 'close' });
const forged = (more) => head('GET', CHAT, { ...UPGRADE, 'X-Forwarded-For': FORGED, 'X-Real-IP': FORGED, ...more });

async function served(site) {
  for (const [way, port] of Object.entries(site.ways)) {
    const sdk = await connect(port);
    const { publication } = await sdk.subscribe('through');
    await sdk.publish('through', way);
    assert.equal((await publication.take('what was published')).data, way);
    sdk.close();
    const page = await say(port, forged({ Origin: 'https://127.0.0.1' }));
    assert.equal(statusIn(page), 101, `${way}: a page of the same host`);
  }
}

/* Who is refused is in the log with its address: once where it is a stranger, once a neighbour. */
async function addresses(site) {
  const refused = forged({ Origin: 'https://elsewhere.example' });
  const strangers = { 'HAProxy': '127.0.0.7', 'HAProxy, through': '127.0.0.8', 'nginx': '127.0.0.9' };
  for (const [way, port] of Object.entries(site.ways)) {
    const from = strangers[way];
    assert.equal(statusIn(await say(port, refused, { from })), 403, way);
    await site.isLogged(new RegExp(`client=${from}${way === 'HAProxy, through' ? ':\\d+' : ''} `));
  }
  /* In a trusted network what an added header says first would be believed. */
  for (const way of ['HAProxy', 'nginx']) {
    assert.equal(statusIn(await say(site.ways[way], refused)), 403, way);
  }
  await site.isLogged(/client=127\.0\.0\.1 /);
  site.servers.forEach((server) => assert.ok(!server.log().includes(FORGED)));
}

/* What is inside stays inside, also behind an upgrade that fails. */
async function closedToThePublic(site) {
  for (const [way, port] of Object.entries(site.ways)) {
    for (const target of ['/metrics', '/ready', '/health', '/api/info', '//metrics', '/%6detrics', '/METRICS']) {
      assert.equal(statusIn(await say(port, get(target))), 404, `${way}: ${target}`);
    }
    const behind = get('/metrics');
    for (const wrong of [{ 'Sec-WebSocket-Version': '12' }, { 'Sec-WebSocket-Key': 'short' },
      { 'Content-Length': String(behind.length) }]) {
      const heard = await say(port, head('GET', CHAT, { ...UPGRADE, ...wrong }) + behind + behind,
        { enough: null });
      assert.match(heard, /^HTTP\/1\.1 4\d\d /, `${way}: ${JSON.stringify(wrong)}`);
      assert.doesNotMatch(heard, /parley_|HTTP\/1\.1 [123]\d\d/, `${way}: ${JSON.stringify(wrong)}`);
    }
  }
  for (const port of [site.haproxyPorts[0], site.nginxPorts[0]]) {
    assert.equal((await redirect(port)).status, 301);
  }
}

async function redirect(port) {
  const response = await within(fetch(`http://127.0.0.1:${port}/`, { redirect: 'manual' }), 'a redirect');
  assert.match(response.headers.get('location'), /^https:/);
  return response;
}

/* The listener behind HAProxy's other way takes nobody without a PROXY header. */
async function proxyIsRequired(site) {
  const before = await site.rejected('proxy_bad');
  assert.equal(await say(site.servers[0].tlsPort, get('/')), '');
  assert.equal(await site.rejected('proxy_bad'), before + 1);
}

async function manyWays(_, point) {
  const site = await Site.start(point);
  await served(site);
  await addresses(site);
  await closedToThePublic(site);
  await proxyIsRequired(site);
  await site.stop();
}

const secondsOf = (text, pattern) => Number(text.match(pattern)[1]);

/* The shipped times are longer than the server's default ones. */
function timesFit() {
  const [example, haproxy, nginx] = ['parley.example.yaml', 'haproxy/haproxy.cfg', 'nginx/parley.conf']
    .map((file) => fs.readFileSync(`${ROOT}/deploy/${file}`, 'utf8'));
  const ping = secondsOf(example, /^ {2}ping_interval: (\d+)s/m) + secondsOf(example, /^ {2}pong_timeout: (\d+)s/m);
  assert.ok(secondsOf(haproxy, /timeout tunnel (\d+)s/) > ping);
  assert.ok(secondsOf(nginx, /proxy_read_timeout (\d+)s/) > ping);
  assert.ok(secondsOf(nginx, /proxy_send_timeout (\d+)s/) > ping);
  const noticed = secondsOf(haproxy, /inter (\d+)s/) * secondsOf(haproxy, /fall (\d+)/);
  assert.ok(noticed < secondsOf(example, /^ {2}grace: (\d+)s/m), 'HAProxy has noticed within the grace time');
}

/*
 * Times of the proxies that are shorter than here anybody would wait: who is pinged stays, and
 * who is not (an echo) is cut.
 */
async function heldByPings(_, point) {
  timesFit();
  const site = await Site.start(point, {
    client: { ping_interval: '2s', pong_timeout: '1900ms' },
    haproxyMore: [['timeout tunnel 75s', 'timeout tunnel 6s']],
    nginxMore: [['proxy_read_timeout 75s', 'proxy_read_timeout 6s']],
  });
  await Promise.all(Object.entries(site.ways).map(async ([way, port]) => {
    const sdk = await connect(port);
    const { publication } = await sdk.subscribe(`quiet${port}`);
    const echo = new WebSocket(`wss://127.0.0.1:${port}/echo`, secure());
    closeAtEnd(() => echo.terminate());
    const closed = new Promise((resolve) => { echo.once('close', resolve); });
    echo.on('error', () => {});
    await within(new Promise((resolve) => { echo.once('open', resolve); }), `${way}: an echo`);
    await within(closed, `${way}: the proxy to cut who says nothing`);
    await sdk.publish(`quiet${port}`, 'still');
    assert.equal((await publication.take('what was published')).data, 'still');
    assert.equal(sdk.connecting.size, 1, `${way}: connected once`);
  }));
  await site.stop();
}

/* By both of HAProxy's ways, whose checks are their own. */
async function isUp(site, server) {
  const response = await within(fetch(`http://127.0.0.1:${site.haproxyPorts[3]}/metrics`), 'metrics');
  const text = await response.text();
  return ['parley', 'parley_tls'].map((backend) => (
    text.split(`haproxy_server_status{proxy="${backend}",server="${server}",state="UP"} `)[1][0] === '1'));
}

/* Everybody hears what is published at this server: all are there. */
async function areAt(server, subscriptions, data) {
  const backEnd = new BackEnd(server);
  await until(async () => (await server.metrics()).value('parley_subscriptions') === subscriptions.length,
    `${subscriptions.length} subscriptions`);
  await backEnd.call('publish', { channel: 'moved', data });
  for (const { publication } of subscriptions) {
    assert.equal((await publication.take('what is published there')).data, data);
  }
  backEnd.close();
}

async function drains(_, point) {
  const site = await Site.start(point, { grace: '8s', checks: 'inter 2s fall 2' });
  const [a, b] = site.servers;
  const come = async (port) => (await connect(port)).subscribe('moved');
  const all = [];
  for (const port of Object.values(site.ways).flatMap((one) => [one, one])) {
    all.push(await come(port));
  }
  /* Two by each way, and by least connections one of them at each server. */
  for (const server of site.servers) {
    await server.untilMetric('parley_subscriptions', (value) => value === 3, 'three of six');
  }
  a.kill('SIGTERM');
  await until(async () => !(await isUp(site, 'a')).includes(true), 'HAProxy to take it out');
  await until(() => /Server parley\/a is DOWN, reason: Layer7 wrong status, code: 503/.test(site.haproxy.said), 'why');
  assert.deepEqual(await isUp(site, 'b'), [true, true]);
  all.push(await come(site.ways.HAProxy), await come(site.ways.HAProxy), await come(site.ways['HAProxy, through']));
  assert.deepEqual(await within(a.exited, 'the exit'), { status: 0, signal: null });
  assert.match(a.log(), /drained.* told=3 waiting=0 open=0 cut=0/, 'who is new was never there');
  all.push(await come(site.ways.nginx), await come(site.ways.nginx));
  await areAt(b, all, 'here');
  all.forEach(({ subscription }) => subscription.unsubscribe());
  assert.deepEqual(await b.stop(), { status: 0, signal: null });
}

group({
  name: 'balancer',
  server: false,
  cases: process.getuid() === 0 ? [
    ['three ways', manyWays],
    ['pings hold a quiet connection', heldByPings],
    ['one drains', drains],
  ] : [['proxies', () => ({ skipped: 'HAProxy changes its user: that takes root' })]],
});
