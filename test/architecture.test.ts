import { expect } from 'chai';
import { parseSource, readSources } from './support/import-graph.ts';
import { checkImports } from './support/import-rules.ts';

function breachesOf(files: Readonly<Record<string, string>>): string[] {
  return checkImports(Object.entries(files).map(([path, source]) => parseSource(path, source)));
}

describe('architecture', () => {
  it('holds in every file of src', () => {
    expect(checkImports(readSources('src'))).to.deep.equal([]);
  });

  describe('the checker', () => {
    const cases: readonly [string, Record<string, string>, RegExp | null][] = [
      [
        'lets a layer import what lies below it',
        { 'src/queues/a.ts': "import { b } from '../errors.ts';" },
        null,
      ],
      [
        'refuses an import upwards',
        { 'src/errors.ts': "import { b } from './queues/b.ts';" },
        /src\/errors\.ts may not/,
      ],
      [
        'refuses a neighbour',
        { 'src/api/a.ts': "import { b } from '../workers/b.ts';" },
        /src\/api\/ may not/,
      ],
      [
        'lets queues know types of the registry',
        { 'src/queues/a.ts': "import type { B } from '../registry/b.ts';" },
        null,
      ],
      [
        'keeps values of the registry out of queues',
        { 'src/queues/a.ts': "import { b } from '../registry/b.ts';" },
        /may not/,
      ],
      [
        'keeps hosts apart from their worker',
        { 'src/workers/host/a.ts': "import { b } from '../b.ts';" },
        /src\/workers\/host\/ may not/,
      ],
      [
        'opens the protocol to model-host only',
        { 'src/workers/worker.ts': "import { b } from './host/frames.ts';" },
        /may not/,
      ],
      [
        'holds the main of a host to the rules of its folder',
        { 'src/workers/host/main.ts': "import { b } from '../../settings.ts';" },
        /only a main\.ts/,
      ],
      [
        'lets a main compose everything',
        { 'src/api/main.ts': "import { b } from '../redis.ts';\nimport { c } from '../telemetry/c.ts';" },
        null,
      ],
      [
        'keeps settings in mains',
        { 'src/api/a.ts': "import type { Settings } from '../settings.ts';" },
        /only a main\.ts/,
      ],
      [
        'refuses to import a main',
        { 'src/api/a.ts': "import { b } from './main.ts';" },
        /nothing imports it/,
      ],
      ['confines a vendor', { 'src/api/a.ts': "import { Queue } from 'bullmq';" }, /bullmq is confined/],
      [
        'lets others know the types of a client',
        { 'src/api/a.ts': "import type { Redis } from 'ioredis';" },
        null,
      ],
      [
        'confines subpaths and dynamic imports of a vendor',
        { 'src/api/a.ts': "const a = await import('ajv/dist/2020.js');" },
        /ajv is confined/,
      ],
      [
        'asks for the place of a new package',
        { 'src/api/a.ts': "import a from '@scope/name/sub';" },
        /@scope\/name\/sub: a package without/,
      ],
      [
        'sees imports over several lines',
        { 'src/errors.ts': "import {\n  b,\n} from './queues/b.ts';" },
        /errors\.ts:1/,
      ],
      [
        'does not take comments and texts for code',
        {
          'src/api/a.ts':
            "// import { b } from 'bullmq';\n/*\nimport 'bullmq';\n*/\nconst url = 'http://process';",
        },
        null,
      ],
      [
        'finds a cycle of types',
        {
          'src/api/a.ts': "import type { B } from './b.ts';",
          'src/api/b.ts': "import type { A } from './a.ts';",
        },
        /^src\/api\/a\.ts → src\/api\/b\.ts → src\/api\/a\.ts/,
      ],
      ['refuses inline type imports', { 'src/api/a.ts': "import { type B } from './b.ts';" }, /import type/],
      ['refuses default exports', { 'src/api/a.ts': 'export default 1;' }, /default export/],
      ['refuses barrels', { 'src/api/a.ts': "export * from './b.ts';" }, /barrel/],
      ['refuses long files', { 'src/api/a.ts': '\n'.repeat(401) }, /401 lines/],
      [
        'refuses the environment outside settings',
        { 'src/api/a.ts': "const a = process.env['A'];" },
        /process\.env/,
      ],
      [
        'refuses a clock in a pure policy',
        { 'src/queues/batch-former.ts': 'const a = Date.now();' },
        /Date\.now/,
      ],
    ];
    for (const [promise, files, breach] of cases)
      it(promise, () => {
        const found = breachesOf(files);
        if (breach === null) expect(found).to.deep.equal([]);
        else
          expect(found)
            .to.have.lengthOf(1)
            .and.to.satisfy(([line]: string[]) => breach.test(line ?? ''));
      });
  });
});
