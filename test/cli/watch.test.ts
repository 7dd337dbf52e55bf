import { expect } from 'chai';
import { batchObject, completed, sendEvents, sendJson, eventsUntil } from './support/contract-server.ts';
import { useRig } from './support/rig.ts';

const { id } = completed;

describe('watching a batch', () => {
  const rig = useRig();
  it('goes on after the last event that came when the stream breaks', async () => {
    const quarter = batchObject({ counts: { total: 1000, succeeded: 250, failed: 0 } });
    const events = `GET /api/v1/batch/${id}/events`;
    rig.server.answer(
      events,
      sendEvents([quarter, quarter], { firstId: 4, breaks: true }),
      sendEvents([completed]),
    );
    rig.server.answer(`GET /api/v1/batch/${id}`, sendJson(200, quarter));
    const { code, stdout } = await rig.run(`batch status ${id} --watch`);
    expect(code).to.equal(0);
    expect(stdout).to.include('completed');
    expect(rig.server.of(events).map(({ headers }) => headers['last-event-id'])).to.deep.equal([
      undefined,
      '5',
    ]);
  });

  it('does not miss an end that got lost with the connection', async () => {
    rig.server.answer(`GET /api/v1/batch/${id}/events`, sendEvents([], { breaks: true }));
    rig.server.answer(`GET /api/v1/batch/${id}`, sendJson(200, completed));
    expect((await rig.run(`batch status ${id} --watch`)).code).to.equal(0);
  });

  it('says how to go on at Ctrl-C', async () => {
    const half = batchObject({ counts: { total: 1000, succeeded: 500, failed: 0 } });
    rig.server.answer(`GET /api/v1/batch/${id}/events`, eventsUntil(half, completed).answerer);
    const cli = rig.start(`batch status ${id} --watch`);
    await cli.wrote('stderr', /50 %/);
    // npm and the terminal both pass a Ctrl-C on: two at once are one.
    cli.child.kill('SIGINT');
    cli.child.kill('SIGINT');
    const { code, stderr } = await cli.ended;
    expect(code).to.equal(130);
    expect(stderr).to.include(
      `Interrupted. The batch goes on. Come back to it:  millrace batch status ${id} --watch`,
    );
  });
});
