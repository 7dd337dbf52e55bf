import { errorCatalogue, MillraceError } from '../errors.ts';
import type { ErrorDetails, ErrorRecord } from '../errors.ts';
import { decodeTensors, encodeTensors } from '../tensors/binary-codec.ts';
import type { NamedTensors } from '../tensors/tensor.ts';

/** Wire contract of a result, version 1. docs/protocol.md; golden files hold the encoding. */
export const resultSchemaVersion = 1;

/** Entries that have no rows in `tensors`, by index into the job's entries. */
export interface EntryFailure {
  readonly entryIndex: number;
  readonly reason: 'failed' | 'expired' | 'cancelled';
  readonly error: ErrorRecord;
}

export interface ResultTimings {
  /** From submission to the worker's taking the job. */
  readonly queueMs: number;
  /** From taking the job to the start of the run: waiting for a host, loading, pre-processing. */
  readonly waitMs: number;
  /** Inside session.run. */
  readonly runMs: number;
}

/**
 * The one terminal answer to a job. `tensors` holds, by result name, the rows of every entry that is not in
 * `failures`, joined along axis 0 in entry order (axis 0 is always rows, also for models without a batch axis). Result names by task:
 * - classification: `label` (INT32 index into the version's labels, or the raw label tensor where labels are
 *   unknown; shape [N]) and, when the model gives them, `probabilities` (FP32 or FP64, shape [N, C]);
 * - regression: `value` ([N] or [N, K]);
 * - tensor: the names of the outputs of the graph and of post-processing.
 * Where outputs were asked for by name: exactly those, as they are, under their own names.
 */
export interface InferenceResult {
  readonly schemaVersion: typeof resultSchemaVersion;
  readonly id: string;
  readonly workerId: string;
  readonly failures: readonly EntryFailure[];
  readonly tensors: NamedTensors;
  readonly timings: ResultTimings;
  /** Rows that shared the run. */
  readonly batchRows: number;
}

/** What comes back for a job: its result, or why its result cannot be read. */
export type ResultOutcome =
  | { readonly kind: 'result'; readonly result: InferenceResult }
  | { readonly kind: 'unreadable'; readonly error: MillraceError };

export interface EncodedResult {
  readonly frame: Buffer;
  /** Tensors that are too large for the frame: they must lie under their own key before it is published. */
  readonly tensorsApart: Uint8Array | null;
}

export type DecodedFrame =
  /** `tensors` is null while they lie apart. */
  | {
      readonly kind: 'frame';
      readonly id: string;
      readonly header: WireHeader;
      readonly tensors: Uint8Array | null;
    }
  /** Of another version or broken, but it says whose result it is. */
  | { readonly kind: 'refused'; readonly id: string; readonly error: MillraceError }
  | { readonly kind: 'unreadable' };

type WireFailure = readonly [
  entryIndex: number,
  reason: EntryFailure['reason'],
  code: string,
  message: string,
  details: ErrorDetails | null,
];

/** The id stays in the first place in every version to come. */
export type WireHeader = readonly [
  id: string,
  tensorsApart: boolean,
  workerId: string,
  batchRows: number,
  timings: readonly [queueMs: number, waitMs: number, runMs: number],
  failures: readonly WireFailure[],
];

/** u8 schema version, u32 LE header length; then the header as JSON and, unless they lie apart, the tensors. */
const prefixBytes = 5;

/** Tensors of more than `inlineBytesMax` are kept out of the frame. */
export function encodeResult(result: InferenceResult, inlineBytesMax: number): EncodedResult {
  const tensors = encodeTensors(result.tensors);
  const apart = tensors.length > inlineBytesMax;
  const { queueMs, waitMs, runMs } = result.timings;
  const header: WireHeader = [
    result.id,
    apart,
    result.workerId,
    result.batchRows,
    [queueMs, waitMs, runMs],
    result.failures.map(toWireFailure),
  ];
  const headerText = JSON.stringify(header);
  const headerBytes = Buffer.byteLength(headerText);
  const frame = Buffer.allocUnsafe(prefixBytes + headerBytes + (apart ? 0 : tensors.length));
  frame.writeUInt8(resultSchemaVersion, 0);
  frame.writeUInt32LE(headerBytes, 1);
  frame.write(headerText, prefixBytes);
  if (!apart) frame.set(tensors, prefixBytes + headerBytes);
  return { frame, tensorsApart: apart ? tensors : null };
}

/** Reads whose result a frame is and leaves its tensors packed. Never throws. */
export function decodeFrame(frame: Buffer): DecodedFrame {
  if (frame.length < prefixBytes) return { kind: 'unreadable' };
  const headerEnd = prefixBytes + frame.readUInt32LE(1);
  if (headerEnd > frame.length) return { kind: 'unreadable' };
  const header = parse(frame.toString('utf8', prefixBytes, headerEnd));
  const id: unknown = Array.isArray(header) ? header[0] : undefined;
  if (typeof id !== 'string') return { kind: 'unreadable' };
  const version = frame.readUInt8(0);
  if (version !== resultSchemaVersion)
    return { kind: 'refused', id, error: unreadableResult(`schema version ${version} is unknown`) };
  if (!isHeader(header)) return { kind: 'refused', id, error: unreadableResult('its header is not valid') };
  return { kind: 'frame', id, header, tensors: header[1] ? null : frame.subarray(headerEnd) };
}

/** The second half of decoding, once the tensors are at hand. Never throws. */
export function decodeResult(header: WireHeader, tensors: Uint8Array): ResultOutcome {
  const [id, , workerId, batchRows, [queueMs, waitMs, runMs], failures] = header;
  try {
    return {
      kind: 'result',
      result: {
        schemaVersion: resultSchemaVersion,
        id,
        workerId,
        batchRows,
        timings: { queueMs, waitMs, runMs },
        failures: failures.map(toFailure),
        tensors: decodeTensors(tensors),
      },
    };
  } catch (cause) {
    return { kind: 'unreadable', error: unreadableResult('its tensors are not valid', cause) };
  }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function toWireFailure({ entryIndex, reason, error }: EntryFailure): WireFailure {
  return [entryIndex, reason, error.code, error.message, error.details ?? null];
}

function toFailure([entryIndex, reason, code, message, details]: WireFailure): EntryFailure {
  const known = Object.hasOwn(errorCatalogue, code) ? (code as ErrorRecord['code']) : 'internal_error';
  return {
    entryIndex,
    reason,
    error: details === null ? { code: known, message } : { code: known, message, details },
  };
}

function isHeader(value: unknown): value is WireHeader {
  if (!Array.isArray(value)) return false;
  const [, tensorsApart, workerId, batchRows, timings, failures] = value as readonly unknown[];
  return (
    typeof tensorsApart === 'boolean' &&
    typeof workerId === 'string' &&
    Number.isSafeInteger(batchRows) &&
    Array.isArray(timings) &&
    timings.length === 3 &&
    timings.every(Number.isFinite) &&
    Array.isArray(failures) &&
    failures.every(isFailure)
  );
}

function isFailure(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  const [entryIndex, reason, code, message] = value as readonly unknown[];
  return (
    Number.isSafeInteger(entryIndex) &&
    (reason === 'failed' || reason === 'expired' || reason === 'cancelled') &&
    typeof code === 'string' &&
    typeof message === 'string'
  );
}

function unreadableResult(why: string, cause?: unknown): MillraceError {
  return new MillraceError('internal_error', `The result cannot be read: ${why}`, { cause });
}
