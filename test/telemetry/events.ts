import type { JobEvent, RequestEvent, RunEvent } from '../../src/channels.ts';

export function requestEvent(changes: Partial<RequestEvent> = {}): RequestEvent {
  return {
    requestId: 'req-1',
    method: 'POST',
    route: '/api/v1/models/{model}/predict',
    status: 200,
    durationMs: 2.5,
    principal: 'key-1',
    model: 'wine',
    version: '1',
    errorCode: null,
    cause: null,
    timings: { batchWaitMs: 1, queueMs: 2, runMs: 4, totalMs: 8 },
    cache: 'miss',
    ...changes,
  };
}

export function jobEvent(changes: Partial<JobEvent> = {}): JobEvent {
  return {
    phase: 'submitted',
    jobId: 'job-1',
    model: 'wine',
    version: '1',
    lane: 'online',
    rows: 3,
    entries: 2,
    ...changes,
  };
}

export function runEvent(changes: Partial<RunEvent> = {}): RunEvent {
  return {
    jobId: 'job-1',
    model: 'wine',
    version: '1',
    lane: 'online',
    outcome: 'succeeded',
    rows: 3,
    queueMs: 2,
    waitMs: 1,
    runMs: 4,
    ...changes,
  };
}
