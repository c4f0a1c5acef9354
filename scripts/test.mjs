// `npm test`: everything, on a fresh clone, stage by stage. Ends with `N passed, N failed` and the exit status.
// `npm test -- --only vitest,package` runs some stages, `--list` names them.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { clearTimeout, setTimeout } from 'node:timers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const bin = (name) => path.join(root, 'node_modules', '.bin', name);
const minutes = 60_000;
/** Everything together must end within 25 minutes, the report included. */
const wholeRun = 24 * minutes;

/**
 * The stages in order. One without `results` counts as one test; `vitest` ones count their own. `needs` names stages
 * without which this one makes no sense: when one of them fails, this one is skipped.
 */
const stages = [
  { name: 'setup', run: ['node', 'scripts/setup.mjs'], limit: 12 * minutes },
  { name: 'build', run: ['node', 'scripts/build.mjs'], limit: 6 * minutes, needs: ['setup'] },
  { name: 'typecheck', run: [bin('tsc'), '--noEmit'], limit: 3 * minutes, needs: ['setup'] },
  { name: 'lint', run: [bin('eslint'), '.'], limit: 3 * minutes, needs: ['setup'] },
  {
    name: 'format',
    run: [bin('prettier'), '--check', '--log-level=warn', '.'],
    limit: 2 * minutes,
    needs: ['setup'],
  },
  { name: 'grammars', run: grammarTests, limit: 2 * minutes, needs: ['setup'] },
  {
    name: 'kernels',
    run: ['node', 'scripts/kernels.mjs', '5.10', '6.1', '6.12', '7.3'],
    limit: 6 * minutes,
    needs: ['setup'],
  },
  { name: 'vitest', run: vitest('vitest.config.ts'), results: true, limit: wholeRun, needs: ['build'] },
  { name: 'package', run: ['node', 'scripts/package.mjs'], limit: 4 * minutes, needs: ['build'] },
  { name: 'editor-install', run: ['node', 'scripts/e2e-install.mjs'], limit: 6 * minutes, needs: ['setup'] },
  {
    name: 'editor',
    run: vitest('test/vscode/vitest.config.ts'),
    results: true,
    limit: wholeRun,
    needs: ['package', 'editor-install'],
  },
];

process.exitCode = await commandLine(process.argv.slice(2));

/** The exit status: 0 all passed, 1 something failed, 2 the command line makes no sense. */
async function commandLine(args) {
  let options;
  try {
    options = parseArgs({ args, options: { only: { type: 'string' }, list: { type: 'boolean' } } }).values;
  } catch (error) {
    const [first] = error.message.split(/\.? (?:To specify|This command)|\n|\.$/);
    console.error(`test: ${first}; npm test takes --only STAGE,STAGE and --list, which names the stages.`);
    return 2;
  }
  if (!options.list) return main(options.only?.split(','));
  console.log(stages.map(({ name }) => name).join('\n'));
  return 0;
}

async function main(only) {
  const unknown = only?.filter((name) => !stages.some((stage) => stage.name === name)) ?? [];
  if (unknown.length > 0) {
    console.error(`test: there is no stage ${unknown.join(', ')}; npm test -- --list names them.`);
    return 2;
  }
  const started = Date.now();
  const scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-test-'));
  const total = { passed: 0, failed: 0, skipped: [] };
  const failedStages = new Set();
  for (const stage of stages.filter(({ name }) => !only || only.includes(name))) {
    const broken = (stage.needs ?? []).find((name) => failedStages.has(name));
    if (broken) {
      failedStages.add(stage.name);
      total.skipped.push({ name: stage.name, reason: `${broken} failed` });
      continue;
    }
    const left = wholeRun - (Date.now() - started);
    const result = await runStage(stage, Math.min(stage.limit, left), scratch);
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped.push(...result.skipped);
    if (result.failed > 0) failedStages.add(stage.name);
  }
  rmSync(scratch, { recursive: true, force: true });
  report(total, (Date.now() - started) / 1000);
  return total.failed > 0 ? 1 : 0;
}

function report({ passed, failed, skipped }, seconds) {
  console.log(`\n${seconds.toFixed(0)} s in all`);
  for (const { name, reason } of skipped) console.log(`skipped: ${name}: ${reason}`);
  console.log(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`);
}

/** Runs one stage within its time; answers `{passed, failed, skipped}` and never throws. */
async function runStage(stage, limit, scratch) {
  const started = Date.now();
  console.log(`\n== ${stage.name}`);
  const [command, ...args] = typeof stage.run === 'function' ? stage.run() : stage.run;
  const resultFile = path.join(scratch, `${stage.name}.json`);
  const ended =
    limit > 0 ? await runCommand(command, args, limit, resultFile) : 'there was no time left for it';
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  const own =
    stage.results && existsSync(resultFile) ? JSON.parse(readFileSync(resultFile, 'utf8')) : undefined;
  if (ended !== null) console.log(`   ${stage.name}: ${ended} (${seconds} s)`);
  else console.log(`   ${stage.name}: done in ${seconds} s`);
  if (!own) return { passed: ended === null ? 1 : 0, failed: ended === null ? 0 : 1, skipped: [] };
  // A run that ended badly although no test failed (a crash on the way out) is a failure too.
  if (ended !== null && own.failed === 0) own.failed = 1;
  return own;
}

/** Resolves with null for exit status 0, else with what happened. Ends the whole process group when time is up. */
function runCommand(command, args, limit, resultFile) {
  return new Promise((resolve) => {
    const child = spawn(command === 'node' ? process.execPath : command, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
      env: { ...process.env, BPF_STUDIO_TEST_RESULT: resultFile, FORCE_COLOR: '0' },
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      endGroup(child.pid, 'SIGTERM');
      setTimeout(() => endGroup(child.pid, 'SIGKILL'), 5000).unref();
    }, limit);
    const forward = (signal) => {
      endGroup(child.pid, signal);
      process.exit(2);
    };
    process.once('SIGINT', forward).once('SIGTERM', forward);
    child.on('error', (error) => finish(`could not start ${command}: ${error.message}`));
    child.on('exit', (code, signal) => {
      if (late) finish(`stopped after ${(limit / 1000).toFixed(0)} s, its limit`);
      else if (code === 0) finish(null);
      else finish(signal ? `ended by ${signal}` : `exit status ${code}`);
    });
    function finish(outcome) {
      clearTimeout(timer);
      process.off('SIGINT', forward).off('SIGTERM', forward);
      resolve(outcome);
    }
  });
}

function endGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // The group may have ended between the time-out and now.
    if (error.code !== 'ESRCH') throw error;
  }
}

function vitest(config) {
  return [
    bin('vitest'),
    'run',
    '--config',
    config,
    '--reporter',
    path.join(root, 'scripts/vitest-reporter.mjs'),
  ];
}

/** vscode-tmgrammar-test on the annotated fixtures beside the grammars. */
function grammarTests() {
  const fixtures = readdirSync(path.join(root, 'syntaxes'), { recursive: true })
    .filter((name) => /(^|\/)tests?\//.test(name) && !name.endsWith('.ts'))
    .map((name) => path.join('syntaxes', name));
  // Our grammar is injected into VS Code's grammar for C, for which a small one stands in.
  return [bin('vscode-tmgrammar-test'), '-g', 'syntaxes/fixtures/c.tmLanguage.json', ...fixtures];
}
