// Split Markdown into blocks and lex them with `marked`. Its HTML renderer is never used.
import { Lexer, Marked, type Token, type Tokens, type TokensList } from "marked";

export interface MathToken {
  type: "math" | "mathBlock";
  raw: string;
  text: string;
  isDisplay: boolean;
}

const INLINE_MATH = /^(?:\\\((.+?)\\\)|\$\$([^$]+?)\$\$|\$(?![\s$])((?:\\.|[^$\\\n])+?)(?<!\s)\$(?![\d\w]))/s;
const BLOCK_MATH = /^(?:\\\[([\s\S]+?)\\\]|\$\$([\s\S]+?)\$\$)[ \t]*(?:\n|$)/;

const parser = new Marked({ gfm: true, breaks: true });
parser.use({
  extensions: [
    {
      name: "math",
      level: "inline",
      start: (text: string) => {
        const at = text.search(/\$|\\\(/);
        return at < 0 ? undefined : at;
      },
      tokenizer: (text: string): MathToken | undefined => {
        const match = INLINE_MATH.exec(text);
        if (!match) return undefined;
        const formula = match[1] ?? match[2] ?? match[3]!;
        return { type: "math", raw: match[0], text: formula, isDisplay: match[2] !== undefined };
      },
    },
    {
      name: "mathBlock",
      level: "block",
      start: (text: string) => {
        const at = text.search(/\$\$|\\\[/);
        return at < 0 ? undefined : at;
      },
      tokenizer: (text: string): MathToken | undefined => {
        const match = BLOCK_MATH.exec(text);
        if (!match) return undefined;
        return { type: "mathBlock", raw: match[0], text: match[1] ?? match[2]!, isDisplay: true };
      },
    },
  ],
});

const MAX_INLINE = 20_000; // characters of one paragraph or list item
const MAX_MARKERS = 400; // in it; the time to match emphasis grows with their square
const MAX_INLINE_DEPTH = 12;

// A lexer that leaves a text as it is where matching its markers would take too long.
class BoundedLexer extends Lexer {
  private depth = 0;

  override inlineTokens(source: string, tokens: Token[] = []): Token[] {
    const isTooMuch =
      this.depth >= MAX_INLINE_DEPTH ||
      source.length > MAX_INLINE ||
      (source.match(/[*_~`[$<]/g)?.length ?? 0) > MAX_MARKERS;
    if (isTooMuch) {
      tokens.push({ type: "text", raw: source, text: source, escaped: false } as Tokens.Text);
      return tokens;
    }
    this.depth += 1;
    try {
      return super.inlineTokens(source, tokens);
    } finally {
      this.depth -= 1;
    }
  }
}

export type Links = TokensList["links"];

export interface Blocks {
  blocks: Token[]; // without inline tokens
  links: Links; // definitions of reference links
}

// Split a text into blocks. This is cheap: the text inside the blocks is not lexed.
export function splitBlocks(text: string): Blocks {
  const lexer = new Lexer(parser.defaults);
  const blocks = lexer.blockTokens(text.replaceAll("\r\n", "\n"), []);
  return { blocks, links: lexer.tokens.links };
}

// Lex one block with all that is inside it.
export function lexBlock(raw: string, links: Links): Token[] {
  const lexer = new BoundedLexer(parser.defaults);
  lexer.tokens.links = links;
  return lexer.lex(raw);
}

export type { Token, Tokens };
