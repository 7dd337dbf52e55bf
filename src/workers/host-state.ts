import { channels } from '../channels.ts';
import type { HostEvent } from '../channels.ts';

/**
 * Life of a host process.
 * - `starting`: spawned; its first message has not come. Nothing may be sent.
 * - `ready`: up, no run in flight. Left by the first run.
 * - `busy`: one run in hand, at most one more behind it in the pipe. Left when the last of them is answered.
 * - `draining`: told to stop; no new run; what is in hand finishes.
 * - `stopped`: ended as it was told. Terminal.
 * - `defunct`: died, hung or broke the protocol. Terminal; its slot starts another.
 */
export const hostStates = ['starting', 'ready', 'busy', 'draining', 'stopped', 'defunct'] as const;
export type HostState = (typeof hostStates)[number];

const transitions: Readonly<Record<HostState, readonly HostState[]>> = {
  starting: ['ready', 'draining', 'defunct'],
  ready: ['busy', 'draining', 'defunct'],
  busy: ['ready', 'draining', 'defunct'],
  draining: ['stopped', 'defunct'],
  stopped: [],
  defunct: [],
};

export function isTerminal(state: HostState): boolean {
  return transitions[state].length === 0;
}

/** Holds the state; each change goes through `moveTo` and is published on channels.host. */
export class HostLife {
  readonly hostId: string;
  #state: HostState = 'starting';
  #pid: number | null = null;

  constructor(hostId: string) {
    this.hostId = hostId;
  }

  get state(): HostState {
    return this.#state;
  }

  get pid(): number | null {
    return this.#pid;
  }

  spawned(pid: number | undefined): void {
    this.#pid = pid ?? null;
    this.publish();
  }

  /** Throws when the table has no such transition: that is a bug. */
  moveTo(next: HostState, reason?: string): void {
    if (!transitions[this.#state].includes(next))
      throw new Error(`host ${this.hostId} cannot go from ${this.#state} to ${next}. This is a bug.`);
    this.#state = next;
    this.publish(reason === undefined ? {} : { reason });
  }

  /** Tells of something that happened in this host, with its state. */
  publish(facts: Partial<HostEvent> = {}): void {
    const event: HostEvent = { hostId: this.hostId, pid: this.#pid, state: this.#state, ...facts };
    channels.host.publish(event);
  }
}
