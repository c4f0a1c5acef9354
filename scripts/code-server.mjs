// code-server, the VS Code workbench on loopback, for the demo: installed by e2e-install.mjs, in a profile of its own.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, openSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { e2ePaths } from './e2e-install.mjs';

/** What VS Code would otherwise put in front of a visitor: welcome pages, chat panels, experiments. */
const quietSettings = {
  'chat.disableAIFeatures': true,
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'extensions.ignoreRecommendations': true,
  'files.hotExit': 'off',
  'security.workspace.trust.enabled': false,
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'window.confirmBeforeClose': 'never',
  'workbench.enableExperiments': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
};

/**
 * Installs the VSIX into a profile below `directory` and serves `workspace` on 127.0.0.1. Resolves with
 * `{url, fileUrl, stop}` when it answers; throws an Error that names the log when it does not.
 */
export async function startCodeServer({ directory, vsix, workspace, port }) {
  const user = path.join(directory, 'user');
  mkdirSync(path.join(user, 'User'), { recursive: true });
  mkdirSync(path.join(directory, 'extensions'), { recursive: true });
  writeFileSync(path.join(user, 'User', 'settings.json'), JSON.stringify(quietSettings, null, 2));
  writeFileSync(path.join(user, 'config.yaml'), '');
  const profile = ['--user-data-dir', user, '--extensions-dir', path.join(directory, 'extensions')];
  const installed = spawnSync(
    e2ePaths.node,
    [e2ePaths.codeServer, ...profile, '--install-extension', vsix, '--force'],
    {
      encoding: 'utf8',
      timeout: 120_000,
    },
  );
  if (installed.status !== 0) {
    throw new Error(
      `Installing ${vsix} into code-server failed:\n${installed.stdout ?? ''}${installed.stderr ?? ''}`,
    );
  }
  const chosen = port ?? (await freePort());
  const log = path.join(directory, 'code-server.log');
  const output = openSync(log, 'w');
  const child = spawn(
    e2ePaths.node,
    [
      e2ePaths.codeServer,
      ...['--config', path.join(user, 'config.yaml'), '--auth', 'none', '--bind-addr', `127.0.0.1:${chosen}`],
      ...profile,
      ...['--disable-telemetry', '--disable-update-check', '--disable-workspace-trust'],
      '--disable-getting-started-override',
      workspace,
    ],
    // A group of its own, so that everything it starts can be ended with it.
    { detached: true, stdio: ['ignore', output, output], env: { ...process.env, EXTENSIONS_GALLERY: '{}' } },
  );
  const origin = `http://127.0.0.1:${chosen}`;
  await untilHealthy(origin, child, log);
  const folder = `folder=${encodeURIComponent(workspace)}`;
  return {
    url: `${origin}/?${folder}`,
    /** The same with a file open. */
    fileUrl: (file) => {
      const payload = [['openFile', `vscode-remote://127.0.0.1:${chosen}${file}`]];
      return `${origin}/?${folder}&payload=${encodeURIComponent(JSON.stringify(payload))}`;
    },
    stop: () => endGroup(child),
  };
}

async function untilHealthy(origin, child, log) {
  for (let attempt = 0; attempt < 300; attempt++) {
    if (child.exitCode !== null) break;
    const answer = await globalThis.fetch(`${origin}/healthz`).catch(() => undefined);
    if (answer?.ok) return;
    await pause(100);
  }
  await endGroup(child);
  throw new Error(`code-server did not start; its log is ${log}`);
}

async function endGroup(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  process.kill(-child.pid, 'SIGTERM');
  if ((await Promise.race([ended, pause(5000, 'late')])) === 'late') {
    process.kill(-child.pid, 'SIGKILL');
    await ended;
  }
}

async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
