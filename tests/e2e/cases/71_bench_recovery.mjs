// SPDX-License-Identifier: Apache-2.0
/*
 * parley-bench whose clients come back and recover: against parleyd on both back ends, and against
 * a server of our own that gives back too little, too much or something else on purpose.
 */
import assert from 'node:assert/strict';

import { WebSocketServer } from 'ws';

import { UNHURRIED_DRAIN, runBench } from '../lib/bench.mjs';
import { UNHURRIED } from '../lib/chat.mjs';
import { closeAtEnd } from '../lib/cleanup.mjs';
import { group } from '../lib/runner.mjs';

const FAULTS = ['lost', 'duplicated', 'reordered', 'corrupted', 'errors', 'connect_failed', 'closed'];
const STORM = ['--recover', '--warmup', '0', '-d', '1.6', '--storm', '0.3', '--storm-away', '0.6'];

function assertClean(run) {
  assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
  for (const fault of FAULTS) {
    assert.equal(run.json.results[fault], 0, `${fault}\n${run.stdout}`);
  }
}

/* -- parleyd ---------------------------------------------------------------------------------- */

async function storm(server) {
  for (const backend of ['uring', 'epoll']) {
    const run = await runBench(['chat', server.url, ...STORM, ...UNHURRIED_DRAIN, '--channel', 'long:a-', '-c', '62',
      '--rooms', '2', '-r', '200', '--threads', '2', '--backend', backend]);
    assertClean(run);
    const { recovery, storm: seen } = run.json;
    assert.equal(seen.struck, 57, run.stdout); /* two publish, and 3 of the other 60 stay */
    assert.equal(seen.back.count, 57, run.stdout);
    assert.equal(recovery.recovered, 57, run.stdout);
    assert.equal(recovery.not_recovered, 0, run.stdout);
    assert.ok(recovery.publications > 0, run.stdout);
    const live = seen.live_before.count + seen.live_cut.count + seen.live_return.count
      + seen.live_after.count;
    assert.ok(live > 0 && live < run.json.latency.count, run.stdout);
  }
}

async function reconnects(server) {
  const run = await runBench(['chat', server.url, '--recover', '--channel', 'long:b-', '-c', '40',
    '-r', '500', '--reconnects', '60', '--warmup', '0', '-d', '0.8', ...UNHURRIED_DRAIN]);
  assertClean(run);
  assert.ok(run.json.recovery.recovered > 10, run.stdout);
  assert.equal(run.json.storm, null);
}

/* A page has at most half of queue_max_size. */
async function inParts(server) {
  const run = await runBench(['chat', server.url, ...STORM, ...UNHURRIED_DRAIN, '--channel', 'long:c-', '-c', '20',
    '-r', '100', '-s', '6000']);
  assertClean(run);
  const { recovery, storm: seen } = run.json;
  assert.ok(recovery.resubscribed >= seen.struck, run.stdout);
  assert.equal(recovery.recovered, seen.struck + recovery.resubscribed, run.stdout);
  assert.equal(seen.back.count, seen.struck, run.stdout);
}

async function notRecovered(server) {
  const run = await runBench(['chat', server.url, ...STORM, '--channel', 'short:d-', '-c', '20',
    '-r', '200', '--drain', '3600']); /* what they were told to be lost is not waited for */
  assertClean(run);
  const { recovery, storm: seen } = run.json;
  assert.ok(recovery.not_recovered > 0, run.stdout);
  assert.equal(recovery.recovered + recovery.not_recovered, seen.struck, run.stdout);
  assert.equal(seen.back.count, seen.struck, run.stdout);
}

async function noHistory(server) {
  const run = await runBench(['chat', server.url, ...STORM, '--channel', 'none:e-', '-c', '4']);
  assert.equal(run.status, 1, run.stdout);
  assert.match(run.stderr, /--recover: the channel has no history/);
}

const PERMISSIONS = { allow_subscribe_for_client: true, allow_publish_for_client: true };

