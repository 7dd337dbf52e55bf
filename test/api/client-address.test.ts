import { expect } from 'chai';
import { ClientAddress } from '../../src/api/client-address.ts';

describe('ClientAddress', () => {
  const behind = new ClientAddress('10.0.0.0/8, 192.0.2.7,2001:db8:ffff::/48');
  const open = new ClientAddress('none');

  it('believes nobody by default', () => {
    for (const forwardedFor of [undefined, '203.0.113.9', '127.0.0.1', '::1, 10.0.0.1'])
      expect(open.of({ remoteAddress: '10.0.0.1', forwardedFor })).to.equal('10.0.0.1');
  });

  const cases: readonly (readonly [string, string, string | undefined, string])[] = [
    ['a direct caller', '198.51.100.1', undefined, '198.51.100.1'],
    ['a direct caller that claims another address', '198.51.100.1', '203.0.113.9', '198.51.100.1'],
    ['a proxy', '10.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['a proxy that says nothing', '10.0.0.1', undefined, '10.0.0.1'],
    ['an empty field', '10.0.0.1', '', '10.0.0.1'],
    ['a made-up hop before the true one', '10.0.0.1', '1.2.3.4, 203.0.113.9', '203.0.113.9'],
    ['many made-up hops', '10.0.0.1', `${'1.2.3.4, '.repeat(500)}203.0.113.9`, '203.0.113.9'],
    ['a made-up hop that looks like a proxy', '10.0.0.1', '10.9.9.9, 203.0.113.9', '203.0.113.9'],
    ['two proxies', '10.0.0.1', '203.0.113.9, 192.0.2.7', '203.0.113.9'],
    ['two proxies and a made-up hop', '10.0.0.1', '8.8.8.8,203.0.113.9,10.2.2.2', '203.0.113.9'],
    ['a caller within', '10.0.0.1', '10.1.1.1, 10.2.2.2', '10.1.1.1'],
    ['white space', '10.0.0.1', ' \t203.0.113.9 \t', '203.0.113.9'],
    ['no address at the end', '10.0.0.1', '203.0.113.9, unknown', '10.0.0.1'],
    ['no address before a proxy', '10.0.0.1', 'garbage, 10.2.2.2', '10.2.2.2'],
    ['a port', '10.0.0.1', '203.0.113.9:4711', '10.0.0.1'],
    ['octal digits', '10.0.0.1', '0203.0.113.9', '10.0.0.1'],
    ['a short form', '10.0.0.1', '127.1', '10.0.0.1'],
    ['a trailing comma', '10.0.0.1', '203.0.113.9,', '10.0.0.1'],
    ['a proxy as IPv6 shows IPv4', '::ffff:10.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['a caller as IPv6 shows IPv4', '10.0.0.1', '::FFFF:203.0.113.9', '203.0.113.9'],
    ['the same in hex', '10.0.0.1', '0:0:0:0:0:ffff:cb00:7109', '203.0.113.9'],
    ['IPv6', '2001:db8:ffff::1', '2001:DB8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['a neighbour in the same /64', '2001:db8:ffff::1', '2001:db8:0001:0002::9', '2001:db8:1:2::/64'],
    ['the other /64', '2001:db8:ffff::1', '2001:db8:1:3::', '2001:db8:1:3::/64'],
    ['the shortest', '::1', undefined, '0:0:0:0::/64'],
    ['a zone', 'fe80::1%eth0', undefined, 'fe80:0:0:0::/64'],
    ['dots at the end', '2001:db8:ffff::1', '64:ff9b::203.0.113.9', '64:ff9b:0:0::/64'],
    ['brackets', '2001:db8:ffff::1', '[2001:db8::1]', '2001:db8:ffff:0::/64'],
    ['a proxy outside its block', '192.0.2.8', '203.0.113.9', '192.0.2.8'],
    ['a connection that is gone', '', '203.0.113.9', '0.0.0.0'],
  ];
  for (const [name, remoteAddress, forwardedFor, expected] of cases)
    it(`knows ${name}`, () => {
      expect(behind.of({ remoteAddress, forwardedFor })).to.equal(expected);
    });

  it('does not start with what is no block', () => {
    for (const wrong of [
      '10.0.0.0/33',
      '10.0.0',
      'localhost',
      '::/129',
      '10.0.0.0/8/8',
      '10.0.0.0/',
      'all',
      '',
    ])
      expect(() => new ClientAddress(`127.0.0.1, ${wrong}`), wrong).to.throw(/api\.trusted_proxies/);
  });

  it('may trust all', () => {
    const all = new ClientAddress('0.0.0.0/0, ::/0');
    expect(all.of({ remoteAddress: '198.51.100.1', forwardedFor: '1.1.1.1, 2.2.2.2' })).to.equal('1.1.1.1');
  });
});
