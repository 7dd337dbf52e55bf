import { expect } from 'chai';
import type { Model, ModelVersion } from '../../src/registry/model-version.ts';
import { preloadOrder } from '../../src/workers/preload.ts';
import { buildVersion } from '../support/builders.ts';

function model(name: string, versions: readonly ModelVersion[], byDefault: string): Model {
  return { name, aliases: { default: byDefault }, versions };
}

function version(name: string, number: string, parts: Partial<ModelVersion> = {}): ModelVersion {
  return buildVersion({ model: name, version: number, createdAtMs: Number(number), ...parts });
}

describe('preload order', () => {
  const iris = model('iris', [version('iris', '1'), version('iris', '2')], '1');
  const wine = model('wine', [version('wine', '1'), version('wine', '3')], '3');

  it('puts defaults first, the default model before them, the rest by age', () => {
    const order = preloadOrder([iris, wine], 'default', 'wine');
    expect(order.map((known) => `${known.model}/${known.version}`)).to.deep.equal([
      'wine/3',
      'iris/1',
      'iris/2',
      'wine/1',
    ]);
  });

  it('leaves out what is archived or of another pool', () => {
    const archived = version('old', '1', { status: 'archived' });
    const elsewhere = version('big', '1', { manifest: { schema_version: 1, name: 'big', pool: 'gpu' } });
    const models = [model('old', [archived], '1'), model('big', [elsewhere], '1')];
    expect(preloadOrder(models, 'default', 'wine')).to.deep.equal([]);
    expect(preloadOrder(models, 'gpu', 'wine')).to.deep.equal([elsewhere]);
  });
});
