// node test/vscode/run.mjs [FILE…]: installs the editor, packages the extension when that was not done, runs the tests
// in it, and prints one line of JSON last: {"passed": …, "failed": …, "skipped": …, "screenshots": "…"}.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { installE2e } from '../../scripts/e2e-install.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const screenshots =
  process.env.BPF_STUDIO_TEST_SCREENSHOTS ?? path.join(os.tmpdir(), 'bpf-studio-screenshots');

/** Runs a command of this repository in sight of the user; answers whether it succeeded. */
function run(command, args) {
  const environment = { ...process.env, BPF_STUDIO_TEST_SCREENSHOTS: screenshots };
  return spawnSync(command, args, { cwd: root, stdio: 'inherit', env: environment }).status === 0;
}

installE2e();
if (!existsSync(path.join(root, 'dist', `bpf-studio-${version}-linux-x64.vsix`))) {
  if (!run(process.execPath, ['scripts/package.mjs'])) process.exit(2);
}
const scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-e2e-result-'));
const report = path.join(scratch, 'report.json');
const succeeded = run(path.join(root, 'node_modules/.bin/vitest'), [
  ...['run', '--config', 'test/vscode/vitest.config.ts'],
  ...['--reporter=verbose', '--reporter=json', `--outputFile.json=${report}`],
  ...process.argv.slice(2),
]);
const counts = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : {};
rmSync(scratch, { recursive: true });
const { numPassedTests: passed = 0, numFailedTests = 0, numPendingTests: skipped = 0 } = counts;
// A run that ended badly although no test failed, such as a file that could not be read, is a failure too.
const failed = succeeded ? numFailedTests : Math.max(1, numFailedTests);
console.log(JSON.stringify({ passed, failed, skipped, screenshots }));
process.exitCode = failed > 0 ? 1 : 0;
