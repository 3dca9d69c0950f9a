// SPDX-License-Identifier: Apache-2.0
/*
 * The page of a report: reads the JSON that report_json.c wrote, and shows it as tiles, plots
 * (uPlot) and tables. What is in it is foreign: it only ever becomes text (textContent).
 */
'use strict';

(() => {
  const PLOT_HEIGHT = 280; // pixels, without the legend
  const LABEL_WIDTH = 72; // pixels that "99.999 %" needs
  const FAULTS = ['lost', 'duplicated', 'reordered', 'corrupted', 'errors', 'connect_failed',
    'closed'];

  const $ = (id) => document.getElementById(id);
  const raw = $('data').textContent.trim();
  const data = JSON.parse(raw);
  const { options, results, latency, server } = data;

  // --- How values are written --------------------------------------------------------------------

  const digits = (value, count) => value.toLocaleString('en', { maximumFractionDigits: count });

  // Three digits that count, as a person would round.
  function short(value) {
    const size = Math.abs(value);
    return digits(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 4);
  }

  function scaled(value, units) {
    const [name, size] = units.find((unit) => Math.abs(value) >= unit[1]) || units.at(-1);
    return `${short(value / size)} ${name}`;
  }

  const duration = (ns) => scaled(ns, [['s', 1e9], ['ms', 1e6], ['µs', 1e3], ['ns', 1]]);
  const rate = (value) => `${scaled(value, [['M', 1e6], ['k', 1e3], ['', 1]]).trim()}/s`;
  const bytes = (value) => scaled(value, [['GB', 1e9], ['MB', 1e6], ['kB', 1e3], ['B', 1]]);
  const percent = (share) => `${short(100 * share)} %`;
  const timed = (ns) => (latency.count > 0 ? duration(ns) : '–');
  const known = (value, write) => (value === null || value === undefined ? '–' : write(value));

  // --- Elements ----------------------------------------------------------------------------------

  function make(parent, tag, text = '', className = '') {
    const element = document.createElement(tag);
    element.textContent = text;
    element.className = className;
    parent.append(element);
    return element;
  }

  function addTile(name, value, more = '', className = '') {
    const tile = make($('tiles'), 'div', '', `tile ${className}`);
    make(tile, 'span', name);
    make(tile, 'strong', value);
    make(tile, 'small', more);
  }

  // A row is [name, value...]; a value may be {text, bad}.
  function addTable(title, rows) {
    const box = make($('tables'), 'div');
    make(box, 'h2', title);
    const body = make(make(box, 'table'), 'tbody');
    for (const [name, ...values] of rows) {
      const row = make(body, 'tr');
      make(row, 'th', name).scope = 'row';
      for (const value of values) {
        make(row, 'td', String(value.text ?? value), value.bad ? 'bad' : '');
      }
    }
  }

  // --- Head and tiles ----------------------------------------------------------------------------

  function showHead() {
    document.title = `${options.scenario}: parley-bench`;
    $('title').textContent = `${options.scenario} on ${options.url}`;
    const load = options.rate > 0 ? `${digits(options.rate, 0)} messages/s asked for, `
      : options.window > 0 ? `${options.window} in flight, ` : '';
    $('summary').textContent = `${digits(options.connections, 0)} connections, ${load}` +
      `${digits(results.seconds, 1)} s · ${data.machine}, ${data.kernel} · ${data.date}`;
    $('command').firstChild.textContent = data.command_line;
    $('raw').textContent = raw;

    if (data.stopped) {
      make($('notices'), 'p', `Stopped by ${data.stopped}: this is what there was until then.`,
        'notice');
    }
    if (data.steps && !data.knee_is_exact) {
      make($('notices'), 'p', 'The search for the highest rate ended before it was found.', 'notice');
    }
    if (results.generator_bound) {
      make($('notices'), 'p', 'The generator was the limit: these latencies and rates say little ' +
        'of the server. Give it more threads or processors, or ask for less.', 'notice');
    }
    if (!results.clean) {
      const found = FAULTS.filter((name) => results[name] > 0)
        .map((name) => `${digits(results[name], 0)} ${name.replace('_', ' ')}`);
      make($('notices'), 'p', `Not clean: ${found.join(', ')}.`, 'notice');
    }
  }

  function showTiles() {
    const percentiles = latency.percentiles_ns;
    const spread = ({ min, max }) => (max > 0 ? `${rate(min)} to ${rate(max)}` : '');
    if (results.connects > 0) {
      addTile('Connects', rate(results.connects_per_s), spread(data.spread_per_s.connects));
    }
    if (results.sent > 0 || results.connects === 0) {
      addTile('Messages', rate(results.sent_per_s), spread(data.spread_per_s.sent));
      addTile('Deliveries', rate(results.received_per_s), spread(data.spread_per_s.received));
    }
    addTile('Latency, p50', timed(percentiles['50']), `mean ${timed(latency.mean_ns)}`);
    addTile('Latency, p99', timed(percentiles['99']), `p99.9 ${timed(percentiles['99.9'])}`);
    addTile('Faults', digits(FAULTS.reduce((sum, name) => sum + results[name], 0), 0),
      results.clean ? 'nothing lost, in order, intact' : 'see above',
      results.clean ? 'good' : 'bad');
    if (server) {
      const cost = (what) => known(server[`user_us_per_${what}`],
        (user) => `${short(user + server[`system_us_per_${what}`])} µs`);
      addTile('Server CPU per message', cost('message'), `${cost('delivery')} per delivery`);
      addTile('Server memory', bytes(server.user_bytes_per_connection), 'per connection');
    }
    if (data.steps) {
      addTile('Knee', known(data.knee_rate, rate), 'highest rate that passed');
    }
  }

  // --- Tables ------------------------------------------------------------------------------------

  function showResults() {
    const rated = (name, write) =>
      [write(results[`${name}_per_s`]), digits(results[name], 0)];
    addTable('Throughput', [
      ['messages', ...rated('sent', rate)],
      ['deliveries', ...rated('received', rate)],
      ['bytes out', ...rated('bytes_sent', (value) => `${bytes(value)}/s`)],
      ['bytes in', ...rated('bytes_received', (value) => `${bytes(value)}/s`)],
      ['connects', ...rated('connects', rate)],
    ]);
    addTable('Latency', [
      ...Object.entries(latency.percentiles_ns).map(([name, ns]) => [`p${name}`, timed(ns)]),
      ['max', timed(latency.max_ns)],
      ['mean', timed(latency.mean_ns)],
      ['timed', digits(latency.count, 0)],
    ]);
    addTable('Faults', [
      ...FAULTS.map((name) => [name.replace('_', ' '),
        { text: digits(results[name], 0), bad: results[name] > 0 }]),
      ...results.causes.map(({ text, count }) => [`… ${text}`, digits(count, 0)]),
    ]);
  }

  function showRecovery() {
    const { recovery, storm } = data;
    if (recovery) {
      addTable('Recovery', [
        ['recovered', digits(recovery.recovered, 0)],
        ['not recovered', digits(recovery.not_recovered, 0)],
        ['publications given', digits(recovery.publications, 0)],
        ['told to come again', digits(recovery.resubscribed, 0)],
        ['late, p50', recovery.late.count > 0 ? duration(recovery.late.p50_ns) : '–'],
        ['late, p99', recovery.late.count > 0 ? duration(recovery.late.p99_ns) : '–'],
      ]);
    }
    if (storm) {
      const live = (name, part) => [`live, ${name}`, ...(part.count > 0
        ? [duration(part.p50_ns), duration(part.p99_ns), duration(part.max_ns)] : ['–', '–', '–'])];
      addTable('Storm', [
        ['cut', digits(storm.struck, 0), '', ''],
        ['away for', `${digits(storm.away_seconds, 2)} s`, '', ''],
        ['are back', digits(storm.back.count, 0), '', ''],
        ['', 'p50', 'p99', 'max'],
        live('before', storm.live_before), live('cut', storm.live_cut),
        live('return', storm.live_return), live('after', storm.live_after),
        ['back after', ...(storm.back.count > 0 ? [duration(storm.back.p50_ns),
          duration(storm.back.p99_ns), duration(storm.back.max_ns)] : ['–', '–', '–'])],
      ]);
    }
  }

  function showCosts() {
    const rows = [];
    if (server) {
      const cost = (part, what) => known(server[`${part}_us_per_${what}`], (us) => `${short(us)} µs`);
      rows.push(['server per message, user', cost('user', 'message')],
        ['server per message, kernel', cost('system', 'message')],
        ['server per delivery, user', cost('user', 'delivery')],
        ['server per delivery, kernel', cost('system', 'delivery')],
        ['server in all', `${short(server.cpus)} CPUs`],
        ['server memory per connection', bytes(server.user_bytes_per_connection)]);
    }
    if (data.kernel_both_ends) {
      rows.push(['kernel per connection, both ends',
        bytes(data.kernel_both_ends.bytes_per_connection)]);
    }
    rows.push(['generator, share of its threads', percent(data.generator.thread_share)],
      ['the busiest of them', percent(data.generator.busiest_share)],
      ['sent late', digits(results.late_sends, 0)]);
    addTable('Costs', rows);
  }

  function showRest() {
    if (data.steps) {
      addTable('Steps', [
        ['asked', 'sent', 'p99', 'lost', ''],
        ...data.steps.map((step) => [rate(step.rate), rate(step.sent_rate), duration(step.p99_ns),
          digits(step.lost, 0), { text: step.fault ?? 'passed', bad: !step.passed }]),
      ]);
    }
    addTable('Run', [
      ['machine', data.machine],
      ['kernel', data.kernel],
      ['parley', `${data.version} ${data.commit}`],
      ['date', data.date],
      ['generator', `${options.threads} thread${options.threads === 1 ? '' : 's'}, ${options.backend}`],
      ['seed', raw.match(/"seed":\s*(\d+)/)[1]], // a number in JavaScript has only 53 bits
    ]);
  }

  // --- Plots -------------------------------------------------------------------------------------

  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function axis(write, more = {}) {
    return {
      stroke: colour('muted'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { stroke: colour('line'), width: 1 },
      values: (plot, splits) => splits.map((value) => (value === null ? '' : write(value))),
      ...more,
    };
  }

  const line = (label, name, write, more = {}) => ({
    label,
    stroke: colour(name),
    width: 2,
    value: (plot, value) => known(value, write),
    ...more,
  });

  const y = (write, more = {}) => axis(write, { size: 76, ...more });
  const seconds = (value) => `${digits(value, 2)} s`;
  const positive = (value) => (value > 0 ? value : null); // a logarithm has no place for 0

  function latencyPlot() {
    const times = data.points.map((point) => point.at_s);
    const of = (name) => data.points.map((point) => positive(point[name]));
    return {
      data: [times, of('p50_ns'), of('p99_ns'), of('max_ns')],
      scales: { x: { time: false }, y: { distr: 3 } },
      axes: [axis(seconds), y(duration)],
      series: [{ label: 'time', value: (plot, value) => known(value, seconds) },
        line('p50', 'first', duration), line('p99', 'second', duration),
        line('max', 'third', duration, { dash: [4, 4], width: 1.5 })],
    };
  }

  // Where each message is delivered to many, the two rates are of different sizes: two scales.
  function ratePlot() {
    const of = (name) => data.points.map((point) =>
      (point.seconds > 0 ? point[name] / point.seconds : null));
    const sent = of('sent');
    const received = of('received');
    const range = (plot, min, max) => [0, max > 0 ? max * 1.1 : 1];
    if (results.sent === 0 && results.connects > 0) {
      return {
        data: [data.points.map((point) => point.at_s), of('connects')],
        scales: { x: { time: false }, y: { range } },
        axes: [axis(seconds), y(rate)],
        series: [{ label: 'time', value: (plot, value) => known(value, seconds) },
          line('connects', 'first', rate)],
      };
    }
    const apart = Math.max(...received) > 4 * Math.max(...sent);
    const right = y(rate, { scale: 'right', side: 1, grid: { show: false },
      stroke: colour('second') });
    return {
      data: [data.points.map((point) => point.at_s), received, sent],
      scales: { x: { time: false }, y: { range }, ...(apart ? { right: { range } } : {}) },
      axes: [axis(seconds), y(rate, apart ? { stroke: colour('first') } : {}),
        ...(apart ? [right] : [])],
      series: [{ label: 'time', value: (plot, value) => known(value, seconds) },
        line('deliveries', 'first', rate),
        line(apart ? 'messages (right)' : 'messages', 'second', rate,
          { dash: [6, 3], scale: apart ? 'right' : 'y' })],
    };
  }

  // x is how many nines: 1 is 90 %, 2 is 99 %. The last value would be at infinity: half a value in.
  function distributionPlot() {
    const shares = [0];
    const values = [positive(Math.min(latency.buckets[0][0], latency.max_ns))];
    let below = 0;
    for (const [end, count] of latency.buckets) {
      const left = Math.max(latency.count - below - count, 0.5) / latency.count;
      below += count;
      shares.push(-Math.log10(left));
      values.push(positive(Math.min(end, latency.max_ns)));
    }
    const name = (nines) => `${digits(100 * (1 - 10 ** -nines), Math.max(Math.ceil(nines), 2))} %`;
    const whole = (plot, index, min, max) => {
      const step = Math.max(1, Math.ceil((max - min) * LABEL_WIDTH / (plot.width - 100)));
      const splits = [];
      for (let nines = Math.ceil(min); nines <= max; nines += step) {
        splits.push(nines);
      }
      return splits;
    };
    return {
      data: [shares, values],
      scales: { x: { time: false }, y: { distr: 3 } },
      axes: [axis(name, { splits: whole }), y(duration)],
      series: [{ label: 'percentile', value: (plot, value) => known(value, name) },
        line('latency', 'first', duration, { points: { show: false } })],
    };
  }

  function stepsPlot() {
    const steps = [...data.steps].sort((a, b) => a.rate - b.rate);
    const of = (passed) => steps.map((step) =>
      (step.passed === passed ? positive(step.p99_ns) : null));
    const dots = (name) => ({ width: 0, points: { show: true, size: 9, fill: colour(name) } });
    return {
      data: [steps.map((step) => step.rate), of(true), of(false)],
      scales: { x: { time: false }, y: { distr: 3 } },
      axes: [axis(rate), y(duration)],
      series: [{ label: 'asked', value: (plot, value) => known(value, rate) },
        line('passed', 'first', duration, dots('first')),
        line('failed', 'third', duration, dots('third'))],
    };
  }

  const plots = [];

  function draw() {
    for (const plot of plots.splice(0)) {
      plot.destroy();
    }
    for (const [id, describe, count] of [
      ['latency-plot', latencyPlot, data.points.length],
      ['rate-plot', ratePlot, data.points.length],
      ['distribution-plot', distributionPlot, latency.buckets.length],
      ['steps-plot', stepsPlot, data.steps ? data.steps.length : 0],
    ]) {
      const figure = $(id);
      figure.hidden = count === 0;
      if (count > 0) {
        const { data: columns, ...rest } = describe();
        const width = figure.clientWidth - 24;
        plots.push(new uPlot({ width, height: PLOT_HEIGHT, ...rest }, columns, figure));
      }
    }
  }

  function fit() {
    for (const plot of plots) {
      const width = plot.root.parentElement.clientWidth - 24;
      if (width !== plot.width) {
        plot.setSize({ width, height: PLOT_HEIGHT });
      }
    }
  }

  showHead();
  showTiles();
  showResults();
  showRecovery();
  showCosts();
  showRest();
  draw();
  window.addEventListener('resize', fit);
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
})();
