import { readFileSync, readdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Import {
  readonly from: string;
  /** A path from the root of the repository for our own files, else the package or `node:` name. */
  readonly to: string;
  readonly own: boolean;
  readonly typeOnly: boolean;
  readonly line: number;
}

export interface SourceFile {
  readonly path: string;
  readonly source: string;
  /** The source without comments: what rules about words look at. */
  readonly code: string;
  readonly imports: readonly Import[];
}

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Every TypeScript file under a folder of the repository, with what it imports. */
export function readSources(folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .toSorted()
    .map((name) => {
      const path = posix.join(folder, name.replaceAll('\\', '/'));
      return parseSource(path, readFileSync(join(root, path), 'utf8'));
    });
}

/** Quoted text is matched first, so that `//` within it is not taken for a comment. */
const textOrComment =
  /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
/** The formatter puts every statement of a module at the start of a line. */
const importStatement = /^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
const dynamicImport = /\bimport\(\s*'([^']+)'\s*\)/g;

export function parseSource(path: string, source: string): SourceFile {
  const code = source.replace(
    textOrComment,
    (match, text: string | undefined) => text ?? match.replaceAll(/[^\n]/g, ' '),
  );
  const found = [...code.matchAll(importStatement)].map((match) => ({
    match,
    typeOnly: match[1] !== undefined,
    name: match[2]!,
  }));
  const dynamic = [...code.matchAll(dynamicImport)].map((match) => ({
    match,
    typeOnly: false,
    name: match[1]!,
  }));
  const imports = [...found, ...dynamic].map(({ match, typeOnly, name }) => {
    const own = name.startsWith('.');
    const to = own ? posix.join(posix.dirname(path), name) : name;
    return { from: path, to, own, typeOnly, line: code.slice(0, match.index).split('\n').length };
  });
  return { path, source, code, imports };
}

/** Cycles among the files, each as the paths along it, starting with the smallest; type-only imports count. */
export function findCycles(files: readonly SourceFile[]): string[][] {
  const graph = new Map(
    files.map((file) => [file.path, file.imports.filter(({ own }) => own).map(({ to }) => to)]),
  );
  const finished = new Set<string>();
  const cycles: string[][] = [];

  function visit(path: string, trail: readonly string[]): void {
    const start = trail.indexOf(path);
    if (start !== -1) cycles.push(fromSmallest(trail.slice(start)));
    else if (!finished.has(path)) {
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      finished.add(path);
    }
  }

  for (const path of graph.keys()) visit(path, []);
  return cycles;
}

function fromSmallest(cycle: readonly string[]): string[] {
  const start = cycle.indexOf(cycle.toSorted()[0]!);
  return [...cycle.slice(start), ...cycle.slice(0, start)];
}
