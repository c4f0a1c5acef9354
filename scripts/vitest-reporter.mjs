// A vitest reporter for `npm test`: one line a file, every failure in full, and each skipped test with its reason.
// Leaves `{passed, failed, skipped: [{name, reason}]}` in the file named by BPF_STUDIO_TEST_RESULT.
import { writeFileSync } from 'node:fs';
import path from 'node:path';

export default class StageReporter {
  passed = 0;
  failed = 0;
  skipped = [];

  onTestModuleEnd(module) {
    const tests = [...module.children.allTests()];
    const count = (state) => tests.filter((test) => test.result().state === state).length;
    const file = path.relative(process.cwd(), module.moduleId);
    this.passed += count('passed');
    this.failed += count('failed');
    for (const test of tests) {
      const result = test.result();
      if (result.state === 'failed') this.#showErrors(`${file} › ${test.fullName}`, result.errors);
      if (result.state !== 'passed' && result.state !== 'failed') {
        this.skipped.push({ name: `${file} › ${test.fullName}`, reason: result.note ?? 'no reason given' });
      }
    }
    const errors = [
      ...module.errors(),
      ...[...module.children.allSuites()].flatMap((suite) => suite.errors()),
    ];
    if (errors.length > 0) {
      // The file or a hook of it failed, and perhaps no test ran at all: that counts.
      this.failed += 1;
      this.#showErrors(file, errors);
    }
    const seconds = (module.diagnostic().duration / 1000).toFixed(1);
    const failures = count('failed') + errors.length;
    console.log(
      `  ${failures > 0 ? 'FAIL' : 'ok  '} ${file}: ${count('passed')} passed` +
        `${failures > 0 ? `, ${failures} failed` : ''}${count('skipped') > 0 ? `, ${count('skipped')} skipped` : ''} (${seconds} s)`,
    );
  }

  onTestRunEnd(_modules, unhandledErrors) {
    if (unhandledErrors.length > 0) {
      this.failed += 1;
      this.#showErrors('outside of any test', unhandledErrors);
    }
    const { passed, failed, skipped } = this;
    writeFileSync(process.env.BPF_STUDIO_TEST_RESULT, JSON.stringify({ passed, failed, skipped }));
  }

  #showErrors(where, errors) {
    for (const error of errors) {
      console.log(`\n  FAIL ${where}\n${indent(error.stack ?? error.message)}`);
      if (error.diff) console.log(indent(error.diff));
    }
  }
}

function indent(text) {
  return String(text).replace(/^/gm, '    ');
}
