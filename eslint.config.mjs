import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/**
 * Which room may import which, from docs/ARCHITECTURE.md. An arrow that is not listed here is a lint error,
 * so the design cannot be eroded by one convenient import.
 */
const rooms = {
  toolchain: ['toolchain'],
  'kernel/client': ['kernel/client', 'kernel/targets', 'kernel/protocol'],
  'kernel/targets': ['kernel/targets', 'kernel/protocol', 'kernel/client'],
  'kernel/host': [
    'kernel/host',
    'kernel/addon',
    'kernel/protocol',
    'kernel/client/framing',
    // Numbers only.
    'toolchain/insn/opcodes',
  ],
  // A target's name is one of its settings.
  'language-server': [
    'language-server',
    'toolchain',
    'kernel/client',
    'kernel/targets/target',
    'kernel/protocol',
  ],
  // Without a window's kernel it starts one of its own, and has to read which.
  'debug-adapter': [
    'debug-adapter',
    'toolchain',
    'kernel/client',
    'kernel/protocol',
    'kernel/targets/target',
  ],
  // The same programs on several kernels; the editor and the terminal show it.
  'kernel-matrix': ['kernel-matrix', 'kernel/client', 'kernel/targets', 'kernel/protocol', 'toolchain'],
  // It starts the window's kernel, so it knows the targets too.
  extension: [
    'extension',
    'kernel-matrix',
    'kernel/client',
    'kernel/targets',
    'kernel/protocol',
    'language-server/protocol',
    'debug-adapter/protocol',
    'debug-adapter/coverage/sum',
    'toolchain',
  ],
  cli: [
    'cli',
    'kernel-matrix',
    'toolchain',
    'kernel/client',
    'kernel/targets',
    'kernel/protocol',
    'language-server',
    'debug-adapter/runner',
    'debug-adapter/recorder',
    'debug-adapter/stepping',
    'debug-adapter/variables',
    'debug-adapter/replay',
    'debug-adapter/coverage',
    // An interactive replay is a client of the same session as an editor's.
    'debug-adapter/session',
    'debug-adapter/errors',
    'debug-adapter/protocol',
  ],
};

const allRooms = [
  'toolchain',
  'kernel',
  'kernel-matrix',
  'language-server',
  'debug-adapter',
  'extension',
  'cli',
  'test',
];

/** A pattern that forbids every import which leaves `room` for a room that is not in `allowed`. */
function restriction(room, allowed) {
  const up = room.includes('/') ? '(\\.\\./)+' : '(\\.\\./)+';
  const ok = allowed.map((name) => name.replaceAll('/', '\\/')).join('|');
  const group = allRooms.join('|');
  return {
    files: [`${room}/**/*.ts`],
    // Tests and what they share beside the code.
    ignores: ['**/*.test.ts', '**/testing.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: `^${up}(?!(${ok})(\\/|$))(${group})\\/`,
              message: `${room}/ may import only ${allowed.join(', ')} (docs/ARCHITECTURE.md).`,
            },
            ...(room === 'extension'
              ? []
              : [{ regex: '^vscode$', message: 'Only extension/ imports vscode.' }]),
          ],
        },
      ],
    },
  };
}

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', '.cache/**'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  {
    languageOptions: {
      globals: { process: 'readonly', console: 'readonly', Buffer: 'readonly', URL: 'readonly' },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  ...Object.entries(rooms).map(([room, allowed]) => restriction(room, allowed)),
);
