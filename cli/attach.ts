import type { Command } from './command'; export const command: Command = { help: '', options: {}, run: async () => 2 };
