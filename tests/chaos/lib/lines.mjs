// SPDX-License-Identifier: Apache-2.0
/*
 * Reads the files of a run as one sequence in the order of time. Holds a chunk of each file, not the
 * files. The readings are blocking: nothing else happens in a checker.
 */
import fs from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

const CHUNK_BYTES = 1 << 18;
const LINE_BYTES_MAX = 1 << 24;

/* The lines of one file, one after the other. */
class LineReader {
  #chunk = Buffer.alloc(CHUNK_BYTES);
  #decoder = new StringDecoder('utf8');
  #rest = '';
  #lines = [];
  #next = 0;
  #ended = false;

  constructor(file) {
    this.file = file;
    this.number = 0;
    this.fd = fs.openSync(file, 'r');
  }

  #fill() {
    const size = fs.readSync(this.fd, this.#chunk, 0, CHUNK_BYTES, null);
    if (size === 0) {
      fs.closeSync(this.fd);
      this.#ended = true;
      this.#lines = this.#rest === '' ? [] : [this.#rest];
      this.#rest = '';
    } else {
      this.#lines = (this.#rest + this.#decoder.write(this.#chunk.subarray(0, size))).split('\n');
      this.#rest = this.#lines.pop();
      if (this.#rest.length > LINE_BYTES_MAX) {
        throw new Error(`${this.file}: a line of more than ${LINE_BYTES_MAX} bytes`);
      }
    }
    this.#next = 0;
  }

  /* null at the end. */
  take() {
    while (this.#next >= this.#lines.length) {
      if (this.#ended) {
        return null;
      }
      this.#fill();
    }
    this.number += 1;
    this.#next += 1;
    return this.#lines[this.#next - 1];
  }
}

/* A file with the record at its head: what is no JSON object ends everything. */
class RecordReader {
  constructor(file, index) {
    this.lines = new LineReader(file);
    this.index = index;
    this.record = null;
    this.advance();
  }

  advance() {
    const line = this.lines.take();
    if (line === null) {
      this.record = null;
      return;
    }
    const before = this.record?.t ?? -Infinity;
    try {
      this.record = JSON.parse(line);
    } catch (error) {
      throw new Error(`${this.lines.file}:${this.lines.number}: ${error.message}`);
    }
    if (typeof this.record?.t !== 'number' || this.record.t < before) {
      throw new Error(`${this.lines.file}:${this.lines.number}: t is missing or falls`);
    }
  }
}

/*
 * Calls back with each record and where it stands: a number that lineAt() understands. Line numbers
 * of up to 2^32 fit beside the number of the file.
 */
export function readMerged(files, visit) {
  const readers = files.map((file, index) => new RecordReader(file, index));
  let open = readers.filter((one) => one.record !== null);
  while (open.length > 0) {
    let first = open[0];
    for (let i = 1; i < open.length; i += 1) {
      if (open[i].record.t < first.record.t) {
        first = open[i];
      }
    }
    visit(first.record, first.index * 2 ** 32 + first.lines.number);
    first.advance();
    if (first.record === null) {
      open = open.filter((one) => one !== first);
    }
  }
}

export function placeOf(files, where) {
  return `${files[Math.floor(where / 2 ** 32)]}:${where % 2 ** 32}`;
}

/* where -> the text of the line, for the few lines that prove something. */
export function textsOf(files, wheres) {
  const texts = new Map();
  for (const [index, file] of files.entries()) {
    const wanted = new Set(wheres.filter((where) => Math.floor(where / 2 ** 32) === index));
    const reader = wanted.size > 0 ? new LineReader(file) : null;
    for (let left = wanted.size; left > 0;) {
      const line = reader.take();
      if (line === null) {
        break;
      }
      const where = index * 2 ** 32 + reader.number;
      if (wanted.has(where)) {
        texts.set(where, line);
        left -= 1;
      }
    }
  }
  return texts;
}
