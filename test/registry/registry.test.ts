import { expect } from 'chai';
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MillraceError } from '../../src/errors.ts';
import { digestOf } from '../../src/registry/digest.ts';
import { openEmbeddedRegistry } from '../../src/registry/embedded.ts';
import { createChildGate } from '../../src/registry/gate.ts';
import type { Gate } from '../../src/registry/gate.ts';
import type { RegistryChanges } from '../../src/registry/changes.ts';
import { codeOf } from '../contracts/store.ts';
import { useFolder } from './folder.ts';
import { fixture, identity } from './onnx-builder.ts';

describe('registry', function () {
  this.timeout(60_000);
  const folder = useFolder();
  let trials: number;
  let announcements: number;
  let opened: ReturnType<typeof openEmbeddedRegistry>;

  beforeEach(() => {
    trials = 0;
    announcements = 0;
    const real = createChildGate({ timeoutMs: 30_000, memoryBytesMax: 2 ** 29 });
    const gate: Gate = (served, request) => {
      trials += 1;
      return real(served, request);
    };
    const changes: RegistryChanges = {
      announce: () => {
        announcements += 1;
        return Promise.reject(new MillraceError('service_unavailable'));
      },
      subscribe: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
    opened = openEmbeddedRegistry({ home: folder(), gate, changes, artifactBytesMax: 2 ** 20 });
  });
  afterEach(() => opened.close());

  const manifest = (name: string, more: object = {}): object => ({ schema_version: 1, name, ...more });

  it('makes a version of a file, with artifacts for source and served bytes', async () => {
    const bytes = fixture('zipmap-string');
    const given = manifest('grades', { version: 'v1', task: 'classification' });
    const { kind, version } = await opened.registry.register(bytes, given, 'ann');
    expect(kind).to.equal('created');
    expect(version).to.deep.include({
      model: 'grades',
      version: 'v1',
      digest: digestOf(bytes),
      artifactBytes: bytes.byteLength,
      labels: ['high', 'low', 'mid'],
      roles: { task: 'classification', label: 'output_label', probabilities: 'output_probability' },
      status: 'ready',
      createdBy: 'ann',
    });
    expect(version.signature.batch).to.deep.equal({ kind: 'dynamic' });
    expect(version.servedDigest).to.not.equal(version.digest);
    expect(await opened.artifacts.has(version.digest)).to.equal(true);
    expect(digestOf(await readFile(await opened.artifacts.ensureLocal(version.servedDigest)))).to.equal(
      version.servedDigest,
    );
    expect((await opened.registry.get('grades'))?.aliases).to.deep.equal({ default: 'v1' });
    expect(announcements).to.equal(1);
  });

  it('finds the same file and manifest again without a trial', async () => {
    const first = await opened.registry.register(identity(), manifest('same'), 'ann');
    const second = await opened.registry.register(identity(), { name: 'same', schema_version: 1 }, 'bob');
    expect(second).to.deep.equal({ kind: 'exists', version: first.version });
    expect([trials, announcements]).to.deep.equal([1, 1]);
  });

  it('numbers the next version and leaves the default where it is', async () => {
    await opened.registry.register(identity(), manifest('m'), 'ann');
    const { version } = await opened.registry.register(fixture('sum-rows'), manifest('m'), 'ann');
    expect(version.version).to.equal('2');
    expect((await opened.registry.get('m'))?.aliases).to.deep.equal({ default: '1' });
  });

  it('puts lost artifacts back', async () => {
    const { version } = await opened.registry.register(identity(), manifest('lost'), 'ann');
    await rm(join(folder(), 'artifacts'), { recursive: true });
    const again = await opened.registry.register(identity(), manifest('lost'), 'ann');
    expect(again).to.deep.equal({ kind: 'exists', version });
    expect(await opened.artifacts.has(version.servedDigest)).to.equal(true);
  });

  it('refuses a taken version name before any trial', async () => {
    await opened.registry.register(identity(), manifest('m', { version: 'v1' }), 'ann');
    const other = opened.registry.register(fixture('sum-rows'), manifest('m', { version: 'v1' }), 'ann');
    expect(await codeOf(other)).to.equal('conflict');
    expect(trials).to.equal(1);
  });

  it('lets one of two racing registrations create', async () => {
    const race = ['ann', 'bob'].map((who) => opened.registry.register(identity(), manifest('m'), who));
    const kinds = (await Promise.all(race)).map((outcome) => outcome.kind);
    expect(kinds).to.have.members(['created', 'exists']);
  });

  const refused: readonly [string, Uint8Array, object, string][] = [
    ['a manifest that is none', identity(), { name: 'm' }, 'invalid_input'],
    ['a file that is too large', new Uint8Array(2 ** 20 + 1), manifest('m'), 'payload_too_large'],
    ['a file that is no model', Buffer.from('hello'), manifest('m'), 'invalid_input'],
    ['a file that would crash a host', fixture('deep-functions'), manifest('m'), 'invalid_input'],
    ['a file that fails its trial', fixture('wrong-rows'), manifest('m'), 'invalid_input'],
    ['features that do not fit', identity(), manifest('m', { features: [{ name: 'a' }] }), 'invalid_input'],
    [
      'fewer labels than the ZipMap has',
      fixture('zipmap-string'),
      manifest('m', { task: 'classification', labels: ['a', 'b'] }),
      'invalid_input',
    ],
    [
      'labels in another order than the classes of the graph',
      fixture('zipmap-string'),
      manifest('m', { task: 'classification', labels: ['low', 'high', 'mid'] }),
      'invalid_input',
    ],
    [
      'names for integer classes that are not 0, 1, …',
      fixture('zipmap-int64'),
      manifest('m', { task: 'classification', labels: ['a', 'b', 'c'] }),
      'invalid_input',
    ],
    [
      'an output that is not there',
      identity(),
      manifest('m', { task: 'regression', outputs: { value: 'z' } }),
      'invalid_input',
    ],
  ];
  for (const [what, bytes, given, code] of refused)
    it(`refuses ${what} and keeps nothing of it`, async () => {
      expect(await codeOf(opened.registry.register(bytes, given, 'ann'))).to.equal(code);
      expect(await opened.registry.list()).to.deep.equal([]);
      expect((await readdir(folder())).includes('artifacts')).to.equal(false);
    });

  it('moves an alias, but not to a name that a version has', async () => {
    await opened.registry.register(identity(), manifest('m', { version: 'v1' }), 'ann');
    await opened.registry.register(fixture('sum-rows'), manifest('m', { version: 'v2' }), 'ann');
    await opened.registry.setAlias('m', 'default', 'v2');
    await opened.registry.setAlias('m', 'canary', 'v1');
    expect((await opened.registry.get('m'))?.aliases).to.deep.equal({ default: 'v2', canary: 'v1' });
    expect(await codeOf(opened.registry.setAlias('m', 'v1', 'v2'))).to.equal('conflict');
    expect(await codeOf(opened.registry.setAlias('m', 'x/y', 'v2'))).to.equal('invalid_input');
    expect(await codeOf(opened.registry.setAlias('m', 'canary', 'v3'))).to.equal('not_found');
    const hidden = opened.registry.register(fixture('nonce'), manifest('m', { version: 'canary' }), 'ann');
    expect(await codeOf(hidden)).to.equal('conflict');
  });
});
