// SPDX-License-Identifier: Apache-2.0
/*
 * What the driver and the checker have to know of parleyd's configuration.
 */
const UNITS_MS = { ms: 1, s: 1000, m: 60000, h: 3600000 };

export function millisecondsOf(duration) {
  const found = /^(\d+)(ms|s|m|h)$/.exec(duration);
  if (found === null) {
    throw new Error(`no duration: ${duration}`);
  }
  return Number(found[1]) * UNITS_MS[found[2]];
}

/* The options of a namespace, as a `channel` record has them. */
function promisesOf(namespace) {
  const ttl = namespace.history_ttl;
  return {
    historySize: namespace.history_size ?? 0,
    ...(ttl === undefined ? {} : { historyTtlMs: millisecondsOf(ttl) }),
    recovery: namespace.force_recovery === true,
    presence: namespace.presence === true,
    durability: namespace.durability ?? 'none',
    idempotency: namespace.idempotency_ttl !== undefined,
  };
}

/* `count` channels over all namespaces: [{channel, ...promises}]. */
export function channelsOf(config, count) {
  const namespaces = config.channel?.namespaces ?? [];
  const rows = namespaces.length > 0 ? namespaces : [{ ...config.channel?.without_namespace, name: null }];
  return Array.from({ length: Math.max(count, rows.length) }, (_, i) => {
    const row = rows[i % rows.length];
    return { channel: row.name === null ? `room-${i}` : `${row.name}:${i}`, ...promisesOf(row) };
  });
}

/* After so long the server has noticed everybody who does not answer. */
export function noticeMs(config) {
  const { ping_interval: ping = '25s', pong_timeout: pong = '8s' } = config.client ?? {};
  return millisecondsOf(ping) + millisecondsOf(pong);
}
