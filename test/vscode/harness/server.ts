/** Starts code-server on a workspace with the packaged extension installed, and ends it with all it started. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
// @ts-expect-error A script without types.
import { startCodeServer } from '../../../scripts/code-server.mjs';
// @ts-expect-error A script without types.
import { installE2e } from '../../../scripts/e2e-install.mjs';

export const root = path.resolve(__dirname, '../../..');

export interface EditorServer {
  /** Of the workbench with the folder open. */
  url: string;
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

/** What tests want on top of the demo's settings: nothing that moves, and no dialog of the browser's own. */
const STEADY = {
  'workbench.editor.enablePreview': false,
  'git.enabled': false,
  'window.commandCenter': false,
  'editor.minimap.enabled': false,
  'editor.stickyScroll.enabled': false,
  'breadcrumbs.enabled': false,
  'files.simpleDialog.enable': true,
  'workbench.reduceMotion': 'on',
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
  const bridgeSocket = path.join(scratch, 'bridge.sock');
  for (const [name, text] of Object.entries({ 'README.md': '# Test\n', ...files })) {
    await mkdir(path.dirname(path.join(workspace, name)), { recursive: true });
    await writeFile(path.join(workspace, name), text);
  }
  const server = (await startCodeServer({
    directory: scratch,
    extensions: [findVsix(), await packageBridge(scratch)],
    workspace,
    settings: { ...STEADY, ...options.settings },
    trust: options.trust === true,
    environment: { BPF_STUDIO_TEST_BRIDGE: bridgeSocket, ...options.environment },
  })) as { url: string; installation: string; logs: string; stop(): Promise<void> };
  return {
    url: server.url,
    workspace,
    bridgeSocket,
    kernelHosts: () =>
      processesWith(server.installation).filter((pid) => commandLine(pid).includes('kernel-host.js')),
    logs: () => readLogs(server.logs),
    stop: async () => {
      await server.stop();
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
