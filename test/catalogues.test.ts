import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import schema from '../config/schema.json' with { type: 'json' };
import { renderSettingsPage } from '../scripts/settings-page.ts';
import { statusByCode } from '../src/api/http/error-handler.ts';
import { errorCatalogue } from '../src/errors.ts';
import type { ErrorCode } from '../src/errors.ts';
import { crossRules, loadSettings, settingSchemas, variableName } from '../src/settings.ts';
import type { SettingKey } from '../src/settings.ts';
import { metricTable } from '../src/telemetry/metric-table.ts';
import type { MetricDefinition } from '../src/telemetry/metric-table.ts';
import { compile } from '../src/validation.ts';
import { checkTestFile } from './support/test-rules.ts';
import { parseSource, readSources } from './support/import-graph.ts';

function read(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
}

/** Cells of the rows of a page's tables, without heads and rules. */
function tableRows(page: string): string[][] {
  const lines = page.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| ---'));
  return lines
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
    .slice(1);
}

describe('catalogues', () => {
  it('holds errors, their statuses and docs/errors.md to one list', () => {
    const documented = tableRows(read('docs/errors.md')).map(
      ([status, code, retry]) => `${code} ${status} ${retry}`,
    );
    const codes = Object.keys(errorCatalogue) as ErrorCode[];
    const actual = codes.map(
      (code) => `\`${code}\` ${statusByCode[code]} ${errorCatalogue[code].retryable ? 'yes' : 'no'}`,
    );
    expect(documented.toSorted()).to.deep.equal(actual.toSorted());
  });

  it('holds metrics and docs/metrics.md to one list', () => {
    const documented = tableRows(read('docs/metrics.md'));
    const definitions: [string, MetricDefinition][] = Object.entries(metricTable);
    const actual = definitions.map(([name, { type, labels, help }]) => [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      help,
    ]);
    expect(documented).to.deep.equal(actual);
  });

  it('names metrics by what they count and its unit', () => {
    const definitions: [string, MetricDefinition][] = Object.entries(metricTable);
    for (const [name, { type, buckets }] of definitions) {
      expect(name).to.match(/^millrace_[a-z_]+$/);
      expect(name.endsWith('_total'), name).to.equal(type === 'counter');
      expect(buckets !== undefined, name).to.equal(type === 'histogram');
      if (type === 'histogram') expect(name).to.match(/_(seconds|rows|entries)$/);
    }
  });

  it('has docs/settings.md as the schema and the defaults make it', () => {
    const stale = 'run node scripts/print-settings.ts --docs';
    expect(read('docs/settings.md'), stale).to.equal(renderSettingsPage(loadSettings({}).settings));
  });

  it('has a default, and a schema, for every key of the type', () => {
    // The compiler holds the schema and the type to the same keys; loadSettings the schema and the defaults.
    const sameKeys: [SettingKey, SchemaKey] extends [SchemaKey, SettingKey] ? true : false = true;
    expect(sameKeys).to.equal(true);
    expect(flatKeys(parse(read('config/default.yaml')))).to.deep.equal([...settingSchemas.keys()]);
  });

  it('has a valid schema that says range, unit and cost of each setting', () => {
    expect(compile(schema)(parse(read('config/default.yaml'))).valid).to.equal(true);
    for (const [key, leaf] of settingSchemas) {
      expect(leaf.description, key).to.match(/\.$/);
      if (leaf.type === 'integer') expect(leaf, key).to.include.keys('minimum', 'maximum');
      const unit = /_(ms|bytes)(_max)?$/.exec(key)?.[1];
      if (unit !== undefined) expect(leaf['x-unit'], key).to.equal(unit);
    }
  });

  it('has one variable for each setting', () => {
    const names = [...settingSchemas.keys()].map(variableName);
    expect(new Set(names).size).to.equal(names.length);
  });

  it('has rules only between settings that are numbers', () => {
    for (const { left, right } of crossRules)
      for (const key of [left, right]) expect(settingSchemas.get(key)?.type, key).to.equal('integer');
  });

  it('loads the settings of every environment', () => {
    for (const environment of settingSchemas.get('environment')?.enum ?? [])
      expect(loadSettings({ MILLRACE_ENVIRONMENT: environment }).settings.environment).to.equal(environment);
  });

  it('has tests that wait for events, all run, and have titles of their own', () => {
    expect(readSources('test').flatMap(checkTestFile)).to.deep.equal([]);
  });

  describe('the checker of tests', () => {
    const cases: readonly [string, string, RegExp][] = [
      [
        'refuses waits by the clock',
        "await setTimeout(100);\nimport 'node:timers/promises';",
        /waits by the clock/,
      ],
      [
        'refuses a promise of a timer',
        'await new Promise((resolve) => setTimeout(resolve, 5));',
        /waits by the clock/,
      ],
      ['refuses .only', "it.only('a', () => {});", /only/],
      ['refuses .skip', "describe.skip('a', () => {});", /skip/],
      [
        'refuses a title twice in one group',
        "describe('a', () => {\n  it('b', f);\n  it('b', f);\n});",
        /title twice/,
      ],
    ];
    for (const [promise, source, breach] of cases)
      it(promise, () => {
        const found = checkTestFile(parseSource('test/a.test.ts', source));
        expect(found).to.have.lengthOf(1);
        expect(found[0]).to.match(breach);
      });

    it('lets equal titles stand in different groups', () => {
      const source = "describe('a', () => {\n  it('b', f);\n});\ndescribe('c', () => {\n  it('b', f);\n});";
      expect(checkTestFile(parseSource('test/a.test.ts', source))).to.deep.equal([]);
    });
  });
});

type SchemaKey = LeafKeys<typeof schema.properties>;
type LeafKeys<T> = {
  [Key in keyof T & string]: T[Key] extends { properties: infer Inner } ? `${Key}.${LeafKeys<Inner>}` : Key;
}[keyof T & string];

function flatKeys(content: object): string[] {
  return Object.entries(content).flatMap(([key, value]) =>
    typeof value === 'object' && value !== null ? Object.keys(value).map((leaf) => `${key}.${leaf}`) : [key],
  );
}
