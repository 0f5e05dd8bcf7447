// Show Markdown that may still grow. Blocks that did not change keep their nodes, so the cost of
// each new piece of text follows the last block, not the whole reply.
import { heal } from "./heal.ts";
import { lexBlock, splitBlocks, type Blocks } from "./lexer.ts";
import { nodesOf } from "./nodes.ts";

const MAX_BLOCK = 20_000; // characters; a longer block is shown as plain text

interface Shown {
  key: string; // the block's source, as shown
  nodes: Node[];
}

export class MarkdownRenderer {
  private shown: Shown[] = [];
  private text = "";
  private finishedLength = 0; // characters in blocks that an appended text cannot change
  private nFinished = 0;

  constructor(private readonly target: HTMLElement) {}

  // Show a text. While `isGrowing`, open markers at its end are closed.
  show(text: string, isGrowing: boolean): void {
    const isAppended = isGrowing && text.startsWith(this.text);
    if (!isAppended) {
      this.finishedLength = 0;
      this.nFinished = 0;
    }
    this.text = text;
    const rest = text.slice(this.finishedLength);
    const { blocks, links } = split(rest);
    const keys = blocks.map((block) => block.raw);
    if (isGrowing && keys.length) keys[keys.length - 1] = heal(keys.at(-1)!);
    this.replaceFrom(this.nFinished, keys, links);
    // Only the last block can change; blank lines after it belong to it.
    let last = blocks.length - 1;
    if (last > 0 && blocks[last]!.type === "space") last -= 1;
    if (isGrowing && last > 0) {
      this.nFinished += last;
      this.finishedLength += blocks.slice(0, last).reduce((sum, block) => sum + block.raw.length, 0);
    }
  }

  private replaceFrom(first: number, keys: string[], links: Blocks["links"]): void {
    let same = 0;
    while (same < keys.length && this.shown[first + same]?.key === keys[same]) same += 1;
    const start = first + same;
    for (const { nodes } of this.shown.splice(start)) for (const node of nodes) node.parentNode?.removeChild(node);
    for (const key of keys.slice(same)) {
      const nodes = render(key, links);
      this.target.append(...nodes);
      this.shown.push({ key, nodes });
    }
  }
}

function split(text: string): Blocks {
  try {
    const found = splitBlocks(text);
    // The lexer changes line ends and tabs: its blocks must cover the text, or offsets would be wrong.
    if (found.blocks.reduce((sum, block) => sum + block.raw.length, 0) === text.length) return found;
    return { blocks: [{ type: "paragraph", raw: text } as Blocks["blocks"][number]], links: found.links };
  } catch {
    return { blocks: [{ type: "text", raw: text } as Blocks["blocks"][number]], links: {} };
  }
}

function render(raw: string, links: Blocks["links"]): Node[] {
  if (raw.length <= MAX_BLOCK || /^(```|~~~)/.test(raw)) {
    try {
      return nodesOf(lexBlock(raw, links));
    } catch {
      // Nested too deeply for the lexer: the text is shown as it is.
    }
  }
  const plain = document.createElement("p");
  plain.className = "plain";
  plain.textContent = raw;
  return [plain];
}
