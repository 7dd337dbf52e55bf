import { expect } from 'chai';
import type { BatchObject } from '../../../src/api/batch/batch-view.ts';
import { until } from '../../../src/dev/readiness.ts';
import { chunksOf, useBatchRig } from '../batch/support/batch-rig.ts';
import { EventReader } from '../support/event-reader.ts';

describe('GET /api/v1/batch/{id}/events', () => {
  const rig = useBatchRig({ eventStreamsMax: 3 });

  const open = async (id: string, lastEventId?: string): Promise<EventReader> => {
    const path = `/api/v1/batch/${id}/events`;
    const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    const response = await rig().get(path, { accept: 'text/event-stream', ...headers });
    expect(response.status).to.equal(200);
    expect(response.headers.get('content-type')).to.equal('text/event-stream');
    return new EventReader(response);
  };
  const dataOf = (data: string): BatchObject => JSON.parse(data) as BatchObject;

  it('tells of progress as it comes, then once of the end, then ends', async () => {
    const chunks = chunksOf(40, 10);
    const id = await rig().submit(chunks, { unfinished: [0, 1, 2, 3] });
    const events = await open(id);
    const first = await events.next();
    expect(first).to.include({ event: 'progress' });
    expect(events.retryMs).to.equal(1000);
    expect(dataOf(first!.data)).to.include({ id, status: 'queued', progress: 0 });
    let last = first!;
    for (const [index, chunk] of chunks.entries()) {
      await rig().finish(id, index, chunk);
      last = (await events.next())!;
      // A look may fall between the beginning of a run and its end.
      while (dataOf(last.data).counts.succeeded < 10 * (index + 1)) last = (await events.next())!;
    }
    expect(last.event).to.equal('completed');
    expect(dataOf(last.data)).to.include({ status: 'completed', progress: 1 });
    expect(last.id).to.equal(String((await rig().ledger.get(id))?.revision));
    expect(await events.next()).to.equal(undefined);
    expect(events.past.filter(({ event }) => event !== 'progress')).to.have.length(1);
    expect(events.past.map((event) => Number(event.id))).to.deep.equal(
      events.past.map((event) => Number(event.id)).toSorted((a, b) => a - b),
    );
    await until(async () => rig().streams.events() === 0, AbortSignal.timeout(10_000));
  });

  it('resumes after the event that a client has seen', async () => {
    const chunks = chunksOf(20, 10);
    const id = await rig().submit(chunks, { unfinished: [0, 1] });
    const before = await open(id);
    const seen = await before.next();
    await before.leave();
    const after = await open(id, seen?.id);
    await rig().finish(id, 0, chunks[0]!);
    const next = await after.next();
    expect(Number(next?.id)).to.be.greaterThan(Number(seen?.id));
    await after.leave();
    await rig().finish(id, 1, chunks[1]!);
    const end = await open(id, next?.id);
    expect(await end.next()).to.include({ event: 'completed' });
    expect(await end.next()).to.equal(undefined);
  });

  for (const [status, end] of [
    ['cancelled', (id: string) => rig().ledger.cancel(id)],
    ['failed', (id: string) => rig().ledger.fail(id, { code: 'request_timeout', message: 'It broke off' })],
  ] as const)
    it(`tells of a batch that is ${status}`, async () => {
      const id = await rig().submit(chunksOf(10, 10), { unfinished: [0] });
      const events = await open(id);
      expect(await events.next()).to.include({ event: 'progress' });
      await end(id);
      const last = await events.next();
      expect(last).to.include({ event: status });
      expect(dataOf(last!.data).error?.code ?? null).to.equal(status === 'failed' ? 'request_timeout' : null);
      expect(await events.next()).to.equal(undefined);
    });

  it('gives the end at once when it was missed, and says when there is no more', async () => {
    const id = await rig().submit(chunksOf(10, 10));
    const events = await open(id, '1');
    const last = await events.next();
    expect(last).to.include({ event: 'completed' });
    expect(await events.next()).to.equal(undefined);
    const again = await rig().get(`/api/v1/batch/${id}/events`, { 'last-event-id': last!.id });
    expect(again.status).to.equal(204);
  });

  it('takes an id that is yet to come, as after a crash of Redis, for none', async () => {
    const id = await rig().submit(chunksOf(20, 10), { unfinished: [0, 1] });
    const { revision } = (await rig().ledger.get(id))!;
    const running = await open(id, String(revision + 1));
    expect(await running.next()).to.include({ event: 'progress' });
    await rig().ledger.cancel(id);
    const ended = await open(id, String(revision + 100));
    expect(await ended.next()).to.include({ event: 'cancelled' });
    await running.leave();
    await ended.leave();
  });

  it('has a bound for each caller, and room again once one has left', async () => {
    const id = await rig().submit(chunksOf(10, 10), { unfinished: [0] });
    const streams = [await open(id), await open(id), await open(id)];
    const refused = await rig().get(`/api/v1/batch/${id}/events`);
    expect(refused.status).to.equal(503);
    expect(refused.headers.has('retry-after')).to.equal(true);
    await streams[0]!.leave();
    await until(async () => rig().streams.events() === 2, AbortSignal.timeout(10_000));
    streams.push(await open(id));
    await rig().ledger.cancel(id);
    for (const stream of streams.slice(1)) expect((await stream.toEnd()).at(-1)?.event).to.equal('cancelled');
    await until(async () => rig().streams.events() === 0, AbortSignal.timeout(10_000));
  });

  it('leaves nothing behind when clients leave', async () => {
    const id = await rig().submit(chunksOf(10, 10), { unfinished: [0] });
    for (let i = 0; i < 10; i++) {
      const events = await open(id);
      await events.next();
      await events.leave();
      await until(async () => rig().streams.events() === 0, AbortSignal.timeout(10_000));
    }
    expect(rig().watched()).to.equal(0);
  });

  it('takes HEAD', async () => {
    const id = await rig().submit(chunksOf(10, 10), { unfinished: [0] });
    const response = await rig().call('HEAD', `/api/v1/batch/${id}/events`);
    expect(response.status).to.equal(200);
    expect(rig().streams.events()).to.equal(0);
  });
});

describe('streams of a process that stops', () => {
  const rig = useBatchRig();

  it('are cut, so that nobody takes a part for the whole', async () => {
    const id = await rig().submit(chunksOf(20, 10), { unfinished: [1] });
    const events = new EventReader(await rig().get(`/api/v1/batch/${id}/events`));
    expect(await events.next()).to.include({ event: 'progress' });
    const rows = await rig().get(`/api/v1/batch/${id}/results?follow=true`, { accept: 'text/csv' });
    const reading = rows.text().then(
      () => 'whole',
      () => 'cut',
    );
    rig().stopping.abort();
    expect(await reading).to.equal('cut');
    expect(
      await events.next().then(
        () => 'whole',
        () => 'cut',
      ),
    ).to.equal('cut');
    expect(rig().watched()).to.equal(0);
  });
});
