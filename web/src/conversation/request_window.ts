// Choose which turns are sent. The server leaves out what exceeds the model's context; this limits
// a request to what the server accepts at all.
import type { ChatMessage } from "../api/chat.ts";
import type { Turn } from "./types.ts";

const MAX_MESSAGES = 1000; // the server's limit for one request
const MAX_BYTES = 900_000; // below the server's limit of 1 MiB for the body

export interface RequestWindow {
  messages: ChatMessage[];
  first: number; // index in the path of the first turn that is sent
}

// The newest turns of a path that end in a question. A turn with a tool call and its question are
// left out, because the model cannot continue without the tool's result.
export function requestWindow(path: Turn[], system: string): RequestWindow {
  const encoder = new TextEncoder();
  const size = (text: string) => encoder.encode(JSON.stringify(text)).length + 64;
  const kept: { index: number; message: ChatMessage }[] = [];
  let bytes = system ? size(system) : 0;
  let room = MAX_MESSAGES - (system ? 1 : 0);
  for (let index = path.length - 1; index >= 0; index--) {
    const turn = path[index]!;
    if (turn.isToolCall) {
      index -= 1; // and its question
      continue;
    }
    if (turn.role === "assistant" && !turn.text) {
      index -= 1;
      continue;
    }
    bytes += size(turn.text);
    room -= 1;
    if (kept.length && (bytes > MAX_BYTES || room < 0)) break;
    kept.push({ index, message: { role: turn.role, content: turn.text } });
  }
  kept.reverse();
  while (kept.length > 1 && kept[0]!.message.role !== "user") kept.shift();
  const messages = kept.map(({ message }) => message);
  if (system) messages.unshift({ role: "system", content: system });
  return { messages, first: kept[0]?.index ?? path.length };
}
