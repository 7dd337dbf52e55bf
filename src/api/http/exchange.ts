import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { channels } from '../../channels.ts';
import type { CacheOutcome, RequestEvent, RequestTimings } from '../../channels.ts';
import { toMillraceError } from '../../errors.ts';
import type { ErrorCode, MillraceError } from '../../errors.ts';
import type { Cancellation } from '../../queues/batch-former.ts';
import type { Principal } from '../credentials.ts';
import type { Answer, StreamedAnswer } from './answer.ts';
import { errorAnswer, statusByCode } from './error-handler.ts';
import { lingerThenEnd } from './lingering-close.ts';
import { Refusal } from './refusal.ts';
import { nextSerial, requestIdOf } from './request-id.ts';
import { sendPieces } from './streamed-body.ts';

/** nginx's status for a client that left before its answer: in events only, never on the wire. */
export const clientGoneStatus = 499;

/**
 * A body of at most this many bytes that nobody read is drained to keep the connection: it sits in the socket
 * already. For a larger one the connection is closed.
 */
const drainedBytesMax = 65_536;

/** What work for a client that has left ends with. Made once: nobody reads its stack. */
const clientLeft = new Error('the client has left');

const noParams: readonly string[] = [];

/** The newest exchange of a connection, for what the parser reports by socket. */
const newest = new WeakMap<Duplex, Exchange>();

export function exchangeOn(socket: Duplex): Exchange | undefined {
  return newest.get(socket);
}

/**
 * One request and its one answer. It is open until `answer`, `fail` or the client's leaving, whichever is
 * first; what comes later is ignored. Each exchange publishes exactly one RequestEvent.
 */
export class Exchange implements Cancellation {
  readonly request: IncomingMessage;
  readonly serial: string;
  readonly requestId: string;
  readonly startedAtMs: number;
  /** The matched template, and the values of its placeholders in order. */
  route = 'unmatched';
  params: readonly string[] = noParams;
  /** What follows `?`, not decoded. */
  search = '';
  principal: Principal | null = null;
  /** `RateLimit` and `RateLimit-Policy`, where the request was limited. Every answer carries them, errors too. */
  limitHeaders: readonly string[] = noParams;
  model: string | null = null;
  version: string | null = null;
  timings: RequestTimings | null = null;
  cache: CacheOutcome | null = null;
  /** Called once when the exchange is over, by whoever waits for something that will not come any more. */
  onOver: (() => void) | null = null;
  /** Its body may take longer than the server allows others: whoever reads it has a limit of its own. */
  hasOwnTimeLimit = false;
  /** Set while the process drains, and when the parser lost its place: the answer ends the connection. */
  lastOnConnection = false;

  readonly #response: ServerResponse;
  #open = true;
  #abort: AbortController | undefined;
  #hasLeft = false;
  #durationMs: number | undefined;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.startedAtMs = performance.now();
    this.request = request;
    this.#response = response;
    this.serial = nextSerial();
    this.requestId = requestIdOf(request.headers['x-request-id'], this.serial);
    newest.set(request.socket, this);
    response.on('close', () => this.#clientGone());
  }

  get open(): boolean {
    return this.#open;
  }

  /** Whether its answer has left. One that is ready may still wait for those before it on the connection. */
  get written(): boolean {
    return this.#response.writableFinished;
  }

  /** Ends the connection once the answer has left, whether it is ready by now or not. */
  endConnection(): void {
    this.lastOnConnection = true;
    const { socket } = this.request;
    this.#response.once('finish', () => socket.destroySoon());
  }

  /** Aborts when the client leaves. Made on demand; what only has to look is given the exchange, which costs nothing. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (!this.#open) this.#abort.abort();
    return this.#abort.signal;
  }

  /** True once the client has left. */
  get aborted(): boolean {
    return this.#hasLeft;
  }

  get reason(): Error {
    return clientLeft;
  }

