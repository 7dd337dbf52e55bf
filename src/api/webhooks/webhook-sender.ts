import { lookup as resolveName } from 'node:dns';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { request as requestHttp } from 'node:http';
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { LookupFunction, Socket } from 'node:net';
import type { AddressGuard } from './address-guard.ts';
import { addressOf, portOf } from './webhook-url.ts';

/** Why an attempt failed, for the delivery log. A dependency's own words stay out of it. */
export type DeliveryError =
  | 'bad_status'
  | 'redirect'
  | 'gone'
  | 'timeout'
  | 'address_refused'
  | 'name_not_found'
  | 'connection_failed'
  | 'tls_failed'
  | 'bad_answer';

export interface Attempt {
  /** Null when no answer came. */
  readonly status: number | null;
  /** Null when it was delivered. */
  readonly error: DeliveryError | null;
  readonly retryAfterMs: number | null;
}

export type ResolveName = (name: string, done: ResolvedName) => void;
export type ResolvedName = (error: Error | null, addresses: readonly LookupAddress[]) => void;

export interface WebhookSenderOptions {
  readonly guard: Pick<AddressGuard, 'allows'>;
  /** From the look-up of the name to the end of the answer. */
  readonly timeoutMs: number;
  /** Default: the system's resolver. */
  readonly resolve?: ResolveName;
  /** Milliseconds since the epoch, for a Retry-After that is a date. */
  readonly now: () => number;
}

/** What is read of an answer: nobody looks at it, but a receiver may want to see it taken. */
const answerBytesMax = 65_536;
/** Longest pause that a receiver can ask for. */
const retryAfterMsMax = 21_600_000;

class AddressRefused extends Error {}

/**
 * One attempt at a time, each over a connection of its own: no redirects, no proxy, no cookies. The connection goes to
 * an address that has been checked, and is checked again once it stands: what a name meant before does not count.
 */
export class WebhookSender {
  readonly #options: WebhookSenderOptions;

  constructor(options: WebhookSenderOptions) {
    this.#options = options;
  }

  /** Never rejects. */
  async post(
    target: string,
    headers: Readonly<Record<string, string>>,
    body: string,
    signal: AbortSignal,
  ): Promise<Attempt> {
    const url = new URL(target);
    const literal = addressOf(url);
    if (literal !== undefined && !this.#options.guard.allows(literal, portOf(url)))
      return failed('address_refused');
    const late = AbortSignal.timeout(this.#options.timeoutMs);
    try {
      const request = this.#open(url, headers, AbortSignal.any([signal, late]));
      const answered = answerTo(request);
      request.end(body);
      const response = await answered;
      await readSome(response);
      return this.#judge(response);
    } catch (error) {
      return failed(late.aborted ? 'timeout' : errorOf(error));
    }
  }

  #open(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): ClientRequest {
    const options: RequestOptions = {
      method: 'POST',
      agent: false,
      headers,
      signal,
      lookup: this.#lookup(url),
    };
    const request = url.protocol === 'https:' ? requestHttps(url, options) : requestHttp(url, options);
    const port = portOf(url);
    // Told before anything is written: what waits to be sent goes out behind this listener.
    request.once('socket', (socket: Socket) => {
      socket.once('connect', () => {
        if (!this.#options.guard.allows(socket.remoteAddress ?? '', port))
          socket.destroy(new AddressRefused());
      });
    });
    return request;
  }

  /** Refuses a name as soon as one of its addresses is not allowed: who mixes them is up to something. */
  #lookup(url: URL): LookupFunction {
    const { guard, resolve = systemResolve } = this.#options;
    const port = portOf(url);
    return (hostname, { all }, done) => {
      resolve(hostname, (error, addresses) => {
        const [first] = addresses;
        if (error !== null || first === undefined) return done(error ?? new Error('no address'), '');
        if (!addresses.every(({ address }) => guard.allows(address, port)))
          return done(new AddressRefused(), '');
        if (all === true) done(null, [...addresses]);
        else done(null, first.address, first.family);
      });
    };
  }

  #judge({ statusCode = 0, headers }: IncomingMessage): Attempt {
    const retryAfterMs = retryAfterOf(headers['retry-after'], this.#options.now());
    return { status: statusCode, error: errorOfStatus(statusCode), retryAfterMs };
  }
}

function systemResolve(name: string, done: ResolvedName): void {
  resolveName(name, { all: true }, (error, addresses) => done(error, error === null ? addresses : []));
}

function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    // Stays on: errors that come once there is an answer change nothing.
    request.on('error', reject);
    // Of a receiver that switches to another protocol there is neither an answer nor an error.
    request.once('close', () => reject(new Error('closed without an answer')));
  });
}

/** The status has decided: a body that breaks off, or does not end in time, is not missed. */
async function readSome(response: IncomingMessage): Promise<void> {
  let bytes = 0;
  response.on('error', () => undefined);
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.byteLength;
    if (bytes >= answerBytesMax) response.destroy();
  });
  if (!response.closed) await once(response, 'close').catch(() => undefined);
}

function errorOfStatus(status: number): DeliveryError | null {
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) return 'redirect';
  return status === 410 ? 'gone' : 'bad_status';
}

function errorOf(error: unknown): DeliveryError {
  if (error instanceof AddressRefused) return 'address_refused';
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ENOTFOUND' || code.startsWith('EAI_') || code === 'ENODATA') return 'name_not_found';
  if (/^(?:ERR_TLS|ERR_SSL|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|EPROTO)/.test(code)) return 'tls_failed';
  return code.startsWith('HPE_') ? 'bad_answer' : 'connection_failed';
}

function failed(error: DeliveryError): Attempt {
  return { status: null, error, retryAfterMs: null };
}

/** Seconds or a date (RFC 9110 §10.2.3). */
function retryAfterOf(header: string | undefined, nowMs: number): number | null {
  if (header === undefined) return null;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), retryAfterMsMax) : null;
}
