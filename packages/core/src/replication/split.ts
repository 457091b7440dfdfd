import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';

/** What one part may hold of records, roughly: a frame that a slow link carries in seconds and a receiver applies in milliseconds. */
export const PART_BYTES = 1024 * 1024;

/**
 * A large update (V1) as several, each of about `partBytes`, that applied in order have the same effect and need
 * nothing that comes after them: every struct follows what it refers to, deletions come last. An update that is small
 * enough comes back as it is. No frame then grows with history.
 */
export function splitUpdate(update: Uint8Array, partBytes = PART_BYTES): Uint8Array[] {
  if (update.length <= partBytes) return [update];
  const { structs, ds } = Y.decodeUpdate(update);
  const parts: Uint8Array[] = [];
  let part: Struct[] = [];
  let bytes = 0;
  for (const struct of inDependencyOrder(structs)) {
    part.push(struct);
    bytes += sizeOf(struct);
    if (bytes < partBytes) continue;
    parts.push(encodePart(part, NO_DELETES));
    part = [];
    bytes = 0;
  }
  parts.push(encodePart(part, ds));
  return parts;
}

type Struct = ReturnType<typeof Y.decodeUpdate>['structs'][number];
type DeleteSet = ReturnType<typeof Y.decodeUpdate>['ds'];
const NO_DELETES: Pick<DeleteSet, 'clients'> = { clients: new Map() };

interface Lane {
  structs: Struct[];
  next: number;
  /** The clock of the first struct not yet given out. */
  clock: number;
}

/** Structs of each client in order, clients interleaved so that everything comes after what it names. */
function* inDependencyOrder(structs: readonly Struct[]): Generator<Struct> {
  const lanes = new Map<number, Lane>();
  for (const struct of structs) {
    const lane = lanes.get(struct.id.client);
    if (lane === undefined) lanes.set(struct.id.client, { structs: [struct], next: 0, clock: struct.id.clock });
    else lane.structs.push(struct);
  }
  for (const start of lanes.values()) {
    const stack = [start];
    while (stack.length > 0) {
      const lane = stack.at(-1)!;
      const struct = lane.structs[lane.next];
      if (struct === undefined) {
        stack.pop();
        continue;
      }
      const first = unmet(struct, lanes);
      // A circle cannot come from Yjs; a forged one is passed on for the receiver to refuse.
      if (first !== undefined && !stack.includes(first)) {
        stack.push(first);
        continue;
      }
      lane.next += 1;
      lane.clock = struct.id.clock + struct.length;
      yield struct;
      if (stack.length > 1) stack.pop();
    }
  }
}

function unmet(struct: Struct, lanes: ReadonlyMap<number, Lane>): Lane | undefined {
  if (!(struct instanceof Y.Item)) return undefined;
  const { origin, rightOrigin, parent } = struct;
  for (const id of [origin, rightOrigin, parent]) {
    if (!(id instanceof Y.ID) || id.client === struct.id.client) continue;
    const lane = lanes.get(id.client);
    if (lane !== undefined && id.clock >= lane.clock && lane.next < lane.structs.length) return lane;
  }
  return undefined;
}

function sizeOf(struct: Struct): number {
  const content = struct instanceof Y.Item ? struct.content : undefined;
  return 32 + (content instanceof Y.ContentBinary ? content.content.length : 0);
}

function encodePart(structs: readonly Struct[], deletes: Pick<DeleteSet, 'clients'>): Uint8Array {
  const byClient = new Map<number, Struct[]>();
  for (const struct of structs) {
    const run = byClient.get(struct.id.client);
    if (run === undefined) byClient.set(struct.id.client, [struct]);
    else run.push(struct);
  }
  const encoder = new Y.UpdateEncoderV1();
  const { restEncoder } = encoder;
  encoding.writeVarUint(restEncoder, byClient.size);
  // Yjs writes higher clients first; readers take any order, equal bytes are nicer to compare.
  for (const [client, run] of [...byClient].sort(([a], [b]) => b - a)) {
    encoding.writeVarUint(restEncoder, run.length);
    encoder.writeClient(client);
    encoding.writeVarUint(restEncoder, run[0]!.id.clock);
    for (const struct of run) struct.write(encoder, 0);
  }
  encoding.writeVarUint(restEncoder, deletes.clients.size);
  for (const [client, items] of deletes.clients) {
    encoding.writeVarUint(restEncoder, client);
    encoding.writeVarUint(restEncoder, items.length);
    for (const { clock, len } of items) {
      encoding.writeVarUint(restEncoder, clock);
      encoding.writeVarUint(restEncoder, len);
    }
  }
  return encoder.toUint8Array();
}
