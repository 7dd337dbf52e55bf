import { expect } from 'chai';
import { sendError } from '../support/contract-server.ts';
import { useRig } from '../support/rig.ts';

describe('millrace predict', () => {
  const rig = useRig();
  const call = 'POST /api/v1/models/iris/predict';
  const echo = async (request: { body: Promise<string> }) => {
    const { inputs } = JSON.parse(await request.body) as { inputs: unknown };
    return { predictions: [{ id: 'p', output: inputs }], model_name: 'iris' };
  };

  it('predicts an operand', async () => {
    rig.server.answer(call, async (request, response) => response.end(JSON.stringify(await echo(request))));
    const line = ['predict', '[5.1, 3.5]', '--model', 'iris', '--timeout-ms', '500'];
    const { code, stdout } = await rig.run(line);
    expect({ code, stdout }).to.deep.equal({ code: 0, stdout: '{"id":"p","output":[5.1,3.5]}\n' });
    expect(JSON.parse((await rig.server.of(call)[0]?.body) ?? '')).to.deep.equal({
      inputs: [5.1, 3.5],
      parameters: { timeout_ms: 500 },
    });
  });

  it('answers lines in their order, and goes on after a bad one', async () => {
    rig.server.answer(call, async (request, response, raw) => {
      const answer = await echo(request);
      if (answer.predictions[0]?.output === 3)
        sendError(400, 'invalid_input', 'No')(request as never, response, raw);
      else response.end(JSON.stringify(answer));
    });
    const { code, stdout, stderr } = await rig.run('predict -m iris', '1\n2\n\n3\nnot json\n5\n');
    expect(code).to.equal(1);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { output?: number; error?: object });
    expect(lines.map(({ output }) => output ?? 'error')).to.deep.equal([1, 2, 'error', 'error', 5]);
    expect(stderr).to.include('line 4: 400 invalid_input: No').and.to.include('line 5: line 5 must be JSON');
  });

  it('ends at a failure that all lines would meet', async () => {
    rig.server.answer(call, sendError(404, 'not_found', 'There is no model iris'));
    const { code, stdout, stderr } = await rig.run('predict -m iris', '1\n2\n');
    expect({ code, stdout }).to.deep.equal({ code: 3, stdout: '' });
    expect(stderr).to.include('404 not_found: There is no model iris');
  });

  it('ends at Ctrl-C, also while it waits for a line', async () => {
    rig.server.answer(call, async (request, response) => response.end(JSON.stringify(await echo(request))));
    const cli = rig.start('predict -m iris');
    cli.child.stdin.write('1\n');
    await cli.wrote('stdout', /"output":1/);
    cli.child.kill('SIGINT');
    expect((await cli.ended).code).to.equal(130);
  });

  it('answers a line before the next one comes', async () => {
    rig.server.answer(call, async (request, response) => response.end(JSON.stringify(await echo(request))));
    const cli = rig.start('predict -m iris');
    cli.child.stdin.write('1\n');
    await cli.wrote('stdout', /"output":1/);
    cli.child.stdin.end('2\n');
    expect((await cli.ended).stdout).to.match(/"output":1.*\n.*"output":2/);
  });
});
