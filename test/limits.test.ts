import { existsSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import { settingSchemas } from '../src/settings.ts';
import type { SettingKey } from '../src/settings.ts';

const root = new URL('../', import.meta.url);
const page = readFileSync(new URL('docs/limits.md', root), 'utf8');
const quoted = [...page.matchAll(/`([^`\n]+)`/g)].map(([, text]) => text as string);

describe('docs/limits.md', () => {
  it('names settings that there are', () => {
    const groups = new Set([...settingSchemas.keys()].map((key) => key.split('.')[0]));
    const named = quoted.filter((text) => /^[a-z_]+\.[a-z_]+$/.test(text) && groups.has(text.split('.')[0]));
    expect(named).not.to.deep.equal([]);
    expect(named.filter((key) => !settingSchemas.has(key as SettingKey))).to.deep.equal([]);
  });

  it('names every setting that bounds what is held', () => {
    // How long something may take, or how deep a text may be nested, is another kind of limit.
    const bounds = [...settingSchemas.keys()].filter(
      (key) => key.endsWith('_max') && !/_ms_max$|depth_max$/.test(key),
    );
    expect(bounds.filter((key) => !quoted.includes(key))).to.deep.equal([]);
  });

  it('names constants that there are', () => {
    const named = quoted.filter((text) => text.includes('.ts: '));
    expect(named).not.to.deep.equal([]);
    const missing = named.filter((text) => {
      const [path = '', name = ''] = text.split(': ');
      const file = new URL(path, root);
      return !existsSync(file) || !readFileSync(file, 'utf8').includes(`const ${name} = `);
    });
    expect(missing).to.deep.equal([]);
  });
});
