'use strict';
/**
 * Run before every npm script: installs what package-lock.json names when it is missing or out of date, else
 * returns in milliseconds. Plain CommonJS without dependencies, because it runs on the system's Node (20 or
 * newer) before anything is installed; the scripts after it run on the Node 24 that it installs.
 *
 *   node scripts/ensure.cjs [--redis]     --redis: also make sure that a redis-server binary is there
 */
const { spawn, spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const { tmpdir } = require('node:os');
const path = require('node:path');

const nodeMajorMin = 20;
const nodeMajorInstalled = 24;
/** The holder of the lock touches it this often; one that is 10 s old belongs to a process that is gone. */
const lockTouchMs = 1_000;
const lockStaleMs = 10_000;
const lockPollMs = 100;
const errorLinesMax = 20;

const root = fs.realpathSync(path.join(__dirname, '..'));
const modules = path.join(root, 'node_modules');
const installedNode = path.join(modules, '.bin', 'node');
const stampFile = path.join(modules, '.millrace-lock-digest');
const lockFile = path.join(tmpdir(), `millrace-install-${digest(root).slice(0, 16)}.lock`);

main().catch((error) => fail(error.message));

async function main() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < nodeMajorMin)
    fail(`Millrace needs Node ${nodeMajorMin} or newer to start; this is Node ${process.versions.node}.`);
  if (!isUpToDate()) await withLock(async () => isUpToDate() || install());
  if (process.argv.includes('--redis')) ensureRedis();
}

function isUpToDate() {
  if (!fs.existsSync(installedNode)) return false;
  const lock = fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8');
  if (read(stampFile) === digest(lock)) return true;
  if (!isInstalled(JSON.parse(lock))) return false;
  fs.writeFileSync(stampFile, digest(lock));
  return true;
}

/** What npm itself noted of its last install holds everything that the lock file names: `npm install X` was run by hand. */
function isInstalled(lock) {
  const noted = read(path.join(modules, '.package-lock.json'));
  if (noted === undefined) return false;
  const { packages } = JSON.parse(noted);
  return Object.entries(lock.packages).every(([place, wanted]) => {
    if (place === '') return true;
    const found = packages[place];
    return found === undefined
      ? Boolean(wanted.optional || wanted.devOptional)
      : found.version === wanted.version;
  });
}

async function install() {
  if (fs.lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink())
    fail(`${modules} is a link: npm would empty the folder that it leads to. Remove it, or install there.`);
  const progress = startProgress('installing packages');
  const { code, signal, errors } = await runNpmCi();
  if (code !== 0) {
    progress.end(false);
    if (signal !== null || code === 130) process.exit(130);
    process.stderr.write(`${errors.split('\n').slice(-errorLinesMax).join('\n').trimEnd()}\n`);
    fail('The packages could not be installed: npm says why above.');
  }
  const version = spawnSync(installedNode, ['--version'], { encoding: 'utf8' });
  if (version.status !== 0 || !version.stdout.startsWith(`v${nodeMajorInstalled}.`)) {
    progress.end(false);
    fail(`The Node ${nodeMajorInstalled} that npm installed does not run here: ${reasonOf(version)}.`);
  }
  fs.writeFileSync(stampFile, digest(fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8')));
  progress.end(true);
}

function reasonOf(result) {
  return (
    result.error?.message ?? (result.stderr.trim().split('\n')[0] || `it printed ${result.stdout.trim()}`)
  );
}

/**
 * npm removes node_modules first, so it must not run on the Node inside it. `--include=dev`: with
 * NODE_ENV=production npm would leave out the very Node that the scripts need.
 */
function runNpmCi() {
  const flags = ['ci', '--include=dev', '--loglevel=error', '--no-audit', '--no-fund', '--no-progress'];
  const outside = (process.env.PATH ?? '').split(path.delimiter).filter((folder) => !isInside(folder));
  const cli = process.env.npm_execpath ?? '';
  const [command, args] = /npm-cli\.c?js$/.test(cli)
    ? [nodeOutside(outside), [cli, ...flags]]
    : ['npm', flags];
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, PATH: outside.join(path.delimiter) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    errors += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`npm could not be started (${error.message}).`)));
    child.once('close', (code, signal) => resolve({ code, signal, errors }));
  });
}

function isInside(folder) {
  const resolved = path.resolve(root, folder);
  return resolved === modules || resolved.startsWith(modules + path.sep);
}

function nodeOutside(folders) {
  if (!isInside(process.execPath)) return process.execPath;
  return folders.map((folder) => path.join(folder, 'node')).find((file) => fs.existsSync(file)) ?? 'node';
}

/** Redis is looked for by the same code as in `npm start`, which needs the installed Node. */
function ensureRedis() {
  const { status } = spawnSync(installedNode, [path.join(root, 'src', 'dev', 'ensure-redis.ts')], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
}

/** One install at a time in a checkout; the others wait for it and find its work done. */
async function withLock(work) {
  while (!tryLock()) await new Promise((resolve) => setTimeout(resolve, lockPollMs));
  const touch = setInterval(() => fs.utimesSync(lockFile, new Date(), new Date()), lockTouchMs);
  const release = () => fs.rmSync(lockFile, { force: true });
  process.on('exit', release);
  try {
    await work();
  } finally {
    clearInterval(touch);
    process.off('exit', release);
    release();
  }
}

function tryLock() {
  try {
    fs.writeFileSync(lockFile, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    removeStaleLock();
    return false;
  }
}

/** Renamed before it is removed: of several that find it stale only one can take it away. */
function removeStaleLock() {
  try {
    const { mtimeMs } = fs.statSync(lockFile);
    const holder = Number(fs.readFileSync(lockFile, 'utf8'));
    if (Date.now() - mtimeMs < lockStaleMs && (holder === 0 || isAlive(holder))) return;
    const aside = `${lockFile}.${process.pid}`;
    fs.renameSync(lockFile, aside);
    // Another process may have taken over between the look and the rename: then it keeps its lock.
    if (Number(fs.readFileSync(aside, 'utf8')) !== holder) fs.linkSync(aside, lockFile);
    fs.rmSync(aside);
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** On a terminal one line that counts the seconds; elsewhere a line at the start and one at the end. */
function startProgress(what) {
  const startedAtMs = Date.now();
  const seconds = () => Math.round((Date.now() - startedAtMs) / 1000);
  const { isTTY } = process.stdout;
  const show = () => process.stdout.write(`\r  … ${what} (${seconds()} s)`);
  if (!isTTY) process.stdout.write(`  … ${what} (about a minute the first time)\n`);
  const timer = isTTY ? setInterval(show, 1_000) : undefined;
  if (isTTY) show();
  return {
    end(succeeded) {
      clearInterval(timer);
      process.stdout.write(`${isTTY ? '\r' : ''}  ${succeeded ? '✓' : '✗'} ${what} (${seconds()} s)\n`);
    },
  };
}

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function digest(text) {
  return createHash('sha256').update(text).digest('hex');
}

function fail(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}
