/**
 * The lines of a verifier log: what class each is of, and what stands in it. Every line has a class, known or not,
 * so that nothing is dropped; {@link indexLog} of logIndex.ts reads whole logs.
 */

export const LINE_KINDS = [
  /** `12: (85) call bpf_map_lookup_elem#1 ; R0=map_value_or_null(…)` */
  'instruction',
  /** `12: R0=… R10=fp0`, ` R0_w=inv1 R10=fp0` (up to 5.x), ` frame1: R1=…` */
  'state',
  /** `from 10 to 20: R0=…`, also with `(speculative execution)` and `: safe` */
  'branch',
  /** `; if (x) @ file.bpf.c:12` (6.9 and later), `; if (x)`, `14: if (x)` */
  'source',
  /** `12: safe`: the state was seen before. */
  'pruned',
  /** `mark_precise: frame0: regs=r2 stack= before 11: …`, `last_idx 8 first_idx 0`, `frame 1: propagating r6` */
  'precision',
  /** `func#1 @14`, `Validating f() func#1...`, `Func#1 ('f') is safe for any args …`, `func 'f' arg0 has btf_id …` */
  'function',
  /** `caller:`, `callee:`, `returning from callee:`, `to caller at 8:` */
  'call',
  /**
   * What is computed before or beside the walk: `Live regs before insn:` and its rows (6.17 and later), `(0) frame 0
   * insn 13 +live -8,-16` (6.18), `subprog#0 f:`, `stack use/def subprog#0 …` and their rows, `SCC enter (1)` (7.x)
   */
  'liveness',
  /** `cur state:`, `old state:`: what stands under "infinite loop detected". */
  'comparison',
  /** `processed …`, `stack depth …`, `verification time …`, `insns processed …`; the log's end. */
  'statistics',
  /** The explanation that Linux 7.3 adds, from `Verification failed:` to the statistics. */
  'report',
  /** libbpf's own lines around a log. */
  'libbpf',
  'blank',
  /** Anything else, among it the verifier's reasons for rejecting. */
  'text',
] as const;

export type LineKind = (typeof LINE_KINDS)[number];

export interface LogLine {
  /** Zero-based. */
  number: number;
  kind: LineKind;
  text: string;
  /** Instruction the line is about: of an instruction, a state, a branch's target; -1 for other lines. */
  insn: number;
}

/**
 * Class of one line, decided by its first character where that is possible. Lines of 7.3's report are not told
 * apart here, since that takes the line they begin with.
 */
