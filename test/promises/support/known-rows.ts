/** Rows whose right results are known: whatever is lost, doubled, swapped or of another batch shows. */
export interface KnownRows {
  readonly model: string;
  /** NDJSON of a batch, by its number. */
  line(batch: number, row: number): string;
  /** What the results must say of the row, to the letter. */
  result(batch: number, row: number): string;
}

/** 3x + 1 in FP64: exact, and no two rows of all batches have the same x. */
export const nonceRows: KnownRows = {
  model: 'nonce',
  line: (batch, row) => `[${xOf(batch, row)}]\n`,
  result: (batch, row) => JSON.stringify({ row, id: null, output: [3 * xOf(batch, row) + 1] }),
};

/** The digits of the row become its number again; the caller's own ids name the batch, too. */
export const sumRows: KnownRows = {
  model: 'sum-rows',
  line: (batch, row) => `{"id":"${batch}/${row}","inputs":[${digitsOf(row).join()}]}\n`,
  result: (batch, row) => JSON.stringify({ row, id: `${batch}/${row}`, output: row % 100_000 }),
};

const rowsMax = 1_000_000;

function xOf(batch: number, row: number): number {
  return batch * rowsMax + row;
}

function digitsOf(row: number): number[] {
  return [1, 10, 100, 1000, 10_000].map((unit) => Math.floor(row / unit) % 10);
}

export function linesOf(known: KnownRows, batch: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, row) => known.line(batch, row));
}

/** What is wrong with the results of a batch of `count` rows, in a few words; undefined when each row is there once, in order. */
export function problemOf(
  known: KnownRows,
  batch: number,
  count: number,
  results: readonly string[],
): string | undefined {
  const wrong = results.findIndex((line, row) => line !== known.result(batch, row));
  if (wrong !== -1) return `row ${wrong} is ${results[wrong]}, not ${known.result(batch, wrong)}`;
  return results.length === count ? undefined : `${results.length} rows, not ${count}`;
}

/** Of a batch that ended early: rows may be missing, but those that are there are right, in order, and once. */
export function problemOfSome(
  known: KnownRows,
  batch: number,
  results: readonly string[],
): string | undefined {
  let last = -1;
  for (const line of results) {
    const { row } = JSON.parse(line) as { readonly row: number };
    if (row <= last) return `row ${row} comes after row ${last}`;
    if (line !== known.result(batch, row)) return `row ${row} is ${line}, not ${known.result(batch, row)}`;
    last = row;
  }
  return undefined;
}
