import type { RequestEvent } from '../channels.ts';
import { requestFields } from './log-fields.ts';

export interface RequestLinesOptions {
  readonly serviceName: string;
  readonly pid: number;
  readonly nowMs: () => number;
}

/** What requests have in common, by all that tells them apart: 1,000 kinds of some 300 characters are 300 kB. */
const kindsMax = 1000;

/**
 * The log line of an answered request, as pino writes it: with pino it took 8 µs and 18 kB a request, a third of
 * what a cache hit costs altogether. All but the time, the id and the duration of a line has mostly been seen before.
 */
export function createRequestLines(options: RequestLinesOptions): (event: RequestEvent) => string {
  const { serviceName, pid, nowMs } = options;
  const kinds = new Map<string, string>();
  const origin = inner({
    'service.name': serviceName,
    'process.pid': pid,
    'event.dataset': 'millrace.request',
  });
  let stampedMs = 0;
  let stamp = '';

  const stampOf = (ms: number): string => {
    if (ms !== stampedMs) {
      stampedMs = ms;
      stamp = new Date(ms).toISOString();
    }
    return stamp;
  };
  const kindOf = (event: RequestEvent): string => {
    const { method, route, status, principal, model, version, cache, errorCode } = event;
    const key = `${method}\n${route}\n${status}\n${principal}\n${model}\n${version}\n${cache}\n${errorCode}`;
    let kind = kinds.get(key);
    if (kind === undefined) {
      if (kinds.size >= kindsMax) kinds.clear();
      const {
        request_id: _id,
        'event.duration': _duration,
        'trace.id': _trace,
        ...rest
      } = requestFields(event);
      kind = inner(rest);
      kinds.set(key, kind);
    }
    return kind;
  };
  return (event) => {
    const id = JSON.stringify(event.requestId);
    const trace = event.traceId === undefined ? '' : `,"trace.id":${JSON.stringify(event.traceId)}`;
    const duration = Math.round(event.durationMs * 1e6);
    return `{"log.level":"info","@timestamp":"${stampOf(nowMs())}",${origin},"request_id":${id},${kindOf(event)},"event.duration":${duration}${trace},"message":"request"}\n`;
  };
}

/** The members of an object without its braces. */
function inner(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(fields).slice(1, -1);
}
