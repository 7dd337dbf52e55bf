import { expect } from 'chai';
import { createRequestLines } from '../../src/telemetry/request-lines.ts';
import { requestEvent } from './events.ts';

describe('request lines', () => {
  const lineOf = createRequestLines({ serviceName: 'millrace-test', pid: 7, nowMs: () => 86_400_000 });

  it('are JSON whatever names hold', () => {
    const odd = '"\\\n\u{1f600}';
    const line = lineOf(
      requestEvent({ requestId: odd, model: odd, version: odd, traceId: odd, principal: odd }),
    );
    expect(line.indexOf('\n')).to.equal(line.length - 1);
    expect(JSON.parse(line)).to.include({
      request_id: odd,
      'millrace.model': odd,
      'millrace.version': odd,
      'trace.id': odd,
      'user.id': odd,
      '@timestamp': '1970-01-02T00:00:00.000Z',
    });
  });

  it('are never mixed up, however many kinds there are', () => {
    for (const round of [1, 2])
      for (let kind = 0; kind < 1500; kind++) {
        const line = JSON.parse(
          lineOf(requestEvent({ version: String(kind), status: 200 + (kind % 3), durationMs: round })),
        );
        expect(line['millrace.version']).to.equal(String(kind));
        expect(line['http.response.status_code']).to.equal(200 + (kind % 3));
        expect(line['event.duration']).to.equal(round * 1e6);
      }
  });
});
