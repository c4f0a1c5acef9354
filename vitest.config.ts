import { defineConfig } from 'vitest/config';
import { PATIENCE_MS } from './test/support/until';

export default defineConfig({
  test: {
    include: [
      '{kernel,kernel-matrix,toolchain,language-server,debug-adapter,extension,cli,bpf-templates,test}/**/*.test.ts',
    ],
    exclude: ['test/vscode/**', 'node_modules/**', 'dist/**'],
    globalSetup: 'test/support/global-setup.ts',
    // More than everything takes that a test waits for (test/support/until.ts), so that what was missed is said.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: PATIENCE_MS } },
    // Two cores, real kernels and VMs behind the tests: files in parallel would measure each other.
    maxWorkers: 2,
  },
});
