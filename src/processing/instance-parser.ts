import { parseExactJson, parseJson } from '../tensors/exact-json.ts';
import { perVersion } from './per-version.ts';
import type { InputFacts } from './request-inputs.ts';

/** Whether integers that a double cannot hold make a difference to the version. */
export const takesWideIntegers: (version: InputFacts) => boolean = perVersion(({ signature }) =>
  signature.inputs.some(({ datatype }) => datatype === 'INT64' || datatype === 'UINT64'),
);

/** JSON text to an instance, with exact integers where they matter. Throws `invalid_input`. */
export function instanceParser(version: InputFacts): (text: string) => unknown {
  return takesWideIntegers(version) ? parseExactJson : parseJson;
}
