// The queue of prompts whose replies raters rank (docs/reference/page-api.md).
import { getJson, post, postJson, send } from "./http.ts";
import type { Share } from "./teach.ts";

export interface Task {
  id: string;
  prompt: { role: string; content: string }[];
  replies: { id: string; parts: { type: string; text?: string }[] }[];
}

export interface Offer {
  task: Task | null;
  done: number;
  left: number;
}

export interface NewTask {
  prompt: { role: string; content: string }[];
  replies: { content: string; model?: string; weights?: string }[];
  right_ranks?: number[];
}

export interface QueueFigures {
  tasks: number;
  gold: number;
  rankings: number;
  raters: { id: string; name: string; done: number; most: number | null; gold: Share | null }[];
}

const MAX_BATCH = 400_000; // characters of JSON in one request; the server takes 1 MiB
const MAX_TASKS = 500;

export const getOffer = (skipped: string[]) =>
  getJson<Offer>(`/api/queue/next?${skipped.slice(-200).map((id) => `skip=${encodeURIComponent(id)}`).join("&")}`);

export async function sendRanking(task: Task, ranks: number[], areAllBad: boolean, reason: string): Promise<string> {
  const messages = task.replies.map(({ id }) => id);
  const body = { messages, ranks, are_all_bad: areAllBad, reason };
  return (await postJson<{ id: string }>(`/api/queue/tasks/${encodeURIComponent(task.id)}/ranking`, body)).id;
}

export async function takeBack(feedback: string): Promise<void> {
  await send("DELETE", `/api/feedback/${encodeURIComponent(feedback)}`);
}

export const getFigures = () => getJson<QueueFigures>("/api/queue");

export async function setLimit(rater: string, most: number | null): Promise<void> {
  await send("PUT", `/api/queue/raters/${encodeURIComponent(rater)}/limit`, most === null ? {} : { most });
}

export async function addTasks(tasks: NewTask[]): Promise<void> {
  for (let rest = tasks; rest.length; ) {
    let size = 0;
    let count = 0;
    while (count < Math.min(rest.length, MAX_TASKS) && (count === 0 || size + JSON.stringify(rest[count]).length < MAX_BATCH)) {
      size += JSON.stringify(rest[count]).length;
      count += 1;
    }
    await post("/api/queue", { tasks: rest.slice(0, count) });
    rest = rest.slice(count);
  }
}

// Read a file of tasks, one JSON object a line, as `chatwright rate` keeps them, or with plain texts.
// Throws for a line that holds no prompt with replies.
export function readTasks(text: string): NewTask[] {
  return text.split("\n").filter((line) => line.trim()).map((line) => {
    const row = JSON.parse(line);
    const prompt = typeof row.prompt === "string" ? [{ role: "user", content: row.prompt }] : row.prompt;
    const task: NewTask = {
      prompt: prompt.map(({ role, content }: { role: string; content: string }) => ({ role, content })),
      replies: row.replies.map((reply: any) => {
        if (typeof reply === "string") return { content: reply };
        return { content: reply.message?.content ?? reply.content, weights: reply.weights };
      }),
    };
    if (row.right_ranks) task.right_ranks = row.right_ranks;
    return task;
  });
}
