import { exampleBody } from './readiness.ts';

export interface GreetingOptions {
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly keyFile: string;
}

/** Where it listens, with what key, and a line that works when pasted. */
export function greeting({ apiUrl, apiKey, keyFile }: GreetingOptions): readonly string[] {
  return [
    '',
    `  API   ${apiUrl}  (documentation: ${apiUrl}/docs)`,
    `  key   ${apiKey}  (all scopes, no rate limit; kept in ${keyFile})`,
    '  try',
    '',
    curlLine(apiUrl, apiKey),
    '',
    '  stop  Ctrl-C',
    '',
  ];
}

/** The example has no single quote in it, and neither has a key. */
export function curlLine(apiUrl: string, apiKey: string): string {
  const headers = `-H 'X-API-Key: ${apiKey}' -H 'Content-Type: application/json'`;
  return `curl -s -w '\\n' ${apiUrl}/api/v1/predict ${headers} -d '${exampleBody}'`;
}

/** An address that a program on this machine can use: a server on all addresses is reached through loopback. */
export function reachableUrl(host: string, port: number): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}
