import type { CodeLens } from 'vscode-languageserver';
import { EditorCommands, type DocumentStatusParams, type ProgramStatus } from '../protocol';

/** Above each program: the kernel's verdict, which opens the verifier log, and what can be done with it. */
export function codeLenses(status: DocumentStatusParams): CodeLens[] {
  return status.programs.flatMap((program) => {
    const position = { line: program.line, character: 0 };
    const range = { start: position, end: position };
    const argument = { uri: status.uri, program: program.name };
    const lens = (title: string, command: string): CodeLens => ({
      range,
      command: { title, command, arguments: [argument] },
    });
    // libbpf loads a program in SEC("?…") only when a loader asks for it; the verdict is the same.
    const isOptional = program.section.startsWith('?') && program.verdict !== 'unknown';
    const verdict = `${verdictText(program, status)}${isOptional ? ' · loaded on request' : ''}`;
    const difference = differenceText(program);
    return [
      lens(
        verdict,
        program.verdict === 'unknown' ? EditorCommands.verifyNow : EditorCommands.showVerifierLog,
      ),
      ...(difference === undefined ? [] : [{ range, command: { title: difference, command: '' } }]),
      ...(program.verdict === 'rejected' ? [lens('Failing path', EditorCommands.showFailingPath)] : []),
      lens('Run', EditorCommands.runProgram),
      lens('Attach', EditorCommands.attachProgram),
    ];
  });
}

/** `✓ accepted · 6.18 · 1,204 insns · 18 states · stack 64` */
export function verdictText(program: ProgramStatus, status: DocumentStatusParams): string {
  const kernel = status.kernel === undefined ? [] : [/^\d+\.\d+/.exec(status.kernel)?.[0] ?? status.kernel];
  switch (program.verdict) {
    case 'accepted':
      return ['✓ accepted', ...kernel, ...figures(program)].join(' · ');
    case 'rejected':
      return ['✗ rejected', ...kernel, ...figures(program)].join(' · ');
    case 'error':
      return ['✗ not loaded', ...kernel].join(' · ');
    case 'unknown':
      if (status.phase === 'compiling' || status.phase === 'verifying') return 'verifying…';
      return status.problem ? 'no verdict' : 'not verified';
  }
}

/** `+1,204 insns, −3 states since saved`; undefined when there is nothing to tell. */
export function differenceText({ verdict, insns, states, saved }: ProgramStatus): string | undefined {
  if (!saved || verdict === 'unknown') return undefined;
  if (saved.verdict !== verdict) {
    const was = { accepted: 'accepted', rejected: 'rejected', error: 'not loaded' }[saved.verdict];
    return `was ${was} when saved`;
  }
  // What was counted up to a rejection says how far the verifier came, not what the program costs.
  if (verdict !== 'accepted') return undefined;
  const changes = [change(insns, saved.insns, 'insns'), change(states, saved.states, 'states')];
  const told = changes.filter((text) => text !== undefined);
  return told.length > 0 ? `${told.join(', ')} since saved` : undefined;
}

function change(now: number | undefined, before: number | undefined, unit: string): string | undefined {
  if (now === undefined || before === undefined || now === before) return undefined;
  const amount = Math.abs(now - before).toLocaleString('en-US');
  return `${now > before ? '+' : '−'}${amount} ${unit}`;
}

function figures({ insns, states, stackDepth }: ProgramStatus): string[] {
  const count = (value: number | undefined, unit: string): string[] =>
    value === undefined ? [] : [`${value.toLocaleString('en-US')} ${unit}${value === 1 ? '' : 's'}`];
  const stack = stackDepth === undefined ? [] : [`stack ${stackDepth.toLocaleString('en-US')}`];
  return [...count(insns, 'insn'), ...count(states, 'state'), ...stack];
}
