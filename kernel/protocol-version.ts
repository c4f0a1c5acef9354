/**
 * Version of kernel/protocol.ts; a host refuses clients of another one. In a file of its own, because clients need
 * this and no schema, and building the schemas takes a tenth of a short command's time.
 */
export const PROTOCOL_VERSION = 1;
