// SPDX-License-Identifier: Apache-2.0
/*
 * Tokens as a back end makes them, with Node's own cryptography.
 */
import crypto from 'node:crypto';

export const SECRET = '0123456789abcdef0123456789abcdef';

const CURVES = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

const encode = (data) => Buffer.from(data).toString('base64url');

/* A key for an algorithm: { alg, sign (what it signs with), pem, jwk } */
export function makeKey(alg) {
  if (alg.startsWith('HS')) {
    return { alg, sign: SECRET };
  }
  const { privateKey, publicKey } = alg.startsWith('RS')
    ? crypto.generateKeyPairSync('rsa', { modulusLength: 2048 })
    : crypto.generateKeyPairSync('ec', { namedCurve: CURVES[alg] });
  return {
    alg,
    sign: privateKey,
    pem: publicKey.export({ type: 'spki', format: 'pem' }),
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    jwk: publicKey.export({ format: 'jwk' }),
  };
}

/* The third part of a token, as bytes. */
export function sign({ alg, sign: key }, text) {
  const hash = `sha${alg.slice(2)}`;
  if (alg.startsWith('HS')) {
    return crypto.createHmac(hash, key).update(text).digest();
  }
  return crypto.sign(hash, Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
}

export const seconds = (fromNow) => Math.floor(Date.now() / 1000) + fromNow;

/* Valid for an hour unless `claims` says otherwise. */
export function makeToken(key, claims, header = {}) {
  const text = `${encode(JSON.stringify({ alg: key.alg, typ: 'JWT', ...header }))}.${
    encode(JSON.stringify({ exp: seconds(3600), ...claims }))}`;
  return `${text}.${encode(sign(key, text))}`;
}