export function classify(text: string, number: number): LogLine {
  const line = (kind: LineKind, insn = -1): LogLine => ({ number, kind, text, insn });
  if (text === '' || /^\s*$/.test(text)) return line('blank');
  const first = text.charCodeAt(0);
  if (first >= 0x30 && first <= 0x39) return numbered(text, line);
  switch (text[0]) {
    case ';':
      return line('source');
    case ' ':
      if (/^\s+(frame\d+: ?)?(R\d+|fp-?\d+|refs=|cb$)/.test(text)) return line('state');
      // A number before the instruction's names the loop that it belongs to.
      if (/^\s+(\d+ +)?\d+: ([.\d]{10} )?\([0-9a-f]{2}\) /.test(text)) return line('liveness');
      return /^\s+frame\d+:/.test(text) ? line('state') : line('text');
    case 'f': {
      const branch = /^from (\d+) to (\d+)(?: \([^)]*\))?:/.exec(text);
      if (branch) return line('branch', Number(branch[2]));
      if (/^func#\d+ @\d+/.test(text)) return line('function');
      if (/^frame \d+: propagating /.test(text)) return line('precision');
      if (/^func '\S+' arg\d+ (has|type)/.test(text)) return line('function');
      return /^frame\d+: R/.test(text) ? line('state') : line('text');
    }
    case '(':
      return /^\([\d,]+\) (frame \d+ insn \d+ [+-](live|written) |live stack update done )/.test(text)
        ? line('liveness')
        : line('text');
    case 'p':
      if (/^processed \d+ insns/.test(text)) return line('statistics');
      return /^parent (didn't have|already had|state) /.test(text) ? line('precision') : line('text');
    case 's':
      if (/^stack depth (max )?\d/.test(text) && !text.includes('exceeds')) return line('statistics');
      if (/^(subprog#\d+( \S+)?:|stack use\/def subprog#\d)/.test(text)) return line('liveness');
      return /^subprog \d+ \([^()]*\) [^()]*insns_self \d/.test(text) ? line('statistics') : line('text');
    case 'v':
      return text.startsWith('verification time ') ? line('statistics') : line('text');
    case 'm':
      return /^mark_precise: /.test(text) ? line('precision') : line('text');
    case 'l':
      if (/^last_idx \d+ first_idx /.test(text)) return line('precision');
      return text.startsWith('libbpf: ') ? line('libbpf') : line('text');
    case 'r':
      if (/^regs=\w+ stack=/.test(text)) return line('precision');
      return text === 'returning from callee:' ? line('call') : line('text');
    case 'S':
      return /^SCC \w+ \([\d,]+\)/.test(text) ? line('liveness') : line('text');
    case 'a':
      return text.startsWith('arg JOIN insn ') ? line('liveness') : line('text');
    case 't':
      if (/^topo_order\[\d+\] = /.test(text)) return line('liveness');
      return /^to caller at \d+:/.test(text) ? line('call') : line('text');
    case 'c':
      if (text === 'caller:' || text === 'callee:') return line('call');
      return text.startsWith('cur state:') ? line('comparison') : line('text');
    case 'o':
      return text.startsWith('old state:') ? line('comparison') : line('text');
    case 'R':
      // `R1=ctx() R10=fp0` without a number before it; a reason such as `R1 !read_ok` has no equals sign there.
      return /^R\d+(_[a-zA-Z]+)?=/.test(text) ? line('state') : line('text');
    case 'L':
      return text.startsWith('Live regs before insn') ? line('liveness') : line('text');
    case 'V':
      return text.startsWith('Validating ') ? line('function') : line('text');
    case 'F':
      return /^Func#\d+ (\(.*\) )?is (safe|global and (assumed )?valid)/.test(text)
        ? line('function')
        : line('text');
    case '-':
      return /^-- (BEGIN|END) /.test(text) ? line('libbpf') : line('text');
    default:
      return line('text');
  }
}

function numbered(text: string, line: (kind: LineKind, insn?: number) => LogLine): LogLine {
  const colon = text.indexOf(':');
  const insn = colon > 0 && colon < 9 ? Number(text.slice(0, colon)) : NaN;
  if (!Number.isInteger(insn)) return line('text');
  let at = colon + 1;
  while (text[at] === ' ') at++;
  switch (text[at]) {
    // libbpf puts `<invalid CO-RE relocation>` and the like in place of an instruction it had to poison.
    case '(':
    case '<':
      return line('instruction', insn);
    case 'R':
    case 'f':
    case undefined:
      return line('state', insn);
    case 's':
      return line(text.startsWith('safe', at) ? 'pruned' : 'text', insn);
    default:
      // The checks before the program is walked print a source line behind the number of its instruction.
      return line(/^[.\d]{10} \(/.test(text.slice(at, at + 12)) ? 'liveness' : 'source', insn);
  }
}

export interface LoggedInstruction {
  insn: number;
  /** First byte of the instruction. */
  opcode: number;
  /** In the kernel's assembly: `r2 = *(u32 *)(r6 +16)`. */
  text: string;
  /** Registers and stack slots the instruction changed, as printed after it (6.0 and later); empty if none. */
  state: string;
}

/** Before a state on an instruction's line; behind a jump it has the number of the next instruction. */
const STATE = /(?:; | \d{1,8}: ?)(?=(?:frame\d{1,8}: ?)?(?:R\d|fp-|refs=))/;

/** Takes an instruction line apart. */
export function instructionOf(line: LogLine): LoggedInstruction | undefined {
  const head = /^(\d+): (?:\(([0-9a-f]{2})\) |(?=<))/.exec(line.text);
  if (!head) return undefined;
  const rest = line.text.slice(head[0].length);
  const state = STATE.exec(rest);
  const text = (state ? rest.slice(0, state.index) : rest).trimEnd();
  return {
    insn: Number(head[1]),
    // libbpf puts a call in place of an instruction that it poisons.
    opcode: parseInt(head[2] ?? '85', 16),
    // Nothing stands behind the semicolon when all that changed holds nothing now.
    text: text.endsWith(';') ? text.slice(0, -1).trimEnd() : text,
    state: state ? rest.slice(state.index + state[0].length) : '',
  };
}

export interface LoggedSource {
  text: string;
  /** File name without its directories, and one-based line; the kernel prints them from 6.9 on. */
  file?: string;
  line?: number;
}

export function sourceOf(line: LogLine): LoggedSource | undefined {
  if (line.kind !== 'source') return undefined;
  const match = /^(?:; ?|\d+: )(.*?)(?: @ (\S+):(\d+))?$/s.exec(line.text);
  const [, text = '', file, number] = match ?? [];
  return file ? { text, file, line: Number(number) } : { text };
}

/** `from 10 to 20`: the branch not taken earlier is followed now. */
export function branchOf(line: LogLine): { from: number; to: number; safe: boolean } | undefined {
  const match = /^from (\d+) to (\d+)[^:]*:( safe)?/.exec(line.text);
  return match ? { from: Number(match[1]), to: Number(match[2]), safe: match[3] !== undefined } : undefined;
}
