// SPDX-License-Identifier: Apache-2.0
/*
 * The servers that are attacked, in the order in which they are. Limits are the defaults wherever
 * an attack reaches them soon enough.
 */
import fs from 'node:fs';

import { certificate } from '../e2e/lib/certificates.mjs';
import { findPorts } from '../e2e/lib/server.mjs';
import { SECRET, makeKey, makeToken } from '../e2e/lib/tokens.mjs';
import { Endpoint, answerOf } from './endpoint.mjs';
import { MemoryGroup } from './memory_group.mjs';

const SHORT = '1500ms'; /* time limits that an attack has to outlast */

export const MEMORY = 192 << 20; /* bytes, where that is little */
export const QUEUE = 4 << 20; /* bytes that wait for a client there */
export const CONNECTIONS = 64; /* of clients, where there are few */

export const ORIGINS = ['https://a.example', 'http://b.example:8080', 'http://[::1]:3000'];
export const KEYS = { HS256: makeKey('HS256'), RS256: makeKey('RS256'), ES256: makeKey('ES256') };

export const CLAIMS = { iss: 'us', aud: 'chat' }; /* that every good token has */
export const KID = 'known'; /* of a key that an endpoint has */
export const API_KEY = 'api-key-0123456789-abcdefghijklm';

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

function tls(more = {}) {
  const { key, cert } = certificate();
  return {
    server: {
      config: {
        client: { insecure: true },
        http_server: {
          tls: { enabled: true, cert_pem_file: cert, key_pem_file: key, ...more },
        },
      },
    },
    honest: { ca: fs.readFileSync(cert, 'utf8') },
  };
}

/* The slowest signature that is in use; and others than this machine have the limits of others. */
function flooded() {
  const { key, cert } = certificate('localhost', 'rsa');
  return {
    server: {
      config: {
        client: {
          insecure: true, unlimited_addresses: ['127.0.0.1'],
          address_handshake_rate: 100, address_handshake_burst: 100,
        },
        http_server: { tls: { enabled: true, cert_pem_file: cert, key_pem_file: key } },
      },
    },
    honest: { ca: fs.readFileSync(cert, 'utf8') },
  };
}

/* Apart, for handshakes that are meant to succeed may take long on a busy machine. */
function impatient() {
  return tls({ handshake_timeout: SHORT });
}

const allowedToAll = () => Object.fromEntries(['subscribe', 'publish', 'history', 'presence']
  .map((verb) => [`allow_${verb}_for_client`, true]));

/* Somebody may do everything in channels without a namespace, and nothing in `closed`. */
function tokens() {
  return {
    server: {
      config: {
        client: {
          token: {
            hmac_secret_key: SECRET, rsa_public_key: KEYS.RS256.pem,
            ecdsa_public_key: KEYS.ES256.pem, issuer: CLAIMS.iss, audience: CLAIMS.aud,
          },
          user_connect_rate: 100000, user_connect_burst: 100000, /* the attackers are few users */
        },
        channel: {
          without_namespace: allowedToAll(),
          namespaces: [{ name: 'closed', history_size: 10, history_ttl: '1m', presence: true }],
        },
        http_api: { key: API_KEY },
        log: { level: 'debug', format: 'json' },
      },
    },
    honest: { token: makeToken(KEYS.HS256, { sub: 'honest', ...CLAIMS }) },
  };
}

/*
 * Keys come from an endpoint of ours, which counts who asks. Each server has its own.
 */
async function keys() {
  const { jwk } = KEYS.ES256;
  const issuer = await Endpoint.start((socket) => socket.end(answerOf({ keys: [{ ...jwk, kid: KID }] })));
  return {
    server: {
      issuer,
      config: {
        client: {
          token: { jwks_public_endpoint: issuer.url }, command_rate: 100000, command_burst: 100000,
        },
        channel: { without_namespace: allowedToAll() },
      },
    },
    honest: { token: makeToken(KEYS.ES256, { sub: 'honest' }, { kid: KID }) },
  };
}

/* `proxy`: a port where a PROXY header is due. Nobody is believed who is not 127.0.0.1. */
async function behind() {
  const { port } = await findPorts();
  const trusted = ['127.0.0.1'];
  return {
    server: {
      proxy: port,
      config: {
        client: { insecure: true },
        http_server: {
          trusted_proxies: trusted, proxy_timeout: SHORT,
          listeners: [{ port, proxy_protocol: 'required', trusted_proxies: trusted }],
        },
      },
    },
  };
}

function few() {
  return {
    server: {
      config: {
        client: { insecure: true, connection_limit: CONNECTIONS },
      },
    },
  };
}

function slow() {
  const news = { name: 'news', history_size: 300, history_ttl: '10m', force_recovery: true };
  return {
    server: {
      config: {
        channel: { namespaces: [news] },
        client: {
          insecure: true, write_stall_timeout: SHORT, command_rate: 100000, command_burst: 100000,
        },
      },
    },
  };
}

/* `group`: with so little memory; null: there is none to be had. */
function memory() {
  const group = MemoryGroup.make(MEMORY);
  const namespaces = [{ name: 'kept', history_size: 1000, history_ttl: '10m' },
    { name: 'news', slow_consumer: 'drop' }];
  return {
    server: {
      group,
      command: group?.command,
      config: {
        channel: { namespaces },
        client: {
          insecure: true, queue_max_size: QUEUE, command_rate: 100000, command_burst: 100000,
        },
      },
    },
  };
}

/* Each for one server: { server: options of Server.start, honest: options of Honest.start } */
export const CONFIGURATIONS = {
  plain, pings, impatient, tls, flooded, tokens, keys, behind, few, slow, memory,
};
