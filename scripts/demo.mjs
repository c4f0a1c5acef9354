// `npm run demo`: from a fresh clone to VS Code with BPF Studio on a sample workspace. Installs what is missing (saying
// what and why), builds, packages, and opens desktop VS Code if there is one, else code-server on 127.0.0.1.
//   npm run demo -- --headless   takes a tour in a browser without a screen; leaves transcript and screenshots
//   npm run demo -- --port 8321  where code-server listens
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setup } from './setup.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const cache = path.join(
  process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'),
  'bpf-studio',
  'demo',
);

async function demo() {
  const options = readOptions();
  const desktop = options.headless ? undefined : desktopCode();
  setup({ only: desktop ? ['build', 'use'] : ['build', 'use', ...(options.headless ? ['editor'] : [])] });
  const { packageExtension } = await import('./package.mjs');
  const vsix = await packageExtension();
  const workspace = makeWorkspace();
  if (desktop) return openDesktop(desktop, vsix, workspace);

  const { installE2e } = await import('./e2e-install.mjs');
  installE2e();
  const { startCodeServer } = await import('./code-server.mjs');
  if (options.headless) return tour({ startCodeServer, vsix, workspace });
  const server = await startCodeServer({
    directory: cache,
    extensions: [vsix],
    workspace,
    port: options.port,
  });
  console.log(`\nOpen VS Code with BPF Studio in a browser on this machine:`);
  console.log(`  ${server.fileUrl(path.join(workspace, 'sample.bpf.c'))}`);
  console.log('No other machine can reach it. Ctrl-C here ends it.');
  await new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, resolve);
  });
  await server.stop();
}

/** Throws an Error that says what is wrong with the command line, and what may be on it. */
function readOptions() {
  const usage = 'npm run demo -- [--headless] [--port NUMBER]';
  let values;
  try {
    ({ values } = parseArgs({ options: { headless: { type: 'boolean' }, port: { type: 'string' } } }));
  } catch (error) {
    throw new Error(`${error.message}\n  ${usage}`, { cause: error });
  }
  const port = values.port === undefined ? undefined : Number(values.port);
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536)) {
    throw new Error(`--port ${values.port} is not a port, a number from 1 to 65535\n  ${usage}`);
  }
  return { headless: values.headless === true, port };
}

/** `code`, where there is a screen to show it on; it refuses to run as root. */
function desktopCode() {
  const screen = process.env.DISPLAY || process.env.WAYLAND_DISPLAY;
  if (!screen || os.userInfo().uid === 0) return undefined;
  const directories = (process.env.PATH ?? '').split(path.delimiter);
  return directories.map((directory) => path.join(directory, 'code')).find((file) => existsSync(file));
}

/** In a profile of its own: the demo changes nothing about the user's own VS Code. */
function openDesktop(code, vsix, workspace) {
  const profile = [
    '--user-data-dir',
    path.join(cache, 'desktop'),
    '--extensions-dir',
    path.join(cache, 'desktop-extensions'),
  ];
  for (const args of [
    ['--install-extension', vsix, '--force'],
    [workspace, path.join(workspace, 'sample.bpf.c')],
  ]) {
    const { status, error } = spawnSync(code, [...profile, ...args], { stdio: 'inherit' });
    if (status !== 0) throw new Error(`${code} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`);
  }
  console.log(`VS Code is open on ${workspace}`);
}

/** The sample and the templates, fresh, so that a visitor may change everything. */
function makeWorkspace() {
  const workspace = path.join(cache, 'workspace');
  rmSync(workspace, { recursive: true, force: true });
  mkdirSync(workspace, { recursive: true });
  cpSync(path.join(root, 'extension/sample'), workspace, { recursive: true });
  cpSync(path.join(root, 'bpf-templates'), path.join(workspace, 'templates'), {
    recursive: true,
    filter: (file) => !file.endsWith('.test.ts') && path.basename(file) !== 'template.json',
  });
  return workspace;
}

async function tour({ startCodeServer, vsix, workspace }) {
  const output = path.join(root, 'dist/demo');
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const transcript = [];
  const say = (line) => {
    transcript.push(line);
    console.log(line);
  };
  const { takeTour } = await import('./demo-tour.mjs');
  const directory = path.join(cache, 'headless');
  const server = await startCodeServer({ directory, extensions: [vsix], workspace });
  try {
    await takeTour({ server, sample: path.join(workspace, 'sample.bpf.c'), output, say });
  } finally {
    writeFileSync(path.join(output, 'transcript.txt'), `${transcript.join('\n')}\n`);
    await server.stop();
  }
  console.log(`\nTranscript and screenshots: ${output}`);
}

try {
  await demo();
} catch (error) {
  console.error(`demo: ${error.message}`);
  process.exitCode = 1;
}
