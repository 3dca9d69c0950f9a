// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration read again while clients are connected: what may change takes effect for them,
 * what cannot is named, a bad file changes nothing, and nobody is dropped.
 */
import assert from 'node:assert/strict';

import { BackEnd } from '../lib/api.mjs';
import { CHAT, RawChat, Sdk } from '../lib/chat.mjs';
import { UPGRADE, request } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { writeConfig } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';

const CONFIG = {
  client: { insecure: true, channel_limit: 2 },
  http_api: { insecure: true },
  log: { level: 'info' },
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

group({
  name: 'reload',
  on: 'backends',
  server: { config: CONFIG },
  cases: [
    ['limits of who is connected', limits],
    ['the level of the log', logLevel],
    ['what needs a restart is named', restart],
    ['a bad file changes nothing', badFiles],
    ['origins', origins],
  ],
});
