// SPDX-License-Identifier: Apache-2.0
/*
 * Groups of cases. A group has one server for all its cases (or none); the groups of the matrix have
 * one for each back end and number of reactors, a point each. After the cases of a group its server must have
 * nothing left of its clients, and end well.
 */
import assert from 'node:assert/strict';

import { closeAll } from './cleanup.mjs';
import { Server } from './server.mjs';
import { SLOWNESS, within } from './wait.mjs';

const CASE_MS = 120000 * SLOWNESS; /* each of its steps has an end of its own */
const CHECKED_AT_END = ['parley_connections_open', 'parley_sessions', 'parley_subscriptions',
  'parley_rooms', 'parley_channels'];

const groups = [];
let underWay = 'no case';

/*
 * options: name; on: 'matrix', 'backends' (both, two reactors) or 'once'; server: options of
 * Server.start, a function that gives them, or false; cases: [[name, async (server, point) => ...], ...]. A case may return
 * {skipped: 'why'}. remains: metrics that need not be 0 at the end, such as what has a history.
 */
export function group(options) {
  groups.push({ on: 'once', server: {}, remains: [], ...options });
}

function pointsOf(on, place, { backends, quick, alternate }) {
  const reactors = { matrix: quick ? [2] : [1, 2, 4], backends: [2], once: [2] }[on];
  const begin = alternate ? place % backends.length : 0;
  const chosen = on === 'once' || alternate ? backends.slice(begin, begin + 1) : backends;
  return chosen.flatMap((backend) => reactors.map((count) => ({ backend, reactors: count })));
}

/* Counts, and the lines of what was counted. */
class Totals {
  passed = 0;
  failed = 0;
  skipped = 0;
  text = '';

  say(outcome, name, detail = '') {
    this[outcome] += 1;
    this.text += `${outcome.padEnd(8)} ${name}${detail === '' ? '' : `\n${detail}`}\n`;
  }
}

/* SDKs reject with objects that are no errors. */
function describe(error) {
  return error.stack ?? (typeof error === 'object' ? JSON.stringify(error) : String(error));
}

function explain(error, server) {
  const log = server === null ? '' : server.log().trim().split('\n').slice(-15).join('\n');
  return `${describe(error)}${log === '' ? '' : `\n-- the server's log:\n${log}`}`
    .split('\n').map((line) => `         ${line}`).join('\n');
}

/* Of what fails where nobody waits for it. */
export function describeStray(error) {
  return `failed   ${underWay}, or one before it: nobody waits for this\n${explain(error ?? 'nothing', null)}\n`;
}

async function runCase(totals, name, run) {
  const started = Date.now();
  underWay = name;
  try {
    const result = await within(Promise.resolve().then(run), `the case "${name}"`, CASE_MS);
    if (result?.skipped !== undefined) {
      totals.say('skipped', name, `         ${result.skipped}`);
    } else {
      totals.say('passed', `${name} (${Date.now() - started} ms)`);
    }
  } catch (error) {
    return error;
  } finally {
    closeAll();
  }
  return null;
}

/* Nobody is connected any more, and it exits as it should; sanitizers would have said more. */
async function endServer(server, remains) {
  for (const name of CHECKED_AT_END.filter((checked) => !remains.includes(checked))) {
    /* The one that asks is connected itself. */
    const own = name === 'parley_connections_open' ? 1 : 0;
    await server.untilMetric(name, (value) => value === own, `${own} after the cases`);
  }
  assert.deepEqual(await server.stop(), { status: 0, signal: null }, 'the exit of parleyd');
  assert.doesNotMatch(server.log(), /CHECK|Sanitizer|runtime error/, 'the log');
}

async function runCases(totals, one, point, cases) {
  const where = `${one.name} [${point.backend} ${point.reactors}]`;
  let server = null;
  if (one.server !== false) {
    const error = await runCase(totals, `${where} starts`, async () => {
      const options = typeof one.server === 'function' ? await one.server() : one.server;
      server = await Server.start({ ...point, ...options });
    });
    if (error !== null) {
      totals.say('failed', `${where} starts`, explain(error, null));
      return;
    }
  }
  for (const [name, run] of cases) {
    const error = await runCase(totals, `${where} ${name}`, () => run(server, point));
    if (error !== null) {
      totals.say('failed', `${where} ${name}`, explain(error, server));
    }
    if (server !== null && server.child.exitCode !== null) {
      totals.say('failed', `${where}: the server is gone after "${name}"`, explain('', server));
      return;
    }
  }
  if (server !== null) {
    const error = await runCase(totals, `${where} leaves nothing behind`, () => endServer(server, one.remains));
    if (error !== null) {
      totals.say('failed', `${where} leaves nothing behind`, explain(error, server));
      await server.stop('SIGKILL').catch(() => {});
    }
  }
}

function wantedCases(one, { only }) {
  return one.cases.filter(([name]) => only === null || `${one.name}/${name}`.includes(only));
}

/* A point of a group is what one worker runs. options: backends, quick, alternate, only (part of a name) */
function findPoints(options) {
  return groups.filter((one) => wantedCases(one, options).length > 0)
    .flatMap((one) => pointsOf(one.on, groups.indexOf(one), options).map((point) => ({ one, point })));
}

export function countPoints(options) {
  return findPoints(options).length;
}

/* The same options give the same points in the same order. Returns {passed, failed, skipped, text}. */
export async function runPoint(index, options) {
  const totals = new Totals();
  const { one, point } = findPoints(options)[index];
  await runCases(totals, one, point, wantedCases(one, options));
  return { ...totals };
}
