/** Every request's handler. */
import { attachHandlers } from './methods/attach';
import { featureHandlers } from './methods/features';
import { identityHandlers } from './methods/identity';
import { listHandlers } from './methods/lists';
import { mapHandlers } from './methods/maps';
import { objectHandlers } from './methods/objects';
import { readerHandlers } from './methods/readers';
import { symbolHandlers } from './methods/symbols';
import { variantHandlers } from './methods/variants';
import type { Handlers } from './session';

export const handlers: Handlers = {
  ...identityHandlers,
  ...featureHandlers,
  ...objectHandlers,
  ...variantHandlers,
  ...attachHandlers,
  ...mapHandlers,
  ...readerHandlers,
  ...listHandlers,
  ...symbolHandlers,
};
