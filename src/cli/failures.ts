import type { ErrorDetails } from '../errors.ts';
import { exitCodes } from './exit-code.ts';
import type { ExitCode } from './exit-code.ts';

/** A command that cannot go on. Its message is for the person at the terminal; no stack is shown. */
export class CommandError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The command line is not right. */
export class UsageError extends CommandError {
  constructor(message: string) {
    super(exitCodes.usage, message);
  }
}

/** The server could not be reached, or broke off. */
export class UnreachableError extends CommandError {
  constructor(message: string) {
    super(exitCodes.unreachable, message);
  }
}

/** What an answer with a status from 400 on says. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly details: ErrorDetails | null;
  readonly requestId: string | null;
}

export class RefusedError extends CommandError {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(
      refusal.status < 500 ? exitCodes.refused : exitCodes.unreachable,
      `${refusal.status} ${refusal.code}: ${refusal.message}`,
    );
    this.refusal = refusal;
  }
}

/** The body of an error answer. A proxy may have written it: anything that is not our envelope is quoted in short. */
export function readRefusal(status: number, body: string): Refusal {
  const envelope = parseEnvelope(body);
  if (envelope !== undefined) return { status, ...envelope };
  const quoted = body.replace(/\s+/g, ' ').trim().slice(0, quotedCharsMax);
  const message = `the answer is not one of Millrace${quoted === '' ? '' : `: ${quoted}`}`;
  return { status, code: 'unknown', message, details: null, requestId: null };
}

const quotedCharsMax = 200;

function parseEnvelope(body: string): Omit<Refusal, 'status'> | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: Record<string, unknown> };
    if (typeof error?.['code'] !== 'string' || typeof error['message'] !== 'string') return undefined;
    return {
      code: error['code'],
      message: error['message'],
      details: (error['details'] ?? null) as ErrorDetails | null,
      requestId: typeof error['request_id'] === 'string' ? error['request_id'] : null,
    };
  } catch {
    return undefined;
  }
}

/** Lines for stderr: what went wrong, each place, and what to quote to whoever runs the server. */
export function describe({ message, ...error }: CommandError): readonly string[] {
  const refusal = 'refusal' in error ? (error.refusal as Refusal) : undefined;
  if (refusal === undefined) return [message];
  const { details, requestId } = refusal;
  return [
    message,
    // A refusal of one place often is its message.
    ...describeDetails(details)
      .filter((line) => !message.includes(line))
      .map((line) => `    ${line}`),
    ...(requestId === null ? [] : [`    request id ${requestId}`]),
  ];
}

export function describeDetails(details: ErrorDetails | null | undefined): readonly string[] {
  if (details === null || details === undefined) return [];
  if (typeof details === 'string') return [details];
  if (!Array.isArray(details))
    return Object.entries(details).map(
      ([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    );
  return (details as readonly Partial<Record<string, unknown>>[]).map((place) =>
    typeof place?.['path'] === 'string'
      ? `${place['path']}: expected ${String(place['expected'])}, found ${String(place['found'])}`
      : JSON.stringify(place),
  );
}
