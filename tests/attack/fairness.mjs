// SPDX-License-Identifier: Apache-2.0
/*
 * Was somebody made to wait by what others did to his server?
 *
 * Two servers of one configuration run side by side, one is attacked, and the same honest thread
 * talks to both at the same moments. So whatever else makes it wait is on both sides: a busy
 * machine, the attacker's own work, this thread. What is left is what the attack does inside of the
 * server. Time is cut into windows, of each the slowest one percent counts, and the median over the
 * windows decides: a hiccup is in one window, a server that starves its clients is late in most.
 */
const WINDOW_MS = 250;
const RATIO_MAX = 2;
/*
 * Below this nothing is compared: a thread that wants to run waits for some slices of the kernel's
 * scheduler where others want to as well, and which of two servers has to is chance.
 */
const NOISE_MS = 8;

function percentile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

/* samples: [when it was said, how long it took], milliseconds. The p99 of each window. */
export function windowsOf(samples) {
  const windows = new Map();
  for (const [at, ms] of samples) {
    const number = Math.floor((at - samples[0][0]) / WINDOW_MS);
    windows.set(number, [...windows.get(number) ?? [], ms]);
  }
  return [...windows.values()].map((values) => percentile(values, 0.99));
}

/* windows of the server that is attacked, and of the other one: {p99, ratio, isStarved} */
export function compare(attacked, other) {
  const [p99, calm] = [attacked, other].map((windows) => percentile(windows, 0.5));
  const ratio = Math.max(p99, NOISE_MS) / Math.max(calm, NOISE_MS);
  return { p99, calm, ratio, isStarved: ratio > RATIO_MAX };
}
