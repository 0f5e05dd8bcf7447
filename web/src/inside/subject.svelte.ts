// What the view into the model shows: a reply, a text, or nothing.
import type { Turn } from "../conversation/types.ts";
import type { OpenConversation } from "../state/open_conversation.svelte.ts";

export interface Subject {
  turn: Turn | null; // null: a text of the user's
  conversation: OpenConversation | null;
}

export const inside = $state({ subject: null as Subject | null });

export function lookInside(turn: Turn | null = null, conversation: OpenConversation | null = null): void {
  inside.subject = { turn, conversation };
}
