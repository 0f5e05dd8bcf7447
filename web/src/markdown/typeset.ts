// Typeset a formula of TeX as MathML: the commands that replies use, in nodes and without HTML
// strings. Only the constants below become names of elements and attributes. A formula with an
// unknown command is not typeset at all: its source is shown, and not half of it.
import {
  ACCENTS,
  ALPHABETS,
  FUNCTIONS,
  INTEGRALS,
  LARGE,
  LETTERS,
  LIMIT_FUNCTIONS,
  OPERATORS,
  SAME_ALPHABET,
  SPACES,
  STRETCHED,
  UNDER,
} from "./tex_symbols.ts";

const MATHML = "http://www.w3.org/1998/Math/MathML";
const MAX_DEPTH = 40;
const TOKEN = /\\[a-zA-Z]+|\\[^]|\d+(?:\.\d+)?|\s+|[^]/gu;
const TEXT = new Set("text textrm textnormal textit textsf texttt mbox operatorname mathrm".split(" "));
const FRACTIONS: Record<string, [thickness: string, style: string]> = {
  frac: ["", ""], dfrac: ["", "true"], cfrac: ["", "true"], tfrac: ["", "false"],
  binom: ["0", ""], dbinom: ["0", "true"], tbinom: ["0", "false"],
};
const SIZES = /^[bB]igg?[lrm]?$/;
const ALIGNED = /^(?:align|aligned|alignat|split|eqnarray)\*?$/;
const DELIMITED: Record<string, [string, string]> = {
  matrix: ["", ""], smallmatrix: ["", ""], array: ["", ""], pmatrix: ["(", ")"], bmatrix: ["[", "]"], Bmatrix: ["{", "}"],
  vmatrix: ["|", "|"], Vmatrix: ["‖", "‖"], cases: ["{", ""], dcases: ["{", ""], rcases: ["", "}"],
  gather: ["", ""], gathered: ["", ""], equation: ["", ""], subarray: ["", ""],
};
// Commands without an effect here; the second ones have an argument that is left out.
const IGNORED = new Set("displaystyle textstyle scriptstyle limits nolimits hline nonumber notag allowbreak".split(" "));
const IGNORED_WITH_ARGUMENT = new Set(["label", "color", "vspace"]);
const GROUPS = new Set(["mathop", "mathbin", "mathrel", "mathord", "mathopen", "mathclose", "mathinner", "ensuremath", "mathit"]);

type Attributes = Record<string, string>;

