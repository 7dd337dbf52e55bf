import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface BusyDisk {
  stop(): Promise<void>;
}

const writtenBytes = 64 * 1024 * 1024;

/** Writes and flushes a file again and again: every fsync of others then takes its time. */
export async function keepDiskBusy(): Promise<BusyDisk> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-disk-'));
  const bytes = Buffer.alloc(writtenBytes, 1);
  let stopped = false;
  const write = async (): Promise<void> => {
    while (!stopped) {
      // oxlint-disable no-await-in-loop
      const file = await open(join(folder, 'load'), 'w');
      await file.writeFile(bytes);
      await file.sync();
      await file.close();
      // oxlint-enable no-await-in-loop
    }
  };
  const writing = write();
  return {
    stop: async () => {
      stopped = true;
      await writing;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
