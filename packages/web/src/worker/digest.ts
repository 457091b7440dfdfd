/** SHA-256 for a page without `crypto.subtle`, in a file of its own so that others never load it. */
export { sha256 } from '@noble/hashes/sha2.js';
