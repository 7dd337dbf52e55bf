import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Row, Section } from './report.ts';

/** Most change of memory between the beginning and the end of a soak, after its warm-up; test/promises/soak.ts judges by it. */
const changePercentMax = 10;

/** What `npm run soak` prints, as a part of the report. */
export function soak(predictions: number): Section {
  const script = fileURLToPath(new URL('../test/promises/soak.ts', import.meta.url));
  const { stdout } = spawnSync(process.execPath, [script, '--predictions', String(predictions)], {
    encoding: 'utf8',
  });
  const lines = stdout.split('\n').filter((line) => line !== '');
  const changes = [
    ...stdout.matchAll(/^([\w ]+): (.* MB after the warm-up, .* MB at the end) \((-?[\d.]+) %\)$/gm),
  ];
  return {
    title: 'Memory over many predictions',
    notes: [
      'Each with its own right answer, through one API and one worker, cache on. RSS of processes; of Redis what it uses by its own account.',
      ...lines.filter((line) => !changes.some(([change]) => change === line)),
    ],
    rows: changes.map(([, name, what, percent]): Row => {
      const value = Number(percent);
      return {
        name: `${name}: ${what}`,
        unit: '%',
        ours: { median: value, min: value, max: value },
        yardstick: null,
        ratio: null,
        target: `± ${changePercentMax}`,
        reached: Math.abs(value) <= changePercentMax,
      };
    }),
  };
}
