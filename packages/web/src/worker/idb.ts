/** A browser that another tab keeps from upgrading never answers; nor does one whose disk is gone. */
const OPEN_MS = 8_000;

/** Opens a database. Rejects in words when it does not open. */
export function openDatabase(
  name: string,
  version: number | undefined,
  upgrade: (db: IDBDatabase) => void,
  onClosed: () => void = () => undefined,
): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, version);
    const timer = setTimeout(
      () => reject(new Error('its database does not open; another tab with an older version may hold it')),
      OPEN_MS,
    );
    request.onupgradeneeded = () => upgrade(request.result);
    request.onsuccess = () => {
      clearTimeout(timer);
      const db = request.result;
      // A newer version of the page, and whoever forgets everything, must not wait for this tab.
      db.onversionchange = () => {
        db.close();
        onClosed();
      };
      db.onclose = onClosed;
      resolve(db);
    };
    request.onerror = () => {
      clearTimeout(timer);
      reject(request.error ?? new Error('its database does not open'));
    };
  });
}

/** Resolves also when another tab holds it: it goes when that closes. */
export function deleteDatabase(name: string): Promise<void> {
  return new Promise((resolve) => {
    const request = indexedDB.deleteDatabase(name);
    request.onsuccess = request.onerror = request.onblocked = () => resolve();
  });
}

export function asked<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('a read failed'));
  });
}

export function done(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error('a write failed'));
  });
}

/** What a person is told of a browser that does not store what it should. */
export function storageWords(error: unknown): string {
  const name = error instanceof DOMException || error instanceof Error ? error.name : String(error);
  return name.startsWith('Quota')
    ? 'The disk space that the browser allows is used up: what you change now is not kept in this browser. Free some in Settings.'
    : `The browser's storage failed (${name}). What you change now may not be kept in this browser.`;
}
