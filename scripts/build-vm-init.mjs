// Builds dist/vm-init, the first process of a VM's guest (kernel/targets/vm/guest/init.c): static, no C library.
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

export function buildVmInit() {
  const output = path.join(root, 'dist/vm-init');
  const flags = [
    ...['-std=gnu11', '-Os', '-Wall', '-Wextra', '-Werror', '-m64', '-march=x86-64'],
    ...['-ffreestanding', '-nostdlib', '-static', '-fno-pie', '-no-pie'],
    ...['-fno-stack-protector', '-fno-asynchronous-unwind-tables', '-fcf-protection=none'],
    ...['-Wl,--build-id=none,-z,noseparate-code,-z,norelro,-s'],
  ];
  const compiler = process.env.CC ?? 'cc';
  execFileSync(compiler, [...flags, '-o', output, path.join(root, 'kernel/targets/vm/guest/init.c')], {
    stdio: 'inherit',
  });
  console.log(`  dist/vm-init  ${statSync(output).size} bytes`);
}
