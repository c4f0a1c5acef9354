/** Every request's handler. */
import { failure } from './errors';
import { identityHandlers } from './methods/identity';
import { mapHandlers } from './methods/maps';
import { objectHandlers } from './methods/objects';
import type { Handlers } from './session';

export const handlers = {
  ...identityHandlers,
  ...objectHandlers,
  ...mapHandlers,
} as unknown as Handlers;
void failure;