function element(tag: string, children: (Node | string)[], attributes: Attributes = {}): Element {
  const node = document.createElementNS(MATHML, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const row = (nodes: Element[]): Element => (nodes.length === 1 ? nodes[0]! : element("mrow", nodes));
const space = (eighteenths: number): Element => element("mspace", [], { width: `${(eighteenths / 18).toFixed(3)}em` });
const operator = (text: string, attributes: Attributes = {}): Element => element("mo", [text], attributes);

class Unreadable extends Error {}

class Reader {
  private readonly tokens: string[];
  private at = 0;
  private depth = 0;
  private readonly overUnder = new Set<Element>(); // bases whose scripts are above and below
  private alphabet = "";

  constructor(
    formula: string,
    private readonly isDisplay: boolean,
  ) {
    this.tokens = formula.replace(/(?<!\\)%.*$/gm, "").match(TOKEN) ?? [];
  }

  all(): Element[] {
    const nodes = this.nodesUntil(() => false);
    if (this.at < this.tokens.length) throw new Unreadable();
    return nodes;
  }

  // The next token that is no space, without taking it; "" at the end.
  private peek(): string {
    while (/^\s/.test(this.tokens[this.at] ?? "")) this.at += 1;
    return this.tokens[this.at] ?? "";
  }

  private take(): string {
    const token = this.peek();
    this.at += 1;
    return token;
  }

  private expect(wanted: string): void {
    if (this.take() !== wanted) throw new Unreadable();
  }

  private nodesUntil(isEnd: (token: string) => boolean): Element[] {
    if ((this.depth += 1) > MAX_DEPTH) throw new Unreadable();
    const nodes: Element[] = [];
    for (let token = this.peek(); token !== "" && !isEnd(token); token = this.peek()) {
      const node = this.scripted();
      if (node) nodes.push(node);
    }
    this.depth -= 1;
    return nodes;
  }

  // A base with its primes, subscript and superscript.
  private scripted(): Element | null {
    const first = this.peek();
    let base = first === "^" || first === "_" || first === "'" ? element("mrow", []) : this.base();
    let below: Element | null = null;
    const above: Element[] = [];
    for (;;) {
      const token = this.peek();
      if (token === "\\limits" || token === "\\nolimits") {
        this.take();
        if (base && token === "\\limits") this.overUnder.add(base);
      } else if (token === "'") {
        this.take();
        above.push(operator("′"));
      } else if (token === "^") {
        this.take();
        above.push(this.argument());
      } else if (token === "_") {
        if (below) throw new Unreadable();
        this.take();
        below = this.argument();
      } else break;
    }
    if (!below && !above.length) return base;
    base ??= element("mrow", []);
    const names = this.overUnder.has(base) ? ["munder", "mover", "munderover"] : ["msub", "msup", "msubsup"];
    if (below && above.length) return element(names[2]!, [base, below, row(above)]);
    return below ? element(names[0]!, [base, below]) : element(names[1]!, [base, row(above)]);
  }

  // A group in braces, a command or one character: \frac12 is a half.
  private argument(): Element {
    const token = this.peek();
    if (token === "") throw new Unreadable();
    if (/^\d./.test(token)) this.tokens.splice(this.at, 1, token[0]!, token.slice(1));
    return this.base() ?? element("mrow", []);
  }

  // The source of a group in braces, for texts and names.
  private rawArgument(): string {
    if (this.peek() !== "{") return this.take();
    this.take();
    let text = "";
    for (let open = 1; ; ) {
      const token = this.tokens[this.at++];
      if (token === undefined) throw new Unreadable();
      if (token === "{") open += 1;
      if (token === "}" && (open -= 1) === 0) return text;
      text += token;
    }
  }

  private optional(): Element[] | null {
    if (this.peek() !== "[") return null;
    this.take();
    const nodes = this.nodesUntil((token) => token === "]");
    this.expect("]");
    return nodes;
  }

  private base(): Element | null {
    const token = this.take();
    if (token === "{") {
      const nodes = this.nodesUntil((next) => next === "}");
      this.expect("}");
      return row(nodes);
    }
    if (token.startsWith("\\")) return this.command(token.slice(1));
    if (token === "}" || token === "&" || token === "") throw new Unreadable();
    if (token === "~") return space(6);
    if (/^\d/.test(token)) return element("mn", [this.styled(token)]);
    if (/^\p{L}/u.test(token)) return this.letter(token);
    if (token === "-") return operator("−");
    if (token === "*") return operator("∗");
    const isFence = "()[]|".includes(token);
    return operator(token, isFence ? { stretchy: "false" } : {});
  }

  private letter(character: string): Element {
    const styled = this.styled(character);
    const isUpright = this.alphabet === "mathrm" && styled === character;
    return element("mi", [styled], isUpright ? { mathvariant: "normal" } : {});
  }

  // Characters of the chosen alphabet.
  private styled(text: string): string {
    const alphabet = ALPHABETS[this.alphabet];
    if (!alphabet) return text;
    const [upper, lower, digit, earlier] = alphabet;
    return [...text].map((character) => {
      const known = [...earlier].indexOf(character);
      if (known >= 0 && known % 2 === 0) return [...earlier][known + 1]!;
      const code = character.charCodeAt(0);
      const place = (first: number, of: string) => (first ? String.fromCodePoint(first + code - of.charCodeAt(0)) : character);
      if (character >= "A" && character <= "Z") return place(upper, "A");
      if (character >= "a" && character <= "z") return place(lower, "a");
      return character >= "0" && character <= "9" ? place(digit, "0") : character;
    }).join("");
  }

  private inAlphabet(name: string): Element {
    const before = this.alphabet;
    this.alphabet = name;
    const node = this.argument();
    this.alphabet = before;
    return node;
  }

  private command(name: string): Element | null {
    const letter = LETTERS.get(name);
    if (letter) return element("mi", [letter], /\p{Lu}/u.test(letter) ? { mathvariant: "normal" } : {});
    const symbol = OPERATORS.get(name);
    if (symbol) return operator(symbol, "⟨⟩{}[]⌊⌋⌈⌉|‖()".includes(symbol) ? { stretchy: "false" } : {});
    const width = SPACES.get(/^\s$/.test(name) ? " " : name);
    if (width !== undefined) return space(width);
    const large = LARGE.get(name);
    if (large || INTEGRALS.has(name)) {
      const node = operator(large ?? INTEGRALS.get(name)!, { largeop: String(this.isDisplay) });
      if (large && this.isDisplay) this.overUnder.add(node);
      return node;
    }
    if (FUNCTIONS.has(name) || LIMIT_FUNCTIONS.has(name)) return this.functionName(name, LIMIT_FUNCTIONS.has(name));
    const alphabet = SAME_ALPHABET.get(name) ?? name;
    if (alphabet in ALPHABETS) return this.inAlphabet(alphabet);
    if (name in FRACTIONS) return this.fraction(...FRACTIONS[name]!);
    if (ACCENTS.has(name) || UNDER.has(name)) return this.accent(name);
    if (TEXT.has(name)) return this.text(name);
    if (SIZES.test(name)) return this.sized(name);
    if (GROUPS.has(name)) return this.argument();
    if (IGNORED.has(name)) return null;
    if (IGNORED_WITH_ARGUMENT.has(name)) {
      this.rawArgument();
      return null;
    }
    return this.structure(name);
  }

  private structure(name: string): Element | null {
    switch (name) {
      case "sqrt": {
        const degree = this.optional();
        const content = this.argument();
        return degree ? element("mroot", [content, row(degree)]) : element("msqrt", [content]);
      }
      case "left":
        return this.delimited();
      case "begin":
        return this.environment(this.rawArgument());
      case "overset":
      case "stackrel": {
        const above = this.argument();
        return element("mover", [this.argument(), above]);
      }
      case "underset": {
        const below = this.argument();
        return element("munder", [this.argument(), below]);
      }
      case "xrightarrow":
      case "xleftarrow": {
        const below = this.optional();
        const arrow = operator(name === "xrightarrow" ? "→" : "←", { stretchy: "true" });
        const above = this.argument();
        return below ? element("munderover", [arrow, row(below), above]) : element("mover", [arrow, above]);
      }
      case "substack":
        this.expect("{");
        return this.table((token) => token === "}", { class: "tight" });
      case "boxed":
      case "fbox":
        return element("mrow", [this.argument()], { class: "boxed" });
      case "phantom":
        return element("mphantom", [this.argument()]);
      case "textcolor":
        this.rawArgument();
        return this.argument();
      case "tag":
        return element("mrow", [space(36), element("mtext", [`(${this.rawArgument()})`])]);
      case "not": {
        const next = this.argument();
        next.append("\u0338");
        return next;
      }
      case "bmod":
      case "mod":
        return element("mrow", [space(4), element("mi", ["mod"]), space(4)]);
      case "pmod":
        return element("mrow", [space(18), operator("("), element("mi", ["mod"]), space(6), this.argument(), operator(")")]);
      default:
        throw new Unreadable();
    }
  }

  private functionName(name: string, hasLimits: boolean): Element {
    const written = name.replace(/^(lim|arg)(sup|inf|max|min)$/, "$1\u2009$2");
    const node = element("mi", [written], { mathvariant: "normal", class: "function" });
    if (hasLimits && this.isDisplay) this.overUnder.add(node);
    return node;
  }

  private fraction(thickness: string, style: string): Element {
    const above = this.argument();
    const below = this.argument();
    const fraction = element("mfrac", [above, below], thickness ? { linethickness: thickness } : {});
    const node = thickness ? element("mrow", [operator("("), fraction, operator(")")]) : fraction;
    return style ? element("mstyle", [node], { displaystyle: style }) : node;
  }

  private accent(name: string): Element {
    const below = UNDER.get(name);
    const mark = operator(below ?? ACCENTS.get(name)!, { stretchy: String(STRETCHED.has(name)) });
    const content = this.argument();
    const node = below
      ? element("munder", [content, mark], { accentunder: "true" })
      : element("mover", [content, mark], { accent: "true" });
    if (name.endsWith("brace")) this.overUnder.add(node);
    return node;
  }

  private text(name: string): Element {
    if (name === "mathrm" || name === "operatorname") {
      const isStarred = name === "operatorname" && this.peek() === "*" && this.take() === "*";
      const source = this.rawArgument();
      if (!/^[\p{L}\d\s.,-]*$/u.test(source)) {
        return new Reader(`{${source}}`, this.isDisplay).inAlphabet("mathrm");
      }
      const node = element("mi", [source.trim()], { mathvariant: "normal", ...(name === "operatorname" ? { class: "function" } : {}) });
      if (isStarred) this.overUnder.add(node);
      return node;
    }
    // Spaces at the ends of a text count, and MathML would leave them out.
    const pieces = this.rawArgument().split(/(?<!\\)\$/);
    return row(pieces.map((piece, index) =>
      index % 2 ? row(new Reader(piece, false).all()) : element("mtext", [piece.replace(/\\([%$&#_{}])/g, "$1").replace(/\s+/g, "\u00a0")]),
    ));
  }

  private delimiter(): string {
    const token = this.take();
    if (token === ".") return "";
    if (!token.startsWith("\\")) return { "<": "⟨", ">": "⟩" }[token] ?? token;
    const symbol = OPERATORS.get(token.slice(1));
    if (!symbol) throw new Unreadable();
    return symbol;
  }

  private sized(name: string): Element {
    const size = { b: 1.2, B: 1.8 }[name[0]!]! * (name.startsWith("igg", 1) ? 2 : 1);
    const em = `${size}em`;
    return operator(this.delimiter(), { stretchy: "true", symmetric: "true", minsize: em, maxsize: em });
  }

  private delimited(): Element {
    const fence = (text: string) => operator(text, { stretchy: "true", fence: "true" });
    const nodes: Element[] = [fence(this.delimiter())];
    for (;;) {
      nodes.push(...this.nodesUntil((token) => token === "\\right" || token === "\\middle"));
      const token = this.take();
      if (token === "") throw new Unreadable();
      nodes.push(fence(this.delimiter()));
      if (token === "\\right") return element("mrow", nodes.filter((node) => node.textContent));
    }
  }

  private environment(name: string): Element {
    const isAligned = ALIGNED.test(name);
    const fences = isAligned ? ["", ""] : DELIMITED[name.replace(/\*$/, "")];
    if (!fences) throw new Unreadable();
    if (name === "array" || name === "subarray" || name.startsWith("alignat")) this.rawArgument();
    const kind = isAligned ? "aligned" : name.endsWith("cases") ? "cases" : name === "smallmatrix" ? "tight" : "matrix";
    const table = this.table((token) => token === "\\end", { class: kind });
    if (this.rawArgument() !== name) throw new Unreadable();
    const [open, close] = fences.map((text) => (text ? [operator(text, { stretchy: "true", fence: "true" })] : []));
    return row([...open!, table, ...close!]);
  }

  // Rows and cells up to a token, which is taken.
  private table(isEnd: (token: string) => boolean, attributes: Attributes): Element {
    const isBorder = (token: string) => token === "&" || token === "\\\\" || token === "\\cr" || isEnd(token);
    const rows: Element[][] = [[]];
    for (;;) {
      rows.at(-1)!.push(element("mtd", this.nodesUntil(isBorder)));
      const token = this.take();
      if (token === "") throw new Unreadable();
      if (isEnd(token)) break;
      if (token !== "&") {
        if (this.peek() === "[") this.optional(); // the height of a gap between rows
        rows.push([]);
      }
    }
    const isEmpty = (cells: Element[]) => cells.every((cell) => !cell.hasChildNodes());
    if (rows.length > 1 && isEmpty(rows.at(-1)!)) rows.pop(); // after a last "\\"
    const style: Attributes = attributes.class === "aligned" ? { displaystyle: "true" } : {};
    return element("mtable", rows.map((cells) => element("mtr", cells)), { ...attributes, ...style });
  }
}

// The MathML of a formula; null if it cannot be read.
export function typeset(formula: string, isDisplay: boolean): Node | null {
  try {
    const nodes = new Reader(formula, isDisplay).all();
    return element("math", nodes, isDisplay ? { display: "block" } : {});
  } catch (error) {
    if (error instanceof Unreadable) return null;
    throw error;
  }
}
