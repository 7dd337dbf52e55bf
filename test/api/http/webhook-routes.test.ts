import { expect } from 'chai';
import { webhookRoutes } from '../../../src/api/http/webhook-routes.ts';
import { parseKey } from '../../../src/api/keys/key-format.ts';
import type { WebhookSecret, WebhookSecrets } from '../../../src/api/keys/webhook-secrets.ts';
import type { Delivery } from '../../../src/api/webhooks/delivery-log.ts';
import type { WebhookJob } from '../../../src/queues/batch/webhook-queue.ts';
import { closeConnections } from '../../queues/builders.ts';
import { makeLedgerRig, newBatch } from '../../queues/batch/support/ledger-rig.ts';
import type { LedgerRig } from '../../queues/batch/support/ledger-rig.ts';
import { startTestApi } from '../support/test-api.ts';
import type { TestApi } from '../support/test-api.ts';

const webhook = 'https://example.com/hook';
const nowMs = Date.UTC(2026, 0, 1);
const failed: Delivery = {
  attempt: 1,
  redelivery: false,
  atMs: nowMs,
  durationMs: 12,
  status: 500,
  error: 'bad_status',
  nextAttemptAtMs: nowMs + 5000,
};

/** Keeps one list for each owner; the contract's own suite is run against the real one. */
class MemorySecrets implements Pick<WebhookSecrets, 'ensure' | 'rotate'> {
  readonly #kept = new Map<string, readonly WebhookSecret[]>();

  async ensure(owner: string, secret: string, createdAtMs: number) {
    const known = this.#kept.get(owner) ?? [{ secret, createdAtMs, expiresAtMs: null }];
    this.#kept.set(owner, known);
    return known;
  }

  async rotate(owner: string, secret: string, createdAtMs: number, previousUntilMs: number) {
    const [before] = await this.ensure(owner, secret, createdAtMs);
    const fresh = { secret, createdAtMs, expiresAtMs: null };
    this.#kept.set(owner, [fresh, { ...before!, expiresAtMs: previousUntilMs }]);
    return this.#kept.get(owner)!;
  }
}

