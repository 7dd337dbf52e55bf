#!/usr/bin/env node
'use strict';
/**
 * The command `millrace`: runs src/cli/main.ts on Node 24. This file itself runs on whatever Node the system has, before
 * anything is installed, so it is plain CommonJS without dependencies.
 */
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

/** From this one on TypeScript runs as it is, also where a package has put it. */
const nodeMajorWanted = 24;

const root = fs.realpathSync(path.join(__dirname, '..'));
const main = path.join(root, 'src', 'cli', 'main.ts');
const ensure = path.join(root, 'scripts', 'ensure.cjs');
const isInstalledPackage = root.split(path.sep).includes('node_modules');

if (Number(process.versions.node.split('.')[0]) >= nodeMajorWanted) runHere();
else runOn(findNode());

function runHere() {
  const { pathToFileURL } = require('node:url');
  if (isInstalledPackage) stripTypesOfInstalled();
  process.argv[1] = main;
  void import(pathToFileURL(main).href);
}

/** Node takes types out of TypeScript, but not below node_modules: of our own files there we take them out. */
function stripTypesOfInstalled() {
  const { registerHooks, stripTypeScriptTypes } = require('node:module');
  const { fileURLToPath } = require('node:url');
  const { emitWarning } = process;
  // That the function is experimental is of no interest to who calls a command.
  process.emitWarning = () => undefined;
  stripTypeScriptTypes('');
  process.emitWarning = emitWarning;
  registerHooks({
    load(url, context, nextLoad) {
      if (!url.startsWith('file:') || !url.endsWith('.ts')) return nextLoad(url, context);
      const file = fileURLToPath(url);
      if (!file.startsWith(root + path.sep)) return nextLoad(url, context);
      const source = stripTypeScriptTypes(fs.readFileSync(file, 'utf8'));
      return { format: 'module', shortCircuit: true, source };
    },
  });
}

/** In a clone the one that npm installs there, now if need be. Its lines go to stderr: stdout is for data. */
function findNode() {
  if (isInstalledPackage)
    fail(
      `millrace needs Node ${nodeMajorWanted} or newer; this is Node ${process.versions.node}. ` +
        `npx -p node@${nodeMajorWanted} -p millrace millrace … brings its own.`,
    );
  const node = path.join(root, 'node_modules', '.bin', 'node');
  if (fs.existsSync(node)) return node;
  const { status } = spawnSync(process.execPath, [ensure], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(status === 130 ? 130 : 4);
  return node;
}

/** The child decides what a signal means; this process ends as it does. */
function runOn(node) {
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.once('error', (error) => fail(`${node} does not start (${error.message}): run  npm ci`));
  child.once('close', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function fail(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(2);
}
