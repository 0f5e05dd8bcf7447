// What every storage in the browser shares: conversations are added one by one, and ratings go to the
// server by the id of its response.
import { sendCorrection, sendRanking, sendThumb } from "../api/feedback.ts";
import type { WholeConversation } from "./storage.ts";
import type { Conversation, Turn } from "./types.ts";

export abstract class LocalStorage {
  readonly canRemoveTurns = true;

  abstract save(conversation: Conversation, turns: Turn[]): Promise<string>;

  async add(conversations: WholeConversation[]): Promise<number> {
    for (const { info, turns } of conversations) await this.save(info, turns);
    return conversations.length;
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
