// code-server, the VS Code workbench on loopback, for the demo and the tests: installed by e2e-install.mjs, in a profile
// of its own.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
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
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'window.confirmBeforeClose': 'never',
  'workbench.enableExperiments': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
};

/**
 * Installs the packages of `extensions` into a profile below `directory` and serves `workspace` on 127.0.0.1, with
 * `settings` on top of the quiet ones and workspace trust off unless `trust`. Resolves when it answers; throws an Error
 * that names the log when it does not.
 */
export async function startCodeServer({
  directory,
  extensions,
  workspace,
  port,
  settings = {},
  trust = false,
  environment = {},
}) {
  const user = path.join(directory, 'user');
  const installation = path.join(directory, 'extensions');
  mkdirSync(path.join(user, 'User'), { recursive: true });
  mkdirSync(installation, { recursive: true });
  const chosenSettings = { ...quietSettings, 'security.workspace.trust.enabled': trust, ...settings };
  writeFileSync(path.join(user, 'User', 'settings.json'), JSON.stringify(chosenSettings, null, 2));
  writeFileSync(path.join(user, 'config.yaml'), '');
  const profile = ['--user-data-dir', user, '--extensions-dir', installation];
  for (const vsix of extensions) install(vsix, profile);
  const chosen = port ?? (await freePort());
  const log = path.join(directory, 'code-server.log');
  const output = openSync(log, 'w');
  const child = spawn(
    e2ePaths.node,
    [
      e2ePaths.codeServer,
      ...['--config', path.join(user, 'config.yaml'), '--auth', 'none', '--bind-addr', `127.0.0.1:${chosen}`],
      ...profile,
      ...['--disable-telemetry', '--disable-update-check', '--disable-getting-started-override'],
      ...(trust ? [] : ['--disable-workspace-trust']),
      workspace,
    ],
    {
      // A group of its own, so that everything it starts can be ended with it.
      detached: true,
      stdio: ['ignore', output, output],
      env: { ...process.env, EXTENSIONS_GALLERY: '{}', ...environment },
    },
  );
  closeSync(output);
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
    /** Where the extensions are, and where VS Code writes its logs. */
    installation,
    logs: path.join(user, 'logs'),
    stop: () => endGroup(child),
  };
}

function install(vsix, profile) {
  const command = [e2ePaths.codeServer, ...profile, '--install-extension', vsix, '--force'];
  const installed = spawnSync(e2ePaths.node, command, { encoding: 'utf8', timeout: 120_000 });
  if (installed.status !== 0) {
    const output = `${installed.stdout ?? ''}${installed.stderr ?? ''}`;
    throw new Error(`Installing ${vsix} into code-server failed:\n${output}`);
  }
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
