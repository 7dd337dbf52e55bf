import { expect } from 'chai';
import { redactFields, redactText } from '../../src/telemetry/redaction.ts';

describe('redaction', () => {
  const texts: readonly [string, string][] = [
    ['redis://u:p@host:1/0', 'redis://[redacted]@host:1/0'],
    ['redis://:p@host', 'redis://[redacted]@host'],
    ['a https://t@h/x and rediss://u:p@h2', 'a https://[redacted]@h/x and rediss://[redacted]@h2'],
    ['http://host/path@2', 'http://host/path@2'],
    ['Authorization: Bearer abc.def-g', 'Authorization: Bearer [redacted]'],
    ['basic dXNlcg==', 'basic [redacted]'],
    [
      `no such model mlr_test_0123456789ab_${'s'.repeat(32)}_00112233`,
      'no such model mlr_test_0123456789ab_[redacted]',
    ],
    ['nothing to see', 'nothing to see'],
  ];
  for (const [text, redacted] of texts)
    it(`writes ${text} as ${redacted}`, () => expect(redactText(text)).to.equal(redacted));

  it('masks fields by their names, whatever they hold', () => {
    const names = [
      'apiKey',
      'api_key',
      'x-api-key',
      'Authorization',
      'set-cookie',
      'password',
      'webhook-signature',
      'accessToken',
    ];
    const masked = redactFields(Object.fromEntries(names.map((name) => [name, { deep: 1 }])));
    expect(new Set(Object.values(masked))).to.deep.equal(new Set(['[redacted]']));
  });

  it('keeps plain values and only the kind of nested ones', () => {
    const fields = {
      count: 1,
      big: 5n,
      flag: true,
      none: null,
      list: [1, 'a'],
      objects: [{ a: 1 }],
      nested: { a: 1 },
    };
    expect(redactFields(fields)).to.deep.equal({
      count: 1,
      big: '5',
      flag: true,
      none: null,
      list: [1, 'a'],
      objects: '[array]',
      nested: '[object]',
    });
  });
});
