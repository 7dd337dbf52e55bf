import { readFileSync } from 'node:fs';
import { devKeyFile, readRunFile } from '../run-file.ts';
import { UsageError } from './failures.ts';

/** Variables that the command line reads; options come first. */
export interface TargetVariables {
  readonly MILLRACE_URL?: string | undefined;
  readonly MILLRACE_API_KEY?: string | undefined;
  readonly MILLRACE_HOME?: string | undefined;
}

export interface Target {
  readonly baseUrl: URL;
  /** Null: the server will say that it wants one. */
  readonly apiKey: string | null;
}

const defaultUrl = 'http://127.0.0.1:8080';

/**
 * Where the server is, and the key for it: by option, by variable, or as an `npm start` in this folder has left them.
 * The development key, which may do anything, is only ever sent to this machine. Throws UsageError.
 */
export function findTarget(
  options: { readonly url: string | undefined; readonly key: string | undefined },
  variables: TargetVariables,
): Target {
  const home = variables.MILLRACE_HOME || '.millrace';
  const baseUrl = parseUrl(
    options.url ?? (variables.MILLRACE_URL || readRunFile(home)?.apiUrl) ?? defaultUrl,
  );
  const apiKey =
    options.key ?? (variables.MILLRACE_API_KEY || (isLoopback(baseUrl) ? readDevKey(home) : null));
  if (apiKey !== null && !/^[\x21-\x7e]+$/.test(apiKey))
    throw new UsageError('The key has characters that no key has: was it copied whole, without quotes?');
  return { baseUrl, apiKey };
}

/** Without a path: the API has its own from the root on, and its links too. */
function parseUrl(text: string): URL {
  const url = URL.parse(text);
  const isServer = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (url === null || !isServer || url.pathname !== '/' || url.search !== '')
    throw new UsageError(
      `--url must be a server without a path, as ${defaultUrl}; found ${JSON.stringify(text)}`,
    );
  return url;
}

function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function readDevKey(home: string): string | null {
  try {
    return readFileSync(devKeyFile(home), 'utf8').trim() || null;
  } catch {
    return null;
  }
}