describe('webhook routes', () => {
  let rig: LedgerRig;
  let api: TestApi;
  let key: string;
  let owner: string;
  let deliveries: readonly Delivery[];
  let added: WebhookJob[];
  before(async () => {
    rig = await makeLedgerRig();
    api = await startTestApi({
      routes: webhookRoutes({
        ledger: rig.ledger,
        webhooks: {
          log: { list: async () => deliveries },
          queue: { add: async (job) => void added.push(job) },
          secrets: new MemorySecrets(),
          rotationOverlapMs: 60_000,
        },
        now: () => nowMs,
      }),
    });
    key = await api.keyWith(['batch']);
    owner = parseKey(key)!.id;
  });
  after(async () => {
    await api.close();
    closeConnections();
  });
  beforeEach(() => {
    deliveries = [];
    added = [];
  });

  async function call(method: string, path: string, as = key) {
    const response = await api.request(path, { method, headers: { 'x-api-key': as } });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Body };
  }

  interface Body {
    readonly secret?: string;
    readonly error?: { readonly code: string; readonly details: unknown };
  }

  async function batch(over: Parameters<typeof newBatch>[0] = {}, ended = true): Promise<string> {
    const made = newBatch({ owner, webhook, ...over });
    await rig.ledger.create(made);
    if (ended) await rig.ledger.cancel(made.id);
    return made.id;
  }

  it('show every attempt, and what comes next', async () => {
    const id = await batch();
    deliveries = [failed];
    const { status, body } = await call('GET', `/api/v1/batch/${id}/deliveries`);
    expect(status).to.equal(200);
    expect(body).to.deep.equal({
      webhook,
      status: 'pending',
      deliveries: [
        {
          attempt: 1,
          redelivery: false,
          at: '2026-01-01T00:00:00.000Z',
          duration_ms: 12,
          status: 500,
          error: 'bad_status',
          next_attempt_at: '2026-01-01T00:00:05.000Z',
        },
      ],
    });
  });

  it('tell how a webhook stands', async () => {
    const path = `/api/v1/batch/${await batch()}/deliveries`;
    for (const [last, status] of [
      [[], 'pending'],
      [[{ ...failed, nextAttemptAtMs: null }], 'given_up'],
      [[failed, { ...failed, error: null, status: 200, nextAttemptAtMs: null }], 'delivered'],
    ] as const) {
      deliveries = last;
      // oxlint-disable-next-line no-await-in-loop
      expect((await call('GET', path)).body).to.include({ status });
    }
    const without = await call('GET', `/api/v1/batch/${await batch({ webhook: null })}/deliveries`);
    expect(without.body).to.deep.equal({ webhook: null, status: null, deliveries: [] });
  });

  it('deliver again', async () => {
    const id = await batch();
    const { status, headers, body } = await call('POST', `/api/v1/batch/${id}/redeliver`);
    expect(status).to.equal(202);
    expect(headers.get('location')).to.equal(`/api/v1/batch/${id}/deliveries`);
    expect(body).to.deep.include({ webhook });
    expect(added).to.have.length(1);
    expect(added[0]).to.include({ batchId: id, owner, url: webhook, redelivery: true });
    expect(JSON.parse(added[0]!.body)).to.include({ id, status: 'cancelled' });
  });

  it('deliver nothing where there is no webhook or no end', async () => {
    for (const [id, details] of [
      [await batch({ webhook: null }), 'The batch has no webhook'],
      [await batch({}, false), 'The batch has not ended'],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop
      const { status, body } = await call('POST', `/api/v1/batch/${id}/redeliver`);
      expect([status, body.error?.code, body.error?.details]).to.deep.equal([409, 'conflict', details]);
    }
    expect(added).to.deep.equal([]);
  });

  it('know the batches of the caller alone, an admin those of all', async () => {
    const id = await batch({ owner: 'somebody' });
    for (const [method, what] of [
      ['GET', 'deliveries'],
      ['POST', 'redeliver'],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop
      expect((await call(method, `/api/v1/batch/${id}/${what}`)).status).to.equal(404);
      // oxlint-disable-next-line no-await-in-loop
      expect((await call(method, `/api/v1/batch/${id}/${what}`, api.key)).status).to.be.oneOf([200, 202]);
    }
  });

  it('make a secret for whoever asks, and show it again', async () => {
    const { status, headers, body } = await call('GET', '/api/v1/webhook-secret');
    expect(status).to.equal(200);
    expect(headers.get('cache-control')).to.equal('no-store');
    expect(body.secret).to.match(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(body).to.deep.include({ created_at: '2026-01-01T00:00:00.000Z', previous: [] });
    expect((await call('GET', '/api/v1/webhook-secret')).body.secret).to.equal(body.secret);
    expect((await call('GET', '/api/v1/webhook-secret', api.key)).body.secret).not.to.equal(body.secret);
  });

  it('rotate a secret: the old one goes on for a while, unseen', async () => {
    const before = await call('GET', '/api/v1/webhook-secret');
    const { status, body } = await call('POST', '/api/v1/webhook-secret/rotate');
    expect(status).to.equal(200);
    expect(body.secret).not.to.equal(before.body.secret);
    expect(body).to.deep.include({
      previous: [{ created_at: '2026-01-01T00:00:00.000Z', expires_at: '2026-01-01T00:01:00.000Z' }],
    });
    expect(JSON.stringify(body)).not.to.include(before.body.secret);
  });

  it('want the scope batch', async () => {
    const other = await api.keyWith(['predict']);
    // oxlint-disable-next-line no-await-in-loop
    for (const [method, path] of [
      ['GET', '/api/v1/webhook-secret'],
      ['POST', '/api/v1/webhook-secret/rotate'],
      ['GET', '/api/v1/batch/x/deliveries'],
      ['POST', '/api/v1/batch/x/redeliver'],
    ] as const)
      expect((await call(method, path, other)).status).to.equal(403);
  });
});
