import type { Channel, ChannelListener } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { pino } from 'pino';
import { channels } from '../channels.ts';
import type { FaultEvent, HostEvent, JobEvent, NoticeEvent, RequestEvent, RunEvent } from '../channels.ts';
import { createFaultLimiter } from './fault-limiter.ts';
import type { FaultLimiter } from './fault-limiter.ts';
import { gatherLines } from './gathered-lines.ts';
import type { GatheredLines } from './gathered-lines.ts';
import { errorFields, hostFields, jobFields, requestFields, runFields, stackFields } from './log-fields.ts';
import type { LogFields } from './log-fields.ts';
import { redactFields, redactText } from './redaction.ts';
import { createRequestLines } from './request-lines.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LoggerOptions {
  /** `service.name` of every line: millrace-api, millrace-worker, … */
  readonly serviceName: string;
  readonly level: LogLevel;
  /** Where the lines go; standard output when absent. Any other is closed by `stop`. */
  readonly fileDescriptor?: number;
}

export interface Logger {
  /** Lets go of the channels, says what was left out, and resolves when all lines are written. */
  stop(): Promise<void>;
}

/**
 * Equal faults within this time share one line, and of requests, jobs and runs that fail alike the first alone is a
 * warning: an outage neither fills the disk nor drowns what else is wrong.
 */
const faultWindowMs = 10_000;
const faultKeysMax = 256;
/** Lines of traffic leave when they fill this, about 160 of requests, or when they have waited for so long. */
const gatheredBytes = 60 * 1024;
/** Lines that come one by one, of jobs and runs when the level is debug, leave together too. */
const writeBytesMin = 4 * 1024;
const flushIntervalMs = 100;
/** What one write takes at most: of what has gathered while the write before it was under way. */
const writeBytesMax = 64 * 1024;
/** Past 16 MiB of lines that nobody reads, further ones are dropped rather than kept in memory. */
const bufferedBytesMax = 16 * 1024 * 1024;
/** Of pino. */
const infoLevel = 30;

/**
 * Writes what the channels tell, one JSON object a line. Writing never blocks the event loop. Lines of traffic are
 * gathered, since a write costs more than the line; faults and notices leave at once. Start it before the parts of
 * a process and let it live until the process ends: it flushes itself on exit.
 */
