import { findCycles } from './import-graph.ts';
import type { Import, SourceFile } from './import-graph.ts';

/**
 * The import rules of ARCHITECTURE.md as data. A unit is the longest entry that a path starts with; what a unit
 * may import of our own is listed, `type:` before what it may know only the types of.
 */
const layers: Readonly<Record<string, readonly string[]>> = {
  'src/errors.ts': [],
  'src/deadline.ts': [],
  'src/channels.ts': [],
  'src/lifecycle.ts': ['src/errors.ts', 'src/channels.ts'],
  'src/run-file.ts': ['src/errors.ts'],
  'src/tensors/': ['src/errors.ts'],

  'src/validation.ts': ['src/errors.ts'],
  'src/settings-shape.ts': [],
  'src/settings.ts': ['src/settings-shape.ts', 'src/errors.ts', 'src/validation.ts', 'config/schema.json'],
  'src/redis.ts': ['src/errors.ts', 'src/channels.ts'],
  'src/telemetry/': ['src/errors.ts', 'src/channels.ts'],

  'src/processing/': ['base', 'src/tensors/', 'src/validation.ts', 'type:src/registry/'],
  'src/registry/': ['base', 'src/tensors/', 'src/validation.ts', 'src/processing/'],
  'src/queues/': ['base', 'src/tensors/', 'src/validation.ts', 'type:src/registry/'],

  'src/workers/host/': ['src/errors.ts', 'src/tensors/'],
  'src/workers/': [
    'base',
    'src/tensors/',
    'src/validation.ts',
    'src/processing/',
    'src/registry/',
    'src/queues/',
    'src/workers/model-host.ts',
  ],
  // The parent side of the protocol: the one door between a worker and what runs in its hosts.
  'src/workers/model-host.ts': ['base', 'src/tensors/', 'src/workers/', 'src/workers/host/'],
  'src/api/': [
    'base',
    'src/tensors/',
    'src/validation.ts',
    'src/processing/',
    'src/registry/',
    'src/queues/',
  ],

  // A client like any other: it knows the API by its contract alone, and the run file that npm start leaves.
  'src/cli/': ['src/errors.ts', 'src/run-file.ts'],

  // npm start: a launcher and set-up, not a part of what it launches.
  'src/dev/': [
    'base',
    'src/run-file.ts',
    'src/settings.ts',
    'src/redis.ts',
    'src/validation.ts',
    'src/registry/',
    'src/api/keys/',
  ],
};

const base = ['src/errors.ts', 'src/deadline.ts', 'src/channels.ts', 'src/lifecycle.ts'];

/** Each package: who may import its values, and who its types. What is not listed may not be imported in src/. */
const vendors: Readonly<
  Record<string, { readonly values: RegExp; readonly types?: RegExp; readonly why: string }>
