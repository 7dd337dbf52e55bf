/** What a progress bar or line shows of an upload or of a batch. */
export interface Progress {
  readonly label: string;
  readonly unit: 'rows' | 'bytes';
  readonly done: number;
  /** Null where nobody knows. */
  readonly total: number | null;
  /** Null while too little is known to tell. */
  readonly perSecond: number | null;
  readonly failed: number;
  readonly paused: boolean;
}

/** A hundred hours: what would take longer stands still. */
const etaSMax = 360_000;
const barCellsMax = 30;
const barCellsMin = 8;

/**
 * The bar in at most `width` columns: what matters least goes first, the bar before the numbers. Pure.
 *
 *   batch_01K…  ████████░░░░░░░░  47 %  470,112 of 1,000,000 rows  81,220 rows/s  ETA 0:07  3 failed
 */
export function renderBar(progress: Progress, width: number): string {
  const parts = partsOf(progress);
  const shown = fitting(parts, width);
  const spare = width - textOf(shown).length - gap.length;
  const { done, total } = progress;
  if (total === null || total === 0 || spare < barCellsMin || !shown.includes(parts[0] as Part))
    return textOf(shown).slice(0, Math.max(0, width));
  const cells = Math.min(barCellsMax, spare);
  const filled = Math.min(cells, Math.floor((done / total) * cells));
  const bar = `${'█'.repeat(filled)}${'░'.repeat(cells - filled)}`;
  const [label, ...rest] = shown.map(({ text }) => text);
  return [label, bar, ...rest].join(gap);
}

/** One line for a log or a pipe: everything, without a bar. Pure. */
export function renderLine(progress: Progress): string {
  return textOf(partsOf(progress));
}

/** Whole percents, 100 only for all of it; null where the total is not known. */
export function percentOf({ done, total }: Progress): number | null {
  if (total === null) return null;
  return total === 0 ? 100 : Math.min(100, Math.floor((done / total) * 100));
}

/** `rank`: the greater it is, the sooner it is left out. */
interface Part {
  readonly text: string;
  readonly rank: number;
}

const gap = '  ';

function partsOf(progress: Progress): readonly Part[] {
  const { label, unit, done, total, perSecond, failed, paused } = progress;
  const percent = percentOf(progress);
  const etaS = total === null || !perSecond ? Infinity : Math.ceil((total - done) / perSecond);
  const amount = unit === 'rows' ? count : bytes;
  const of = total === null ? amount(done) : `${amount(done)} of ${amount(total)}`;
  const parts: readonly (Part | null)[] = [
    { text: label, rank: 4 },
    percent === null ? null : { text: `${percent} %`, rank: 0 },
    { text: unit === 'rows' ? `${of} rows` : of, rank: 3 },
    perSecond === null || paused
      ? null
      : { text: `${amount(perSecond)}${unit === 'rows' ? ' rows' : ''}/s`, rank: 5 },
    etaS > etaSMax || paused || done === total ? null : { text: `ETA ${duration(etaS)}`, rank: 2 },
    paused ? { text: 'paused', rank: 1 } : null,
    failed === 0 ? null : { text: `${count(failed)} failed`, rank: 1 },
  ];
  return parts.filter((part) => part !== null);
}

function fitting(parts: readonly Part[], width: number): readonly Part[] {
  let shown = parts;
  while (shown.length > 1 && textOf(shown).length > width) {
    const leastImportant = Math.max(...shown.map(({ rank }) => rank));
    shown = shown.filter(({ rank }) => rank !== leastImportant);
  }
  return shown;
}

function textOf(parts: readonly Part[]): string {
  return parts.map(({ text }) => text).join(gap);
}

/** 1234567 → `1,234,567`. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** 65536 → `65.5 kB`. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const;
  let scaled = value;
  let step = 0;
  while (scaled >= 1000 && step < units.length - 1) {
    scaled /= 1000;
    step += 1;
  }
  return `${step === 0 ? Math.round(scaled) : scaled.toFixed(1)} ${units[step]}`;
}

/** 67 → `1:07`, 7384 → `2:03:04`. */
export function duration(seconds: number): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
