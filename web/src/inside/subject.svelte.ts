// What the view into the model shows: a reply, a text, or nothing; and whether the lessons are open.
// The address #/lessons opens them.
import type { Turn } from "../conversation/types.ts";
import type { OpenConversation } from "../state/open_conversation.svelte.ts";

export interface Subject {
  turn: Turn | null; // null: a text of the user's
  conversation: OpenConversation | null;
}

export const inside = $state({ subject: null as Subject | null, areLessonsOpen: location.hash === "#/lessons" });

export function lookInside(turn: Turn | null = null, conversation: OpenConversation | null = null): void {
  inside.subject = { turn, conversation };
}

addEventListener("hashchange", () => {
  if (location.hash === "#/lessons") inside.areLessonsOpen = true;
});
