import { isUtf8 } from 'node:buffer';
import { instanceParser } from '../../../processing/instance-parser.ts';
import type { InputFacts } from '../../../processing/request-inputs.ts';
import { compileEnvelope } from './envelope.ts';
import { notUtf8 } from './json-scanner.ts';
import type { ElementBlock } from './json-scanner.ts';
import type { Row } from './row.ts';

/** The rows in a block of elements of `inputs`. One that is not JSON is thrown: then the whole body is none. */
export function compileJsonRows(version: InputFacts): (block: ElementBlock) => Iterable<Row> {
  const parse = instanceParser(version);
  const open = compileEnvelope(version);
  return function* rows({ bytes, ranges }) {
    if (ranges.length === 0) return;
    const from = ranges[0] as number;
    const text = textOf(bytes, from, ranges.at(-1) as number);
    const isAscii = text.length === (ranges.at(-1) as number) - from;
    for (let i = 0; i < ranges.length; i += 2) {
      const start = ranges[i] as number;
      const end = ranges[i + 1] as number;
      const element = isAscii ? text.slice(start - from, end - from) : bytes.toString('utf8', start, end);
      yield open(parse(element), null);
    }
  };
}

function textOf(bytes: Buffer, from: number, to: number): string {
  const part = bytes.subarray(from, to);
  if (!isUtf8(part)) throw notUtf8();
  return part.toString('utf8');
}
