import { expect } from 'chai';
import { AddressGuard } from '../../../src/api/webhooks/address-guard.ts';

const closed = new AddressGuard({ allowedNetworks: 'none', allowedPorts: '80,443' });

/** Every kind of address that is not for everybody, and every dress that IPv6 has for IPv4. */
const refused = [
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.1',
  '100.100.100.200',
  '100.127.255.255',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.0.1',
  '169.254.169.254',
  '169.254.170.2',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.1',
  '192.0.0.192',
  '192.0.2.1',
  '192.88.99.1',
  '192.168.0.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '168.63.129.16',
  '::',
  '::1',
  '::7f00:1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '::ffff:8.8.8.8',
  '::ffff:0:127.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b::8.8.8.8',
  '64:ff9b:1::a00:1',
  '100::1',
  '2001::1',
  '2001:2::1',
  '2001:10::1',
  '2001:20::1',
  '2001:db8::1',
  '2002:7f00:1::',
  '2002:808:808::',
  '3fff::1',
  '5f00::1',
  'fc00::1',
  'fd00:ec2::254',
  'fd12:3456::1',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
  'ff0e::1',
  '',
  'localhost',
  'example.com',
  '127.1',
  '0x7f.0.0.1',
  '2130706433',
  '[::1]',
] as const;

const open = [
  '1.1.1.1',
  '8.8.8.8',
  '93.184.216.34',
  '172.15.0.1',
  '172.32.0.1',
  '2606:4700::1111',
  '2a00:1450:4001::1',
];

describe('the guard of webhooks', () => {
  for (const address of refused)
    it(`refuses ${address === '' ? 'nothing' : address}`, () => {
      expect(closed.allows(address, 443)).to.equal(false);
    });

  for (const address of open)
    it(`allows ${address}, on the ports that are`, () => {
      expect([80, 443, 22, 6379].map((port) => closed.allows(address, port))).to.deep.equal([
        true,
        true,
        false,
        false,
      ]);
    });

  it('allows the networks that a setting opens, on any port, and no others', () => {
    const guard = new AddressGuard({
      allowedNetworks: '10.1.0.0/16, 127.0.0.1,fd00:1::/32',
      allowedPorts: '443',
    });
    for (const address of ['10.1.2.3', '127.0.0.1', 'fd00:1::5'])
      expect(guard.allows(address, 6379), address).to.equal(true);
    for (const address of ['10.2.0.1', '127.0.0.2', 'fd00:2::1', '::ffff:10.1.2.3', '::ffff:127.0.0.1'])
      expect(guard.allows(address, 443), address).to.equal(false);
    expect([closed.isOpened, guard.isOpened]).to.deep.equal([false, true]);
  });

  for (const wrong of ['10.0.0.0/33', '10.0.0', 'fd00::/129', '10.1.0.0/16,', '10.0.0.0/x'])
    it(`does not start with ${wrong}`, () => {
      expect(() => new AddressGuard({ allowedNetworks: wrong, allowedPorts: '443' }))
        .to.throw('webhooks.allowed_networks')
        .with.property('code', 'invalid_input');
    });
});
