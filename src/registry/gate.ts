import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { MillraceError, fromErrorRecord } from '../errors.ts';
import { modelFile, reportFd, requestFile } from './gate/trial-request.ts';
import type { TrialReport, TrialRequest } from './gate/trial-request.ts';
import { refuseOnnx } from './onnx-refusal.ts';

/**
 * What a file must pass before it is a version: it loads, its session has the signature that was read from it,
 * and it runs. Resolves with the rank of each output. Throws `invalid_input` with a reason, whatever the file
 * does to the process that tries it.
 */
export type Gate = (served: Uint8Array, request: TrialRequest) => Promise<ReadonlyMap<string, number>>;

export interface ChildGateOptions {
  /** Wall clock of the whole trial, start of the process included. */
  readonly timeoutMs: number;
  /** What the model may use beyond the process itself. Enforced where the system has `prlimit`. */
  readonly memoryBytesMax: number;
}

/** An idle Node 24 with onnxruntime and one thread has some 600 MiB of private mappings, most never touched. */
const idleDataBytes = 768 * 2 ** 20;
/** The child's JavaScript handles a few rows. */
const heapMibMax = 256;
/** One report is a few ranks or one error. */
const reportCharsMax = 2 ** 20;

const childPath = fileURLToPath(new URL('./gate/child.ts', import.meta.url));
const prlimitPath = ['/usr/bin/prlimit', '/bin/prlimit'].find((path) => existsSync(path));

/**
 * A gate that tries each file in a process of its own: no environment, a folder of its own, limits on memory,
 * processor time, files and wall clock. The child ends with its parent.
 */
export function createChildGate(options: ChildGateOptions): Gate {
  return async (served, request) => {
    const folder = await mkdtemp(join(tmpdir(), `millrace-gate-${process.pid}-`));
    try {
      await writeFile(join(folder, modelFile), served);
      await writeFile(join(folder, requestFile), JSON.stringify(request));
      return new Map(readReport(await runChild(folder, options)));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
}

interface ChildEnd {
  readonly report: string;
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
}

async function runChild(folder: string, options: ChildGateOptions): Promise<ChildEnd> {
  const [command, args] = commandLine(options);
  const child = spawn(command, args, {
    cwd: folder,
    env: {},
    stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, options.timeoutMs);
  try {
    const [report, signal] = await Promise.all([readAll(child.stdio[reportFd] as Readable), ended(child)]);
    return { report, signal, timedOut };
  } catch (cause) {
    throw new MillraceError('internal_error', 'The gate could not be started', { cause });
  } finally {
    clearTimeout(timer);
  }
}

function commandLine({ timeoutMs, memoryBytesMax }: ChildGateOptions): [string, string[]] {
  const node = [process.execPath, `--max-old-space-size=${heapMibMax}`, childPath];
  if (prlimitPath === undefined) return [node[0] as string, node.slice(1)];
  const limits = [
    `--data=${memoryBytesMax + idleDataBytes}`,
    // Processor time is at most what one busy thread uses in the wall clock, and a margin for Node's own threads.
    `--cpu=${Math.ceil((2 * timeoutMs) / 1000) + 1}`,
    '--nofile=64',
    '--fsize=0',
    '--core=0',
  ];
  return [prlimitPath, [...limits, ...node]];
}

async function readAll(pipe: Readable): Promise<string> {
  let text = '';
  for await (const chunk of pipe.setEncoding('utf8')) {
    if (text.length <= reportCharsMax) text += String(chunk);
  }
  return text;
}

function ended(child: ChildProcess): Promise<NodeJS.Signals | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (_code, signal) => resolve(signal));
  });
}

function readReport(end: ChildEnd): readonly (readonly [string, number])[] {
  if (end.timedOut) throw refuseOnnx('a model that loads and runs in time', 'the time limit was reached');
  const report = parseReport(end.report);
  if (report === undefined) {
    const how = end.signal === null ? 'it ran out of memory or ended early' : `it ended by ${end.signal}`;
    throw refuseOnnx('a model that loads and runs without harm to its process', how);
  }
  if (report.kind === 'refused') throw fromErrorRecord(report.error);
  return report.ranks;
}

/** Undefined when the child died before it had answered. */
function parseReport(text: string): TrialReport | undefined {
  try {
    return JSON.parse(text) as TrialReport;
  } catch {
    return undefined;
  }
}
