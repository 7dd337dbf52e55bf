import { once } from 'node:events';
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { jsonAnswer } from '../../../src/api/http/answer.ts';
import type { Answer } from '../../../src/api/http/answer.ts';
import { Fingerprint } from '../../../src/api/idempotency/fingerprint.ts';
import type { Idempotency, KeyedRequest, Turn } from '../../../src/api/idempotency/idempotency.ts';
import { startIdempotency } from '../../../src/api/idempotency/start-idempotency.ts';
import { MillraceError } from '../../../src/errors.ts';
import { createLifecycle } from '../../../src/lifecycle.ts';
import type { Lifecycle } from '../../../src/lifecycle.ts';
import { createRedisKeys } from '../../../src/queues/lanes.ts';
import { createRedis } from '../../../src/redis.ts';
import type { RedisRole } from '../../../src/redis.ts';
import { randomPrefix, redisUrl } from '../../support/services.ts';

const farMs = 3_600_000;
const never = new AbortController().signal;
const settings = { retention_ms: farMs, lease_ms: 60_000, answer_bytes_max: 1000 };

/** One API process' share of an installation. */
interface Process {
  readonly idempotency: Idempotency;
  readonly lifecycle: Lifecycle;
  readonly redis: Redis;
}

describe('requests with an idempotency key', () => {
  let prefix: string;
  let processes: Process[];
  beforeEach(() => {
    prefix = randomPrefix();
    processes = [];
  });
  afterEach(() => Promise.all(processes.map(({ lifecycle }) => lifecycle.stop())));

  async function start(over: Partial<typeof settings> = {}): Promise<Process> {
    const lifecycle = createLifecycle();
    const connect = async (role: RedisRole) => {
      const client = await lifecycle.start(
        role,
        () =>
          createRedis(role, {
            url: redisUrl(),
            connectTimeoutMs: 1000,
            commandTimeoutMs: 5000,
            retryDelayMsMax: 1000,
            onError: () => undefined,
          }),
        (each) => each.disconnect(),
      );
      await once(client, 'ready');
      return client;
    };
    const redis = await connect('command');
    const idempotency = await startIdempotency(
      lifecycle,
      { redis, subscriber: await connect('subscriber'), keys: createRedisKeys(prefix) },
      { ...settings, ...over },
    );
    const process = { idempotency, lifecycle, redis };
    processes.push(process);
    return process;
  }

  function request(
    run: KeyedRequest['run'],
    over: Partial<KeyedRequest> & { readonly body?: string; readonly url?: string } = {},
  ): KeyedRequest {
    const { body = 'body', url = '/api/v1/predict', ...rest } = over;
    const fingerprint = new Fingerprint('POST', url);
    fingerprint.add(body);
    return {
      key: 'key',
      principal: 'me',
      requestId: 'req_1',
      fingerprint: fingerprint.end(),
      dueMs: performance.now() + farMs,
      signal: never,
      batchId: 'batch_1',
      run,
      ...rest,
    };
  }

  /** Its answer, which is not a streamed one. */
  async function ask(idempotency: Idempotency, asked: KeyedRequest): Promise<Answer> {
    const answer = await idempotency.around(asked);
    if ('body' in answer) return answer;
    throw new Error('expected an answer in one piece');
  }

  async function codeOf(answer: Promise<Answer>): Promise<string> {
    try {
      return String((await answer).status);
    } catch (error) {
      return (error as MillraceError).code;
    }
  }

  it('are one run and one answer, over processes', async () => {
    const [one, two] = [await start(), await start()];
    let runs = 0;
    const run = async () => {
      runs += 1;
      await one.redis.ping();
      return jsonAnswer(200, { runs }, ['X-Model-Version', '3', 'Server-Timing', 'total;dur=1']);
    };
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => ask((n % 2 === 0 ? one : two).idempotency, request(run))),
    );
    expect(runs).to.equal(1);
    expect(new Set(answers.map(({ body }) => body))).to.deep.equal(new Set(['{"runs":1}']));
    const replayed = answers.filter(({ headers }) => headers.includes('Idempotency-Replayed'));
    expect(replayed).to.have.length(99);
    expect(replayed[0]!.headers.join(' ')).to.include('X-Model-Version 3').and.not.include('Server-Timing');
  });

  it('are apart for each principal', async () => {
    const { idempotency } = await start();
    const run = async () => jsonAnswer(200, 1);
    for (const principal of ['me', 'you'])
      expect((await ask(idempotency, request(run, { principal }))).headers).not.to.include(
        'Idempotency-Replayed',
      );
  });

  it('are refused for another body or target', async () => {
    const { idempotency } = await start();
    const run = async () => jsonAnswer(200, 1);
    await ask(idempotency, request(run));
    for (const other of [{ body: 'other' }, { url: '/api/v1/batch' }, { url: '/api/v1/predict?x' }])
      expect(await codeOf(ask(idempotency, request(run, other)))).to.equal('conflict');
  });

  it('wait until they are due, and are told to come again', async () => {
    const { idempotency } = await start();
    let answer: ((answer: Answer) => void) | undefined;
    const running = new Promise<void>((begun) => {
      void ask(
        idempotency,
        request(() => {
          begun();
          return new Promise((resolve) => (answer = resolve));
        }),
      );
    });
    await running;
    const late = ask(
      idempotency,
      request(async () => jsonAnswer(500, 0), { dueMs: performance.now() + 20 }),
    );
    const error = await late.catch((thrown: MillraceError) => thrown);
    expect(error).to.include({ code: 'conflict', retryAfterS: 1 });
    const waiting = ask(
      idempotency,
      request(async () => jsonAnswer(500, 0)),
    );
    answer?.(jsonAnswer(200, 7));
    expect((await waiting).body).to.equal('7');
  });

  it('wake when the one at work has failed, and the next one is at work', async () => {
    const { idempotency } = await start();
    let runs = 0;
    const run = async () => {
      runs += 1;
      if (runs < 3) throw new MillraceError('service_unavailable');
      return jsonAnswer(200, runs);
    };
    const outcomes = await Promise.all(
      Array.from({ length: 5 }, () => codeOf(ask(idempotency, request(run)))),
    );
    expect(outcomes.toSorted()).to.deep.equal([
      '200',
      '200',
      '200',
      'service_unavailable',
      'service_unavailable',
    ]);
    expect(runs).to.equal(3);
  });

  for (const [code, begin, kept] of [
    ['invalid_input', true, true],
    ['not_found', true, true],
    ['invalid_input', false, false],
    ['conflict', true, false],
    ['rate_limit_exceeded', true, false],
    ['service_unavailable', true, false],
    ['timeout', true, false],
    ['internal_error', true, false],
  ] as const)
    it(`${kept ? 'keep' : 'do not keep'} ${code} ${begin ? 'once they were valid' : 'before they were valid'}`, async () => {
      const { idempotency } = await start();
      const failing = request(async (turn) => {
        if (begin) turn.begin();
        throw new MillraceError(code, 'no');
      });
      expect(await codeOf(ask(idempotency, failing))).to.equal(code);
      const again = ask(
        idempotency,
        request(async () => jsonAnswer(200, 1)),
      );
      expect((await again).status).to.equal(kept ? (code === 'not_found' ? 404 : 400) : 200);
      if (kept) expect((await again).body).to.include('"req_1"');
    });

  it('take over when a lease is over, with the batch id of the first', async () => {
    const dead = await start({ lease_ms: 300 });
    const turn = await new Promise<Turn>((resolve) => {
      void dead.idempotency
        .around(
          request((first) => {
            resolve(first);
            return new Promise(() => undefined);
          }),
        )
        .catch(() => undefined);
    });
    expect(turn).to.include({ batchId: 'batch_1', takenOver: false });
    dead.idempotency.close();
    const alive = await start();
    const answer = await ask(
      alive.idempotency,
      request(async ({ batchId, takenOver }) => jsonAnswer(200, { batchId, takenOver }), {
        batchId: 'batch_2',
      }),
    );
    expect(answer.body).to.equal('{"batchId":"batch_1","takenOver":true}');
  });

  it('have one answer also where two have computed it', async () => {
    const frozen = await start({ lease_ms: 300 });
    let thaw: ((answer: Answer) => void) | undefined;
    let late: Promise<Answer> | undefined;
    await new Promise<void>((begun) => {
      late = ask(
        frozen.idempotency,
        request(() => {
          begun();
          return new Promise((resolve) => (thaw = resolve));
        }),
      );
    });
    // As of a process that has stood still: nobody renews.
    frozen.idempotency.close();
    const other = await start();
    expect(
      (
        await ask(
          other.idempotency,
          request(async () => jsonAnswer(200, 'second')),
        )
      ).body,
    ).to.equal('"second"');
    thaw?.(jsonAnswer(200, 'first'));
    expect((await late!).body).to.equal('"second"');
  });

  it('are answered once more where the answer is too large to be kept', async () => {
    const { idempotency } = await start();
    const large = request(async () => jsonAnswer(200, 'x'.repeat(2000)));
    expect((await ask(idempotency, large)).status).to.equal(200);
    expect(await codeOf(ask(idempotency, large))).to.equal('conflict');
    const recreated = await ask(idempotency, {
      ...large,
      recreate: async (batchId) => jsonAnswer(200, batchId),
    });
    expect(recreated.body).to.equal('"batch_1"');
    expect(recreated.headers).to.include('Idempotency-Replayed');
  });

  it('are made again where the answer was streamed', async () => {
    const { idempotency } = await start();
    const streamed = request(async () => ({ status: 200, headers: [], pieces: (async function* () {})() }), {
      recreate: async (batchId) => jsonAnswer(200, batchId),
    });
    expect(await idempotency.around(streamed)).to.have.property('pieces');
    expect((await ask(idempotency, streamed)).body).to.equal('"batch_1"');
  });

  it('whose body streams are compared at its end', async () => {
    const { idempotency } = await start();
    const streamed = (text: string) => {
      const fingerprint = new Fingerprint('POST', '/api/v1/batch');
      const readOn = async () => fingerprint.add(text);
      return request(
        async () => {
          await readOn();
          return jsonAnswer(202, 1);
        },
        { fingerprint, readOn },
      );
    };
    expect(await codeOf(ask(idempotency, streamed('a')))).to.equal('202');
    expect(await codeOf(ask(idempotency, streamed('a')))).to.equal('202');
    expect(await codeOf(ask(idempotency, streamed('b')))).to.equal('conflict');
  });

  it('whose body had been read before a crash are compared with it, and the next one may still be right', async () => {
    const dead = await start({ lease_ms: 300 });
    const alive = await start();
    const streamed = (text: string, run?: (turn: Turn) => Promise<Answer>) => {
      const fingerprint = new Fingerprint('POST', '/api/v1/batch');
      const take = async (turn: Turn) => {
        fingerprint.add(text);
        await turn.bodyRead();
        return run === undefined ? jsonAnswer(202, turn.batchId) : run(turn);
      };
      return request(take, { fingerprint });
    };
    await new Promise<void>((read) => {
      const cut = streamed('a', async (turn) => {
        await turn.renameBatch('batch_2');
        read();
        return new Promise(() => undefined);
      });
      void ask(dead.idempotency, cut);
    });
    dead.idempotency.close();
    expect(await codeOf(ask(alive.idempotency, streamed('b')))).to.equal('conflict');
    expect((await ask(alive.idempotency, streamed('a'))).body).to.equal('"batch_2"');
  });

  it('that fail once their body was read leave the batch to be found', async () => {
    const { idempotency } = await start();
    const streamed = (run: (turn: Turn) => Promise<Answer>) => {
      const fingerprint = new Fingerprint('POST', '/api/v1/batch');
      return request(
        async (turn) => {
          await turn.bodyRead();
          return run(turn);
        },
        { fingerprint },
      );
    };
    const failing = streamed(() => Promise.reject(new MillraceError('service_unavailable')));
    expect(await codeOf(ask(idempotency, failing))).to.equal('service_unavailable');
    const next = {
      ...streamed(async ({ batchId, takenOver }) => jsonAnswer(202, { batchId, takenOver })),
      batchId: 'batch_2',
    };
    expect((await ask(idempotency, next)).body).to.equal('{"batchId":"batch_1","takenOver":true}');
  });

  it('that are refused once their body was read have made nothing', async () => {
    const { idempotency } = await start();
    const refused = new Fingerprint('POST', '/api/v1/batch');
    refused.add('wrong');
    const run = async (turn: Turn) => {
      await turn.bodyRead();
      throw new MillraceError('invalid_input');
    };
    expect(await codeOf(ask(idempotency, request(run, { fingerprint: refused })))).to.equal('invalid_input');
    const right = request(async () => jsonAnswer(200, 1), { url: '/api/v1/batch', body: 'right' });
    expect(await codeOf(ask(idempotency, right))).to.equal('200');
  });

  it('do not wait for a caller who left', async () => {
    const { idempotency } = await start();
    const leaving = new AbortController();
    const held = new Promise<void>((begun) => {
      void ask(
        idempotency,
        request(() => {
          begun();
          return new Promise(() => undefined);
        }),
      );
    });
    await held;
    const waiting = codeOf(
      ask(
        idempotency,
        request(async () => jsonAnswer(200, 1), { signal: leaving.signal }),
      ),
    );
    leaving.abort();
    expect(await waiting).to.equal('conflict');
  });

  it('are service_unavailable without Redis, and nothing runs', async () => {
    const { idempotency, redis } = await start();
    redis.disconnect();
    let runs = 0;
    const run = async () => {
      runs += 1;
      return jsonAnswer(200, 1);
    };
    expect(await codeOf(ask(idempotency, request(run)))).to.equal('service_unavailable');
    expect(runs).to.equal(0);
  });
});
