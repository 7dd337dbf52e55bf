import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Where a process spends its time, as shares of the time in which it was busy. */
export interface HopShare {
  readonly hop: string;
  readonly share: number;
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** The first that fits a frame's file says whose the time is; what fits none is its caller's. */
const hops: readonly (readonly [hop: string, file: RegExp])[] = [
  ['log and metrics', /\/src\/telemetry\/|node_modules\/(pino|sonic-boom|prom-client|thread-stream)\//],
  [
    'key and limits',
    /\/api\/(credentials|rate-|allowance|sliding-window|client-address|admission|saturation)|caller-check/,
  ],
  ['cache and single flight', /\/api\/(response-cache|cache-|canonical-key|shared-answers|single-flight)/],
  [
    'parse, check, pack, render',
    /\/src\/(tensors\/(json|exact|element)|processing\/|validation)|predict-request/,
  ],
  [
    'coalesce, encode, decode',
    /\/queues\/(coalescer|batch-former|deadline-wheel|job|result\.|entry-share|shedding|service-time|version-load)|\/tensors\//,
  ],
  [
    'queue and results over Redis',
    /node_modules\/(bullmq|ioredis|redis-|@ioredis|standard-as-callback|ulid|msgpackr|cluster-key-slot)|\/queues\//,
  ],
  [
    'HTTP',
    /\/api\/http\/|node_modules\/(express|router|finalhandler|parseurl)|node:_http|node:net|node:internal\/(http|streams|stream_base)/,
  ],
  ['hosts', /\/src\/workers\//],
];

/** Of the profile that a process left in `folder`, without its first `skipS` seconds. */
export async function hopShares(folder: string, skipS: number): Promise<readonly HopShare[]> {
  const [file] = (await readdir(folder)).filter((name) => name.endsWith('.cpuprofile'));
  if (file === undefined) throw new Error(`no profile in ${folder}`);
  const profile = JSON.parse(await readFile(join(folder, file), 'utf8')) as Profile;
  const hopOf = hopsByNode(profile.nodes);
  const times = new Map<string, number>();
  let elapsed = 0;
  let busy = 0;
  for (const [index, sample] of profile.samples.entries()) {
    const delta = profile.timeDeltas[index] ?? 0;
    elapsed += delta;
    const hop = hopOf.get(sample) ?? 'other';
    if (elapsed < skipS * 1e6 || hop === 'idle') continue;
    busy += delta;
    times.set(hop, (times.get(hop) ?? 0) + delta);
  }
  return [...times].map(([hop, time]) => ({ hop, share: time / busy })).toSorted((a, b) => b.share - a.share);
}

function hopsByNode(nodes: readonly ProfileNode[]): ReadonlyMap<number, string> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const hopOf = new Map<number, string>();
  const visit = (node: ProfileNode, callers: string): void => {
    const hop = hopOfFrame(node.callFrame) ?? callers;
    hopOf.set(node.id, hop);
    for (const child of node.children ?? []) visit(byId.get(child) as ProfileNode, hop);
  };
  const root = nodes[0];
  if (root !== undefined) visit(root, 'other');
  return hopOf;
}

function hopOfFrame({ functionName, url }: ProfileNode['callFrame']): string | undefined {
  if (functionName === '(idle)') return 'idle';
  if (functionName === '(garbage collector)') return 'garbage collection';
  return hops.find(([, file]) => file.test(url))?.[0];
}
