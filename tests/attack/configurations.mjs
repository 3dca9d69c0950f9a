// SPDX-License-Identifier: Apache-2.0
/*
 * The servers that are attacked, in the order in which they are. Limits are the defaults wherever
 * an attack reaches them soon enough.
 */
import fs from 'node:fs';

import { certificate } from '../e2e/lib/certificates.mjs';
import { SECRET, makeKey, makeToken } from '../e2e/lib/tokens.mjs';

const SHORT = '1s'; /* time limits that an attack has to outlast */

export const ORIGINS = ['https://a.example', 'http://b.example:8080', 'http://[::1]:3000'];
export const KEYS = { HS256: makeKey('HS256'), RS256: makeKey('RS256'), ES256: makeKey('ES256') };

function plain() {
  return {
    server: {
      config: {
        client: {
          insecure: true, allowed_origins: ORIGINS, stale_close_delay: SHORT,
        },
        http_server: { handshake_timeout: SHORT },
        websocket: { message_timeout: SHORT, compression: true },
      },
    },
  };
}

function pings() {
  return {
    server: { config: { client: { insecure: true, ping_interval: '2s', pong_timeout: '1500ms' } } },
  };
}

function tls() {
  const { key, cert } = certificate();
  return {
    server: {
      config: {
        client: { insecure: true },
        http_server: {
          tls: { enabled: true, cert_pem_file: cert, key_pem_file: key, handshake_timeout: SHORT },
        },
      },
    },
    honest: { ca: fs.readFileSync(cert, 'utf8') },
  };
}

/* Somebody may do everything in channels without a namespace, and nothing in `closed`. */
function tokens() {
  const allowed = Object.fromEntries(['subscribe', 'publish', 'history', 'presence']
    .map((verb) => [`allow_${verb}_for_client`, true]));
  return {
    server: {
      config: {
        client: {
          token: {
            hmac_secret_key: SECRET, rsa_public_key: KEYS.RS256.pem,
            ecdsa_public_key: KEYS.ES256.pem, issuer: 'us', audience: 'chat',
          },
        },
        channel: {
          without_namespace: allowed,
          namespaces: [{ name: 'closed', history_size: 10, history_ttl: '1m', presence: true }],
        },
        log: { level: 'debug', format: 'json' },
      },
    },
    honest: { token: makeToken(KEYS.HS256, { sub: 'honest', iss: 'us', aud: 'chat' }) },
  };
}

/* Each: () => { server: options of Server.start, honest: options of Honest.start } */
export const CONFIGURATIONS = { plain, pings, tls, tokens };
