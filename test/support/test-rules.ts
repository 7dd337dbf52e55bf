import type { SourceFile } from './import-graph.ts';

const groupOrTest = /^( *)(?:describe|it)\(\s*('(?:\\.|[^'\\])*'|`[^`]*`)/gm;
const text = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;
const clockWait = /\bsleep\(|new Promise[^;]{0,80}\bsetTimeout\(\s*(?:resolve|r|done)\b/;

/** What a test file may not do, one readable line each. */
export function checkTestFile({ path, code, imports }: SourceFile): string[] {
  const breaches: string[] = [];
  const words = code.replaceAll(text, "''");
  const skipped = /\b(?:describe|it|context)\.(only|skip)\b/.exec(words)?.[1];
  if (skipped !== undefined) breaches.push(`${path}: has .${skipped}; every test runs or is deleted`);
  // test/support may poll another process, which has no event to wait for; tests wait for what it resolves.
  if (!path.endsWith('.test.ts')) return breaches;
  if (clockWait.test(words) || imports.some(({ to }) => to === 'node:timers/promises'))
    breaches.push(`${path}: waits by the clock; wait for the event, or the test is slow and flaky`);
  return [...breaches, ...repeatedTitles(path, code)];
}

/** Equal titles under one group: a report cannot tell which of them failed. The indentation gives the groups. */
function repeatedTitles(path: string, code: string): string[] {
  const open: { indent: number; title: string }[] = [];
  const seen = new Set<string>();
  const breaches: string[] = [];
  for (const [, space = '', title = ''] of code.matchAll(groupOrTest)) {
    while (open.length > 0 && open.at(-1)!.indent >= space.length) open.pop();
    open.push({ indent: space.length, title });
    const full = open.map((entry) => entry.title).join(' > ');
    // A template's text is made at run time, from cases that differ.
    if (seen.has(full) && !full.includes('`')) breaches.push(`${path}: has the title twice: ${full}`);
    seen.add(full);
  }
  return breaches;
}
