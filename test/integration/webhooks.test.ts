import { expect } from 'chai';
import { Webhook } from 'standardwebhooks';
import type { BatchObject } from '../../src/api/batch/batch-view.ts';
import { until } from '../../src/dev/readiness.ts';
import { answering, startReceiver } from '../api/webhooks/support/receiver.ts';
import type { Receiver } from '../api/webhooks/support/receiver.ts';
import { useStack } from '../support/stack.ts';
import { fixtureModels } from './fixture-models.ts';

/** About a second of work a row. */
const iterations = 30_000;
const timeout = () => AbortSignal.timeout(40_000);

interface Deliveries {
  readonly status: string;
  readonly deliveries: readonly { readonly attempt: number; readonly error: string | null }[];
}

describe('webhooks, with real processes', () => {
  const stack = useStack({
    models: fixtureModels('nonce', 'slow-loop'),
    apis: 2,
    env: {
      MILLRACE_WEBHOOKS_ALLOWED_NETWORKS: '127.0.0.1',
      MILLRACE_WEBHOOKS_RETRY_DELAYS_S: '0,1,1,1,1,1,1,1,1',
    },
  });
  let receiver: Receiver;
  beforeEach(async () => {
    receiver = await startReceiver();
  });
  afterEach(() => receiver.close());

  async function call<Body>(
    method: string,
    path: string,
    body?: object,
  ): Promise<{ status: number; body: Body }> {
    const response = await fetch(`${stack().apis[1]!.url}${path}`, {
      method,
      headers: { 'content-type': 'application/json', 'x-api-key': stack().key, prefer: 'respond-async' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Body };
  }

  async function submit(model: string, inputs: readonly unknown[], webhook = receiver.url): Promise<string> {
    const { status, body } = await call<BatchObject>('POST', `/api/v1/models/${model}/batch`, {
      inputs,
      webhook,
    });
    expect(status, JSON.stringify(body)).to.equal(202);
    return body.id;
  }

  const ids = () => receiver.received.map(({ headers }) => headers['webhook-id']);

  async function killApis(): Promise<void> {
    await Promise.all(stack().apis.map((api) => api.kill('SIGKILL')));
  }

  async function startApis(): Promise<void> {
    for (const api of stack().apis) api.start();
    await Promise.all(stack().apis.map((api) => api.ready()));
  }

  it('tell of the end, and can be verified with the secret of the caller', async () => {
    const { body: shown } = await call<{ secret: string }>('GET', '/api/v1/webhook-secret');
    const id = await submit('nonce', [[1], [2]]);
    await receiver.has(1);
    const { headers, body } = receiver.received[0]!;
    expect(new Webhook(shown.secret).verify(body, headers as Record<string, string>)).to.deep.include({
      id,
      status: 'completed',
      counts: { total: 2, succeeded: 2, failed: 0 },
    });
    let seen: Deliveries | undefined;
    await until(async () => {
      seen = (await call<Deliveries>('GET', `/api/v1/batch/${id}/deliveries`)).body;
      return seen.status === 'delivered';
    }, timeout());
    expect(seen!.deliveries.map(({ attempt, error }) => [attempt, error])).to.deep.equal([[1, null]]);
    expect((await call('POST', `/api/v1/batch/${id}/redeliver`)).status).to.equal(202);
    await receiver.has(2);
    expect(ids()).to.deep.equal([id, id]);
  });

  it('are refused at submission where they can only be wrong', async () => {
    for (const webhook of [
      'http://169.254.169.254/',
      'http://10.0.0.1/',
      'ftp://example.com/',
      'nowhere',
      'http://a:b@example.com/',
    ]) {
      // oxlint-disable-next-line no-await-in-loop
      const { status, body } = await call<{ error: { details: readonly { path: string }[] } }>(
        'POST',
        '/api/v1/models/nonce/batch',
        { inputs: [[1]], webhook },
      );
      expect([status, body.error.details[0]?.path], webhook).to.deep.equal([400, 'webhook']);
    }
  });

  it('are sent although every API process was killed before the end', async () => {
    const id = await submit('slow-loop', [iterations]);
    await killApis();
    await startApis();
    await receiver.has(1);
    expect(ids()).to.deep.equal([id]);
  }).timeout(60_000);

  it('are sent again when the process that sends them is killed', async () => {
    receiver.respond = () => undefined;
    const id = await submit('nonce', [[1]]);
    await receiver.has(1);
    await killApis();
    receiver.respond = answering(204);
    await startApis();
    await receiver.has(2);
    expect(ids()).to.deep.equal([id, id]);
    expect(new Set(receiver.received.map(({ body }) => body)).size).to.equal(1);
  }).timeout(60_000);
});
