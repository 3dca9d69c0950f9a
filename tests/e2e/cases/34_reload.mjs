// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration read again while clients are connected: what may change takes effect for them,
 * what cannot is named, a bad file changes nothing, and nobody is dropped.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';

import { BackEnd } from '../lib/api.mjs';
import { CHAT, RawChat, Sdk, UNHURRIED } from '../lib/chat.mjs';
import { UPGRADE, request } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { writeConfig } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';

/* Everybody may do everything where nobody says otherwise. */
const OPEN = {
  allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true,
  allow_publish_for_client: true, allow_publish_for_anonymous: true,
};
const NEWS = {
  ...OPEN, name: 'news', history_size: 5, history_ttl: '60s', allow_recovery: true,
  allow_history_for_client: true, allow_history_for_anonymous: true,
};
const CONFIG = {
  client: { allow_anonymous_connect_without_token: true, channel_limit: 2 },
  http_api: { insecure: true },
  log: { level: 'info' },
  channel: {
    without_namespace: { ...OPEN, history_size: 1, history_ttl: '60s' },
    namespaces: [NEWS, { ...OPEN, name: 'gone' }],
  },
};

/* The server's file with another text, by which it is to be read next. */
function rewrite(server, text) {
  writeConfig(`config-${server.port}.json`, text);
}

/* The whole configuration of the group with other values in some sections. */
function changed(sections) {
  const whole = structuredClone({ ...CONFIG, shutdown: { grace: '0s' } });
  for (const [name, options] of Object.entries(sections)) {
    whole[name] = { ...whole[name], ...options };
  }
  return JSON.stringify(whole);
}

/* By the signal; until it is done, or has failed. */
async function signal(server, outcome = 'done') {
  const name = `parley_reloads_total{outcome="${outcome}"}`;
  const before = (await server.metrics()).value(name);
  server.kill('SIGHUP');
  await server.untilMetric(name, (value) => value === before + 1, 'a reload');
}

async function limits(server) {
  const sdk = await Sdk.connect(server);
  await Promise.all([sdk.subscribe('one'), sdk.subscribe('two')]);
  const third = sdk.newSubscription('three');
  third.subscription.subscribe();
  assert.equal((await third.unsubscribed.take('to be refused')).code, 106);
  const loadedBefore = (await server.metrics()).value('parley_config_loaded_timestamp_seconds');
  assert.ok(loadedBefore > 1.7e9, `a time: ${loadedBefore}`);

  rewrite(server, changed({ client: { channel_limit: 3 }, log: { level: 'error' } }));
  await signal(server);
  third.subscription.subscribe();
  await third.subscribed.take('to be subscribed on the same connection');

  /* Fewer than it has: it keeps them. */
  rewrite(server, changed({ client: { channel_limit: 1 } }));
  await signal(server);
  await sdk.publish('three', 'still there');
  assert.equal((await third.publication.take('a publication')).data, 'still there');
  assert.equal(sdk.disconnected.size + sdk.connecting.size, 1, 'it has connected once, and stayed');
  assert.equal(third.unsubscribed.size, 0);
  sdk.close();
}

