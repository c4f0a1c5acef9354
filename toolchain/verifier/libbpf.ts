/**
 * libbpf's own lines, which say what went wrong before the verifier was asked, or in words around its log.
 */

/** Lines that repeat what others say, or only say that loading failed. */
const noise = [
  /^-- (BEGIN|END) PROG LOAD LOG --/,
  /^failed to load object/,
  /^prog '.*': failed to (load|prepare load attributes): -\w+$/,
  /Retrying without BTF\.$/,
  /^prog '.*': BPF program load failed: /,
  /^(loading|elf: |sec '|map '.*': (at sec_idx|found|created|setting)|looking for|extern|CO-RE: |relo )/,
  /skipped loading|^no kernel BTF|^loaded kernel BTF/,
];

/** The lines that carry a reason, most telling first, without libbpf's prefix; the verifier's log is left out. */
export function libbpfReason(log: string): string[] {
  const reasons: string[] = [];
  let inLog = false;
  for (const raw of log.split('\n')) {
    const line = raw.replace(/^libbpf: /, '').trim();
    if (/^(prog '.*': )?-- BEGIN PROG LOAD LOG --/.test(line)) inLog = true;
    else if (/^-- END PROG LOAD LOG --/.test(line)) inLog = false;
    else if (!inLog && line && !isNoise(line)) reasons.push(line);
  }
  if (reasons.length) return reasons;
  // Nothing but the bare failure: it still names the error.
  return log
    .split('\n')
    .map((line) => line.replace(/^libbpf: /, '').trim())
    .filter((line) => /failed to load|load failed/.test(line))
    .slice(0, 1);
}

function isNoise(line: string): boolean {
  if (/not found|not resolved|failed to (find|create|resolve)|incompatible/.test(line)) return false;
  return noise.some((pattern) => pattern.test(line));
}
