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
    const verdict = verdictText(program, status);
    return [
      lens(
        verdict,
        program.verdict === 'unknown' ? EditorCommands.verifyNow : EditorCommands.showVerifierLog,
      ),
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

function figures({ insns, states, stackDepth }: ProgramStatus): string[] {
  const count = (value: number | undefined, unit: string): string[] =>
    value === undefined ? [] : [`${value.toLocaleString('en-US')} ${unit}`];
  const stack = stackDepth === undefined ? [] : [`stack ${stackDepth.toLocaleString('en-US')}`];
  return [...count(insns, 'insns'), ...count(states, 'states'), ...stack];
}
