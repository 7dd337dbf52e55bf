import type { HostEvent, JobEvent, RequestEvent, RunEvent } from '../channels.ts';
import { redactText } from './redaction.ts';

/** ECS names where there is one (all flat), `millrace.*` for the rest. Durations in nanoseconds, as ECS has them. */
export type LogFields = Record<string, unknown>;

export function requestFields(event: RequestEvent): LogFields {
  const fields: LogFields = {
    request_id: event.requestId,
    'http.request.method': event.method,
    'http.route': event.route,
    'http.response.status_code': event.status,
    'event.duration': nanoseconds(event.durationMs),
  };
  if (event.traceId !== undefined) fields['trace.id'] = event.traceId;
  if (event.principal !== null) fields['user.id'] = event.principal;
  if (event.model !== null) fields['millrace.model'] = event.model;
  if (event.version !== null) fields['millrace.version'] = event.version;
  if (event.cache !== null) fields['millrace.cache'] = event.cache;
  if (event.errorCode !== null) fields['error.code'] = event.errorCode;
  return fields;
}

export function jobFields(event: JobEvent): LogFields {
  return {
    'event.action': event.phase,
    'millrace.job_id': event.jobId,
    'millrace.model': event.model,
    'millrace.version': event.version,
    'millrace.lane': event.lane,
    'millrace.rows': event.rows,
    'millrace.entries': event.entries,
  };
}

export function runFields(event: RunEvent): LogFields {
  return {
    'event.outcome': event.outcome,
    'event.duration': nanoseconds(event.runMs),
    'millrace.job_id': event.jobId,
    'millrace.model': event.model,
    'millrace.version': event.version,
    'millrace.lane': event.lane,
    'millrace.rows': event.rows,
    'millrace.queue_ms': event.queueMs,
    'millrace.wait_ms': event.waitMs,
  };
}

export function hostFields(event: HostEvent): LogFields {
  return {
    'millrace.host_id': event.hostId,
    'millrace.host_pid': event.pid,
    'millrace.host_state': event.state,
    ...(event.change === undefined ? {} : { 'event.action': event.change }),
    ...(event.model === undefined ? {} : { 'millrace.model': event.model }),
    ...(event.version === undefined ? {} : { 'millrace.version': event.version }),
    ...(event.durationMs === undefined ? {} : { 'event.duration': nanoseconds(event.durationMs) }),
    ...(event.reason === undefined ? {} : { 'event.reason': redactText(event.reason) }),
  };
}

/** Longest stack of one error that a line holds: 8 KiB show about 80 frames. */
const stackLengthMax = 8192;
/** A cause of a cause of …: beyond this it is a cycle or says nothing new. */
const causesMax = 4;

export function errorFields(error: unknown): { 'error.message'?: string; 'error.type'?: string } {
  if (!(error instanceof Error)) return { 'error.message': redactText(String(error)) };
  return { 'error.type': error.name, 'error.message': redactText(error.message) };
}

/** Dear, and long: only for lines that are not left out. */
export function stackFields(error: unknown): LogFields {
  if (!(error instanceof Error)) return {};
  return { 'error.stack_trace': redactText(stackOf(error, causesMax)).slice(0, stackLengthMax) };
}

function stackOf(error: Error, causesLeft: number): string {
  const stack = error.stack ?? `${error.name}: ${error.message}`;
  const inner: unknown[] = error instanceof AggregateError ? error.errors : [error.cause];
  const causes = causesLeft === 0 ? [] : inner.filter((cause) => cause instanceof Error);
  return [stack, ...causes.map((cause) => `caused by ${stackOf(cause, causesLeft - 1)}`)].join('\n');
}

function nanoseconds(durationMs: number): number {
  return Math.round(durationMs * 1e6);
}
