import { expect } from 'chai';
import { exampleBody, until } from '../../src/dev/readiness.ts';
import { isAlive } from '../support/processes.ts';
import { startStack, useStack } from '../support/stack.ts';

describe('a stack for integration tests', function () {
  this.timeout(60_000);

  describe('of two APIs and two workers', () => {
    const stack = useStack({ apis: 2, workers: 2 });

    it('answers from each API', async () => {
      for (const api of stack().apis) {
        const response = await fetch(`${api.url}/api/v1/predict`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-api-key': stack().key },
          body: exampleBody,
        });
        expect(response.status).to.equal(200);
      }
    });

    it('takes bodies as text and as values, for any path', async () => {
      expect((await stack().predict(exampleBody)).status).to.equal(200);
      const iris = await stack().predict({ inputs: [5.1, 3.5, 1.4, 0.2] }, '/api/v1/models/iris/predict');
      expect(await iris.json()).to.have.nested.property('predictions[0].output', 'setosa');
    });

    it('goes on when a member is killed, and takes it back', async () => {
      const [first] = stack().workers;
      await first!.kill('SIGKILL');
      expect(first!.running).to.equal(false);
      await until(
        async () => (await stack().predict(exampleBody)).status === 200,
        AbortSignal.timeout(10_000),
      );
      first!.start();
      await first!.ready();
      expect((await fetch(`${first!.adminUrl}/metrics`)).status).to.equal(200);
    });
  });

  it('says with its logs why it did not start', async () => {
    let error: Error | undefined;
    await startStack({ env: { MILLRACE_WORKER_HOSTS: 'many' } }).catch((caught: Error) => (error = caught));
    expect(error?.message).to.match(/the stack did not start:[^]*MILLRACE_WORKER_HOSTS/);
  });

  it('leaves nothing', async () => {
    const stack = await startStack({ models: [], workers: 0 });
    const [api] = stack.apis;
    const { pid } = api!;
    await stack.stop();
    expect(isAlive(pid)).to.equal(false);
  });
});
