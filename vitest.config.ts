import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      '{kernel,kernel-matrix,toolchain,language-server,debug-adapter,extension,cli,bpf-templates,test}/**/*.test.ts',
    ],
    exclude: ['test/vscode/**', 'node_modules/**', 'dist/**'],
    globalSetup: 'test/support/temporary-directory.ts',
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Two cores, real kernels and VMs behind the tests: files in parallel would measure each other.
    maxWorkers: 2,
  },
});
