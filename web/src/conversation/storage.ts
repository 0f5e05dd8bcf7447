// Where conversations are kept. The browser's database implements this; a server can, too.
import type { Conversation, Folder, Turn } from "./types.ts";

export interface SearchHit {
  conversation: string;
  turn: string | null; // null: the title matches
  excerpt: string;
}

export interface WholeConversation {
  info: Conversation;
  turns: Turn[];
}

// A reply that is about to be written.
export interface BegunReply {
  conversation: string; // the id under which the conversation is stored
  answer: string | null; // by this name the server completes the reply; null: the page stores it
}

export interface ConversationStorage {
  readonly canRemoveTurns: boolean;
  list(): Promise<Conversation[]>; // newest first
  turns(conversation: string): Promise<Turn[]>;
  // Store a conversation with changed turns of it, parents first. Returns the id it is stored under.
  save(conversation: Conversation, turns: Turn[]): Promise<string>;
  // Announce a reply to a question, before it is written.
  begin(conversation: Conversation, question: Turn, reply: Turn): Promise<BegunReply>;
  // What the server has written of a reply; null if it does not write it.
  written(turn: Turn): Promise<Turn | null>;
  removeTurns(ids: string[]): Promise<void>;
  remove(conversation: string): Promise<void>;
  add(conversations: WholeConversation[]): Promise<number>; // returns how many were added
  search(text: string): Promise<SearchHit[]>; // at most one hit a conversation
  folders(): Promise<Folder[]>; // by name
  saveFolder(id: string | null, name: string): Promise<void>; // null: a new one
  removeFolder(id: string): Promise<void>; // its conversations stay
  rateTurn(turn: Turn, isUp: boolean, reason: string): Promise<void>;
  correctTurn(turn: Turn, better: string): Promise<void>;
  rankTurns(turns: Turn[], ranks: number[], areAllBad: boolean): Promise<void>;
}

// The part of a text around a match, for a list of hits; null if nothing matches.
export function excerptOf(text: string, wanted: string, around = 40): string | null {
  const at = text.toLowerCase().indexOf(wanted.toLowerCase());
  if (at < 0) return null;
  const start = Math.max(0, at - around);
  const end = Math.min(text.length, at + wanted.length + around);
  const cut = text.slice(start, end).replace(/\s+/g, " ");
  return `${start ? "\u2026" : ""}${cut}${end < text.length ? "\u2026" : ""}`;
}
