import { randomBytes } from 'node:crypto';

/** What a caller may name its request: safe in headers, logs and shells. */
const acceptable = /^[A-Za-z0-9._-]{1,64}$/;

/** 80 random bits a process, then a counter: unique over a fleet, and free of a call to the generator per request. */
const processPart = BigInt(`0x${randomBytes(10).toString('hex')}`)
  .toString(36)
  .padStart(16, '0');
let counter = 0;

/** The part that `req_…` and `pred_…` of one request share. */
export function nextSerial(): string {
  counter += 1;
  return processPart + counter.toString(36);
}

/** The caller's own id where it is acceptable, else one of ours. */
export function requestIdOf(header: string | string[] | undefined, serial: string): string {
  return typeof header === 'string' && acceptable.test(header) ? header : `req_${serial}`;
}
