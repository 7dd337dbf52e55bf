import { channels } from '../channels.ts';
import type { FaultEvent } from '../channels.ts';
import type { PresenceAnnouncer, WorkerHeartbeat } from '../queues/worker-presence.ts';

export interface HeartbeatOptions {
  readonly announcer: PresenceAnnouncer;
  readonly intervalMs: number;
  /** What the worker says of itself at this moment. */
  readonly describe: () => WorkerHeartbeat;
}

/** Tells the others that this worker lives: once at the start, then at each interval. Before the start it says nothing. */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.beat(), this.#options.intervalMs);
    this.beat();
  }

  /** Beats out of turn, when something changed that others should know at once. A lost beat is made up by the next. */
  beat(): void {
    if (this.#timer === undefined) return;
    const { announcer, describe } = this.#options;
    announcer.announce(describe()).catch((error: unknown) => publishFault('A heartbeat was lost', error));
  }

  /** Stops beating and says goodbye. Where that fails, the last heartbeat expires by itself. */
  async withdraw(): Promise<void> {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    const { workerId, pool } = this.#options.describe();
    await this.#options.announcer.withdraw(workerId, pool).catch((error: unknown) => {
      publishFault('The worker could not say goodbye', error);
    });
  }
}

function publishFault(message: string, error: unknown): void {
  const event: FaultEvent = { component: 'heartbeat', message, error };
  channels.fault.publish(event);
}
