import { expect } from 'chai';
import { Health } from '../../src/api/health.ts';
import type { HealthProbe } from '../../src/api/health.ts';

const well: HealthProbe = { name: 'redis', required: true, check: async () => null };

function healthOf(...probes: readonly HealthProbe[]): Health {
  return new Health({ version: '1.2.3', environment: 'test', probes, timeoutMs: 20, cacheMs: 60_000 });
}

describe('Health', () => {
  it('has the fields that clients know, in their order', async () => {
    const report = await healthOf(well).report();
    expect(Object.keys(report)).to.deep.equal([
      'status',
      'version',
      'environment',
      'dependencies',
      'uptime_seconds',
    ]);
    const { redis } = report.dependencies;
    expect(Object.keys(redis!)).to.deep.equal(['status', 'latency_ms', 'message', 'last_check']);
    expect(redis).to.include({ status: 'healthy', message: null });
    expect(new Date(redis!.last_check).toISOString()).to.equal(redis!.last_check);
  });

  it('is unhealthy without what is required, degraded without what is not', async () => {
    const down = async () => 'It is down';
    const optional: HealthProbe = { name: 'registry', required: false, check: down };
    expect((await healthOf(well, optional).report()).status).to.equal('degraded');
    const required: HealthProbe = { name: 'workers', required: true, check: down };
    const report = await healthOf(well, optional, required).report();
    expect(report.status).to.equal('unhealthy');
    expect(report.dependencies['workers']?.message).to.equal('It is down');
  });

  it('counts a dependency that does not answer as down, and shows nothing of its error', async () => {
    const silent: HealthProbe = { name: 'redis', required: true, check: () => new Promise(() => {}) };
    const failing: HealthProbe = {
      name: 'storage',
      required: true,
      check: () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7:6379')),
    };
    const { dependencies, status } = await healthOf(silent, failing).report();
    expect(status).to.equal('unhealthy');
    expect(dependencies['redis']?.message).to.equal('No answer within 20 ms');
    expect(dependencies['storage']?.message).to.equal('Out of reach');
  });

  it('asks once for everybody who asks within the cache time', async () => {
    let asked = 0;
    const counting: HealthProbe = {
      ...well,
      check: async () => {
        asked += 1;
        return null;
      },
    };
    const health = healthOf(counting);
    const [first, second] = await Promise.all([health.report(), health.report()]);
    expect(await health.report()).to.equal(first);
    expect(second).to.equal(first);
    expect(asked).to.equal(1);
  });
});
