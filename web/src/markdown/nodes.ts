// Make DOM nodes of Markdown tokens. Only the elements and attributes written here can occur, and
// text is only ever inserted as text. HTML in a reply is shown as text; images become links.
import { t } from "../state/language.svelte.ts";
import { safeAddress } from "./address.ts";
import { codeBlock } from "./code_block.ts";
import type { Token, Tokens } from "./lexer.ts";
import { mathNode } from "./math.ts";

const MAX_DEPTH = 24; // deeper nesting is shown as text

function element<K extends keyof HTMLElementTagNameMap>(tag: K, children: Node[] = []): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  node.append(...children);
  return node;
}

const textNode = (text: string): Node => document.createTextNode(text);

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

// Markdown's text may hold character references, which the lexer leaves for HTML.
function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]{2,5}));/gi, (whole, decimal, hex, name) => {
    if (name) return ENTITIES[name] ?? whole;
    const code = decimal ? Number(decimal) : parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

export function nodesOf(tokens: Token[] | undefined, depth = 0): Node[] {
  if (!tokens) return [];
  if (depth > MAX_DEPTH) return [textNode(tokens.map((token) => token.raw).join(""))];
  return tokens.flatMap((token) => nodeOf(token, depth + 1));
}

function nodeOf(token: Token, depth: number): Node[] {
  const inside = () => nodesOf((token as Tokens.Generic).tokens, depth);
  switch (token.type) {
    case "space":
    case "def":
      return [];
    case "paragraph":
      return [element("p", inside())];
    case "heading":
      // The page has headings above: a reply's begin at the third level.
      return [element(`h${Math.min(6, token.depth + 2)}` as "h3", inside())];
    case "blockquote":
      return [element("blockquote", inside())];
    case "hr":
      return [element("hr")];
    case "list":
      return [list(token as Tokens.List, depth)];
    case "table":
      return [table(token as Tokens.Table, depth)];
    case "code":
      return [codeBlock(token.text, token.lang ?? "")];
    case "math":
    case "mathBlock":
      return [mathNode(token.text, (token as any).isDisplay)];
    case "strong":
      return [element("strong", inside())];
    case "em":
      return [element("em", inside())];
    case "del":
      return [element("del", inside())];
    case "codespan":
      return [element("code", [textNode(token.text)])];
    case "br":
      return [element("br")];
    case "link":
      return link(token.href, inside());
    case "image":
      return link(token.href, [textNode(`${t("link.image")}: ${token.text}`)]);
    case "text":
      return (token as Tokens.Text).tokens ? inside() : [textNode(decoded(token.text))];
    case "escape":
      return [textNode(token.text)];
    default: // HTML, and whatever a later version of the lexer may find
      return [textNode(token.raw)];
  }
}

function list(token: Tokens.List, depth: number): HTMLElement {
  const node = element(token.ordered ? "ol" : "ul");
  if (node instanceof HTMLOListElement && typeof token.start === "number") node.start = token.start;
  for (const item of token.items) {
    const shown = element("li");
    if (item.task) {
      const box = element("input");
      box.type = "checkbox";
      box.disabled = true;
      box.checked = Boolean(item.checked);
      box.setAttribute("aria-label", item.text);
      shown.append(box);
    }
    const parts = item.tokens.filter((part) => (part.type as string) !== "checkbox");
    shown.append(...nodesOf(parts, depth));
    node.append(shown);
  }
  return node;
}

function table(token: Tokens.Table, depth: number): HTMLElement {
  const node = element("table");
  const row = (cells: Tokens.TableCell[], tag: "th" | "td") =>
    element(
      "tr",
      cells.map((cell) => {
        const shown = element(tag, nodesOf(cell.tokens, depth));
        if (cell.align) shown.className = `align-${cell.align}`;
        return shown;
      }),
    );
  node.append(element("thead", [row(token.header, "th")]));
  node.append(element("tbody", token.rows.map((cells) => row(cells, "td"))));
  const frame = element("div", [node]);
  frame.className = "table-frame";
  frame.tabIndex = 0; // a wide table scrolls, also by keyboard
  frame.setAttribute("role", "group");
  return frame;
}

function link(href: string, children: Node[]): Node[] {
  const address = safeAddress(href);
  if (!address) return [...children, textNode(` (${href})`)];
  const node = element("a", children);
  node.href = address.href;
  node.target = "_blank";
  node.rel = "noopener noreferrer nofollow";
  if (node.textContent?.includes(address.host)) return [node];
  const host = element("span", [textNode(` (${address.host})`)]);
  host.className = "link-host";
  return [node, host];
}
