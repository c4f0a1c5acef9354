// Installs what test/vscode needs to drive real VS Code: code-server (the VS Code workbench and extension host,
// served on loopback), a Node new enough to run it, and playwright-core for the Chromium that is on the machine.
// 0.8 GB, so it lives in the user's cache and is shared by all checkouts. Running it again costs nothing.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const versions = { node: '24', 'code-server': '4.139.1', 'playwright-core': '1.65.1' };

/** Where the test installation lives. */
export const e2eDirectory = path.join(
  process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'),
  'bpf-studio',
  'e2e',
);

/** Files of the installation that the tests start. */
export const e2ePaths = {
  node: path.join(e2eDirectory, 'node', 'node_modules', 'node', 'bin', 'node'),
  codeServer: path.join(e2eDirectory, 'node_modules', 'code-server', 'out', 'node', 'entry.js'),
  playwright: path.join(e2eDirectory, 'node_modules', 'playwright-core', 'index.mjs'),
};

/** Chromium's executable, or null with nothing found; Debian and Ubuntu call it differently. */
export function findChromium() {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const directories = (process.env.PATH ?? '').split(path.delimiter).concat('/usr/bin', '/snap/bin');
  for (const name of names) {
    for (const directory of directories) {
      if (existsSync(path.join(directory, name))) return path.join(directory, name);
    }
  }
  return null;
}

function step(what, command, args, cwd, environment = {}) {
  const result = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...environment },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.status !== 0) {
    const why = result.error?.message ?? `${result.stdout}\n${result.stderr}`.trim();
    throw new Error(
      `${what} failed (${command} ${args.join(' ')}):\n${why}\nRemove ${e2eDirectory} and run node scripts/e2e-install.mjs.`,
    );
  }
}

/** Installs everything that is missing. Throws an error that names the failed step and its output. */
export function installE2e(log = console.log) {
  const stamp = path.join(e2eDirectory, 'installed.json');
  const wanted = JSON.stringify(versions);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;

  log(`Installing code-server and playwright-core for the editor tests into ${e2eDirectory} (0.8 GB) …`);
  rmSync(e2eDirectory, { recursive: true, force: true });
  const nodeDirectory = path.join(e2eDirectory, 'node');
  mkdirSync(nodeDirectory, { recursive: true });
  for (const directory of [e2eDirectory, nodeDirectory]) {
    writeFileSync(path.join(directory, 'package.json'), '{ "private": true }\n');
  }
  const npm = ['install', '--no-audit', '--no-fund', '--loglevel=error', '--ignore-scripts'];

  // The node package fetches its platform's binary in an install script. npm runs such scripts or not depending on
  // its version and configuration, so the script is run here instead.
  const node = ['install', `node@${versions.node}`, ...npm.slice(1)];
  step('Installing Node 24', 'npm', node, nodeDirectory);
  step(
    'Fetching the Node 24 binary',
    process.execPath,
    ['installArchSpecificPackage'],
    path.join(nodeDirectory, 'node_modules', 'node'),
  );

  const withNewNode = { PATH: `${path.dirname(e2ePaths.node)}${path.delimiter}${process.env.PATH}` };
  const tools = ['code-server', 'playwright-core'].map((name) => `${name}@${versions[name]}`);
  step('Installing code-server', 'npm', [...npm, ...tools], e2eDirectory, withNewNode);

  // code-server carries VS Code's own package.json one level down; its shrinkwrap does not satisfy `npm ci`.
  const workbench = path.join(e2eDirectory, 'node_modules', 'code-server', 'lib', 'vscode');
  step('Installing the workbench', 'npm', [...npm, '--omit=dev'], workbench, withNewNode);

  // The log writer and the watchdog are native. VS Code runs without them, but writes no log files.
  const headers = path.resolve(path.dirname(process.execPath), '..');
  const nodedir = existsSync(path.join(headers, 'include', 'node', 'node.h'))
    ? { npm_config_nodedir: headers }
    : {};
  try {
    const modules = ['rebuild', '@vscode/spdlog', '@vscode/native-watchdog'];
    step('Building the log writer', 'npm', modules, workbench, { ...withNewNode, ...nodedir });
  } catch (error) {
    log(`The editor tests will leave no log files: ${error.message}`);
  }
  writeFileSync(stamp, wanted);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) installE2e();
