import type { Channel, ChannelListener } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { pino } from 'pino';
import { channels } from '../channels.ts';
import type { FaultEvent, HostEvent, JobEvent, NoticeEvent, RequestEvent, RunEvent } from '../channels.ts';
import { createFaultLimiter } from './fault-limiter.ts';
import type { FaultLimiter } from './fault-limiter.ts';
import { errorFields, hostFields, jobFields, requestFields, runFields } from './log-fields.ts';
import type { LogFields } from './log-fields.ts';
import { redactFields, redactText } from './redaction.ts';

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

/** Equal faults, and stacks of equal causes of 5xx, within this time share one line. */
const faultWindowMs = 10_000;
const faultKeysMax = 256;
/** Past 16 MiB of lines that nobody reads, further ones are dropped rather than kept in memory. */
const bufferedBytesMax = 16 * 1024 * 1024;

/**
 * Writes what the channels tell, one JSON object a line. Writing never blocks the event loop: lines that come
 * during a write leave with the next one. Start it before the parts of a process and let it live until the
 * process ends: it flushes itself on exit.
 */
export function startLogger(options: LoggerOptions): Logger {
  const destination = pino.destination({
    dest: options.fileDescriptor ?? 1,
    sync: false,
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
  const unsubscribe = [
    subscribe(channels.request, requestWriter(log('request'), limiter)),
    subscribe(channels.job, jobWriter(log('job'))),
    subscribe(channels.run, runWriter(log('run'))),
    subscribe(channels.host, hostWriter(log('host'))),
    subscribe(channels.fault, faultWriter(faults, limiter)),
    subscribe(channels.notice, noticeWriter(log('notice'))),
  ];

  function leave(): void {
    for (const part of unsubscribe) part();
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

function requestWriter(log: pino.Logger, limiter: FaultLimiter): (event: RequestEvent) => void {
  return (event) => {
    const { status } = event;
    if (status < 500) return log.info(requestFields(event), 'request');
    const fields = requestFields(event);
    if (event.cause !== undefined && event.cause !== null)
      Object.assign(fields, causeFields(event.cause, limiter));
    // 503 and 504 are what overload and deadlines look like; the others are bugs or broken neighbours.
    if (status === 503 || status === 504) log.warn(fields, 'request');
    else log.error(fields, 'request');
  };
}

/** The stack once in a window, the message always. */
function causeFields(cause: unknown, limiter: FaultLimiter): LogFields {
  const { 'error.stack_trace': stack, ...fields } = errorFields(cause);
  const omitted = limiter.admit(`cause of 5xx: ${String(fields['error.message'])}`, Date.now());
  return omitted === undefined ? fields : { ...fields, 'error.stack_trace': stack };
}

function jobWriter(log: pino.Logger): (event: JobEvent) => void {
  return (event) => {
    if (event.phase === 'lost') log.warn(jobFields(event), 'job');
    else if (log.isLevelEnabled('debug')) log.debug(jobFields(event), 'job');
  };
}

function runWriter(log: pino.Logger): (event: RunEvent) => void {
  return (event) => {
    if (event.outcome !== 'succeeded' && event.outcome !== 'expired') log.warn(runFields(event), 'run');
    else if (log.isLevelEnabled('debug')) log.debug(runFields(event), 'run');
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
    const cause: LogFields = error === undefined ? {} : errorFields(error);
    const key = `${component}: ${text}${error === undefined ? '' : `: ${String(cause['error.message'])}`}`;
    const omitted = limiter.admit(key, Date.now());
    if (omitted === undefined) return;
    const repeats = omitted === 0 ? {} : { 'millrace.omitted': omitted };
    log.error({ 'millrace.component': component, ...cause, ...repeats }, text);
  };
}

function noticeWriter(log: pino.Logger): (event: NoticeEvent) => void {
  return ({ component, message, fields = {} }) => {
    log.info({ 'millrace.component': component, ...redactFields(fields) }, redactText(message));
  };
}
