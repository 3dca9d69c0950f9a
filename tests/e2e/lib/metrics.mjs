// SPDX-License-Identifier: Apache-2.0
/*
 * Reads the Prometheus text format 0.0.4, strictly: every family has HELP and TYPE once and before its
 * samples, samples of a family stand together, no sample comes twice, histograms add up.
 */
import assert from 'node:assert/strict';

import { request } from './http.mjs';

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/;
const TYPES = new Set(['counter', 'gauge', 'histogram']);

function readLabels(text) {
  const labels = {};
  let rest = text ?? '';
  while (rest !== '') {
    const found = rest.match(LABEL);
    assert.ok(found, `labels ${text}`);
    assert.ok(!(found[1] in labels), `label ${found[1]} twice`);
    labels[found[1]] = found[2];
    rest = rest.slice(found[0].length);
  }
  return labels;
}

function familyOf(name, families) {
  if (families.has(name)) {
    return name;
  }
  const base = name.replace(/_(bucket|sum|count)$/, '');
  assert.equal(families.get(base)?.type, 'histogram', `no TYPE before ${name}`);
  return base;
}

function checkHistogram(name, family) {
  const series = new Map();
  for (const sample of family.samples) {
    const { le, ...others } = sample.labels;
    const key = JSON.stringify(others);
    const entry = series.get(key) ?? { buckets: [], sum: null, count: null };
    series.set(key, entry);
    if (sample.name.endsWith('_bucket')) {
      entry.buckets.push([le === '+Inf' ? Infinity : Number(le), sample.value]);
    } else {
      entry[sample.name.endsWith('_sum') ? 'sum' : 'count'] = sample.value;
    }
  }
  for (const { buckets, sum, count } of series.values()) {
    assert.ok(buckets.length > 1 && sum !== null && count !== null, `${name} is whole`);
    buckets.forEach(([le, value], index) => {
      assert.ok(!Number.isNaN(le), `${name}: le`);
      if (index > 0) {
        assert.ok(le > buckets[index - 1][0], `${name}: le rises`);
        assert.ok(value >= buckets[index - 1][1], `${name}: buckets are cumulative`);
      }
    });
    assert.equal(buckets.at(-1)[0], Infinity, `${name}: the last bucket`);
    assert.equal(buckets.at(-1)[1], count, `${name}: count is the last bucket`);
  }
}

export function parseMetrics(text) {
  assert.ok(text.endsWith('\n'), 'the last line ends');
  const families = new Map();
  const helped = new Set();
  const seen = new Set();
  let current = null;
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = line.match(/^# (HELP|TYPE) (\S+) (.+)$/);
    if (comment !== null) {
      const [, kind, name, rest] = comment;
      if (kind === 'HELP') {
        assert.ok(!helped.has(name), `HELP ${name} twice`);
        helped.add(name);
      } else {
        assert.ok(!families.has(name), `TYPE ${name} twice`);
        assert.ok(TYPES.has(rest), line);
        families.set(name, { type: rest, samples: [], isOver: false });
      }
      continue;
    }
    const found = line.match(SAMPLE);
    assert.ok(found, `a sample: ${line}`);
    const [, name, labelText, valueText] = found;
    const family = familyOf(name, families);
    if (current !== null && current !== family) {
      families.get(current).isOver = true;
    }
    assert.ok(!families.get(family).isOver, `${family} stands together`);
    current = family;
    const key = `${name}{${labelText ?? ''}}`;
    assert.ok(!seen.has(key), `${key} twice`);
    seen.add(key);
    const value = Number(valueText);
    assert.ok(Number.isFinite(value) && value >= 0, line);
    families.get(family).samples.push({ name, labels: readLabels(labelText), value, key });
  }
  for (const [name, family] of families) {
    assert.ok(helped.has(name), `HELP for ${name}`);
    assert.ok(family.samples.length > 0, `samples of ${name}`);
    if (family.type === 'histogram') {
      checkHistogram(name, family);
    }
  }
  return new Metrics(families);
}

export class Metrics {
  constructor(families) {
    this.families = families;
  }

  /* 'parley_x' or 'parley_x{label="value"}' */
  value(key) {
    for (const family of this.families.values()) {
      const sample = family.samples.find((one) => one.key === key || one.key === `${key}{}`);
      if (sample !== undefined) {
        return sample.value;
      }
    }
    throw new Error(`no metric ${key}`);
  }

  rejected(reason) {
    return this.value(`parley_rejected_total{reason="${reason}"}`);
  }
}

export async function fetchMetrics(port) {
  const response = await request(port, 'GET', '/metrics');
  assert.equal(response.status, 200, '/metrics');
  return parseMetrics(response.body.toString('utf8'));
}
