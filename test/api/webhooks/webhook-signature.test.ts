import { createHmac } from 'node:crypto';
import { expect } from 'chai';
import { Webhook } from 'standardwebhooks';
import { generateWebhookSecret, signaturesOf } from '../../../src/api/webhooks/webhook-signature.ts';

const message = { id: 'batch_01', timestampS: Math.floor(Date.now() / 1000), body: '{"ä":1}' };

function headersOf(signature: string) {
  return {
    'webhook-id': message.id,
    'webhook-timestamp': String(message.timestampS),
    'webhook-signature': signature,
  };
}

describe('the signature of a webhook', () => {
  it('has a secret of 32 random bytes', () => {
    const secret = generateWebhookSecret();
    expect(secret).to.match(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(secret).not.to.equal(generateWebhookSecret());
  });

  it('is the HMAC of id, timestamp and body', () => {
    const secret = generateWebhookSecret();
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
    const expected = createHmac('sha256', key)
      .update(`${message.id}.${message.timestampS}.${message.body}`)
      .digest('base64');
    expect(signaturesOf(message, [secret])).to.equal(`v1,${expected}`);
  });

  it('is one for each secret, and whoever knows one of them can verify it', () => {
    const [current, previous, other] = [
      generateWebhookSecret(),
      generateWebhookSecret(),
      generateWebhookSecret(),
    ];
    const headers = headersOf(signaturesOf(message, [current, previous]));
    for (const secret of [current, previous])
      expect(new Webhook(secret).verify(message.body, headers)).to.deep.equal({ ä: 1 });
    expect(() => new Webhook(other).verify(message.body, headers)).to.throw('No matching signature');
    expect(() => new Webhook(current).verify('{"ä":2}', headers)).to.throw('No matching signature');
  });

  it('is that of the specification’s example', () => {
    // Of the repository of the specification, whose libraries test with it.
    const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    const signature = signaturesOf(
      { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestampS: 1_614_265_330, body: '{"test": 2432232314}' },
      [secret],
    );
    expect(signature).to.equal('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  });
});
