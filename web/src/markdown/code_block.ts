// A code block with its language and a copy button. Highlighting is loaded when first needed.
import { t } from "../state/language.svelte.ts";

const MAX_HIGHLIGHTED = 20_000; // characters; longer code stays plain

export function codeBlock(code: string, info: string): HTMLElement {
  const language = info.trim().split(/\s/)[0]!.toLowerCase();
  const frame = document.createElement("div");
  frame.className = "code-block";
  const head = document.createElement("div");
  head.className = "code-head";
  const name = document.createElement("span");
  name.textContent = language;
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "quiet small";
  copy.textContent = t("turn.copy");
  copy.setAttribute("aria-label", t("code.copy"));
  copy.addEventListener("click", () => {
    void navigator.clipboard.writeText(code).then(() => {
      copy.textContent = t("turn.copied");
      setTimeout(() => (copy.textContent = t("turn.copy")), 2000);
    });
  });
  head.append(name, copy);
  const pre = document.createElement("pre");
  pre.tabIndex = 0; // long lines scroll, also by keyboard
  const shown = document.createElement("code");
  shown.textContent = code;
  pre.append(shown);
  frame.append(head, pre);
  if (language && code.length <= MAX_HIGHLIGHTED) {
    void import("./highlight.ts").then(({ highlight }) => {
      const nodes = highlight(code, language);
      if (nodes) shown.replaceChildren(...nodes);
    });
  }
  return frame;
}
