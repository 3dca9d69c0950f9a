// SPDX-License-Identifier: Apache-2.0
/*
 * What a case has opened is closed when it ends, however it ends, so that one failure is one failure.
 */
const opened = [];

export function closeAtEnd(close) {
  opened.push(close);
}

export function closeAll() {
  opened.splice(0).forEach((close) => close());
}
