// Conversations in the browser's own database: one row a conversation, one row a turn.
import { LocalStorage } from "./local_storage.ts";
import { excerptOf, type ConversationStorage, type SearchHit } from "./storage.ts";
import type { Conversation, Turn } from "./types.ts";

const NAME = "chatwright";
const VERSION = 1;

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}

export class IndexedDbStorage extends LocalStorage implements ConversationStorage {
  private constructor(private readonly database: IDBDatabase) {
    super();
  }

  static async open(): Promise<IndexedDbStorage> {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      const database = request.result;
      database.createObjectStore("conversations", { keyPath: "id" });
      database.createObjectStore("turns", { keyPath: "id" }).createIndex("conversation", "conversation");
    };
    return new IndexedDbStorage(await result(request));
  }

  async list(): Promise<Conversation[]> {
    const all = await result<Conversation[]>(this.store("conversations").getAll());
    return all.sort((a, b) => b.updated - a.updated);
  }

  async turns(conversation: string): Promise<Turn[]> {
    const turns = await result<Turn[]>(this.store("turns").index("conversation").getAll(conversation));
    return turns.sort((a, b) => a.created - b.created);
  }

  // One transaction: a page that closes meanwhile leaves both or neither.
  async save(conversation: Conversation, turns: Turn[]): Promise<string> {
    const transaction = this.database.transaction(["conversations", "turns"], "readwrite");
    transaction.objectStore("conversations").put(conversation);
    for (const turn of turns) transaction.objectStore("turns").put(turn);
    await completed(transaction);
    return conversation.id;
  }

  async removeTurns(ids: string[]): Promise<void> {
    const transaction = this.database.transaction("turns", "readwrite");
    for (const id of ids) transaction.objectStore("turns").delete(id);
    await completed(transaction);
  }

  async remove(conversation: string): Promise<void> {
    const transaction = this.database.transaction(["conversations", "turns"], "readwrite");
    transaction.objectStore("conversations").delete(conversation);
    const turns = transaction.objectStore("turns");
    const keys = await result(turns.index("conversation").getAllKeys(conversation));
    for (const key of keys) turns.delete(key);
    await completed(transaction);
  }

  async search(text: string): Promise<SearchHit[]> {
    const hits: SearchHit[] = [];
    const found = new Set<string>();
    for (const { id, title } of await this.list()) {
      const excerpt = excerptOf(title, text);
      if (excerpt === null) continue;
      found.add(id);
      hits.push({ conversation: id, turn: null, excerpt: "" });
    }
    const cursor = this.store("turns").openCursor();
    await new Promise<void>((resolve, reject) => {
      cursor.onerror = () => reject(cursor.error);
      cursor.onsuccess = () => {
        const row = cursor.result;
        if (!row) return resolve();
        const turn: Turn = row.value;
        const excerpt = found.has(turn.conversation) ? null : excerptOf(turn.text, text);
        if (excerpt !== null) {
          found.add(turn.conversation);
          hits.push({ conversation: turn.conversation, turn: turn.id, excerpt });
        }
        row.continue();
      };
    });
    return hits;
  }

  private store(name: string): IDBObjectStore {
    return this.database.transaction(name, "readonly").objectStore(name);
  }
}
