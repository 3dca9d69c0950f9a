// SPDX-License-Identifier: Apache-2.0
/* Numbers that follow from a seed: SplitMix32, which is small and good enough to choose with. */
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /* 0 to 2^32 - 1 */
  next() {
    this.state = (this.state + 0x9e3779b9) >>> 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /* 0 to count - 1 */
  below(count) {
    return Math.floor((this.next() / 2 ** 32) * count);
  }

  between(least, most) {
    return least + this.below(most - least + 1);
  }

  chance(probability) {
    return this.next() / 2 ** 32 < probability;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  /* One of {name: weight}. */
  weighted(weights) {
    const entries = Object.entries(weights);
    let at = this.below(entries.reduce((sum, [, weight]) => sum + weight, 0));
    for (const [name, weight] of entries) {
      at -= weight;
      if (at < 0) {
        return name;
      }
    }
    return entries.at(-1)[0];
  }
}
