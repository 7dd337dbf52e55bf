import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProgramEnd } from '../../support/run-program.ts';
import { runCli, startCli } from './cli.ts';
import type { RunningCli } from './cli.ts';
import { startContractServer } from './contract-server.ts';
import type { ContractServer } from './contract-server.ts';

/** A server of the contract and a folder for each test, and commands that run there against it. */
export interface Rig {
  readonly server: ContractServer;
  readonly folder: string;
  /** Words are split at spaces; a list is taken as it is. */
  run(words: string | readonly string[], stdin?: string): Promise<ProgramEnd>;
  start(words: string): RunningCli;
}

/** Call it in a `describe`; what it gives is there in its tests. */
export function useRig(): Rig {
  let server: ContractServer;
  let folder: string;
  const options = () => ({
    env: { MILLRACE_URL: server.url, MILLRACE_API_KEY: 'mlr_test_key' },
    cwd: folder,
  });

  beforeEach(async () => {
    server = await startContractServer();
    folder = await mkdtemp(join(tmpdir(), 'millrace-cli-'));
  });
  afterEach(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });

  return {
    get server() {
      return server;
    },
    get folder() {
      return folder;
    },
    run: (words, stdin) =>
      runCli(typeof words === 'string' ? words.split(' ') : words, {
        ...options(),
        ...(stdin === undefined ? {} : { stdin }),
      }),
    start: (words) => startCli(words.split(' '), options()),
  };
}
