import { randomUUID } from 'node:crypto';
import { startRedis } from './redis-server.ts';
import type { TestRedis } from './redis-server.ts';

let shared: TestRedis | undefined;

/** Called by the root hooks only: one Redis for all tests that do not harm it. */
export async function startServices(): Promise<void> {
  shared = await startRedis();
}

export async function stopServices(): Promise<void> {
  await shared?.stop();
  shared = undefined;
}

export function redisUrl(): string {
  if (shared === undefined) throw new Error('the shared Redis is started by test/support/hooks.ts');
  return shared.url;
}

/** A key prefix of the test's own, so that tests do not see each other. */
export function randomPrefix(): string {
  return `t${randomUUID().slice(0, 8)}`;
}
