/** A source of many programs, and edits of it as people and editors make them. */
import type { Position, Range } from 'vscode-languageserver-types';

export interface Change {
  /** Absent: the whole text. */
  range?: Range;
  text: string;
}

const HEAD = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;

/** Rejected at its access until the line before that is a check. */
function program(number: number): string {
  return `
SEC("xdp")
int program${number}(struct xdp_md *ctx)
{
	__u32 key = ${number};
	__u64 *value = bpf_map_lookup_elem(&counters, &key);
	// check ${number}
	return *value; // the access of program${number}
}
`;
}

const WORDS = ['// typed', '/* größer als 1 */', '// 🚀 to the moon', '// a\tb', ''];

export class EditedSource {
  text: string;
  /** Numbers of the programs whose access is checked, and of one that does not compile. */
  private readonly guarded = new Set<number>();
  private broken: number | undefined;

  constructor(
    private seed: number,
    private readonly programs: number,
  ) {
    this.text = HEAD + Array.from({ length: programs }, (_, number) => program(number)).join('');
  }

  get isBroken(): boolean {
    return this.broken !== undefined;
  }

  get unguarded(): number {
    return this.programs - this.guarded.size;
  }

  /** A whole number from 0 to one less than `limit`. */
  below(limit: number): number {
    this.seed = (Math.imul(this.seed, 1103515245) + 12345) >>> 0;
    return (this.seed >>> 8) % limit;
  }

  chance(probability: number): boolean {
    return this.below(1000) < probability * 1000;
  }

  /** Changes the text, and tells how in the words of LSP. */
  edit(): Change[] {
    const number = this.below(this.programs);
    switch (this.below(8)) {
      case 0:
      case 1:
        return this.insertLine();
      case 2:
        return this.removeLine();
      case 3:
        return this.toggleCheck(number);
      case 4:
        return this.isBroken ? this.mend() : this.spoil(number);
      case 5:
        return this.movePrograms(number);
      case 6:
        return this.replaceAll();
      default:
        return this.typeOn();
    }
  }

  /** Puts the semicolon back. */
  mend(): Change[] {
    const number = this.broken;
    if (number === undefined) return [];
    this.broken = undefined;
    const at = this.text.indexOf(`key = ${number}\n`) + `key = ${number}`.length;
    return [this.replace(at, at, ';')];
  }

  private spoil(number: number): Change[] {
    this.broken = number;
    const at = this.text.indexOf(`key = ${number};`) + `key = ${number}`.length;
    return [this.replace(at, at + 1, '')];
  }

  private insertLine(): Change[] {
    const at = this.lineStart(this.below(this.text.split('\n').length));
    return [this.replace(at, at, `${WORDS[this.below(WORDS.length)]!}\n`)];
  }

  private removeLine(): Change[] {
    const lines = this.text.split('\n');
    const removable = lines.flatMap((line, index) => (WORDS.includes(line) && index > 12 ? [index] : []));
    const line = removable[this.below(removable.length || 1)];
    if (line === undefined || line + 1 >= lines.length) return this.insertLine();
    return [this.replace(this.lineStart(line), this.lineStart(line + 1), '')];
  }

  /** One more key at the end of a line that is a comment. */
  private typeOn(): Change[] {
    const lines = this.text.split('\n');
    const typed = lines.flatMap((line, index) => (line.startsWith('// typed') ? [index] : []));
    const line = typed[this.below(typed.length || 1)];
    if (line === undefined) return this.insertLine();
    const at = this.lineStart(line) + '// typed'.length;
    return [this.replace(at, at, 'é')];
  }

  private toggleCheck(number: number): Change[] {
    const [from, to] = [`\t// check ${number}\n`, `\tif (!value) return XDP_PASS; // check ${number}\n`];
    const isGuarded = this.guarded.has(number);
    const [old, fresh] = isGuarded ? [to, from] : [from, to];
    if (isGuarded) this.guarded.delete(number);
    else this.guarded.add(number);
    const at = this.text.indexOf(old);
    return [this.replace(at, at + old.length, fresh)];
  }

  /** Cut and paste: a program goes to the end of the file, in one notification. */
  private movePrograms(number: number): Change[] {
    const start = this.text.indexOf(`SEC("xdp")\nint program${number}(`);
    const end = this.text.indexOf('\n}\n', start) + 3;
    if (start < 0 || end < start) return this.insertLine();
    const moved = this.text.slice(start, end);
    const cut = this.replace(start, end, '');
    const { length } = this.text;
    return [cut, this.replace(length, length, moved)];
  }

  /** As a formatter or a client without incremental changes sends it. */
  private replaceAll(): Change[] {
    const at = this.lineStart(this.below(12));
    this.text = `${this.text.slice(0, at)}// again\n${this.text.slice(at)}`;
    return [{ text: this.text }];
  }

  private replace(start: number, end: number, text: string): Change {
    const range = { start: this.position(start), end: this.position(end) };
    this.text = this.text.slice(0, start) + text + this.text.slice(end);
    return { range, text };
  }

  private position(offset: number): Position {
    const before = this.text.slice(0, offset).split('\n');
    return { line: before.length - 1, character: before.at(-1)!.length };
  }

  private lineStart(line: number): number {
    return this.text
      .split('\n')
      .slice(0, line)
      .reduce((sum, one) => sum + one.length + 1, 0);
  }
}
