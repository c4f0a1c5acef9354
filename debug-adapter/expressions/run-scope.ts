/** The scope of a step of a recorded run: everything that expressions can speak of, all of it as it was then. */
import type { OpenedRun } from '../recorder/open-run';
import { momentOf } from '../stepping/moment';
import type { Moment, StepFrame } from '../stepping/moment';
import { mapsOfRun } from './map-scope';
import { scopeAt } from './moment-scope';
import type { Scope } from './scope';
import { typesOf } from './types';

/**
 * The present step of a run, good until the run is moved.
 * @param moment from Stepper.moment() to be told where a variable was known last, which moves the run to and fro; left
 * out where that must not happen, as in a condition that is asked while the run is gone through.
 */
export function scopeOfRun(run: OpenedRun, frame?: StepFrame, moment: Moment = momentOf(run)): Scope {
  return scopeAt(moment, frame, mapsOfRun(run, typesOf(moment)));
}
