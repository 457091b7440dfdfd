// Read by every version of Node from 12 on: no syntax here, or before this is imported, that an old one cannot parse.

/** The oldest Node that runs Fieldbook, as in `engines` of package.json. */
export const OLDEST = { major: 20, minor: 19 };

/**
 * What to tell somebody whose Node is too old, or null if it is not.
 *
 * @param {string} version as in `process.versions.node`
 * @returns {string | null}
 */
export function tooOld(version) {
  const parts = version.split('.').map(Number);
  const major = parts[0] || 0;
  const minor = parts[1] || 0;
  if (major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)) return null;
  return (
    'Fieldbook needs Node ' +
    OLDEST.major +
    '.' +
    OLDEST.minor +
    ' or newer; this is Node ' +
    version +
    '. Install a newer one from https://nodejs.org, or with your version manager: nvm install 22'
  );
}
