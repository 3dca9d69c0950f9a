// SPDX-License-Identifier: Apache-2.0
/*
 * Debian's python3-websockets: see clients.py.
 */
import { python } from '../lib/python.mjs';
import { group } from '../lib/runner.mjs';

group({
  name: 'python websockets',
  on: 'backends',
  server: {
    config: {
      client: { insecure: true, control_rate: 1000, control_burst: 1000 },
      echo: { enabled: true },
      websocket: { close_timeout: '1m' }, /* what is said before a close frame is long, or read late */
    },
  },
  cases: [
    ['echo', python('echo')],
    ['close codes', python('close')],
    ['chat', python('chat')],
  ],
});
