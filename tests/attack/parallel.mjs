// SPDX-License-Identifier: Apache-2.0
/*
 * Many of the same, some at a time.
 */
const WIDTH = 32;

/* Calls act(0) ... act(count - 1). The first failure is the result. */
export async function inParallel(count, act, width = WIDTH) {
  let next = 0;
  await Promise.all(Array.from({ length: width }, async () => {
    while (next < count) {
      next += 1;
      await act(next - 1);
    }
  }));
}
