import { expect } from 'chai';
import { SingleFlight } from '../../src/api/single-flight.ts';
import type { Caller, Waiting } from '../../src/api/single-flight.ts';
import { channels } from '../../src/channels.ts';
import { MillraceError } from '../../src/errors.ts';

/** A run that the test ends. */
interface OpenRun {
  readonly waiting: Waiting;
  readonly deadlineMs: number;
  resolve(value: string): void;
  reject(error: unknown): void;
}

function caller(timeoutMs = 60_000): Caller & { leave(): void } {
  const leaving = new AbortController();
  return {
    deadlineMs: performance.now() + timeoutMs,
    signal: leaving.signal,
    leave: () => leaving.abort(),
  };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    return `resolved ${String(await promise)}`;
  } catch (error) {
    return MillraceError.is(error) ? error.code : String(error);
  }
}

describe('single flight', () => {
  let flights: SingleFlight<string>;
  let runs: OpenRun[];
  let joined: number;
  const count = (): void => {
    joined += 1;
  };
  beforeEach(() => {
    flights = new SingleFlight();
    runs = [];
    joined = 0;
    channels.cache.subscribe(count);
  });
  afterEach(() => {
    channels.cache.unsubscribe(count);
    flights.close();
  });

  const run = (waiting: Waiting): Promise<string> =>
    new Promise((resolve, reject) => {
      runs.push({ waiting, deadlineMs: waiting.fixDeadlineMs(), resolve, reject });
    });
  const join = (who: Caller = caller(), key = 'key') => flights.join(key, who, run);
  const turn = () => new Promise(setImmediate);

  it('runs once for 1,000 that come over several turns', async () => {
    const answers: Promise<string>[] = [];
    for (let i = 0; i < 10; i++) {
      for (let k = 0; k < 100; k++) answers.push(join());
      await turn();
    }
    expect(runs).to.have.length(1);
    expect(joined).to.equal(999);
    runs[0]!.resolve('answer');
    expect(new Set(await Promise.all(answers))).to.deep.equal(new Set(['answer']));
  });

  it('tells keys apart, and begins anew when a flight is over', async () => {
    const [first, other] = [join(), join(caller(), 'other')];
    expect(runs).to.have.length(2);
    runs[0]!.resolve('one');
    runs[1]!.resolve('two');
    expect(await Promise.all([first, other])).to.deep.equal(['one', 'two']);
    const next = join();
    expect(runs).to.have.length(3);
    runs[2]!.resolve('three');
    expect(await next).to.equal('three');
  });

  it('gives a failure to all who wait, and to nobody after', async () => {
    const waiting = [join(), join(), join()];
    runs[0]!.reject(new MillraceError('service_unavailable'));
    expect(await Promise.all(waiting.map(codeOf))).to.deep.equal(Array(3).fill('service_unavailable'));
    void join();
    expect(runs).to.have.length(2);
  });

  it('lets everybody have the own deadline, and the run the latest', async () => {
    const [short, long] = [caller(30), caller(40_000)];
    const both = [flights.join('key', short, startLater), join(long)];
    expect(await codeOf(both[0]!)).to.equal('timeout');
    expect(runs[0]!.deadlineMs).to.equal(long.deadlineMs);
    runs[0]!.resolve('answer');
    expect(await both[1]).to.equal('answer');
  });

  /** As after a look-up: the work is handed on a turn later. */
  async function startLater(waiting: Waiting): Promise<string> {
    await turn();
    return run(waiting);
  }

  it('repeats a run that timed out, for those alone whose deadline is later than the one it carried', async () => {
    const [early, late] = [caller(50_000), caller(70_000)];
    const first = join(early);
    await turn();
    const second = join(late);
    runs[0]!.reject(new MillraceError('timeout'));
    expect(await codeOf(first)).to.equal('timeout');
    expect(runs).to.have.length(2);
    expect(runs[1]!.deadlineMs).to.equal(late.deadlineMs);
    runs[1]!.resolve('answer');
    expect(await second).to.equal('answer');
  });

  it('does not repeat a timeout for those whose deadline the run carried', async () => {
    const who = caller();
    const waiting = [join(who), join(who)];
    runs[0]!.reject(new MillraceError('timeout'));
    expect(await Promise.all(waiting.map(codeOf))).to.deep.equal(['timeout', 'timeout']);
    expect(runs).to.have.length(1);
  });

  it('is cancelled by the last who leaves, not before', async () => {
    const [one, two] = [caller(), caller()];
    const waiting = [join(one), join(two)];
    one.leave();
    expect(runs[0]!.waiting.aborted).to.equal(false);
    two.leave();
    expect(runs[0]!.waiting.aborted).to.equal(true);
    runs[0]!.reject(runs[0]!.waiting.reason);
    expect(await Promise.all(waiting.map(codeOf))).to.deep.equal(
      Array(2).fill('Error: everybody who waited has left'),
    );
    void join();
    expect(runs).to.have.length(2);
  });

  it('runs again for who came after the last had left, and before the run was cancelled', async () => {
    const gone = caller();
    const left = join(gone);
    gone.leave();
    const reason: unknown = runs[0]!.waiting.reason;
    const stays = join();
    runs[0]!.reject(reason);
    expect(await codeOf(left)).to.match(/has left/);
    expect(runs).to.have.length(2);
    runs[1]!.resolve('answer');
    expect(await stays).to.equal('answer');
  });

  it('is over once nobody waits any more', async () => {
    const alone = join(caller(1));
    expect(await codeOf(alone)).to.equal('timeout');
    expect(runs[0]!.waiting.aborted).to.equal(true);
    const next = join();
    expect(runs).to.have.length(2);
    runs[0]!.resolve('too late');
    runs[1]!.resolve('answer');
    expect(await next).to.equal('answer');
  });
});
