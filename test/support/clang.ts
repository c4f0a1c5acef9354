/** The clang that tests compile with: the one that the product would choose. */
import { findClang } from '../../toolchain/clang/discover';

/** Path of the newest clang on PATH; throws with the product's own words when there is none. */
export async function clangAtHand(): Promise<string> {
  const found = await findClang('');
  if ('problem' in found) throw new Error(`${found.problem.message} ${found.problem.hint}`);
  return found.clang.path;
}
