/** Starts code-server on a workspace with the packaged extension installed, and ends it with all it started. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
// @ts-expect-error A script without types.
import { e2ePaths, installE2e } from '../../../scripts/e2e-install.mjs';

const run = promisify(execFile);
export const root = path.resolve(__dirname, '../../..');

export interface EditorServer {
  port: number;
  /** The folder that is open. */
  workspace: string;
  bridgeSocket: string;
  /** Process ids of the kernel hosts that run from this server's installation. */
  kernelHosts(): number[];
  /** Text of every log of the extension host; for failures. */
  logs(): Promise<string>;
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** Settings on top of the quiet ones. */
  settings?: Record<string, unknown>;
  /** With workspace trust switched on, as users have it. */
  trust?: boolean;
  environment?: Record<string, string>;
}

/** Without these a welcome page, a chat panel or a prompt is in the way. */
const QUIET = {
  'security.workspace.trust.enabled': false,
  'workbench.tips.enabled': false,
  'workbench.enableExperiments': false,
  'workbench.editor.enablePreview': false,
  'extensions.autoUpdate': false,
  'extensions.autoCheckUpdates': false,
  'git.enabled': false,
  'window.commandCenter': false,
  'editor.minimap.enabled': false,
  'editor.stickyScroll.enabled': false,
  'breadcrumbs.enabled': false,
  'chat.disableAIFeatures': true,
  'extensions.ignoreRecommendations': true,
  'files.simpleDialog.enable': true,
  'workbench.startupEditor': 'none',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.reduceMotion': 'on',
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'window.confirmBeforeClose': 'never',
  'files.hotExit': 'off',
  'editor.cursorBlinking': 'solid',
  'debug.toolBarLocation': 'floating',
};

/** The package under test. */
export function findVsix(): string {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  const vsix = path.join(root, 'dist', `bpf-studio-${version}-linux-x64.vsix`);
  if (!existsSync(vsix)) throw new Error(`${vsix} is missing. Run: npm run package`);
  return vsix;
}

/** Opens a copy-free workspace folder: `files` are written into a fresh folder, by relative path. */
export async function startServer(
  files: Record<string, string>,
  options: ServerOptions = {},
): Promise<EditorServer> {
  installE2e();
  const scratch = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-e2e-'));
  const workspace = path.join(scratch, 'workspace');
  const extensions = path.join(scratch, 'extensions');
  const user = path.join(scratch, 'user');
  const bridgeSocket = path.join(scratch, 'bridge.sock');
  await mkdir(path.join(user, 'User'), { recursive: true });
  await mkdir(extensions);
  for (const [name, text] of Object.entries({ 'README.md': '# Test\n', ...files })) {
    await mkdir(path.dirname(path.join(workspace, name)), { recursive: true });
    await writeFile(path.join(workspace, name), text);
  }
  const settings = {
    ...QUIET,
    'security.workspace.trust.enabled': options.trust === true,
    ...options.settings,
  };
  await writeFile(path.join(user, 'User', 'settings.json'), JSON.stringify(settings));
  await writeFile(path.join(user, 'config.yaml'), '');

  const common = ['--user-data-dir', user, '--extensions-dir', extensions];
  for (const vsix of [findVsix(), await packageBridge(scratch)]) {
    await run(e2ePaths.node, [e2ePaths.codeServer, ...common, '--install-extension', vsix]);
  }
  const port = await freePort();
  const child = spawn(
    e2ePaths.node,
    [
      e2ePaths.codeServer,
      ...['--config', path.join(user, 'config.yaml'), '--auth', 'none', '--bind-addr', `127.0.0.1:${port}`],
      ...common,
      ...['--disable-telemetry', '--disable-update-check', '--disable-getting-started-override'],
      ...(options.trust === true ? [] : ['--disable-workspace-trust']),
      workspace,
    ],
    {
      detached: true,
      stdio: 'ignore',
      env: {
        ...process.env,
        EXTENSIONS_GALLERY: '{}',
        BPF_STUDIO_TEST_BRIDGE: bridgeSocket,
        ...options.environment,
      },
    },
  );
  await healthy(port, child);
  return {
    port,
    workspace,
    bridgeSocket,
    kernelHosts: () =>
      processesWith(path.join(extensions, '')).filter((pid) => commandLine(pid).includes('kernel-host.js')),
    logs: () => readLogs(path.join(user, 'logs')),
    stop: async () => {
      await endGroup(child);
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

async function packageBridge(scratch: string): Promise<string> {
  const vsix = path.join(scratch, 'bridge.vsix');
  const { createVSIX } = await import('@vscode/vsce');
  const log = console.log;
  console.log = () => undefined;
  try {
    await createVSIX({
      cwd: path.join(root, 'test/vscode/bridge'),
      packagePath: vsix,
      dependencies: false,
      allowMissingRepository: true,
      skipLicense: true,
    });
  } finally {
    console.log = log;
  }
  return vsix;
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function healthy(port: number, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`code-server ended with status ${child.exitCode}`);
    try {
      if ((await fetch(`http://127.0.0.1:${port}/healthz`)).ok) return;
    } catch {
      // It does not listen yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`code-server did not answer on port ${port} within 30 s`);
}

/** Asks the group to end, then makes it. */
async function endGroup(child: ChildProcess): Promise<void> {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  if (child.exitCode !== null || child.pid === undefined) return;
  process.kill(-child.pid, 'SIGTERM');
  const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), 5_000);
  await ended;
  clearTimeout(timer);
}

async function readLogs(directory: string): Promise<string> {
  if (!existsSync(directory)) return '';
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /BPF|remoteexthost/.test(entry.name))
    .map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      return `--- ${path.relative(directory, file)}\n${readFileSync(file, 'utf8').slice(-6000)}`;
    })
    .join('\n');
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    // It ended between the listing and now.
    return '';
  }
}

function processesWith(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => commandLine(pid).includes(text));
}
