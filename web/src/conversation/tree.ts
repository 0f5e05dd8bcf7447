// Branches of a conversation's tree of turns.
import type { Turn } from "./types.ts";

// The turns from the first one to `head`; a missing parent ends the path.
export function pathTo(turns: Turn[], head: string | null): Turn[] {
  const byId = new Map(turns.map((turn) => [turn.id, turn]));
  const path: Turn[] = [];
  const seen = new Set<string>(); // an imported file may hold a cycle
  for (let id = head; id !== null && !seen.has(id); ) {
    const turn = byId.get(id);
    if (!turn) break;
    seen.add(id);
    path.push(turn);
    id = turn.parent;
  }
  return path.reverse();
}

// The versions of each turn, oldest first, by the id of any of them. One pass over all turns.
export function versionsOf(turns: Turn[]): Map<string, Turn[]> {
  const byPlace = new Map<string, Turn[]>();
  for (const turn of turns) {
    const place = `${turn.parent ?? ""} ${turn.role}`;
    const group = byPlace.get(place);
    if (group) group.push(turn);
    else byPlace.set(place, [turn]);
  }
  const versions = new Map<string, Turn[]>();
  for (const group of byPlace.values()) {
    group.sort((a, b) => a.created - b.created);
    for (const turn of group) versions.set(turn.id, group);
  }
  return versions;
}

// The end of the branch that was used last below a turn.
export function newestLeaf(turns: Turn[], id: string): string {
  const children = new Map<string, Turn[]>();
  for (const turn of turns) {
    if (turn.parent === null) continue;
    const group = children.get(turn.parent);
    if (group) group.push(turn);
    else children.set(turn.parent, [turn]);
  }
  let leaf = id;
  const seen = new Set<string>();
  for (;;) {
    const below = children.get(leaf);
    if (!below || seen.has(leaf)) return leaf;
    seen.add(leaf);
    leaf = below.reduce((a, b) => (b.created >= a.created ? b : a)).id;
  }
}

// All turns below one, itself included.
export function subtree(turns: Turn[], id: string): Set<string> {
  const found = new Set([id]);
  for (let grew = true; grew; ) {
    grew = false;
    for (const turn of turns) {
      if (turn.parent !== null && found.has(turn.parent) && !found.has(turn.id)) {
        found.add(turn.id);
        grew = true;
      }
    }
  }
  return found;
}
