import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { MillraceError } from '../../errors.ts';

export interface AddressGuardOptions {
  /** Addresses and CIDR blocks that may be called on any port although they are not public; or `none`. */
  readonly allowedNetworks: string;
  /** Ports of public addresses, separated by commas. */
  readonly allowedPorts: string;
}

type Address = ReturnType<typeof ipaddr.parse>;
type Network = ReturnType<typeof ipaddr.parseCIDR>;

/** All addresses of IPv6 that are given out to be reached from anywhere lie here (RFC 4291 §2.4). */
const globalUnicast = ipaddr.parseCIDR('2000::/3');
/** Within them, and not known to the library: documentation (RFC 9637). */
const documentation = ipaddr.parseCIDR('3fff::/20');
/** A public address by its range, but one that answers only within Azure, to its machines: their metadata. */
const azureHost = ipaddr.parseCIDR('168.63.129.16/32');
const never: readonly Network[] = [documentation, azureHost];

/**
 * Where a webhook may go. By what an address is, not by what it is called: public unicast addresses alone, so that no
 * caller can make us ask a neighbour, ourselves or the cloud's metadata. An IPv4 address in the clothes of IPv6 (mapped,
 * NAT64, 6to4, Teredo) is refused whatever it is: there is no honest reason for it.
 */
export class AddressGuard {
  /** False while nothing but public addresses may be called. */
  readonly isOpened: boolean;
  readonly #networks: readonly Network[];
  readonly #ports: ReadonlySet<number>;

  /** Throws `invalid_input`. */
  constructor({ allowedNetworks, allowedPorts }: AddressGuardOptions) {
    this.#networks = parseNetworks(allowedNetworks);
    this.#ports = new Set(allowedPorts.split(',').map(Number));
    this.isOpened = this.#networks.length > 0;
  }

  allowsPort(port: number): boolean {
    return this.#ports.has(port);
  }

  /** `text` as a resolver or a socket writes it. What is no address is not allowed. */
  allows(text: string, port: number): boolean {
    // The library also takes the short forms of IPv4, which no resolver and no socket writes.
    if (isIP(text) === 0) return false;
    const address = ipaddr.parse(text);
    if (this.#networks.some((network) => contains(network, address))) return true;
    return this.allowsPort(port) && isPublic(address);
  }
}

function isPublic(address: Address): boolean {
  if (address.range() !== 'unicast' || never.some((network) => contains(network, address))) return false;
  return address.kind() === 'ipv4' || contains(globalUnicast, address);
}

/** Families are not compared with each other: `::ffff:10.0.0.1` is not within 10.0.0.0/8. */
function contains(network: Network, address: Address): boolean {
  return network[0].kind() === address.kind() && address.match(network);
}

function parseNetworks(list: string): readonly Network[] {
  if (list === 'none') return [];
  return list.split(',').map((each) => {
    const text = each.trim();
    const [address = '', prefix] = text.split('/', 2);
    const block = `${address}/${prefix ?? (isIP(address) === 6 ? 128 : 32)}`;
    if (isIP(address) === 0 || !ipaddr.isValidCIDR(block)) throw notANetwork(text);
    return ipaddr.parseCIDR(block);
  });
}

function notANetwork(found: string): MillraceError {
  const path = 'webhooks.allowed_networks';
  return new MillraceError('invalid_input', `Settings: ${path}: ${found} is no address or block`, {
    details: [{ path, expected: 'none, or blocks as in 10.1.0.0/16, fd00:1::/32', found }],
  });
}