  /** Milliseconds from the head of the request to the first call: what the body says and the event say alike. */
  durationMs(): number {
    this.#durationMs ??= performance.now() - this.startedAtMs;
    return this.#durationMs;
  }

  /** Tells a client that waits for it to send its body. */
  continue(): void {
    const { headers, httpVersionMinor } = this.request;
    if (headers.expect !== undefined && httpVersionMinor === 1) this.#response.writeContinue();
  }

  answer(answer: Answer): void {
    if (!this.#end()) return;
    this.#write(answer);
    this.#publish(answer.status, null, null);
  }

  /** Open until the last piece has been handed to the socket. */
  stream(answer: StreamedAnswer): void {
    if (!this.#open) return;
    const { status, pieces } = answer;
    this.#response.writeHead(status, this.#headers(answer, this.#unreadBody()));
    const end = (): void => {
      if (!this.#end()) return;
      this.#response.end();
      this.#publish(status, null, null);
    };
    if (this.request.method === 'HEAD') end();
    else sendPieces(this.#response, pieces, this.signal).then(end, (error: unknown) => this.fail(error));
  }

  fail(thrown: unknown): void {
    if (!this.#end()) return;
    const error = toMillraceError(thrown);
    if (this.#response.headersSent) return this.#breakOff(error);
    if (error instanceof Refusal && error.closes) this.lastOnConnection = true;
    const answer = errorAnswer(error, this.requestId);
    this.#write(answer);
    this.#publish(answer.status, error.code, answer.status >= 500 ? (error.cause ?? error) : null);
  }

  /** An answer that had begun: its status is out, so the log alone learns what became of it. */
  #breakOff(error: MillraceError): void {
    this.#response.destroy();
    this.#abort?.abort();
    this.#publish(statusByCode[error.code], error.code, error.cause ?? error);
  }

  #clientGone(): void {
    if (!this.#end()) return;
    this.#hasLeft = true;
    this.#abort?.abort();
    this.#publish(clientGoneStatus, null, null);
  }

  /** False when it was over before: whoever comes second must do nothing. */
  #end(): boolean {
    if (!this.#open) return false;
    this.#open = false;
    this.onOver?.();
    return true;
  }

  #headers({ headers: given }: Pick<Answer, 'headers'>, unread: boolean): string[] {
    const headers = [
      'X-Request-Id',
      this.requestId,
      'X-Content-Type-Options',
      'nosniff',
      ...given,
      ...this.limitHeaders,
    ];
    if (this.lastOnConnection || unread) headers.push('Connection', 'close');
    return headers;
  }

  #write(answer: Answer): void {
    const { status, body } = answer;
    const unread = this.#unreadBody();
    const headers = this.#headers(answer, unread);
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
    if (status !== 204 && status !== 304) headers.push('Content-Length', String(length));
    this.#response.writeHead(status, headers);
    if (unread) lingerThenEnd(this.request, this.#response, body);
    // As many bytes as characters: all ASCII, which Latin-1 writes without looking at each.
    else this.#response.end(body, length === body.length ? 'latin1' : 'utf8');
  }

  /** True when the client may still be sending more than is worth reading. */
  #unreadBody(): boolean {
    const { request } = this;
    if (request.complete) return false;
    const { headers } = request;
    if (headers['transfer-encoding'] !== undefined || headers.expect !== undefined) return true;
    return Number(headers['content-length'] ?? 0) > drainedBytesMax;
  }

  #publish(status: number, errorCode: ErrorCode | null, cause: unknown): void {
    if (!channels.request.hasSubscribers) return;
    const event: RequestEvent = {
      requestId: this.requestId,
      method: this.request.method ?? '',
      route: this.route,
      status,
      durationMs: this.durationMs(),
      principal: this.principal?.id ?? null,
      model: this.model,
      version: this.version,
      errorCode,
      cause,
      timings: this.timings,
      cache: this.cache,
    };
    channels.request.publish(event);
  }
}
