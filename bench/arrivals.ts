import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { body } from './load.ts';
import type { OpenLoopOptions, OpenLoopResult } from './open-loop.ts';
import { quantile } from './statistics.ts';

/**
 * The generator of `openLoop`: arrivals on bare sockets, one request at a time on each, since a client library
 * would take more of the two cores than the server. Prints one JSON line.
 */
const options = JSON.parse(process.argv[2] ?? '') as OpenLoopOptions;
/**
 * More than the server has in flight when it sheds as it should, so that no request waits here; opened beforehand,
 * since connections that are made in a flood overflow the backlog of the server, and TCP then waits for a second.
 */
const socketCount = 2048;
/** Below the backlog of a Node server, 511. */
const openingCount = 256;

interface Connection {
  readonly socket: Socket;
  scheduledAtMs: number;
  received: string;
}

const { hostname, port, pathname } = new URL(options.url);
const total = Math.round(options.perSecond * options.seconds);
/** Made beforehand; each another, so that no answer is kept. */
const requests = Array.from({ length: total }, () => {
  const payload = body(options.width);
  return `POST ${pathname} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\nx-api-key: ${options.apiKey}\r\ncontent-length: ${payload.length}\r\n\r\n${payload}`;
});
const latencies: number[] = [];
const refusals: number[] = [];
const idle: Connection[] = [];
/** Scheduled instants of requests that found no socket. */
const waiting: number[] = [];
let failed = 0;
let withoutRetryAfter = 0;
let ended = 0;
const allEnded = Promise.withResolvers<void>();

function settle(): void {
  ended += 1;
  if (ended === total) allEnded.resolve();
}

function open(): Connection {
  const socket = connect(Number(port), hostname);
  const connection: Connection = { socket, scheduledAtMs: 0, received: '' };
  socket.setNoDelay(true);
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => onData(connection, chunk));
  socket.on('error', () => undefined);
  socket.on('close', () => onClose(connection));
  return connection;
}

function onClose(connection: Connection): void {
  const place = idle.indexOf(connection);
  if (place >= 0) idle.splice(place, 1);
  else {
    failed += 1;
    settle();
  }
}

function onData(connection: Connection, chunk: string): void {
  connection.received += chunk;
  const { received } = connection;
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd < 0) return;
  const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0);
  if (received.length < headEnd + 4 + length) return;
  const status = received.slice(9, 12);
  const latencyMs = performance.now() - connection.scheduledAtMs;
  if (status === '200') latencies.push(latencyMs);
  else if (status === '503') {
    refusals.push(latencyMs);
    if (!/\r\nretry-after: \d/i.test(received.slice(0, headEnd))) withoutRetryAfter += 1;
  } else failed += 1;
  connection.received = '';
  settle();
  const next = waiting.shift();
  if (next === undefined) idle.push(connection);
  else send(connection, next);
}

let sent = 0;
function send(connection: Connection, scheduledAtMs: number): void {
  connection.scheduledAtMs = scheduledAtMs;
  connection.socket.write(requests[sent] as string, 'latin1');
  sent += 1;
}

function arrive(scheduledAtMs: number): void {
  const connection = idle.pop();
  if (connection === undefined) waiting.push(scheduledAtMs);
  else send(connection, scheduledAtMs);
}

while (idle.length < socketCount) {
  const opened = Array.from({ length: openingCount }, open);
  await Promise.all(opened.map(({ socket }) => once(socket, 'connect')));
  idle.push(...opened);
}
const startedAtMs = performance.now();
let scheduled = 0;
await new Promise<void>((resolve) => {
  const tick = (): void => {
    const elapsedS = (performance.now() - startedAtMs) / 1000;
    const due = Math.min(total, Math.floor(elapsedS * options.perSecond));
    for (; scheduled < due; scheduled += 1) arrive(startedAtMs + (scheduled / options.perSecond) * 1000);
    if (scheduled === total) return resolve();
    // A millisecond's arrivals together: turning without a pause would take a core from the server.
    setTimeout(tick, 1);
  };
  tick();
});
await allEnded.promise;
/** The last answers of a flood come after its last arrival. */
const tookS = (performance.now() - startedAtMs) / 1000;

const sorted = latencies.toSorted((a, b) => a - b);
const result: OpenLoopResult = {
  offeredPerSecond: options.perSecond,
  acceptedPerSecond: sorted.length / tookS,
  refusedShare: refusals.length / total,
  failed,
  withoutRetryAfter,
  p50Ms: quantile(sorted, 0.5),
  p99Ms: quantile(sorted, 0.99),
  p999Ms: quantile(sorted, 0.999),
  refusedP99Ms:
    refusals.length === 0
      ? null
      : quantile(
          refusals.toSorted((a, b) => a - b),
          0.99,
        ),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit();
