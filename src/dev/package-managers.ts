export interface PackageManager {
  readonly command: string;
  readonly needsRoot: boolean;
  /** Argument lists, run one after the other until a server is there. */
  readonly attempts: readonly (readonly string[])[];
  /** The arguments for a person. */
  readonly advice: string;
}

/** Names differ: distributions that left Redis after its change of licence carry Valkey. */
export const packageManagers: readonly PackageManager[] = [
  {
    command: 'apt-get',
    needsRoot: true,
    attempts: [
      ['install', '-y', '--no-install-recommends', 'redis-server'],
      ['update'],
      ['install', '-y', '--no-install-recommends', 'redis-server'],
      ['install', '-y', '--no-install-recommends', 'valkey-server'],
    ],
    advice: 'install redis-server',
  },
  {
    command: 'dnf',
    needsRoot: true,
    attempts: [
      ['install', '-y', 'redis'],
      ['install', '-y', 'valkey'],
    ],
    advice: 'install redis',
  },
  {
    command: 'yum',
    needsRoot: true,
    attempts: [['install', '-y', 'redis']],
    advice: 'install redis',
  },
  {
    command: 'apk',
    needsRoot: true,
    attempts: [
      ['add', '--no-cache', 'redis'],
      ['add', '--no-cache', 'valkey'],
    ],
    advice: 'add redis',
  },
  {
    command: 'pacman',
    needsRoot: true,
    attempts: [
      ['-Sy', '--noconfirm', 'valkey'],
      ['-Sy', '--noconfirm', 'redis'],
    ],
    advice: '-S valkey',
  },
  {
    command: 'zypper',
    needsRoot: true,
    attempts: [
      ['--non-interactive', 'install', 'redis'],
      ['--non-interactive', 'install', 'valkey'],
    ],
    advice: 'install redis',
  },
  {
    command: 'brew',
    needsRoot: false,
    attempts: [['install', 'redis']],
    advice: 'install redis',
  },
];
