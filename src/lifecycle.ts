import { channels } from './channels.ts';
import type { FaultEvent, NoticeEvent } from './channels.ts';
import { MillraceError } from './errors.ts';

/**
 * The parts of a process: started in order, stopped in reverse.
 *
 * running → stopping → stopped. `stop` may be called at any time, also while a part is starting: that part is
 * awaited and then stopped with the others, and no further one starts.
 */
export interface Lifecycle {
  /**
   * Starts a part and remembers how to stop it. Resolves with what `start` gave. Rejects with `start`'s own
   * error, or with `service_unavailable` once stopping has begun.
   */
  start<T>(name: string, start: () => T | Promise<T>, stop?: (part: T) => unknown): Promise<T>;
  /**
   * Stops every part, the last started first, each whatever became of the others. Rejects with an
   * AggregateError of all that failed. Further calls get the same promise.
   */
  stop(): Promise<void>;
  /** Aborts when stopping begins. */
  readonly stopping: AbortSignal;
}

/** What stopping does to a `main.ts` that is still starting parts: the end of its way, and no fault. */
class StartRefused extends MillraceError {}

interface StartedPart {
  readonly name: string;
  readonly stop: () => unknown;
}

export function createLifecycle(): Lifecycle {
  const started: StartedPart[] = [];
  const controller = new AbortController();
  const starting = new Set<Promise<unknown>>();
  let stopped: Promise<void> | undefined;

  return {
    stopping: controller.signal,
    async start(name, start, stop) {
      if (controller.signal.aborted)
        throw new StartRefused('service_unavailable', `${name}: the process is stopping`);
      const part = (async () => {
        const value = await start();
        started.push({ name, stop: () => stop?.(value) });
        return value;
      })();
      // Settled either way is all that `stop` waits for; the error is the caller's.
      const settled = part.then(
        () => undefined,
        () => undefined,
      );
      starting.add(settled);
      try {
        return await part;
      } finally {
        starting.delete(settled);
      }
    },
    stop() {
      controller.abort();
      stopped ??= Promise.all(starting).then(() => stopInReverse(started));
      return stopped;
    },
  };
}

async function stopInReverse(started: readonly StartedPart[]): Promise<void> {
  const errors: Error[] = [];
  for (const { name, stop } of started.toReversed()) {
    try {
      await stop();
    } catch (error) {
      errors.push(new Error(`${name} did not stop cleanly`, { cause: error }));
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, `${errors.length} parts did not stop cleanly`);
}

export interface SignalOptions {
  /** Time for a graceful stop; past it the process is ended by force, with code 1. */
  readonly graceMs: number;
  /**
   * A launcher started this process and decides when it ends: it ends when the launcher's end of stdin (or of
   * the IPC channel) closes, and leaves SIGINT, which a terminal sends to the whole group, to the launcher.
   */
  readonly supervised: boolean;
  /** Ends the process at once. The default is process.exit: nothing else stops what hangs. */
  readonly exit?: (code: number) => void;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
}

/**
 * A terminal and npm both pass the same Ctrl-C on, some milliseconds apart. Only a signal that comes later than
 * this after the first is a person who has lost patience.
 */
const sameSignalMs = 500;

/**
 * Two stages: the first SIGTERM or SIGINT stops the lifecycle within `graceMs`; a second one ends the process at
 * once. An uncaught error is a fault and stops the process the same way, with exit code 1. Once the parts are
 * stopped the process is expected to end by itself; what keeps it alive past the grace is named in a fault.
 * Returns a function that removes all handlers.
 */
export function installSignals(lifecycle: Lifecycle, options: SignalOptions): () => void {
  const { exit = (code) => process.exit(code), now = () => performance.now() } = options;
  let firstAtMs: number | undefined;
  let grace: NodeJS.Timeout | undefined;

  function onSignal(reason: string): void {
    if (firstAtMs === undefined) return begin(reason, 0);
    if (now() - firstAtMs < sameSignalMs) return;
    fault('ended by force: a second signal came before all parts had stopped');
    exit(1);
  }

  function begin(reason: string, code: number): void {
    if (code !== 0) process.exitCode = code;
    if (firstAtMs !== undefined) return;
    firstAtMs = now();
    channels.notice.publish({ component: 'lifecycle', message: `stopping: ${reason}` } satisfies NoticeEvent);
    grace = setTimeout(() => {
      fault(
        `ended by force: still open after ${options.graceMs} ms: ${process.getActiveResourcesInfo().join(', ')}`,
      );
      exit(1);
    }, options.graceMs);
    // The bound must not itself keep a process alive that has nothing left to do.
    grace.unref();
    lifecycle.stop().catch((error: unknown) => {
      process.exitCode = 1;
      fault('stopped with errors', error);
    });
  }

  function onUncaught(error: unknown): void {
    if (error instanceof StartRefused) return;
    fault('uncaught error', error);
    begin('an uncaught error', 1);
  }

  const signals = options.supervised ? (['SIGTERM'] as const) : (['SIGTERM', 'SIGINT'] as const);
  for (const signal of signals) process.on(signal, onSignal);
  if (options.supervised) process.on('SIGINT', ignore);
  process.on('uncaughtException', onUncaught);
  const removeSupervision = options.supervised
    ? watchLauncher(() => begin('the launcher is gone', 0))
    : ignore;
  // Also where no signal stops it: a process that could not start must not wait for its launcher to end.
  const onStopping = () => void lifecycle.stop().then(removeSupervision, removeSupervision);
  lifecycle.stopping.addEventListener('abort', onStopping, { once: true });

  return () => {
    clearTimeout(grace);
    lifecycle.stopping.removeEventListener('abort', onStopping);
    for (const signal of signals) process.off(signal, onSignal);
    process.off('SIGINT', ignore);
    process.off('uncaughtException', onUncaught);
    removeSupervision();
  };
}

/** The launcher holds one end of stdin, or of the IPC channel, open and writes nothing. */
function watchLauncher(onGone: () => void): () => void {
  const { stdin } = process;
  if (process.channel !== undefined) {
    process.on('disconnect', onGone);
    return () => process.off('disconnect', onGone);
  }
  stdin.on('end', onGone).on('error', onGone).resume();
  return () => {
    stdin.off('end', onGone).off('error', onGone);
    stdin.destroy();
  };
}

function ignore(): void {}

function fault(message: string, error?: unknown): void {
  channels.fault.publish({ component: 'lifecycle', message, error } satisfies FaultEvent);
}
