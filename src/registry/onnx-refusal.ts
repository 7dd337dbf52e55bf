import { MillraceError } from '../errors.ts';

/** Why a file cannot become a version. `found` may come from the file: it is cut short. */
export function refuseOnnx(expected: string, found: string): MillraceError {
  const short = found.length > 80 ? `${found.slice(0, 80)}…` : found;
  return new MillraceError('invalid_input', `The ONNX file is not accepted: expected ${expected}`, {
    details: [{ path: 'artifact', expected, found: short }],
  });
}
