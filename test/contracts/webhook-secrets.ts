import { expect } from 'chai';
import type { WebhookSecrets } from '../../src/api/keys/webhook-secrets.ts';

/** What every WebhookSecrets must do. `open` gives an empty one that the suite closes. */
export function describeWebhookSecrets(open: () => WebhookSecrets): void {
  let secrets: WebhookSecrets;
  beforeEach(() => {
    secrets = open();
  });
  afterEach(() => secrets.close());

  it('makes one where there is none, and keeps it', async () => {
    const made = [{ secret: 'whsec_1', createdAtMs: 10, expiresAtMs: null }];
    expect(await secrets.ensure('me', 'whsec_1', 10)).to.deep.equal(made);
    expect(await secrets.ensure('me', 'whsec_2', 20)).to.deep.equal(made);
  });

  it('keeps those of owners apart', async () => {
    await secrets.ensure('me', 'whsec_1', 10);
    expect((await secrets.ensure('you', 'whsec_2', 10)).map(({ secret }) => secret)).to.deep.equal([
      'whsec_2',
    ]);
  });

  it('rotates: the new one first, the old one until its time is over', async () => {
    await secrets.ensure('me', 'whsec_1', 10);
    const both = [
      { secret: 'whsec_2', createdAtMs: 20, expiresAtMs: null },
      { secret: 'whsec_1', createdAtMs: 10, expiresAtMs: 100 },
    ];
    expect(await secrets.rotate('me', 'whsec_2', 20, 100)).to.deep.equal(both);
    expect(await secrets.ensure('me', 'whsec_3', 99)).to.deep.equal(both);
    expect(await secrets.ensure('me', 'whsec_3', 100)).to.deep.equal(both.slice(0, 1));
  });

  it('rotates where there is none yet, and without an overlap', async () => {
    const first = await secrets.rotate('me', 'whsec_1', 10, 10);
    expect(first).to.deep.equal([{ secret: 'whsec_1', createdAtMs: 10, expiresAtMs: null }]);
    const second = await secrets.rotate('me', 'whsec_2', 20, 20);
    expect(second).to.deep.equal([{ secret: 'whsec_2', createdAtMs: 20, expiresAtMs: null }]);
  });

  it('keeps the newest few of somebody who rotates often', async () => {
    for (let n = 1; n <= 20; n++)
      // oxlint-disable-next-line no-await-in-loop
      await secrets.rotate('me', `whsec_${n}`, n, 1000);
    const kept = (await secrets.ensure('me', 'whsec_x', 30)).map(({ secret }) => secret);
    expect(kept).to.deep.equal(['whsec_20', 'whsec_19', 'whsec_18', 'whsec_17', 'whsec_16']);
  });
}
