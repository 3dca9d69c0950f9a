// SPDX-License-Identifier: Apache-2.0
/*
 * Tokens: the two commands for people, and the npm package centrifuge with tokens of each algorithm that
 * Node has signed.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import https from 'node:https';

import { RawChat, Sdk } from '../lib/chat.mjs';
import { closeAtEnd } from '../lib/cleanup.mjs';
import { group } from '../lib/runner.mjs';
import { Server, runParleyd, writeConfig } from '../lib/server.mjs';
import { SECRET, makeKey, makeToken, seconds } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

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

/* 109 upon an expired one: the client asks its back end for another and comes in. Without one nobody does. */
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
  const without = await RawChat.open(server);
  without.say({ id: 1, connect: {} });
  await without.expectClose(3501, 'nobody without a token');
  await until(() => /event="token refused" .* reason=none why=/.test(server.log()), 'why in the log');
  await server.stop();
}

/* A back end whose keys change: https with a certificate of its own authority. */
class Issuer {
  static async start() {
    const issuer = new Issuer();
    const files = makeCertificate();
    issuer.caFile = files.certificate;
    issuer.requests = 0;
    issuer.keys = [];
    issuer.answer = (response) => response.end(JSON.stringify({ keys: issuer.keys }));
    issuer.server = https.createServer({
      cert: fs.readFileSync(files.certificate), key: fs.readFileSync(files.key),
    }, (request, response) => {
      issuer.requests += 1;
      assert.equal(request.url, '/jwks.json?a=b');
      issuer.answer(response);
    });
    await new Promise((resolve) => issuer.server.listen(0, '127.0.0.1', resolve));
    closeAtEnd(() => {
      issuer.server.closeAllConnections();
      issuer.server.close();
    });
    issuer.url = `https://127.0.0.1:${issuer.server.address().port}/jwks.json?a=b`;
    return issuer;
  }
}

function makeCertificate() {
  const certificate = writeConfig('issuer.pem', '');
  const key = writeConfig('issuer.key', '');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-days', '2', '-subj', '/CN=issuer', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key,
    '-out', certificate], { stdio: 'ignore' });
  return { certificate, key };
}

/* Else refused, in the words of the protocol: an error that may pass, or the end. */
async function isLetIn(server, token) {
  const chat = await RawChat.open(server);
  chat.say({ id: 1, connect: { token } });
  const got = await chat.frames.next('an answer');
  chat.frames.destroy();
  return got.payload.toString('utf8').includes('"client"');
}

async function endpoint(_, point) {
  const issuer = await Issuer.start();
  const [rsa, ecdsa, other] = [makeKey('RS256'), makeKey('ES256'), makeKey('ES256')];
  issuer.keys = [{ ...rsa.jwk, kid: 'r', alg: 'RS256', use: 'sig' }, { ...ecdsa.jwk, kid: 'e' },
    { kty: 'oct', k: Buffer.from(SECRET).toString('base64url'), kid: 'h' }];
  const token = { jwks_public_endpoint: issuer.url, jwks_ca_file: issuer.caFile };
  const server = await Server.start({ ...point, config: { client: { token } } });
  await server.untilMetric('parley_jwks_fetches_total{result="ok"}', (value) => value === 1, 'the set');
  for (const [key, kid] of [[rsa, 'r'], [ecdsa, 'e']]) {
    const sdk = await Sdk.connect(server, { token: makeToken(key, { sub: '42' }, { kid }) });
    sdk.close();
  }
  for (const forged of [makeToken(other, { sub: '42' }, { kid: 'e' }),
    makeToken({ ...rsa, alg: 'RS512' }, { sub: '42' }, { kid: 'r' }),
    makeToken(makeKey('HS256'), { sub: '42' }, { kid: 'h' })]) {
    assert.ok(!await isLetIn(server, forged));
  }
  /* Names that nobody has: they cost no fetch, for the last one is not a minute old. */
  for (let i = 0; i < 20; i += 1) {
    assert.ok(!await isLetIn(server, makeToken(other, { sub: '42' }, { kid: `k${i}` })));
  }
  assert.equal(issuer.requests, 1);
  assert.deepEqual(await server.stop(), { status: 0, signal: null });

  /* The same for people; and what is no key set. */
  const config = writeConfig('tokens-jwks.json', JSON.stringify({ client: { token } }));
  const made = await runParleyd(['gentoken', '-c', config, '-u', '42', '--kid', 'e', '--private-key',
    writeConfig('e.pem', ecdsa.privatePem)]);
  assert.match(await check(config, made.stdout.trim(), 0), /"kid":"e"/);
  assert.match(await check(config, makeToken(other, {}, { kid: 'x' }), 1), /reason: +unknown_key/);
  for (const [answer, why] of [
    [(response) => response.writeHead(302, { Location: 'https://127.0.0.1:1/' }).end(), '302 and not 200'],
    [(response) => response.end('x'.repeat(300000)), ''],
    [(response) => response.end('{"keys":[]}'), 'no key of it can be used'],
  ]) {
    issuer.answer = answer;
    const { status, stderr } = await runParleyd(['checktoken', '-c', config, made.stdout.trim()]);
    assert.equal(status, 1);
    assert.ok(stderr.startsWith(`parleyd: ${issuer.url}: no key set: `) && stderr.includes(why), stderr);
  }
  const untrusted = writeConfig('tokens-untrusted.json',
    JSON.stringify({ client: { token: { jwks_public_endpoint: issuer.url } } }));
  const { status, stderr } = await runParleyd(['checktoken', '-c', untrusted, made.stdout.trim()]);
  assert.equal(status, 1);
  assert.match(stderr, /no key set: .*certificate/i);
}

/* SIGHUP: files of keys are read again, all or nothing. */
async function renewal(_, point) {
  const [first, second] = [makeKey('ES256'), makeKey('ES256')];
  const file = writeConfig('jwks.json', JSON.stringify({ keys: [first.jwk] }));
  const secret = writeConfig('renewal.key', `${SECRET}\n`);
  const server = await Server.start({
    ...point,
    reactors: 1, /* so that one who was let in says that all is done */
    config: { client: { token: { jwks_file: file, hmac_secret_key_file: secret } } },
  });
  const tokens = [makeToken(first, { sub: '1' }), makeToken(second, { sub: '2' })];
  const sdk = await Sdk.connect(server, { token: tokens[0] });
  assert.ok(!await isLetIn(server, tokens[1]));
  writeConfig('jwks.json', JSON.stringify({ keys: [second.jwk] }));
  writeConfig('renewal.key', 'short');
  process.kill(server.pid, 'SIGHUP');
  await until(() => /nothing was changed/.test(server.log()), 'the refusal in the log');
  (await Sdk.connect(server, { token: tokens[0] })).close();
  writeConfig('renewal.key', SECRET);
  process.kill(server.pid, 'SIGHUP');
  await until(() => isLetIn(server, tokens[1]), 'the new key');
  assert.ok(!await isLetIn(server, tokens[0]));
  assert.equal(sdk.disconnected.size, 0, 'who was there stays');
  sdk.close();
  assert.ok(!server.log().includes(SECRET));
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
}

group({
  name: 'tokens',
  server: false,
  cases: [
    ['every algorithm', everyAlgorithm],
    ['an expired one', expired],
    ['an endpoint of keys', endpoint],
    ['renewal', renewal],
  ],
});
