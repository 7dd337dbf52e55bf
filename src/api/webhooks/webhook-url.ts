import { isIP } from 'node:net';
import { MillraceError } from '../../errors.ts';
import type { AddressGuard } from './address-guard.ts';

/** Longer ones are refused by servers too. */
export const urlLengthMax = 2048;

/**
 * The URL of a webhook, checked as far as it can be without asking DNS, which may answer otherwise when it is called.
 * `path` names the place in the request. Throws `invalid_input`.
 */
export function checkWebhookUrl(text: string, guard: AddressGuard, path = 'webhook'): void {
  const wrong = problemOf(text, guard);
  if (wrong === undefined) return;
  throw new MillraceError('invalid_input', 'The webhook cannot be called', {
    details: [{ path, ...wrong }],
  });
}

interface Problem {
  readonly expected: string;
  readonly found: string;
}

function problemOf(text: string, guard: AddressGuard): Problem | undefined {
  if (text.length > urlLengthMax)
    return { expected: `at most ${urlLengthMax} characters`, found: `${text.length}` };
  const url = URL.parse(text);
  if (url === null || !(url.protocol === 'https:' || url.protocol === 'http:'))
    return { expected: 'an https or http URL', found: JSON.stringify(text.slice(0, 80)) };
  if (url.username !== '' || url.password !== '')
    return { expected: 'a URL without credentials', found: 'user name or password' };
  const port = portOf(url);
  const address = addressOf(url);
  if (address !== undefined && !guard.allows(address, port))
    return { expected: 'a public address and an allowed port', found: `${address}, port ${port}` };
  if (address === undefined && !guard.isOpened && !guard.allowsPort(port))
    return { expected: 'an allowed port', found: `port ${port}` };
  return undefined;
}

export function portOf({ port, protocol }: URL): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}

/**
 * The address in the place of a host name, which no resolver is asked for. The parser of URLs has normalised what other
 * forms there are (`0x7f.1`, `2130706433`, `[::ffff:127.0.0.1]`). Names that mean this machine count as its address.
 */
export function addressOf({ hostname }: URL): string | undefined {
  const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  if (isIP(bare) !== 0) return bare;
  return /^(?:.*\.)?localhost\.?$/.test(bare) ? '127.0.0.1' : undefined;
}
