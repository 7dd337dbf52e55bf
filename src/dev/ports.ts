import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

/** A port that is free now; another process could take it before it is used, which then fails to start. */
export async function freePort(): Promise<number> {
  return listenOnce('127.0.0.1', 0);
}

/** Why the address cannot be listened on, in a word or two, or `undefined` when it can. */
export async function portProblem(host: string, port: number): Promise<string | undefined> {
  try {
    await listenOnce(host, port);
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return problems[code ?? ''] ?? message;
  }
}

const problems: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is taken by another program',
  EACCES: 'needs rights that this user does not have',
  EADDRNOTAVAIL: 'is not on an address of this machine',
};

async function listenOnce(host: string, port: number): Promise<number> {
  const server = createServer();
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return address.port;
}
