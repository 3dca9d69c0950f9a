// SPDX-License-Identifier: Apache-2.0
/*
 * Checks what the clients of a run wrote down (record.mjs has the format).
 *
 * usage: node check.mjs [--min-NAME N]... FILE...
 *
 *   --min-NAME N   fail when the run had fewer of NAME than N, for example --min-kills 100. Names are those
 *                  of the exposure, such as acks, receives, reconnects, recovered, faults, kills; some have
 *                  a minimum anyway, which 0 takes away
 *
 * Status 0: no rule is broken, and the run was rich enough to prove something. 1: else. 2: cannot be read.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { Checker } from './lib/checker.mjs';
import { Exposure, isMinimum } from './lib/exposure.mjs';
import { placeOf, readMerged, textsOf } from './lib/lines.mjs';
import { RULES } from './lib/rules.mjs';

const PROOF_COLUMNS_MAX = 400;

/* {checker, shortfalls, ok} for records that are in memory, in the order of time. */
export function checkRecords(records, minimums) {
  const checker = new Checker();
  records.forEach((record, index) => checker.record(record, index + 1));
  return judge(checker.finish(), minimums);
}

export function checkFiles(files, minimums) {
  const checker = new Checker();
  readMerged(files, (record, where) => checker.record(record, where));
  return judge(checker.finish(), minimums);
}

function judge(checker, minimums) {
  const wanted = Exposure.minimumsFor([...checker.channels.values()], minimums);
  const shortfalls = checker.exposure.shortfalls(wanted);
  return { checker, shortfalls, ok: checker.violations.size === 0 && shortfalls.length === 0 };
}

/* For people: each rule with what its zero is worth, then the lines that prove what was found. */
export function reportOf({ checker, shortfalls, ok }, files) {
  const { exposure, violations } = checker;
  const lines = [];
  for (const [rule, [forbids, worth]] of Object.entries(RULES)) {
    const count = violations.get(rule)?.count ?? 0;
    lines.push(`${String(count).padStart(7)}  ${rule.padEnd(11)} ${forbids}: ${worth(exposure)}`);
  }
  const faults = ['kills', 'terms', 'storeKills', 'stops', 'resets', 'halfOpens', 'slows'];
  lines.push(`exposure: ${['acks', 'unknown', 'nacks', 'receives', 'connects', 'reconnects', 'recovered', 'notRecovered',
    ...faults].map((field) => `${field} ${exposure[field]}`).join(', ')}`);
  const wheres = [...violations.values()].flatMap(({ examples }) => examples.flatMap((one) => one.wheres));
  const texts = textsOf(files, wheres);
  for (const [rule, { count, examples }] of violations) {
    lines.push('', `${rule}: ${count}${count > examples.length ? `, the first ${examples.length}` : ''}`);
    for (const { text, wheres: proof } of examples) {
      lines.push(`  ${text}`, ...[...new Set(proof)].map((where) => `    ${path.basename(placeOf(files, where))}  ${
        texts.get(where)?.slice(0, PROOF_COLUMNS_MAX)}`));
    }
  }
  lines.push(...shortfalls.map((text) => `too little: ${text}`));
  lines.push(ok ? 'ok: no rule is broken' : 'FAILED');
  return `${lines.join('\n')}\n`;
}

function parse(args) {
  const files = [];
  const minimums = {};
  for (let i = 0; i < args.length; i += 1) {
    const name = args[i].replace(/^--min-/, '').replace(/-([a-z])/g, (_, letter) => letter.toUpperCase());
    if (!args[i].startsWith('--')) {
      files.push(args[i]);
    } else if (args[i].startsWith('--min-') && isMinimum(name) && /^\d+$/.test(args[i + 1] ?? '')) {
      i += 1;
      minimums[name] = Number(args[i]);
    } else {
      return null;
    }
  }
  return files.length > 0 ? { files, minimums } : null;
}

function main() {
  const options = parse(process.argv.slice(2));
  if (options === null) {
    process.stderr.write('usage: node check.mjs [--min-NAME N]... FILE...\n');
    return 2;
  }
  try {
    const result = checkFiles(options.files, options.minimums);
    process.stdout.write(reportOf(result, options.files));
    return result.ok ? 0 : 1;
  } catch (error) {
    process.stderr.write(`check.mjs: ${error.message}\n`);
    return 2;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = main();
}
