/** The tests in real VS Code: one editor at a time, each file with a server and a browser of its own. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/vscode/**/*.e2e.ts'],
    // More than everything takes that a test waits for, so that what was missed is said.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    fileParallelism: false,
    // A file tells one story in steps that build on each other.
    sequence: { concurrent: false },
    bail: 0,
  },
});