async function logLevel(server) {
  const lines = () => server.log().match(/event="?reloaded/g)?.length ?? 0;
  /* The last of those before. */
  rewrite(server, changed({ client: { stale_close_delay: '11s' } }));
  await signal(server);
  await until(() => /options=client\.stale_close_delay/.test(server.log()), 'all lines so far');
  rewrite(server, changed({ log: { level: 'error' } }));
  await signal(server);
  const before = lines();
  await signal(server);
  rewrite(server, changed({ log: { level: 'info' } }));
  await signal(server);
  await until(() => lines() === before + 1, 'one line more, for the last of three');
}

async function restart(server) {
  const chat = await RawChat.connect(server);
  rewrite(server, changed({ reactor: { receive_buffers: 64 }, client: { channel_limit: 5, ping_interval: '9s' } }));
  await signal(server);
  await until(() => /needs a restart: not changed.*client\.ping_interval reactor\.receive_buffers/
    .test(server.log()), 'the names of both');
  for (const channel of ['a', 'b', 'c', 'd', 'e']) {
    await chat.subscribe(channel);
  }
  const again = await RawChat.connect(server);
  assert.equal(again.connected.ping, 25);
  await Promise.all([chat.close(), again.close()]);
}

async function badFiles(server) {
  const chat = await RawChat.connect(server);
  const file = `config-${server.port}\\.json`;
  for (const [text, why] of [
    ['client:\n  insecure: true\n  chanel_limit: 5\n', `${file}:3:3: client\\.chanel_limit: expected a known key`],
    ['client: {insecure: true\n', `${file}:\\d+:\\d+: `],
    ['client: {channel_limit: 7}\nchannel: {namespaces: [{name: a, history_size: 1}]}\n', `${file}:2:\\d+: .*history_ttl`],
    [changed({ http_api: { insecure: false, key_file: '/nonexistent/key' } }), '/nonexistent/key'],
  ]) {
    rewrite(server, text);
    await signal(server, 'failed');
    await until(() => new RegExp(`nothing was changed" .*${why}`).test(server.log()), why);
  }
  /* What was before is still so: a publish, and who may ask the API. */
  await chat.publish('x', 1);
  await new BackEnd(server).result('info', {});
  await chat.close();
}

async function origins(server) {
  const from = (origin) => request(server.port, 'GET', CHAT, { ...UPGRADE, Origin: origin });
  assert.equal((await from('https://a.example')).status, 403);
  rewrite(server, changed({ client: { allowed_origins: ['https://a.example'] } }));
  await signal(server);
  assert.equal((await from('https://a.example')).status, 101);
}

/* A reload asked for by a back end, with other namespaces. */
async function namespacesBecome(server, namespaces, sections = {}) {
  rewrite(server, changed({ channel: { ...CONFIG.channel, namespaces }, ...sections }));
  return new BackEnd(server).call('reload', {});
}

async function permissions(server) {
  const [alice, bob] = await Promise.all([Sdk.connect(server), Sdk.connect(server)]);
  const [hers, his] = [await alice.subscribe('news:a'), await bob.subscribe('news:a')];
  await alice.publish('news:a', 1);
  const quiet = { ...NEWS, allow_publish_for_anonymous: false };
  assert.deepEqual(await namespacesBecome(server, [quiet, { ...OPEN, name: 'gone' }]), {
    result: { changed: ['channel.namespaces[news].allow_publish_for_anonymous'], needs_restart: [] },
  });
  assert.equal((await Sdk.errorOf(alice.publish('news:a', 2), 'a publish')).code, 103);
  assert.deepEqual((await namespacesBecome(server, CONFIG.channel.namespaces)).result.changed,
    ['channel.namespaces[news].allow_publish_for_anonymous']);
  await bob.publish('news:a', 3);
  for (const room of [hers, his]) {
    const got = await room.publication.takeMany(2, 'what was allowed');
    assert.deepEqual(got.map((one) => [one.data, one.offset]), [[1, 1], [3, 2]]);
    assert.equal(room.unsubscribed.size + room.subscribing.size, 1, 'subscribed once');
  }
  for (const sdk of [alice, bob]) {
    assert.equal(sdk.disconnected.size, 0);
    sdk.close();
  }
}

/* One that is open: more is kept, less is kept; and what cannot be, from or to nothing. */
async function historySize(server) {
  const sdk = await Sdk.connect(server);
  const size = async () => (await sdk.centrifuge.history('news:size', { limit: 100 })).publications.length;
  await sdk.subscribe('news:size');
  for (let i = 0; i < 8; i += 1) {
    await sdk.publish('news:size', i);
  }
  assert.equal(await size(), 5);
  await namespacesBecome(server, [{ ...NEWS, history_size: 2 }, { ...OPEN, name: 'gone' }]);
  assert.equal(await size(), 2);
  await namespacesBecome(server, [{ ...NEWS, history_size: 7 }, { ...OPEN, name: 'gone' }]);
  for (let i = 0; i < 8; i += 1) {
    await sdk.publish('news:size', i);
  }
  assert.equal(await size(), 7);
  const { allow_recovery, history_size, history_ttl, ...none } = NEWS;
  assert.ok(allow_recovery && history_size && history_ttl);
  assert.deepEqual(await namespacesBecome(server, [none, { ...OPEN, name: 'gone', durability: 'none' }]), {
    result: {
      changed: [],
      needs_restart: ['channel.namespaces[news].history_size', 'channel.namespaces[news].history_ttl',
        'channel.namespaces[news].allow_recovery', 'channel.namespaces[gone].durability'],
    },
  });
  assert.equal(await size(), 7, 'a namespace stays as a whole');
  await namespacesBecome(server, CONFIG.channel.namespaces);
  sdk.close();
}

/* Who is in a namespace that goes stays; nobody comes in, and nothing is said there any more. */
async function comeAndGo(server) {
  const [sdk, other] = await Promise.all([Sdk.connect(server), Sdk.connect(server)]);
  const room = await sdk.subscribe('gone:x');
  assert.equal((await Sdk.errorOf(sdk.publish('fresh:x', 1), 'before it is there')).code, 102);
  const fresh = { ...OPEN, name: 'fresh', history_size: 3, history_ttl: '60s' };
  assert.deepEqual((await namespacesBecome(server, [NEWS, fresh])).result.changed,
    ['channel.namespaces[gone]', 'channel.namespaces[fresh]']);
  for (const channel of ['fresh:1', 'fresh:2', 'fresh:3', 'fresh:4']) { /* on both homes */
    const rooms = [await sdk.subscribe(channel), await other.subscribe(channel)];
    await sdk.publish(channel, 'new');
    for (const one of rooms) {
      assert.equal((await one.publication.take('in a new namespace')).data, 'new');
      one.subscription.unsubscribe();
    }
  }
  assert.equal((await Sdk.errorOf(sdk.publish('gone:x', 1), 'a publish')).code, 102);
  assert.equal(await new BackEnd(server).error('publish', { channel: 'gone:x', data: 1 }), 102);
  const late = other.newSubscription('gone:x');
  late.subscription.subscribe();
  assert.equal((await late.unsubscribed.take('to be refused')).code, 102);

  /* It comes back, and those who stayed are in it. */
  await namespacesBecome(server, CONFIG.channel.namespaces);
  await other.publish('gone:x', 'back');
  assert.equal((await room.publication.take('after all')).data, 'back');
  assert.equal(room.unsubscribed.size, 0);
  sdk.close();
  other.close();

  /* Not with a history where it had none: those who stayed have no position. */
  await namespacesBecome(server, [NEWS]);
  const answer = await namespacesBecome(server, [NEWS, { ...OPEN, name: 'gone', history_size: 1, history_ttl: '1s' }]);
  assert.match(answer.error.message, /^channel\.namespaces\[gone\]: had .*needs a restart$/);
  await namespacesBecome(server, CONFIG.channel.namespaces);
}

async function answers(server) {
  rewrite(server, 'log:\n  level: loud\n');
  const { error } = await new BackEnd(server).call('reload', {});
  assert.equal(error.code, 107);
  assert.match(error.message, /\.json:2:10: log\.level: expected/);
  rewrite(server, changed({ reactor: { receive_buffers: 64 }, client: { ping_interval: '9s', channel_limit: 9 } }));
  const both = { changed: ['client.channel_limit'], needs_restart: ['client.ping_interval', 'reactor.receive_buffers'] };
  const [first, last] = await new BackEnd(server).batch([{ reload: {} }, { reload: {} }]);
  assert.deepEqual(first.reload, both);
  assert.deepEqual(last.reload, { ...both, changed: [] });
  /* Many at once: each has an answer, and it is the right one. */
  const all = await Promise.all(Array.from({ length: 8 }, () => new BackEnd(server).call('reload', {})));
  all.forEach((one) => assert.ok(one.error?.code === 111 || one.result.changed.length === 0, JSON.stringify(one)));
}

/* A back end keeps its connection: what it may send on it is what is configured now. */
async function bodies(server) {
  const batch = JSON.stringify({ commands: Array.from({ length: 500 }, () => ({ info: {} })) });
  const become = async (size) => {
    rewrite(server, changed({ http_api: { insecure: true, max_body_bytes: size } }));
    await new BackEnd(server).result('reload', {});
  };
  await become(4096);
  const backEnd = new BackEnd(server);
  await backEnd.result('info', {});
  assert.equal((await new BackEnd(server).post('/api/batch', batch)).status, 413);
  await become(1 << 20);
  assert.equal((await backEnd.post('/api/batch', batch)).status, 200);
  assert.equal(backEnd.sockets.size, 1, 'on one connection');
}

/* -- every option ------------------------------------------------------------------------------ */

/* As the example has them: [{key, value, mark}]; the mark says what waits for a restart. */
function exampleOptions() {
  const text = fs.readFileSync(new URL('../../../deploy/parley.example.yaml', import.meta.url), 'utf8');
  const path = [];
  const options = [];
  for (const line of text.split('\n')) {
    const [, indent, name, value, mark] = /^( *)([a-z0-9_]+):(?: (.*?))?(  # restart.*)?$/.exec(line) ?? [];
    if (name !== undefined) {
      path.length = indent.length / 2;
      path.push(name);
      if (value !== undefined) {
        options.push({ key: path.join('.'), value: value.replace(/^(["'])(.*)\1$/, '$2'), mark: mark ?? '' });
      }
    }
  }
  return options;
}

const FROM_THE_COMMAND_LINE = ['http_server.address', 'http_server.port', 'http_server.internal_address',
  'http_server.internal_port', 'reactor.count', 'reactor.backend'];

/* With what every other value of one option is allowed. Who is connected meanwhile reads nothing. */
const PLENTY = {
  client: { ping_interval: UNHURRIED.ping_interval, pong_timeout: UNHURRIED.pong_timeout },
  http_api: { insecure: true, key: 'k'.repeat(32) },
  channel: {
    without_namespace: { ...OPEN, history_size: 1, history_ttl: '60s', join_leave: true }, namespaces: [NEWS],
  },
};

/* Values that do not follow from the present one; an object: several options that go together. */
function otherValues(directory) {
  const file = (name, text) => {
    fs.writeFileSync(`${directory}/${name}`, text);
    return `${directory}/${name}`;
  };
  const pem = (type, options) => generateKeyPairSync(type, options).publicKey.export({ type: 'spki', format: 'pem' });
  const keys = {
    hmac_secret_key: 's'.repeat(32),
    hmac_secret_key_file: file('hmac', 's'.repeat(32)),
    rsa_public_key: pem('rsa', { modulusLength: 2048 }),
    ecdsa_public_key: pem('ec', { namedCurve: 'P-256' }),
    jwks_public_endpoint: 'https://keys.example/set',
    jwks_file: file('jwks', JSON.stringify({
      keys: [{ kid: 'a', alg: 'ES256', ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }) }],
    })),
    jwks_ca_file: { jwks_ca_file: file('ca', ''), jwks_public_endpoint: 'https://keys.example/other' },
    audience: 'us',
    issuer: 'them',
  };
  keys.rsa_public_key_file = file('rsa', keys.rsa_public_key);
  keys.ecdsa_public_key_file = file('ecdsa', keys.ecdsa_public_key);
  const values = {
    'http_server.tls.enabled': { enabled: true, cert_pem_file: '/cert', key_pem_file: '/key' },
    'http_server.tls.cert_pem_file': { cert_pem_file: '/cert', key_pem_file: '/key' },
    'http_server.tls.key_pem_file': { cert_pem_file: '/other-cert', key_pem_file: '/other-key' },
    'http_server.tls.certificates': [{ cert_pem_file: '/cert', key_pem_file: '/key' }],
    'http_server.tls.client_ca_pem_file': '/ca', 'http_server.tls.min_version': '1.3', 'http_server.tls.ticket_key_file': file('tickets', `${'5'.repeat(64)}\n`),
    'http_server.proxy_protocol': { proxy_protocol: 'required', trusted_proxies: ['10.0.0.0/8'] },
    'http_server.trusted_proxies': ['10.0.0.0/8'], 'http_server.listeners': [{ path: `${directory}/socket` }],
    'http_api.key': 'o'.repeat(32), 'http_api.key_file': { key: '', key_file: file('key', 'f'.repeat(32)) },
    'client.allowed_origins': ['https://a.example'], 'client.connection_limit': 1000,
    'client.subscribe_to_user_personal_channel.personal_channel_namespace': 'news',
    'client.unlimited_addresses': ['10.0.0.0/8'], 'client.user_command_rate': 1000, 'client.address_command_rate': 1000,
    'channel.without_namespace.channel_regex': '^x', 'channel.without_namespace.force_recovery_mode': 'cache',
    'channel.without_namespace.history_size': 2, 'channel.without_namespace.durability': 'none',
    'channel.without_namespace.slow_consumer': 'drop', 'channel.namespaces': [NEWS, { name: 'added' }],
    'store.path': `${directory}/store`, 'store.engine': { engine: 'rocksdb', path: `${directory}/store` },
    'reactor.simd': 'scalar', 'reactor.receive_buffers': 256, 'bus.slots': 2048,
    'log.level': 'warn', 'log.format': 'json', 'overload.memory_budget': 2 ** 33, 'channel.history_memory_max': 1 << 29,
  };
  for (const [name, value] of Object.entries(keys)) {
    values[`client.token.${name}`] = value;
    values[`client.subscription_token.${name}`] = value;
    if (/key|jwks/.test(name)) {
      values[`client.subscription_token.${name}`] = { enabled: true, ...(value.jwks_ca_file ? value : { [name]: value }) };
    }
  }
  values['client.subscription_token.enabled'] = { enabled: true, hmac_secret_key: keys.hmac_secret_key };
  return values;
}

function otherValue(key, value) {
  if (value === 'true' || value === 'false') {
    return value === 'false';
  }
  const [, number, unit] = /^(\d+)(ms|s|m|h|d)?$/.exec(value) ?? assert.fail(`${key}: what else than ${value}?`);
  return unit === undefined ? Number(number) + (Number(number) < 2 ? 1 : -1) : `${Number(number) + 1}${unit}`;
}

/* The options that are named, and what the file says then. */
function withOther(whole, { key, value }, others) {
  const names = key.split('.');
  const name = names.pop();
  const section = names.reduce((at, one) => { at[one] ??= {}; return at[one]; }, whole);
  const other = others[key] ?? otherValue(key, String(section[name] ?? value));
  const several = typeof other === 'object' && !Array.isArray(other) ? other : { [name]: other };
  Object.assign(section, several);
  return Object.keys(several).map((one) => [...names, one].join('.'));
}

const sectionOf = (name) => name.slice(0, name.lastIndexOf('.'));

/*
 * One option after the other has another value, and the one before has its own again: it is said of
 * each whether it counts from now on or has to wait, as the example says. Nobody is dropped for any.
 */
async function everyOption(server) {
  const directory = fs.mkdtempSync('/tmp/parley-reload-');
  const backEnd = new BackEnd(server, { key: PLENTY.http_api.key });
  const options = exampleOptions();
  const marks = new Map(options.map((one) => [one.key, one.mark]));
  const others = otherValues(directory);
  rewrite(server, changed(PLENTY));
  await backEnd.result('reload', {});
  const chat = await RawChat.connect(server);
  let before = []; /* what runs with another value than PLENTY has */
  for (const option of options.filter(({ key }) => !FROM_THE_COMMAND_LINE.includes(key))) {
    const file = JSON.parse(changed(PLENTY));
    const now = withOther(file, option, others);
    const wait = now.filter((name) => /restart(?! from and to 0)/.test(marks.get(name)));
    const whole = wait.filter((name) => /with its section/.test(marks.get(name)) || /durability/.test(name)).map(sectionOf);
    const waits = (name) => wait.includes(name) || whole.includes(sectionOf(name));
    const differ = [...new Set([...before, ...now])].sort();
    rewrite(server, JSON.stringify(file));
    const answer = await backEnd.call('reload', {});
    const named = (list) => list.map((name) => name.replace('[added]', '')).sort();
    assert.deepEqual({ changed: named(answer.result?.changed ?? []), needs_restart: named(answer.result?.needs_restart ?? []) }, {
      changed: differ.filter((name) => !waits(name)),
      needs_restart: differ.filter(waits),
    }, `${option.key}: ${JSON.stringify(answer)}`);
    before = differ.filter((name) => (waits(name) ? before : now).includes(name));
  }
  assert.ok(options.length > 150, `${options.length} options`);
  await chat.publish('still', 'here');
  await chat.close();
  fs.rmSync(directory, { recursive: true });
}

/* Each case begins with the configuration of the group. */
function fromTheStart(run) {
  return async (server) => {
    await namespacesBecome(server, CONFIG.channel.namespaces);
    await run(server);
  };
}

group({
  name: 'reload',
  on: 'backends',
  server: { config: CONFIG },
  remains: ['parley_channels'], /* with history */
  cases: [
    ['limits of who is connected', fromTheStart(limits)],
    ['the level of the log', fromTheStart(logLevel)],
    ['what needs a restart is named', fromTheStart(restart)],
    ['a bad file changes nothing', fromTheStart(badFiles)],
    ['origins', fromTheStart(origins)],
    ['permissions of who is connected', fromTheStart(permissions)],
    ['the size of a history', fromTheStart(historySize)],
    ['namespaces come and go', fromTheStart(comeAndGo)],
    ['what the API answers', fromTheStart(answers)],
    ['the size of a body on a connection that is kept', fromTheStart(bodies)],
  ],
});

/* What is said of them does not depend on the back end. */
group({
  name: 'reload: options',
  server: { config: { ...CONFIG, client: { ...CONFIG.client, ...PLENTY.client } }, reactors: 2 },
  remains: ['parley_channels'],
  cases: [['each is used, or named', everyOption]],
});