group({
  name: 'parley-bench, recovery',
  remains: ['parley_channels'],
  on: 'backends',
  server: {
    config: {
      client: { insecure: true, command_rate: 100000, command_burst: 100000, ...UNHURRIED },
      channel: {
        namespaces: [
          { name: 'long', ...PERMISSIONS, history_size: 1000, history_ttl: '1m',
            allow_recovery: true },
          { name: 'short', ...PERMISSIONS, history_size: 3, history_ttl: '1m',
            force_recovery: true },
          { name: 'none', ...PERMISSIONS },
        ],
      },
    },
  },
  cases: [
    ['a storm', storm],
    ['reconnects', reconnects],
    ['what is missed comes in parts', inParts],
    ['what is missed is lost', notRecovered],
    ['a channel without history', noHistory],
  ],
});

/* -- faults ------------------------------------------------------------------------------------ */

/*
 * One channel of a server that keeps everything. `tamper(missed)` says what is given of it to the
 * first one who recovers.
 */
async function startOther(tamper) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  closeAtEnd(() => {
    server.clients.forEach((client) => client.terminate());
    server.close();
  });
  await new Promise((resolve) => { server.once('listening', resolve); });

  const history = [];
  const members = new Set();
  let isTampered = false;
  function subscribe(socket, { channel, recover, offset = 0 }) {
    const result = { recoverable: true, positioned: true, epoch: 'abcd', offset: history.length };
    if (recover) {
      let missed = history.slice(offset);
      if (!isTampered) {
        isTampered = true;
        missed = tamper(missed);
      }
      Object.assign(result, { recovered: missed !== null, was_recovering: true,
        publications: missed ?? [] });
    }
    members.add({ socket, channel });
    return { subscribe: result };
  }
  function answer(socket, command) {
    if (command.connect) {
      return { connect: { client: 'x', version: '' } };
    }
    if (command.subscribe) {
      return subscribe(socket, command.subscribe);
    }
    const pub = { data: command.publish.data, offset: history.length + 1 };
    history.push(pub);
    members.forEach((member) => {
      member.socket.send(JSON.stringify({ push: { channel: member.channel, pub } }));
    });
    return { publish: {} };
  }
  server.on('connection', (socket) => {
    socket.on('message', (data) => {
      for (const line of data.toString().split('\n')) {
        const command = JSON.parse(line);
        socket.send(JSON.stringify({ id: command.id, ...answer(socket, command) }));
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      members.forEach((member) => member.socket === socket && members.delete(member));
    });
  });
  return `ws://127.0.0.1:${server.address().port}/`;
}

async function runAgainst(tamper, drain = '3600', rate = ['-r', '100']) {
  return runBench(['chat', await startOther(tamper), ...STORM, '-c', '12', ...rate,
    '--drain', drain]);
}

function finds(fault, count, tamper) {
  return async () => {
    let missedCount = 0;
    const run = await runAgainst((missed) => {
      missedCount = missed.length;
      return tamper(missed);
    }, '2');
    assert.ok(missedCount > 10, `only ${missedCount} were missed`);
    assert.equal(run.status, 1, run.stdout);
    for (const name of FAULTS) {
      assert.equal(run.json.results[name], name === fault ? count : 0, `${name}\n${run.stdout}`);
    }
  };
}

async function right() {
  const run = await runAgainst((missed) => missed);
  assertClean(run);
  assert.equal(run.json.recovery.recovered, 10, run.stdout);
}

/*
 * One is told that it lost them, and does not wait for them; nine are given theirs. With this seed one
 * message is due while they are away, and none after they are back.
 */
async function toldSo() {
  const run = await runAgainst(() => null, '3600', ['-r', '1', '--seed', '10']);
  assertClean(run);
  assert.equal(run.json.recovery.recovered, 9, run.stdout);
  assert.equal(run.json.recovery.not_recovered, 1, run.stdout);
}

group({
  name: 'parley-bench, recovery faults',
  server: false,
  cases: [
    ['a server that does it right', right],
    ['a server that says so', toldSo],
    ['one is not given', finds('lost', 1, (missed) => missed.filter((pub, i) => i !== 5))],
    ['the last ones are not given', finds('lost', 3, (missed) => missed.slice(0, -3))],
    ['one is given twice', finds('duplicated', 1, (missed) => [...missed, missed[0]])],
    ['two are swapped', finds('reordered', 1,
      ([first, second, ...others]) => [second, first, ...others])],
    ['one is not what was sent', finds('corrupted', 1, (missed) => [...missed,
      { ...missed[0], data: `${missed[0].data.slice(0, -1)}~` }])],
  ],
});
