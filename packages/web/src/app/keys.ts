/** True while typing: single keys then are letters, not commands. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement)
    return true;
  return target instanceof HTMLInputElement && !['checkbox', 'radio', 'range', 'button'].includes(target.type);
}

/** True when a dialog or a menu has the keyboard. */
export function isOverlaid(): boolean {
  return document.querySelector('[role="dialog"], [role="alertdialog"], [role="menu"]') !== null;
}

export const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);
export const modKey = isMac ? '⌘' : 'Ctrl';

/** What is on the keyboard for taking something away: Macs have no other. */
export const trashKey = isMac ? '⌫' : 'Delete';

/** Whether a key is the one that takes something away. */
export function isTrashKey(key: string): boolean {
  return key === 'Delete' || (isMac && key === 'Backspace');
}

/** Every key, for the page that lists them. */
export const KEYS: readonly { group: string; keys: readonly (readonly [keys: string, does: string])[] }[] = [
  {
    group: 'Everywhere',
    keys: [
      [`${modKey} K`, 'Go to a project, a run or an action'],
      ['/', 'Search'],
      [`${modKey} Z`, 'Undo the last change'],
      [`${modKey} Shift Z`, 'Redo it'],
      ['?', 'This list'],
      ['Esc', 'Close, or leave the field'],
    ],
  },
  {
    group: 'In the table',
    keys: [
      ['j k', 'Next and previous run; arrows do the same'],
      ['x', 'Select the run; with Shift, the runs up to it'],
      [`${modKey} A`, 'Select all runs that match'],
      ['Enter', 'Open the run'],
      ['F2', 'Rename'],
      ['t', 'Tag'],
      ['n', 'Write a note'],
      ['s', 'Star'],
      ['e', 'Archive'],
      [trashKey, 'Move to the trash'],
      ['Esc', 'Select nothing'],
      ['Shift ↑ ↓', 'Select what is passed'],
      ['→ ←', 'Open and close a group; into the cells and back'],
      ['g', 'Put into a group'],
      ['c', 'Compare the selected runs'],
      [`${modKey} C`, 'Copy the cell, or the selected runs as CSV'],
      ['Menu', 'What can be done with the run or the cell'],
    ],
  },
  {
    group: 'On a run',
    keys: [
      ['→ ←', 'Next and previous tab, from a tab'],
      ['n N', 'In the console: next find, and the one before'],
      ['g G', 'In the console: to its beginning, and along with its end'],
    ],
  },
  {
    group: 'In the files of a run',
    keys: [
      ['j k', 'Next and previous file; arrows do the same in the list'],
      ['Enter', 'Open the file; open or close the folder'],
      ['→ ←', 'Open and close a folder, or the versions of a file'],
      ['x', 'Choose the file for a download'],
      ['r', 'Request the file from the machine that has it'],
      ['Esc', 'Close the file'],
    ],
  },
  {
    group: 'In the table of a file',
    keys: [
      ['← ↑ → ↓', 'From cell to cell'],
      ['Enter s', 'Sort by the column; again, the other way round; then as in the file'],
    ],
  },
  {
    group: 'Comparing runs',
    keys: [
      ['→ ←', 'Next and previous part, from its tab'],
      ['Alt → ←', 'Move a run, from its name; an axis of parallel coordinates, from the axis'],
      ['/', 'Find a name or a value'],
    ],
  },
  {
    group: 'In an added chart',
    keys: [
      ['→ ←', 'Next and previous point, or step'],
      ['Space', 'Play the steps of media, from their slider'],
      ['Enter', 'Open the run'],
      ['Esc', 'Choose nothing'],
    ],
  },
];
