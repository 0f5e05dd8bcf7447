// Errors as messages for the user.
import { t } from "./language.svelte.ts";

export const capitalized = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

// A sentence. No full stop is added to a message of the build, which may end with a command to copy.
export const asSentence = (text: string): string => capitalized(text) + (/[.!?]$/.test(text) ? "" : ".");

// fetch throws TypeError if the server cannot be reached.
export function errorText(error: unknown): string {
  if (error instanceof TypeError) return t("app.serverGone");
  return asSentence(error instanceof Error ? error.message : String(error));
}
