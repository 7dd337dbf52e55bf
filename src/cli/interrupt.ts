/** A terminal and npm both pass the same Ctrl-C on, some milliseconds apart: only a later one is a second one. */
const sameSignalMs = 500;

export interface Interrupt {
  /** Aborts at the first Ctrl-C. */
  readonly signal: AbortSignal;
  /** Shown when the command has ended because of it. */
  readonly advice: string;
  advise(advice: string): void;
}

/**
 * The first Ctrl-C (or SIGTERM) ends the command in good order; a second one ends the process at once. It listens to the
 * end of the process: a signal that is passed on late must not end it in another way.
 */
export function listenForInterrupt(
  source: Pick<NodeJS.Process, 'on'>,
  exit: () => void,
  now: () => number = () => performance.now(),
): Interrupt {
  const controller = new AbortController();
  let advice = '';
  let firstAtMs: number | undefined;
  const onSignal = () => {
    if (firstAtMs !== undefined && now() - firstAtMs >= sameSignalMs) exit();
    firstAtMs ??= now();
    controller.abort();
  };
  source.on('SIGINT', onSignal);
  source.on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    get advice() {
      return advice;
    },
    advise(text) {
      advice = text;
    },
  };
}
