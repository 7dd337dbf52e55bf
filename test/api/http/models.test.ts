import { expect } from 'chai';
import { buildVersion, penguinsVersion, wineVersion } from '../../support/builders.ts';
import { useTestApi } from '../support/test-api.ts';

describe('models', () => {
  const names = ['alpha', 'beta', 'gamma'];
  const api = useTestApi({
    versions: [
      ...names.map((model) => buildVersion({ model })),
      wineVersion(),
      { ...wineVersion(), version: 'v2', digest: 'f'.repeat(64), createdAtMs: 1_800_000_000_000 },
      penguinsVersion(),
    ],
  });

  async function read<T>(path: string): Promise<T> {
    const response = await api().request(path);
    const body = await response.text();
    expect(response.status, body).to.equal(200);
    return JSON.parse(body) as T;
  }

  interface List {
    readonly models: readonly { readonly name: string; readonly default_version: string }[];
    readonly next_cursor: string | null;
  }

  it('lists by name, in pages that miss and repeat nothing', async () => {
    const all = await read<List>('/api/v1/models');
    expect(all.models.map(({ name }) => name)).to.deep.equal(['alpha', 'beta', 'gamma', 'penguins', 'wine']);
    expect(all.next_cursor).to.equal(null);
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const page: List = await read<List>(`/api/v1/models?limit=2&cursor=${cursor}`);
      expect(page.models.length).to.be.within(1, 2);
      seen.push(...page.models.map(({ name }) => name));
      cursor = page.next_cursor;
    }
    expect(seen).to.deep.equal(all.models.map(({ name }) => name));
  });

  it('says what to send, by name and feature', async () => {
    const wine = await read<{ inputs: readonly Record<string, unknown>[]; labels: unknown }>(
      '/api/v1/models/wine',
    );
    expect(wine.labels).to.deep.equal(['class_0', 'class_1', 'class_2']);
    expect(wine.inputs).to.have.length(1);
    expect(wine.inputs[0]).to.deep.include({ name: 'X', datatype: 'FP32', shape: [5], required: true });
    expect(wine.inputs[0]!['features']).to.have.length(5);
    const penguins = await read<{ inputs: readonly Record<string, unknown>[] }>('/api/v1/models/penguins');
    expect(penguins.inputs.map(({ name, required }) => [name, required])).to.deep.equal([
      ['island', true],
      ['sex', false],
      ['bill_length_mm', true],
      ['body_mass_g', false],
    ]);
  });

  it('shows versions, the newest first, with their aliases, digest, who and when', async () => {
    const wine = await read<{ versions: readonly Record<string, unknown>[]; aliases: unknown }>(
      '/api/v1/models/wine',
    );
    expect(wine.aliases).to.deep.equal({ default: 'v1.2.3' });
    expect(wine.versions.map(({ version, aliases }) => [version, aliases])).to.deep.equal([
      ['v2', []],
      ['v1.2.3', ['default']],
    ]);
    expect(wine.versions[0]).to.include({ status: 'ready', digest: 'f'.repeat(64), created_by: 'test' });
  });

  it('shows a version in full, by its name and by an alias', async () => {
    const byName = await read<Record<string, unknown>>('/api/v1/models/wine/versions/v1.2.3');
    expect(byName).to.include({ model: 'wine', version: 'v1.2.3', task: 'classification', pool: 'default' });
    expect(byName['signature']).to.deep.equal(wineVersion().signature);
    expect(byName['manifest']).to.deep.equal(wineVersion().manifest);
    expect(await read('/api/v1/models/wine/versions/default')).to.deep.equal(byName);
  });

  it('says 404 with what exists', async () => {
    for (const path of [
      '/api/v1/models/win',
      '/api/v1/models/wine/versions/v3',
      '/api/v1/models/__proto__',
    ]) {
      const response = await api().request(path);
      expect(response.status, path).to.equal(404);
      const { error } = (await response.json()) as { error: { details: string } };
      expect(error.details).to.match(/known: .*(wine|v1\.2\.3)/);
    }
  });

  it('answers 304 without a body while nothing changed', async () => {
    const first = await api().request('/api/v1/models/wine');
    const etag = first.headers.get('etag')!;
    expect(etag).to.match(/^"[\w-]{22}"$/);
    expect(first.headers.get('cache-control')).to.equal('private, no-cache');
    expect(first.headers.get('vary')).to.include('X-API-Key');
    for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const again = await api().request('/api/v1/models/wine', { headers: { 'if-none-match': tag } });
      expect(again.status, tag).to.equal(304);
      expect(await again.text()).to.equal('');
      expect(again.headers.get('etag')).to.equal(etag);
    }
    const other = await api().request('/api/v1/models/wine', { headers: { 'if-none-match': '"other"' } });
    expect(other.status).to.equal(200);
  });
});
