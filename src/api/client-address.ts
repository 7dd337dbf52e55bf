import { BlockList, isIP } from 'node:net';
import { MillraceError } from '../errors.ts';

/** What is known of where a request came from. */
export interface Hops {
  /** The other end of the connection; undefined once it is gone. */
  readonly remoteAddress: string | undefined;
  /** `X-Forwarded-For`: what each proxy saw, the nearest last. Several fields are joined by commas. */
  readonly forwardedFor: string | undefined;
}

/**
 * Where requests come from, as a key to count them by: an IPv4 address, or the /64 that one subscriber of IPv6 has
 * at least.
 *
 * Everybody can send `X-Forwarded-For`; only what a trusted proxy added to its end is true. So hops are read from
 * the near end, for as long as they are trusted, and the first that is not is the client. `Forwarded`, `X-Real-IP`
 * and the like are not read: a proxy that does not know them passes on whatever the client made up.
 */
export class ClientAddress {
  readonly #trusted: BlockList;

  /** Addresses and CIDR blocks, separated by commas, or `none`. Throws `invalid_input`. */
  constructor(trustedProxies: string) {
    this.#trusted = parseBlocks(trustedProxies);
  }

  of({ remoteAddress, forwardedFor }: Hops): string {
    let client = normalized(remoteAddress ?? '') ?? unknownAddress;
    if (forwardedFor === undefined || !this.#trusts(client)) return keyOf(client);
    for (const text of forwardedFor.split(',').toReversed()) {
      const hop = normalized(text.trim());
      // No address: a proxy of ours would not have written it. The last that is certain counts.
      if (hop === undefined) break;
      client = hop;
      if (!this.#trusts(hop)) break;
    }
    return keyOf(client);
  }

  #trusts(address: string): boolean {
    return this.#trusted.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
  }
}

/** A connection that is gone has no address; whatever still comes from such ones is counted together. */
const unknownAddress = '0.0.0.0';

/** IPv4 also where it is wrapped in IPv6 (`::ffff:192.0.2.1`), as sockets that listen on both show it. */
function normalized(text: string): string | undefined {
  const family = isIP(text);
  if (family === 0) return undefined;
  if (family === 4) return text;
  const [address] = text.toLowerCase().split('%') as [string];
  const groups = groupsOf(address);
  const wrapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (!wrapped) return groups.map((group) => group.toString(16)).join(':');
  return [groups[6]! >> 8, groups[6]! & 255, groups[7]! >> 8, groups[7]! & 255].join('.');
}

/** The eight groups of a valid IPv6 address. */
function groupsOf(address: string): number[] {
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = ([high, low]: readonly number[]) => ((high! << 8) | low!).toString(16);
  const plain =
    dotted === null
      ? address
      : address.slice(0, dotted.index) +
        `${hex([Number(dotted[1]), Number(dotted[2])])}:${hex([Number(dotted[3]), Number(dotted[4])])}`;
  const [head = '', tail] = plain.split('::');
  const parse = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const before = parse(head);
  const after = parse(tail ?? '');
  const gap = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return [...before, ...gap, ...after];
}

function keyOf(address: string): string {
  if (!address.includes(':')) return address;
  return `${address.split(':').slice(0, 4).join(':')}::/64`;
}

function parseBlocks(list: string): BlockList {
  const blocks = new BlockList();
  if (list === 'none') return blocks;
  for (const entry of list.split(',').map((each) => each.trim())) {
    const [address = '', length, ...rest] = entry.split('/');
    const family = isIP(address);
    const bits = family === 4 ? 32 : 128;
    const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : -1;
    if (family === 0 || prefix < 0 || prefix > bits || rest.length > 0) throw notABlock(entry);
    blocks.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  }
  return blocks;
}

function notABlock(found: string): MillraceError {
  return new MillraceError(
    'invalid_input',
    `Settings: api.trusted_proxies: ${found} is no address or block`,
    {
      details: [{ path: 'api.trusted_proxies', expected: 'as in 10.0.0.0/8, 2001:db8::/32', found }],
    },
  );
}
