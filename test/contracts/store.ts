import { expect } from 'chai';
import { MillraceError } from '../../src/errors.ts';
import type { ModelStore, VersionDraft } from '../../src/registry/store.ts';

export function draftVersion(changes: Partial<VersionDraft> = {}): VersionDraft {
  const model = changes.model ?? 'wine';
  return {
    model,
    version: null,
    digest: 'a'.repeat(64),
    servedDigest: 'b'.repeat(64),
    artifactBytes: 1234,
    manifest: { schema_version: 1, name: model, labels: ['x', 2], task: 'classification' },
    signature: {
      inputs: [{ name: 'x', datatype: 'FP16', shape: [-1, 3] }],
      outputs: [{ name: 'y', datatype: 'INT64', shape: [] }],
      batch: { kind: 'fixed', size: 4 },
    },
    labels: ['x', 2],
    roles: { task: 'classification', label: 'y', probabilities: null },
    status: 'ready',
    createdAtMs: 1_700_000_000_123,
    createdBy: 'tester',
    ...changes,
  };
}

export function digest(letter: string): string {
  return letter.repeat(64);
}

/** What every ModelStore must do. `open` gives an empty one that the suite closes. */
export function describeModelStore(open: () => ModelStore | Promise<ModelStore>): void {
  let store: ModelStore;
  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());

  it('knows nothing at first', async () => {
    expect(await store.listModels()).to.deep.equal([]);
    expect(await store.getModel('wine')).to.equal(undefined);
  });

  it('gives back a version as it was put', async () => {
    const draft = draftVersion({ version: 'v1.2.3' });
    const outcome = await store.putVersion(draft);
    expect(outcome).to.deep.equal({ kind: 'created', version: draft });
    const model = await store.getModel('wine');
    expect(model).to.deep.equal({ name: 'wine', aliases: { default: 'v1.2.3' }, versions: [draft] });
  });

  it('gives values that cannot be changed', async () => {
    await store.putVersion(draftVersion());
    const [model] = await store.listModels();
    expect(model?.versions[0]?.signature.inputs[0]?.shape).to.satisfy(Object.isFrozen);
  });

  it('numbers versions without a name, past any number that is a name', async () => {
    const names: string[] = [];
    for (const [letter, version] of [
      ['a', null],
      ['b', null],
      ['c', '41'],
      ['d', 'v9'],
      ['e', null],
    ] as const)
      names.push((await store.putVersion(draftVersion({ version, digest: digest(letter) }))).version.version);
    expect(names).to.deep.equal(['1', '2', '41', 'v9', '42']);
  });

  it('keeps versions in the order in which they came', async () => {
    for (const version of ['z', 'a', 'm'])
      await store.putVersion(draftVersion({ version, digest: digest(version === 'z' ? '0' : version) }));
    const model = await store.getModel('wine');
    expect(model?.versions.map((known) => known.version)).to.deep.equal(['z', 'a', 'm']);
  });

  it('finds the same bytes and manifest again, whatever the order of keys', async () => {
    const first = await store.putVersion(draftVersion());
    const manifest = { task: 'classification', labels: ['x', 2], name: 'wine', schema_version: 1 } as const;
    const second = await store.putVersion(draftVersion({ manifest, createdBy: 'another' }));
    expect(second).to.deep.equal({ kind: 'exists', version: first.version });
  });

  it('makes another version of the same bytes with another manifest', async () => {
    await store.putVersion(draftVersion());
    const second = await store.putVersion(draftVersion({ manifest: { schema_version: 1, name: 'wine' } }));
    expect(second.kind).to.equal('created');
    expect(second.version.version).to.equal('2');
  });

  it('refuses a name that is taken by another file', async () => {
    const first = await store.putVersion(draftVersion({ version: 'v1' }));
    const before = await store.revision();
    const second = await store.putVersion(draftVersion({ version: 'v1', digest: digest('c') }));
    expect(second).to.deep.equal({ kind: 'conflict', version: first.version });
    expect(await store.revision()).to.equal(before);
  });

  it('makes the first version alone the default', async () => {
    await store.putVersion(draftVersion());
    await store.putVersion(draftVersion({ digest: digest('c') }));
    expect((await store.getModel('wine'))?.aliases).to.deep.equal({ default: '1' });
  });

  it('lists models by name', async () => {
    for (const model of ['wine', 'Iris', 'digits']) await store.putVersion(draftVersion({ model }));
    expect((await store.listModels()).map((model) => model.name)).to.deep.equal(['Iris', 'digits', 'wine']);
  });

  it('moves an alias and grows its revision with every change', async () => {
    const revisions = [await store.revision()];
    await store.putVersion(draftVersion());
    revisions.push(await store.revision());
    await store.putVersion(draftVersion({ digest: digest('c') }));
    revisions.push(await store.revision());
    await store.setAlias('wine', 'default', '2');
    await store.setAlias('wine', 'constructor', '1');
    revisions.push(await store.revision());
    expect(new Set(revisions).size).to.equal(4);
    expect(revisions.toSorted((a, b) => a - b)).to.deep.equal(revisions);
    expect(Object.entries((await store.getModel('wine'))?.aliases ?? {})).to.have.deep.members([
      ['default', '2'],
      ['constructor', '1'],
    ]);
  });

  it('refuses an alias to a version that does not exist', async () => {
    await store.putVersion(draftVersion());
    expect(await codeOf(store.setAlias('wine', 'default', '2'))).to.equal('not_found');
    expect(await codeOf(store.setAlias('beer', 'default', '1'))).to.equal('not_found');
  });

  it('says that it is out of reach once closed, and closes twice', async () => {
    await store.close();
    await store.close();
    expect(await codeOf(store.listModels())).to.equal('service_unavailable');
  });
}

export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    if (!MillraceError.is(error)) throw error;
    return error.code;
  }
}
