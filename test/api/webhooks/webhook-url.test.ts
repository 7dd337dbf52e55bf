import { expect } from 'chai';
import { AddressGuard } from '../../../src/api/webhooks/address-guard.ts';
import { checkWebhookUrl } from '../../../src/api/webhooks/webhook-url.ts';

const closed = new AddressGuard({ allowedNetworks: 'none', allowedPorts: '80,443,8443' });
const opened = new AddressGuard({ allowedNetworks: '127.0.0.0/8', allowedPorts: '443' });

describe('the URL of a webhook', () => {
  for (const url of [
    'https://example.com/hook',
    'http://example.com',
    'https://example.com:8443/a?b=c#d',
    'https://1.1.1.1/',
    'https://[2606:4700::1111]/',
    'https://bücher.example/',
    'https://private.example/, whatever it resolves to',
  ])
    it(`may be ${url}`, () => {
      checkWebhookUrl(url, closed);
    });

  for (const url of [
    '',
    'example.com/hook',
    'ftp://example.com/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'https://',
    'https://user@example.com/',
    'https://user:password@example.com/',
    'https://example.com:22/',
    'https://example.com:6379/',
    'http://127.0.0.1/',
    'http://127.1/',
    'http://0x7f.1/',
    'http://0177.0.0.1/',
    'http://2130706433/',
    'http://127。0。0。1/',
    'http://0/',
    'http://localhost/',
    'http://LOCALHOST./',
    'http://api.localhost/',
    'http://169.254.169.254/latest/meta-data/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[64:ff9b::7f00:1]/',
    'http://[fd00:ec2::254]/',
    'http://10.0.0.1:443/',
    `https://example.com/${'a'.repeat(2048)}`,
  ])
    it(`may not be ${url.slice(0, 60) || 'empty'}`, () => {
      expect(() => checkWebhookUrl(url, closed))
        .to.throw('cannot be called')
        .with.property('code', 'invalid_input');
    });

  it('may lead into networks that are opened, by address or by a name that only DNS knows', () => {
    for (const url of ['http://127.0.0.1:3000/', 'http://localhost:3000/', 'http://receiver.internal:3000/'])
      checkWebhookUrl(url, opened);
    expect(() => checkWebhookUrl('http://10.0.0.1/', opened)).to.throw('cannot be called');
  });

  it('is named where it stands in the request', () => {
    expect(() => checkWebhookUrl('x', closed, 'query.webhook'))
      .to.throw()
      .with.nested.property('details[0].path', 'query.webhook');
  });
});
