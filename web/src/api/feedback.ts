// Ratings of replies, by the ids of their responses.
import { getJson, post } from "./http.ts";

// Whether the server keeps feedback (chatwright serve --feedback FILE).
export async function takesFeedback(): Promise<boolean> {
  return (await getJson<{ takes_feedback?: boolean }>("/version")).takes_feedback ?? false;
}

export async function sendThumb(reply: string, isUp: boolean, reason: string): Promise<void> {
  await post("/v1/feedback", { kind: "thumb", reply, is_up: isUp, reason });
}

export async function sendCorrection(reply: string, better: string): Promise<void> {
  await post("/v1/feedback", { kind: "correction", reply, better });
}

export async function sendRanking(replies: string[], ranks: number[], areAllBad: boolean): Promise<void> {
  const body = { kind: "ranking", replies: replies.map((reply) => ({ reply })), ranks, are_all_bad: areAllBad };
  await post("/v1/feedback", body);
}
