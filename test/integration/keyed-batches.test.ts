import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { BatchObject } from '../../src/api/batch/batch-view.ts';
import { until } from '../../src/dev/readiness.ts';
import { useStack } from '../support/stack.ts';
import { fixtureModels } from './fixture-models.ts';

const rows = Array.from({ length: 10 }, (_, n) => [n]);
const json = JSON.stringify({ inputs: rows });
const ndjson = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const path = '/api/v1/models/nonce/batch';

interface Sent {
  readonly key: string;
  readonly body?: string | ReadableStream;
  readonly type?: string;
  readonly path?: string;
  readonly prefer?: string;
}

interface Got {
  readonly status: number;
  readonly replayed: boolean;
  readonly body: Partial<BatchObject> & {
    readonly predictions?: readonly { readonly id: string; readonly output: unknown }[];
    readonly error?: { readonly code: string; readonly details: unknown };
  };
}

describe('batches with an idempotency key, with two API processes', () => {
  const stack = useStack({ models: fixtureModels('nonce'), apis: 2 });

  async function submit(
    api: number,
    { key, body = json, type = 'application/json', ...more }: Sent,
  ): Promise<Got> {
    const response = await fetch(`${stack().apis[api]!.url}${more.path ?? path}`, {
      method: 'POST',
      headers: {
        'content-type': type,
        'x-api-key': stack().key,
        'idempotency-key': key,
        ...(more.prefer === undefined ? {} : { prefer: more.prefer }),
      },
      body,
      ...(typeof body === 'string' ? {} : { duplex: 'half' as const }),
    });
    const replayed = response.headers.get('idempotency-replayed') === 'true';
    return { status: response.status, replayed, body: (await response.json()) as Got['body'] };
  }

  async function listed(api = 1): Promise<readonly string[]> {
    const response = await fetch(`${stack().apis[api]!.url}/api/v1/batch?limit=100`, {
      headers: { 'x-api-key': stack().key },
    });
    return ((await response.json()) as { batches: readonly BatchObject[] }).batches.map(({ id }) => id);
  }

  it('that are equal and come at once are one batch and one answer', async () => {
    const key = randomUUID();
    const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => submit(n % 2, { key })));
    expect(new Set(answers.map(({ status }) => status))).to.deep.equal(new Set([200]));
    expect(new Set(answers.map(({ body }) => JSON.stringify(body))).size).to.equal(1);
    expect(answers[0]!.body.predictions?.map(({ output }) => output)).to.deep.equal(
      rows.map(([x]) => [3 * x! + 1]),
    );
    expect(answers.filter(({ replayed }) => replayed)).to.have.length(99);
    expect(await listed()).to.have.length(1);
  });

  it('that are not waited for, or are streamed, have one id', async () => {
    const before = await listed();
    for (const sent of [
      { key: randomUUID(), prefer: 'respond-async' },
      { key: randomUUID(), body: ndjson, type: 'application/x-ndjson' },
    ]) {
      // oxlint-disable-next-line no-await-in-loop
      const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => submit(n % 2, sent)));
      expect(new Set(answers.map(({ status }) => status))).to.deep.equal(new Set([202]));
      expect(new Set(answers.map(({ body }) => body.id)).size).to.equal(1);
    }
    expect(await listed()).to.have.length(before.length + 2);
  });

  it('are 409 with another body, another path, or the key of a prediction', async () => {
    const key = randomUUID();
    expect((await submit(0, { key })).status).to.equal(200);
    for (const other of [
      { key, body: JSON.stringify({ inputs: rows.slice(1) }) },
      { key, path: '/api/v1/models/nonce/versions/1/batch' },
      { key, path: '/api/v1/models/nonce/predict', body: '{"inputs":[1]}' },
    ]) {
      // oxlint-disable-next-line no-await-in-loop
      const { status, body } = await submit(1, other);
      expect([status, body.error?.code]).to.deep.equal([409, 'conflict']);
    }
    const ofPrediction = randomUUID();
    expect(
      (await submit(0, { key: ofPrediction, path: '/api/v1/models/nonce/predict', body: '{"inputs":[1]}' }))
        .status,
    ).to.equal(200);
    expect((await submit(1, { key: ofPrediction })).status).to.equal(409);
    expect((await submit(1, { key: 'a b' })).status).to.equal(400);
  });

  it('that are refused are computed anew', async () => {
    const key = randomUUID();
    expect((await submit(0, { key, body: '{"inputs": [' })).status).to.equal(400);
    expect((await submit(1, { key })).status).to.equal(200);
  });

  it('whose upload broke off with its process are uploaded anew: one batch, and all of its rows', async () => {
    const key = randomUUID();
    const before = new Set(await listed());
    const made = async () => (await listed()).filter((id) => !before.has(id));
    const count = 20_000;
    const lines = Array.from({ length: count }, (_, n) => `[${n}]\n`);
    const half = new TextEncoder().encode(lines.slice(0, count / 2).join(''));
    const cut = submit(0, {
      key,
      type: 'application/x-ndjson',
      body: new ReadableStream({ start: (controller) => controller.enqueue(half) }),
    }).catch(() => 'cut');
    await until(async () => (await made()).length === 1, AbortSignal.timeout(15_000));
    const [broken] = await made();
    await stack().apis[0]!.kill('SIGKILL');
    expect(await cut).to.equal('cut');

    const whole = { key, type: 'application/x-ndjson', body: lines.join('') };
    let again = await submit(1, whole);
    await until(async () => {
      if (again.status === 409) again = await submit(1, whole);
      return again.status !== 409;
    }, AbortSignal.timeout(15_000));
    expect(again.status, JSON.stringify(again.body)).to.equal(202);
    expect(await made()).to.deep.equal([again.body.id]);
    expect(again.body.id).not.to.equal(broken);
    let batch: Partial<BatchObject> = {};
    await until(async () => {
      const response = await fetch(`${stack().apis[1]!.url}/api/v1/batch/${again.body.id}`, {
        headers: { 'x-api-key': stack().key },
      });
      batch = (await response.json()) as Partial<BatchObject>;
      return batch.status === 'completed';
    }, AbortSignal.timeout(30_000));
    expect(batch.counts).to.deep.equal({ total: count, succeeded: count, failed: 0 });
    expect(await submit(1, whole)).to.deep.include({ status: 202, replayed: true });
    expect((await submit(1, { ...whole, body: lines.slice(1).join('') })).status).to.equal(409);
    stack().apis[0]!.start();
    await stack().apis[0]!.ready();
  }).timeout(60_000);

  for (const round of [1, 2, 3, 4, 5])
    it(`are one batch and one answer while one process is killed (${round})`, async () => {
      const key = randomUUID();
      const before = new Set(await listed());
      const killed = stack().apis[0]!;
      /** Repeats until it has an answer that is one: to the other process once the first is gone. */
      const insist = async (n: number): Promise<Got> => {
        let got: Got | undefined;
        let api = n % 2;
        await until(async () => {
          got = await submit(api, { key }).catch(() => {
            api = 1;
            return undefined;
          });
          return got !== undefined && got.status !== 409 && got.status !== 503;
        }, AbortSignal.timeout(30_000));
        return got!;
      };
      const answers = Array.from({ length: 100 }, (_, n) => insist(n));
      // Some have an answer, or none yet: each round is another moment.
      await Promise.race([Promise.any(answers), ...Array.from({ length: round }, () => listed())]);
      await killed.kill('SIGKILL');
      const got = await Promise.all(answers);
      killed.start();
      await killed.ready();

      expect(new Set(got.map(({ status }) => status)), JSON.stringify(got[0])).to.deep.equal(new Set([200]));
      const made = (await listed()).filter((id) => !before.has(id));
      expect(made).to.have.length(1);
      const predictions = new Set(got.map(({ body }) => JSON.stringify(body.predictions)));
      expect(predictions.size).to.equal(1);
      expect(got[0]!.body.predictions?.map(({ output }) => output)).to.deep.equal(
        rows.map(([x]) => [3 * x! + 1]),
      );
    }).timeout(60_000);
});
