import { expect } from 'chai';
import { batchOfTurn } from '../../../src/api/idempotency/batch-turn.ts';
import { closeConnections } from '../../queues/builders.ts';
import { makeLedgerRig, newBatch } from '../../queues/batch/support/ledger-rig.ts';
import type { LedgerRig } from '../../queues/batch/support/ledger-rig.ts';

describe('the batch of a turn', () => {
  let rig: LedgerRig;
  let renamed: string[];
  beforeEach(async () => {
    rig = await makeLedgerRig();
    renamed = [];
  });
  afterEach(closeConnections);

  const look = (batchId: string, takenOver = true) =>
    batchOfTurn({ batchId, takenOver, renameBatch: async (id) => void renamed.push(id) }, rig.ledger);

  it('is a new one at first, and nobody is asked', async () => {
    expect(await look(await rig.submit(1), false)).to.include({ kind: 'new' });
  });

  it('is the one that was accepted, also when it has ended', async () => {
    const id = await rig.submit(1);
    const found = await look(id);
    expect(found.kind === 'accepted' && found.record.id).to.equal(id);
    await rig.ledger.cancel(id);
    expect(await look(id)).to.have.nested.property('record.status', 'cancelled');
    expect(renamed).to.deep.equal([]);
  });

  it('is a new one under the same id when none was made', async () => {
    const { id } = newBatch();
    expect(await look(id)).to.deep.equal({ kind: 'new', id });
    expect(renamed).to.deep.equal([]);
  });

  it('is a new one under another id in place of an upload that broke off', async () => {
    const id = await rig.upload(1);
    const found = await look(id);
    expect(found).to.deep.equal({ kind: 'new', id: renamed[0] });
    expect(found).not.to.include({ id });
    expect((await rig.ledger.list(null, null, 10)).batches).to.deep.equal([]);
    // As the next one finds it, whose turn comes because this one died before it was renamed.
    expect(await look(id)).to.deep.equal({ kind: 'new', id: renamed[1] });
  });
});