> = {
  ajv: { values: /^src\/validation\.ts$/, why: 'one instance, one way to word errors' },
  bullmq: {
    values: /^src\/queues\/(batch\/)?bullmq-[a-z-]+\.ts$/,
    why: 'lanes are a port; the engine is an adapter of it',
  },
  'csv-parse': { values: /^src\/api\/batch\/ingest\/csv-rows\.ts$/, why: 'one way to read CSV' },
  express: { values: /^src\/api\/http\//, why: 'the data plane knows no transport' },
  ioredis: {
    values: /^src\/redis\.ts$|^src\/dev\//,
    types: /^src\//,
    why: 'clients are made in one place, by role; others are given one',
  },
  'ipaddr.js': {
    values: /^src\/api\/webhooks\//,
    why: 'one guard decides which addresses may be called',
  },
  'onnx-proto': { values: /^src\/registry\/onnx-[a-z0-9-]+\.ts$/, why: 'only the registry edits graphs' },
  'onnxruntime-node': {
    values: /^src\/workers\/host\/onnx-session\.ts$|^src\/registry\/gate\//,
    why: 'a native crash or a hung run must only be able to end a host or the gate’s child',
  },
  pino: { values: /^src\/telemetry\//, why: 'the core publishes to channels and knows no logger' },
  'prom-client': { values: /^src\/telemetry\//, why: 'the core publishes to channels and knows no metric' },
  standardwebhooks: { values: /^src\/api\/webhooks\//, why: 'one place signs' },
  'swagger-ui-dist': { values: /^src\/api\//, why: 'only the docs page serves it' },
  ulid: {
    values: /^src\/(queues|api|workers)\//,
    why: 'ids are made where jobs, requests and workers begin',
  },
  yaml: {
    values: /^src\/(settings\.ts|registry\/|dev\/)/,
    why: 'settings and manifests are what is written by hand',
  },
};

/** Read, made or installed once per process, in its main; everything else is given what it needs. */
const mainOnly = ['src/settings.ts', 'src/redis.ts', 'src/telemetry/'];
const lineCountMax = 400;

/** Policies that take the instant and the chance as arguments, so that tests own them. */
const pureFiles =
  /^src\/(deadline|queues\/batch-former|telemetry\/fault-limiter|telemetry\/redaction|workers\/host-state|registry\/version-state)\.ts$|^src\/(tensors|processing)\//;
const impurePattern =
  /\b(Date\.now|new Date\(\)|performance\.now|process\.hrtime|Math\.random|setTimeout|setInterval|setImmediate)\b/;
/**
 * src/dev/ hands its environment on to the programs that it starts, and needs the home before settings load; the
 * command line is a client and has no settings.
 */
const envReaders = /^src\/(settings\.ts$|dev\/|cli\/main\.ts$)/;

/** Every breach of the rules, one readable line each, with the reason for the rule. */
export function checkImports(files: readonly SourceFile[]): string[] {
  return [
    ...files.flatMap((file) => [...file.imports.flatMap(checkImport), ...checkText(file)]),
    ...findCycles(files).map(
      (cycle) =>
        `${cycle.join(' → ')} → ${cycle[0]}: a cycle; no file can be read, tested or loaded alone then`,
    ),
  ];
}

function checkImport(found: Import): string[] {
  const where = `${found.from}:${found.line} imports ${found.to}`;
  if (!found.own) return found.to.startsWith('node:') ? [] : checkVendor(found, where);
  if (found.to.endsWith('/main.ts'))
    return [`${where}: a main is the start of a process, nothing imports it`];
  if (isMain(found.from)) return [];
  if (
    mainOnly.some((unit) => inUnit(found.to, unit)) &&
    !found.from.startsWith('src/dev/') &&
    !sameUnit(found)
  )
    return [`${where}: only a main.ts does; everything else gets its options and clients passed in`];
  return sameUnit(found) || mayImport(found)
    ? []
    : [`${where}: ${unitOf(found.from)} may not (layers in import-rules.ts)`];
}

/** The host's main runs beside native code and stays as bare as the rest of its folder. */
function isMain(path: string): boolean {
  return path.endsWith('/main.ts') && !path.startsWith('src/workers/host/');
}

function mayImport({ from, to, typeOnly }: Import): boolean {
  const listed = layers[unitOf(from)] ?? [];
  return listed
    .flatMap((entry) => (entry === 'base' ? base : [entry]))
    .some((entry) =>
      entry.startsWith('type:') ? typeOnly && inUnit(to, entry.slice(5)) : unitMatches(to, entry),
    );
}

/** An entry covers its own unit, not the stricter units within it: `src/workers/` is not `src/workers/host/`. */
function unitMatches(path: string, entry: string): boolean {
  return inUnit(path, entry) && (unitOf(path) === entry || unitOf(path).length <= entry.length);
}

function inUnit(path: string, unit: string): boolean {
  return unit.endsWith('/') ? path.startsWith(unit) : path === unit;
}

function sameUnit({ from, to }: Import): boolean {
  return unitOf(from) === unitOf(to);
}

function unitOf(path: string): string {
  const units = Object.keys(layers).filter((unit) => inUnit(path, unit));
  return units.toSorted((left, right) => right.length - left.length)[0] ?? path;
}

function checkVendor(found: Import, where: string): string[] {
  const name = found.to
    .split('/')
    .slice(0, found.to.startsWith('@') ? 2 : 1)
    .join('/');
  const vendor = vendors[name];
  if (vendor === undefined)
    return [`${where}: a package without a place in import-rules.ts; each is confined to one`];
  const allowed =
    vendor.values.test(found.from) || (found.typeOnly && vendor.types?.test(found.from) === true);
  return allowed ? [] : [`${where}: ${name} is confined to ${vendor.values.source}: ${vendor.why}`];
}

function checkText({ path, source, code }: SourceFile): string[] {
  const breaches: string[] = [];
  const lineCount = source.split('\n').length - 1;
  if (lineCount > lineCountMax)
    breaches.push(
      `${path} has ${lineCount} lines, at most ${lineCountMax}: split it by what changes together`,
    );
  if (/^(?:import|export)\s*\{[^}]*\btype\s/m.test(code))
    breaches.push(
      `${path}: import { type X } still loads the module under type stripping; write import type { X }`,
    );
  if (/^export default\b/m.test(code))
    breaches.push(`${path}: a default export has no one name to search for`);
  if (/(^|\/)index\.ts$/.test(path) || /^export \*/m.test(code))
    breaches.push(`${path}: a barrel costs start-up time and hides cycles; import the file itself`);
  if (/\bprocess\.env\b/.test(code) && !envReaders.test(path))
    breaches.push(`${path}: reads process.env; settings.ts does, others are given settings`);
  const impure = pureFiles.test(path) ? impurePattern.exec(code)?.[1] : undefined;
  if (impure !== undefined)
    breaches.push(`${path}: uses ${impure}; a pure policy takes the instant as an argument`);
  return breaches;
}
