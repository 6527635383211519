// Where the packages are: `cargo xtask verify` installs them below `target/verify`, outside of the tree, and says where.

import { createRequire } from 'node:module';
import { join } from 'node:path';

const folder = process.env.CORDON_PEERS;
if (!folder) {
  console.error('set CORDON_PEERS to the folder with node_modules, or run cargo xtask verify');
  process.exit(2);
}

/** Loads a package of package.json. */
export const load = createRequire(join(folder, 'package.json'));

/** Ends the process if a check found something. */
export function end(wrong) {
  for (const line of wrong) console.error(`wrong: ${line}`);
  process.exit(wrong.length === 0 ? 0 : 1);
}
