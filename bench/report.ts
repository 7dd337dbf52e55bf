import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import type { Spread } from './statistics.ts';

/** One line of the results: a figure of ours, the yardstick of the same run, and what it must reach. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly ours: Spread;
  readonly yardstick: Spread | null;
  /** Ours / yardstick, pair by pair. */
  readonly ratio: Spread | null;
  readonly target: string | null;
  readonly reached: boolean | null;
}

export interface Section {
  readonly title: string;
  readonly notes: readonly string[];
  readonly rows: readonly Row[];
}

/** Writes `RESULTS.md` and `results.svg` beside this file: the figures as they are, also those that fall short. */
export function writeReport(sections: readonly Section[], loadTool: string): void {
  const folder = new URL('.', import.meta.url);
  writeFileSync(new URL('RESULTS.md', folder), toMarkdown(sections, loadTool));
  writeFileSync(new URL('results.svg', folder), toSvg(sections));
}

function toMarkdown(sections: readonly Section[], loadTool: string): string {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const machine = `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GB`;
  const head = [
    '# Results',
    '',
    `Written by \`npm run bench\`; do not edit. ${new Date().toISOString().slice(0, 10)}, commit ${commit}, ${machine}, Node ${process.versions.node}, load by ${loadTool} on the same cores.`,
    '',
    'Medians, with the extremes in brackets. Each ratio is of two figures measured one after the other, pair by pair.',
    '',
    '![chart](results.svg)',
  ];
  return `${[...head, ...sections.flatMap(sectionLines)].join('\n')}\n`;
}

function sectionLines(section: Section): string[] {
  return [
    '',
    `## ${section.title}`,
    '',
    ...section.notes.flatMap((note) => [note, '']),
    '| What | Ours | Yardstick | Ratio | Target | |',
    '| --- | --- | --- | --- | --- | --- |',
    ...section.rows.map(rowLine),
  ];
}

function rowLine(row: Row): string {
  const cells = [
    row.name,
    `${show(row.ours)} ${row.unit}`,
    row.yardstick === null ? '–' : `${show(row.yardstick)} ${row.unit}`,
    row.ratio === null ? '–' : show(row.ratio),
    row.target ?? '–',
    row.reached === null ? '' : row.reached ? 'reached' : '**not reached**',
  ];
  return `| ${cells.join(' | ')} |`;
}

function show(value: Spread): string {
  return `${number(value.median)} (${number(value.min)}–${number(value.max)})`;
}

function number(value: number): string {
  if (Number.isNaN(value)) return '–';
  if (value >= 100) return Math.round(value).toLocaleString('en-GB');
  return value.toFixed(2);
}

const bar = { height: 18, gap: 10, left: 330, width: 420 } as const;

/** Ratios as bars against 1.0, the yardstick. */
function toSvg(sections: readonly Section[]): string {
  const rows = sections.flatMap((section) => section.rows).filter((row) => row.ratio !== null);
  const longest = Math.max(1, ...rows.map((row) => row.ratio?.median ?? 0));
  const scale = bar.width / Math.min(longest, 5);
  const height = rows.length * (bar.height + bar.gap) + 40;
  const bars = rows.map((row, index) => barLines(row, index, scale)).join('\n');
  const one = bar.left + scale;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${bar.left + bar.width + 80}" height="${height}" font-family="sans-serif" font-size="12">`,
    '<rect width="100%" height="100%" fill="white"/>',
    `<text x="${one}" y="14" text-anchor="middle" fill="#555">yardstick = 1</text>`,
    bars,
    `<line x1="${one}" y1="20" x2="${one}" y2="${height - 10}" stroke="#555" stroke-dasharray="4 3"/>`,
    '</svg>\n',
  ].join('\n');
}

function barLines(row: Row, index: number, scale: number): string {
  const y = 26 + index * (bar.height + bar.gap);
  const median = row.ratio?.median ?? 0;
  const width = Math.min(median * scale, bar.width);
  const middle = y + bar.height - 5;
  const label = row.name.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const colour = row.reached === false ? '#c0504d' : '#4f81bd';
  return [
    `<text x="${bar.left - 8}" y="${middle}" text-anchor="end">${label}</text>`,
    `<rect x="${bar.left}" y="${y}" width="${width.toFixed(1)}" height="${bar.height}" fill="${colour}"/>`,
    `<text x="${bar.left + width + 6}" y="${middle}">${median.toFixed(2)}</text>`,
  ].join('\n');
}
