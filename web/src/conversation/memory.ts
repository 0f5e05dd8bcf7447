// Conversations in memory only, for a browser that refuses its database (some private windows).
import { LocalStorage } from "./local_storage.ts";
import { excerptOf, type ConversationStorage, type SearchHit } from "./storage.ts";
import type { Conversation, Turn } from "./types.ts";

export class MemoryStorage extends LocalStorage implements ConversationStorage {
  private readonly conversations = new Map<string, Conversation>();
  private readonly allTurns = new Map<string, Turn>();

  async list(): Promise<Conversation[]> {
    return [...this.conversations.values()].sort((a, b) => b.updated - a.updated);
  }

  async turns(conversation: string): Promise<Turn[]> {
    return [...this.allTurns.values()].filter((turn) => turn.conversation === conversation);
  }

  async save(conversation: Conversation, turns: Turn[]): Promise<string> {
    this.conversations.set(conversation.id, conversation);
    for (const turn of turns) this.allTurns.set(turn.id, turn);
    return conversation.id;
  }

  async removeTurns(ids: string[]): Promise<void> {
    for (const id of ids) this.allTurns.delete(id);
  }

  async remove(conversation: string): Promise<void> {
    this.conversations.delete(conversation);
    await this.removeTurns((await this.turns(conversation)).map((turn) => turn.id));
  }

  async search(text: string): Promise<SearchHit[]> {
    const hits = new Map<string, SearchHit>();
    for (const { id, title } of this.conversations.values()) {
      if (excerptOf(title, text) !== null) hits.set(id, { conversation: id, turn: null, excerpt: "" });
    }
    for (const turn of this.allTurns.values()) {
      const excerpt = excerptOf(turn.text, text);
      if (excerpt !== null && !hits.has(turn.conversation)) {
        hits.set(turn.conversation, { conversation: turn.conversation, turn: turn.id, excerpt });
      }
    }
    return [...hits.values()];
  }
}
