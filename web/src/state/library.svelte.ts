// All conversations, and the one that is shown. The address holds its id, so that a reload shows it
// again and the browser's Back works.
import { IndexedDbStorage } from "../conversation/indexed_db.ts";
import { MemoryStorage } from "../conversation/memory.ts";
import { ServerError } from "../api/http.ts";
import { getSession, type Session } from "../api/session.ts";
import type { ConversationStorage, SearchHit, WholeConversation } from "../conversation/storage.ts";
import { newConversation, type Conversation, type Folder, type Turn } from "../conversation/types.ts";
import { errorText } from "./error_text.ts";
import { OpenConversation } from "./open_conversation.svelte.ts";
import { readStored, storedSettings, writeStored } from "./preferences.svelte.ts";
import { addressedView } from "./route.svelte.ts";

const KEPT = "keptInBrowser"; // ids of users who keep them there

export class Library {
  list: Conversation[] = $state.raw([]);
  folders: Folder[] = $state.raw([]); // sorted by name
  shown: OpenConversation | null = $state.raw(null);
  session: Session | null = $state(null); // null: the server says nothing about users
  isLasting = $state(true); // whether conversations outlive the page
  nInBrowser = $state(0); // this browser's conversations, which can be moved to the server's store
  isStarted = $state(false); // whether the storage is open: a conversation begun before would be lost

  private storage: ConversationStorage = new MemoryStorage();
  private browser: IndexedDbStorage | null = null; // what it holds beside the server's store
  private readonly open = new Map<string, OpenConversation>();

  async start(): Promise<void> {
    this.session = await getSession().catch(() => null);
    try {
      if (this.session?.store && this.session.user) {
        this.storage = new (await import("../conversation/server_storage.ts")).ServerStorage();
        void this.findInBrowser(this.session.user.id);
      } else {
        this.storage = await IndexedDbStorage.open();
      }
    } catch {
      this.isLasting = false;
    }
    try {
      await this.refresh();
      await this.followAddress();
    } catch (error) {
      this.startNew(true);
      this.shown!.error = errorText(error);
    }
    this.isStarted = true;
    addEventListener("hashchange", () => void this.followAddress());
    addEventListener("focus", () => void this.refresh()); // another tab may have changed the list
  }

  // Look for conversations that were kept in this browser before the server had a store.
  private async findInBrowser(user: string): Promise<void> {
    if (readStored<string[]>(KEPT, []).includes(user)) return;
    this.browser = await IndexedDbStorage.open().catch(() => null);
    this.nInBrowser = (await this.browser?.list())?.length ?? 0;
  }

  // Move them to the server's store; return how many. Those that it refuses stay in the browser.
  async moveToServer(): Promise<number> {
    let n = 0;
    for (const info of (await this.browser?.list()) ?? []) {
      const turns = await this.browser!.turns(info.id);
      try {
        if ((await this.storage.add([{ info: { ...info, folder: null }, turns }])) !== 1) continue;
      } catch (error) {
        if (!(error instanceof ServerError) || error.status >= 500) throw error;
        continue; // it is too large
      }
      await this.browser!.remove(info.id);
      n += 1;
      this.nInBrowser -= 1;
    }
    await this.refresh();
    return n;
  }

  // Do not offer it to this user again.
  keepInBrowser(): void {
    writeStored(KEPT, [...readStored<string[]>(KEPT, []), this.session!.user!.id]);
    this.nInBrowser = 0;
  }

  async refresh(): Promise<void> {
    this.folders = await this.storage.folders();
    this.list = await this.storage.list();
    const places = new Map(this.list.map((info) => [info.id, info.folder ?? null]));
    for (const { info } of this.open.values()) info.folder = places.get(info.id) ?? null;
  }

  isWriting(id: string): boolean {
    return this.open.get(id)?.writing != null;
  }

  // The address of the shown conversation.
  get address(): string {
    return this.shown && !this.shown.isEmpty ? address(this.shown.info.id) : "#/";
  }

  // Show an empty conversation; it is stored with its first reply.
  startNew(keepsAddress = false): void {
    if (!keepsAddress && location.hash && location.hash !== "#/") history.pushState(null, "", "#/");
    const before = this.shown?.info;
    const info = newConversation(storedSettings(), "");
    if (this.shown?.isEmpty && before) {
      info.settings = before.settings;
      info.system = before.system;
    }
    this.shown = new OpenConversation(info, [], this.storage, (changed) => this.changed(changed));
  }

  async show(id: string): Promise<void> {
    const conversation = this.open.get(id) ?? (await this.load(id));
    if (!conversation) return this.startNew();
    this.shown = conversation;
    if (location.hash !== address(id)) history.pushState(null, "", address(id));
  }

  async remove(id: string): Promise<void> {
    this.open.get(id)?.stop();
    this.open.delete(id);
    await this.storage.remove(id);
    await this.refresh();
    if (this.shown?.info.id === id) this.startNew();
  }

  async rename(id: string, title: string): Promise<void> {
    const conversation = this.open.get(id) ?? (await this.load(id));
    if (!conversation) return;
    conversation.info.title = title;
    await conversation.saveInfo();
  }

  // Move a conversation into a folder; null takes it out.
  async move(id: string, folder: string | null): Promise<void> {
    const conversation = this.open.get(id) ?? (await this.load(id));
    if (!conversation) return;
    conversation.info.folder = folder;
    await conversation.saveInfo();
    await this.refresh();
  }

  // Rename a folder, or make one (null).
  async saveFolder(id: string | null, name: string): Promise<void> {
    await this.storage.saveFolder(id, name);
    await this.refresh();
  }

  async removeFolder(id: string): Promise<void> {
    await this.storage.removeFolder(id);
    await this.refresh();
  }

  turns(id: string): Promise<Turn[]> {
    return this.storage.turns(id);
  }

  search(text: string): Promise<SearchHit[]> {
    return this.storage.search(text);
  }

  async add(items: WholeConversation[]): Promise<number> {
    const n = await this.storage.add(items);
    await this.refresh();
    return n;
  }

  private async load(id: string): Promise<OpenConversation | null> {
    const info = (await this.storage.list()).find((conversation) => conversation.id === id);
    if (!info) return null;
    const turns = await this.storage.turns(id);
    const conversation = new OpenConversation(info, turns, this.storage, (changed) => this.changed(changed));
    this.open.set(id, conversation);
    return conversation;
  }

  private changed(conversation: OpenConversation): void {
    const { id } = conversation.info;
    this.open.set(id, conversation);
    if (this.shown === conversation && location.hash !== address(id) && !addressedView()) {
      history.replaceState(null, "", address(id));
    }
    void this.refresh();
  }

  private async followAddress(): Promise<void> {
    if (addressedView()) {
      if (!this.shown) this.startNew(true);
      return;
    }
    const match = /^#\/c\/([\w-]{1,64})$/.exec(location.hash);
    if (!match) this.startNew();
    else if (this.shown?.info.id !== match[1]) await this.show(match[1]!);
  }
}

const address = (id: string): string => `#/c/${id}`;

export const library = new Library();
