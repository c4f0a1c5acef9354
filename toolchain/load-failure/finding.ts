import type { SourceSpan } from '../verifier/position';

/** A part of the source that an object's names lead to, resolved by whoever has the source. */
export interface NamedPlace {
  kind: 'program' | 'section' | 'map' | 'extern' | 'structOps' | 'include' | 'license';
  /** The program's, map's, variable's or header's name. Empty: the first one. */
  name: string;
  /** Of a section name, the part that is meant; of a map, the value of this member of its definition. */
  part?: string;
  /** Of a map: the member as a whole. */
  whole?: boolean;
}

/** What is said of a failure beyond the catalogue's words for its class. */
export interface LoadFinding {
  id: `bpf/${string}`;
  message: string;
  help?: string;
  /** A place in the source by the object's names, tried in order, or by its line information. */
  places?: NamedPlace[];
  at?: SourceSpan;
  /** The object leaves it to its loader, so that nothing can be said against it: to be shown as a hint. */
  isLeftOpen?: boolean;
  /** Whole texts for `SEC()` that may have been meant, the likeliest first. */
  sections?: string[];
}