export function startLogger(options: LoggerOptions): Logger {
  const destination = pino.destination({
    dest: options.fileDescriptor ?? 1,
    sync: false,
    minLength: writeBytesMin,
    maxWrite: writeBytesMax,
    periodicFlush: flushIntervalMs,
    maxLength: bufferedBytesMax,
  });
  // The reader is gone (EPIPE): there is nobody left to tell, and pino makes `end` do nothing.
  let readerGone = false;
  destination.on('error', () => {
    readerGone = true;
  });
  const root = pino(
    {
      level: options.level,
      base: { 'service.name': options.serviceName, 'process.pid': process.pid },
      messageKey: 'message',
      timestamp: () => `,"@timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ 'log.level': label }) },
    },
    destination,
  );
  const log = (dataset: string): pino.Logger => root.child({ 'event.dataset': `millrace.${dataset}` });
  const limiter = createFaultLimiter(faultWindowMs, faultKeysMax);
  const faults = log('fault');
  const traffic = gatherLines((lines) => destination.write(lines), {
    bytes: gatheredBytes,
    intervalMs: flushIntervalMs,
  });
  const unsubscribe = [
    subscribe(channels.request, requestWriter(log('request'), limiter, answeredWriter(options, traffic))),
    subscribe(channels.job, jobWriter(log('job'), limiter)),
    subscribe(channels.run, runWriter(log('run'), limiter)),
    subscribe(channels.host, hostWriter(log('host'))),
    subscribe(channels.fault, atOnce(faultWriter(faults, limiter))),
    subscribe(channels.notice, atOnce(noticeWriter(log('notice')))),
  ];

  function atOnce<Event>(write: (event: Event) => void): (event: Event) => void {
    return (event) => {
      traffic.flush();
      write(event);
      destination.flush();
    };
  }

  function leave(): void {
    for (const part of unsubscribe) part();
    traffic.stop();
    for (const [key, omitted] of limiter.drain()) faults.warn({ 'millrace.omitted': omitted }, key);
  }

  function onExit(): void {
    leave();
    destination.flushSync();
  }

  process.on('exit', onExit);
  return {
    async stop() {
      process.off('exit', onExit);
      leave();
      if (readerGone) return;
      destination.end();
      await once(destination, 'close').catch(() => undefined);
    },
  };
}

/** Each channel has one event type (channels.ts); the library's own type does not know it. */
function subscribe<Event>(channel: Channel, write: (event: Event) => void): () => void {
  const listener: ChannelListener = (event) => write(event as Event);
  channel.subscribe(listener);
  return () => channel.unsubscribe(listener);
}

/** The fields, and how many equal lines were left out before this one; undefined when this one is to be. */
function limited(limiter: FaultLimiter, key: string, fields: LogFields): LogFields | undefined {
  const omitted = limiter.admit(key, Date.now());
  if (omitted === undefined) return undefined;
  return omitted === 0 ? fields : { ...fields, 'millrace.omitted': omitted };
}

function answeredWriter(
  { serviceName, level }: LoggerOptions,
  traffic: GatheredLines,
): (event: RequestEvent) => void {
  if (pino.levels.values[level] === undefined || pino.levels.values[level] > infoLevel) return () => {};
  const lineOf = createRequestLines({ serviceName, pid: process.pid, nowMs: () => Date.now() });
  return (event) => traffic.add(lineOf(event));
}

/** One line a request, whatever becomes of it; the stack is on the first of those that fail alike. */
function requestWriter(
  log: pino.Logger,
  limiter: FaultLimiter,
  writeAnswered: (event: RequestEvent) => void,
): (event: RequestEvent) => void {
  return (event) => {
    const { status, errorCode, cause } = event;
    if (status < 500) return writeAnswered(event);
    const behind = cause === null ? {} : errorFields(cause);
    const fields = { ...requestFields(event), ...behind };
    const key = ['request', status, errorCode ?? [], behind['error.message'] ?? []].flat().join(' ');
    const line = limited(limiter, key, fields);
    if (line === undefined && cause === null) return writeAnswered(event);
    if (line === undefined) return log.info(fields, 'request');
    Object.assign(line, stackFields(cause));
    // 503 and 504 are what overload and deadlines look like; the others are bugs or broken neighbours.
    if (status === 503 || status === 504) log.warn(line, 'request');
    else log.error(line, 'request');
  };
}

function jobWriter(log: pino.Logger, limiter: FaultLimiter): (event: JobEvent) => void {
  return (event) => {
    const { phase, model, version } = event;
    if (phase !== 'lost' && !log.isLevelEnabled('debug')) return;
    const fields = jobFields(event);
    const line = phase === 'lost' ? limited(limiter, `job lost: ${model}/${version}`, fields) : undefined;
    if (line === undefined) log.debug(fields, 'job');
    else log.warn(line, 'job');
  };
}

function runWriter(log: pino.Logger, limiter: FaultLimiter): (event: RunEvent) => void {
  return (event) => {
    const { outcome, model, version } = event;
    const failed = outcome !== 'succeeded' && outcome !== 'expired';
    if (!failed && !log.isLevelEnabled('debug')) return;
    const fields = runFields(event);
    const line = failed ? limited(limiter, `run ${outcome}: ${model}/${version}`, fields) : undefined;
    if (line === undefined) log.debug(fields, 'run');
    else log.warn(line, 'run');
  };
}

/** Changes between ready and busy come with every run and say nothing that the run does not. */
function hostWriter(log: pino.Logger): (event: HostEvent) => void {
  return (event) => {
    if (event.state === 'defunct' || event.change === 'load_failed') log.warn(hostFields(event), 'host');
    else if (event.change !== undefined || (event.state !== 'ready' && event.state !== 'busy'))
      log.info(hostFields(event), 'host');
    else if (log.isLevelEnabled('trace')) log.trace(hostFields(event), 'host');
  };
}

function faultWriter(log: pino.Logger, limiter: FaultLimiter): (event: FaultEvent) => void {
  return ({ component, message, error }) => {
    const text = redactText(message);
    const cause = error === undefined ? {} : errorFields(error);
    const key = [component, text, cause['error.message'] ?? []].flat().join(': ');
    const line = limited(limiter, key, { 'millrace.component': component, ...cause });
    if (line !== undefined) log.error({ ...line, ...stackFields(error) }, text);
  };
}

function noticeWriter(log: pino.Logger): (event: NoticeEvent) => void {
  return ({ component, message, fields = {} }) => {
    log.info({ 'millrace.component': component, ...redactFields(fields) }, redactText(message));
  };
}
