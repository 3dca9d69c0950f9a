// SPDX-License-Identifier: Apache-2.0
/*
 * Which pages may connect.
 */
import assert from 'node:assert/strict';

import { CHAT } from '../lib/chat.mjs';
import { UPGRADE, exchange, head } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';

async function check(server, table) {
  for (const [origin, allowed, host = `127.0.0.1:${server.port}`] of table) {
    const { response, wire } = await exchange(server.port,
      head('GET', CHAT, { ...UPGRADE, Host: host, Origin: origin }));
    assert.equal(response.status, allowed ? 101 : 403, `Origin ${origin}, Host ${host}`);
    if (!allowed) {
      assert.equal(response.headers.get('connection'), 'close');
      await wire.closed();
    }
    wire.destroy();
  }
  const refused = table.filter(([, allowed]) => !allowed).length;
  assert.ok((await server.metrics()).rejected('bad_origin') >= refused);
}

const listed = (server) => check(server, [
  [null, true],
  ['https://a.example', true], ['HTTPS://A.Example', true], ['https://a.example:443', true],
  ['http://b.example:8080', true], ['http://[::1]:3000', true],
  ['http://a.example', false], ['https://a.example:444', false], ['https://a.example:80', false],
  ['http://b.example', false], ['http://b.example:80', false],
  ['https://a.example.evil', false], ['https://evil-a.example', false], ['https://xa.example', false],
  ['https://sub.a.example', false], ['https://a.example@evil.example', false],
  ['https://evil.example/https://a.example', false], ['https://a.example/', false],
  ['https://a.example/path', false], ['https://a.example?x', false], ['https://a.example.', false],
  ['https://a.exampl', false], ['https://', false], ['https:/a.example', false], ['a.example', false],
  ['//a.example', false], ['null', false], ['NULL', false], ['', false], ['*', false],
  ['https://a.example https://a.example', false], ['https://a.example, https://a.example', false],
  ['file://', false], ['http://[::1]', false], ['https://a.example:0443x', false],
  [`http://127.0.0.1:${server.port}`, false],
]);

const sameHost = (server) => check(server, [
  [null, true],
  [`http://127.0.0.1:${server.port}`, true],
  [`http://127.0.0.1:${server.port + 1}`, false],
  ['http://127.0.0.1', false], ['http://localhost', false],
  [`https://127.0.0.1:${server.port}`, true],
  ['https://chat.example', true, 'chat.example'], ['http://chat.example', true, 'chat.example'],
  ['https://chat.example:8443', false, 'chat.example'], ['https://evil.example', false, 'chat.example'],
  ['https://CHAT.example', true, 'chat.Example'], ['null', false], ['', false],
  ['ftp://chat.example', false, 'chat.example'], ['https://chat.example.evil', false, 'chat.example'],
]);

group({
  name: 'origins, listed',
  server: {
    config: {
      client: {
        insecure: true,
        allowed_origins: ['https://a.example', 'http://b.example:8080', 'http://[::1]:3000'],
      },
    },
  },
  cases: [['a table', listed]],
});

group({ name: 'origins, same host', server: {}, cases: [['a table', sameHost]] });
