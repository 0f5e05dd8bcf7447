// What every storage in the browser shares: conversations are added one by one, the few folders are a
// preference, and ratings go to the server by the id of its response.
import { sendCorrection, sendRanking, sendThumb } from "../api/feedback.ts";
import type { BegunReply, WholeConversation } from "./storage.ts";
import { readStored, writeStored } from "../state/preferences.svelte.ts";
import type { Conversation, Folder, Turn } from "./types.ts";

const FOLDERS = "folders";

export abstract class LocalStorage {
  readonly canRemoveTurns = true;

  abstract list(): Promise<Conversation[]>;
  abstract save(conversation: Conversation, turns: Turn[]): Promise<string>;

  // A question is stored with the first text of its reply.
  async begin(conversation: Conversation): Promise<BegunReply> {
    return { conversation: conversation.id, answer: null };
  }

  async written(): Promise<null> {
    return null;
  }

  async add(conversations: WholeConversation[]): Promise<number> {
    for (const { info, turns } of conversations) await this.save(info, turns);
    return conversations.length;
  }

  async folders(): Promise<Folder[]> {
    return readStored<Folder[]>(FOLDERS, []).sort((a, b) => a.name.localeCompare(b.name));
  }

  async saveFolder(id: string | null, name: string): Promise<void> {
    const others = (await this.folders()).filter((folder) => folder.id !== id);
    writeStored(FOLDERS, [...others, { id: id ?? crypto.randomUUID(), name }]);
  }

  async removeFolder(id: string): Promise<void> {
    writeStored(FOLDERS, (await this.folders()).filter((folder) => folder.id !== id));
    for (const conversation of await this.list()) {
      if (conversation.folder === id) await this.save({ ...conversation, folder: null }, []);
    }
  }

  rateTurn(turn: Turn, isUp: boolean, reason: string): Promise<void> {
    return sendThumb(turn.receipt!.reply!, isUp, reason);
  }

  correctTurn(turn: Turn, better: string): Promise<void> {
    return sendCorrection(turn.receipt!.reply!, better);
  }

  rankTurns(turns: Turn[], ranks: number[], areAllBad: boolean): Promise<void> {
    return sendRanking(turns.map((turn) => turn.receipt!.reply!), ranks, areAllBad);
  }
}
