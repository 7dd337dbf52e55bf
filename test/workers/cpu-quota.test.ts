import { expect } from 'chai';
import { usableCores } from '../../src/workers/cpu-quota.ts';

function files(contents: Readonly<Record<string, string>>) {
  return (path: string): string | undefined => contents[path];
}

const v2 = '/sys/fs/cgroup/cpu.max';
const quotaV1 = '/sys/fs/cgroup/cpu/cpu.cfs_quota_us';
const periodV1 = '/sys/fs/cgroup/cpu/cpu.cfs_period_us';

describe('cpu quota', () => {
  it('is the affinity where no cgroup limits it', () => {
    expect(usableCores(files({}), 8)).to.equal(8);
    expect(usableCores(files({ [v2]: 'max 100000\n' }), 8)).to.equal(8);
    expect(usableCores(files({ [quotaV1]: '-1\n', [periodV1]: '100000\n' }), 8)).to.equal(8);
  });

  it('is read from cgroup v2 and v1, rounded up', () => {
    expect(usableCores(files({ [v2]: '150000 100000\n' }), 8)).to.equal(2);
    expect(usableCores(files({ [quotaV1]: '400000\n', [periodV1]: '100000\n' }), 8)).to.equal(4);
  });

  it('is never more than the affinity nor less than one', () => {
    expect(usableCores(files({ [v2]: '1600000 100000' }), 2)).to.equal(2);
    expect(usableCores(files({ [v2]: '5000 100000' }), 2)).to.equal(1);
  });

  it('survives files that say something else', () => {
    expect(usableCores(files({ [v2]: '' }), 3)).to.equal(3);
    expect(usableCores(files({ [v2]: 'nonsense' }), 3)).to.equal(3);
  });

  it('finds a core on this machine', () => {
    expect(usableCores()).to.be.at.least(1);
  });
});
