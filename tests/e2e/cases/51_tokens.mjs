// SPDX-License-Identifier: Apache-2.0
/*
 * Tokens: the two commands for people, and the npm package centrifuge with tokens of each algorithm that
 * Node has signed.
 */
import assert from 'node:assert/strict';

import { Sdk } from '../lib/chat.mjs';
import { group } from '../lib/runner.mjs';
import { Server, runParleyd, writeConfig } from '../lib/server.mjs';
import { SECRET, makeKey, makeToken, seconds } from '../lib/tokens.mjs';

const rules = { hmac_secret_key: SECRET, audience: 'chat', issuer: 'us' };

async function check(config, token, status) {
  const got = await runParleyd(['checktoken', '--config', config, token]);
  assert.equal(got.status, status, got.stdout + got.stderr);
  return got.stdout;
}

async function secretCommands() {
  const config = writeConfig('tokens.json', JSON.stringify({ client: { token: rules } }));
  const made = await runParleyd(['gentoken', '--config', config, '--user', 'Jürgen "x"', '--ttl', '60',
    '--info', '{"a": [1]}']);
  assert.equal(made.status, 0, made.stderr);
  const token = made.stdout.trim();
  const said = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  assert.deepEqual({ ...said, iat: 0, exp: said.exp - said.iat },
    { iat: 0, exp: 60, sub: 'Jürgen "x"', iss: 'us', aud: 'chat', info: { a: [1] } });
  const verdict = await check(config, token, 0);
  assert.match(verdict, /^verdict: +valid\nfor: +a connection\nexpires: +in \d+ s\nheader: +\{"alg":"HS256"/);
  assert.match(verdict, /claims: +\{"iat"/);
  const subscription = await runParleyd(['gentoken', '-c', config, '-u', '42', '--channel', '$a']);
  assert.match(await check(config, subscription.stdout.trim(), 0), /for: +a subscription/);
  const key = makeKey('HS256');
  for (const [why, claims] of [
    ['expired', { iss: 'us', aud: 'chat', exp: seconds(-60) }],
    ['not_yet', { iss: 'us', aud: 'chat', nbf: seconds(60) }],
    ['wrong_audience', { iss: 'us', aud: 'shop' }], ['wrong_issuer', { aud: 'chat' }],
  ]) {
    assert.match(await check(config, makeToken(key, claims), 1), new RegExp(`verdict: +refused\nreason: +${why}\nwhy: +its `));
  }
  assert.match(await check(config, `${token}A`, 1), /reason: +bad_signature/);
  assert.match(await check(config, 'x', 1), /reason: +malformed/);
}

async function keyCommands() {
  for (const alg of ['RS256', 'ES384']) {
    const key = makeKey(alg);
    const pem = writeConfig(`${alg}.pem`, key.pem);
    const secret = writeConfig(`${alg}-private.pem`, key.privatePem);
    const option = alg === 'RS256' ? 'rsa_public_key_file' : 'ecdsa_public_key_file';
    const config = writeConfig(`tokens-${alg}.json`, JSON.stringify({ client: { token: { [option]: pem } } }));
    const without = await runParleyd(['gentoken', '-c', config, '-u', '42']);
    assert.equal(without.status, 1);
    assert.equal(without.stderr, 'parleyd: there is no HMAC secret in this configuration: sign with --private-key FILE\n');
    const made = await runParleyd(['gentoken', '-c', config, '-u', '42', '--private-key', secret]);
    assert.equal(made.status, 0, made.stderr);
    assert.match(await check(config, made.stdout.trim(), 0), new RegExp(`"alg":"${alg}"`));
    await check(config, makeToken(key, { sub: '42' }), 0);
  }
}

async function badCommands() {
  const config = writeConfig('tokens.json', JSON.stringify({ client: { token: rules } }));
  for (const args of [
    ['gentoken'], ['gentoken', '-c', config], ['gentoken', '-c', config, '-u', '1', '--ttl', '0'],
    ['gentoken', '-c', config, '-u', '1', '--ttl', '-5'], ['gentoken', '-c', config, '-u', '1', '--info', '{'],
    ['gentoken', '-c', config, '-u', '1', 'more'], ['gentoken', '-c', '/nonexistent', '-u', '1'],
    ['gentoken', '-c', config, '-u', '1', '--private-key', config], ['checktoken'],
    ['checktoken', '-c', config], ['checktoken', '-c', config, 'a', 'b'], ['checktoken', 'a'],
  ]) {
    const { status, stdout, stderr } = await runParleyd(args);
    assert.equal(status, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, /^parleyd/);
    assert.ok(!stderr.includes(SECRET));
  }
  for (const command of ['gentoken', 'checktoken']) {
    const { status, stdout } = await runParleyd([command, '--help']);
    assert.equal(status, 0);
    assert.match(stdout, /--config=FILE/);
  }
}

/* Key files that cannot be used are found before anything is served; secrets are not shown. */
async function keysAreChecked() {
  const short = writeConfig('short.key', 'short\n');
  for (const [option, file, why] of [
    ['hmac_secret_key_file', short, 'expected at least 32 bytes, found 5'],
    ['rsa_public_key_file', short, 'expected a public RSA key as PEM'],
    ['ecdsa_public_key_file', '/nonexistent/key.pem', 'cannot be read: No such file or directory'],
  ]) {
    const config = writeConfig('keys.json', JSON.stringify({ client: { token: { [option]: file } } }));
    for (const more of [['--check-config'], []]) {
      const { status, stderr } = await runParleyd(['--config', config, ...more]);
      assert.notEqual(status, 0);
      assert.ok(stderr.includes(`parleyd: client.token.${option}: ${file}: ${why}`), stderr);
    }
  }
  const config = writeConfig('tokens.json', JSON.stringify({ client: { token: rules } }));
  const { stdout } = await runParleyd(['--config', config, '--check-config']);
  assert.match(stdout, /hmac_secret_key: "\*\*\*"/);
  assert.ok(!stdout.includes(SECRET));
}

group({
  name: 'tokens, command line',
  server: false,
  cases: [
    ['with a secret', secretCommands],
    ['with key files', keyCommands],
    ['bad flags', badCommands],
    ['keys are checked', keysAreChecked],
  ],
});

/* Three servers, because a configuration has one ECDSA key, and so one curve. */
async function everyAlgorithm(_, point) {
  const rsa = makeKey('RS256');
  const otherRsa = makeKey('RS256');
  for (const bits of [256, 384, 512]) {
    const ecdsa = makeKey(`ES${bits}`);
    const server = await Server.start({
      ...point,
      config: {
        client: {
          token: {
            hmac_secret_key: SECRET,
            rsa_public_key: rsa.pem,
            ecdsa_public_key: ecdsa.pem,
          },
        },
        log: { level: 'debug' },
      },
    });
    for (const [type, good, bad] of [
      ['HS', { sign: SECRET }, { sign: `${SECRET}0` }], ['RS', rsa, otherRsa],
      ['ES', ecdsa, makeKey(`ES${bits}`)],
    ]) {
      const alg = `${type}${bits}`;
      const sdk = await Sdk.connect(server, { token: makeToken({ ...good, alg }, { sub: alg }) });
      sdk.close();
      const forged = new Sdk(server, { token: makeToken({ ...bad, alg }, { sub: alg }) });
      forged.centrifuge.connect();
      assert.equal((await forged.disconnected.take('to be refused')).code, 3500);
    }
    const metrics = await server.metrics();
    assert.equal(metrics.value('parley_tokens_total{result="valid"}'), 3);
    assert.equal(metrics.value('parley_tokens_rejected_total{reason="bad_signature"}'), 3);
    assert.deepEqual(await server.stop(), { status: 0, signal: null });
    assert.match(server.log(), /event="token refused".* reason=bad_signature/);
    assert.ok(!server.log().includes(SECRET), 'no secret in the log');
  }
}

/* 109 upon an expired one: the client asks its back end for another and comes in. */
async function expired(_, point) {
  const server = await Server.start({ ...point, config: { client: { token: { hmac_secret_key: SECRET } } } });
  const key = makeKey('HS256');
  let asked = 0;
  const sdk = await Sdk.connect(server, {
    token: makeToken(key, { sub: '42', exp: seconds(-60) }),
    getToken: async () => {
      asked += 1;
      return makeToken(key, { sub: '42' });
    },
  });
  assert.equal(asked, 1);
  sdk.close();
  assert.equal((await server.metrics()).value('parley_tokens_rejected_total{reason="expired"}'), 1);
  await server.stop();
}

group({
  name: 'tokens',
  server: false,
  cases: [
    ['every algorithm', everyAlgorithm],
    ['an expired one', expired],
  ],
});
