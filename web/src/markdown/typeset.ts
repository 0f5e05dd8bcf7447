// Typeset a formula as MathML with temml. Its nodes are copied through a list of allowed elements
// and attributes, so that no command can add a link, a script or a style sheet.
import temml from "temml";

const MATHML = "http://www.w3.org/1998/Math/MathML";
const ELEMENTS = new Set(
  ("math mrow mi mn mo mtext ms mspace msup msub msubsup mfrac msqrt mroot mover munder munderover mtable mtr mtd " +
    "mstyle mpadded mphantom menclose merror mmultiscripts mprescripts none semantics").split(" "),
);
const ATTRIBUTES = new Set(
  ("display displaystyle scriptlevel mathvariant stretchy fence separator form lspace rspace minsize maxsize " +
    "symmetric largeop movablelimits accent accentunder linethickness width height depth voffset columnalign " +
    "rowspacing columnspacing columnlines rowlines frame notation mathsize rowspan columnspan").split(" "),
);

function copyAllowed(node: Node): Node | null {
  if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(node.textContent ?? "");
  if (!(node instanceof Element) || !ELEMENTS.has(node.localName)) return null;
  const copy = document.createElementNS(MATHML, node.localName);
  for (const { name, value } of node.attributes) {
    if (ATTRIBUTES.has(name)) copy.setAttribute(name, value);
  }
  for (const child of node.childNodes) {
    const allowed = copyAllowed(child);
    if (allowed) copy.append(allowed);
  }
  return copy;
}

// The MathML of a formula; null if it cannot be read.
export function typeset(formula: string, isDisplay: boolean): Node | null {
  const made = document.createElement("span");
  try {
    const options = { displayMode: isDisplay, throwOnError: true, trust: false, maxExpand: 200, maxSize: [20, 20] };
    temml.render(formula, made, options as any);
  } catch {
    return null;
  }
  const math = made.querySelector("math");
  return math ? copyAllowed(math) : null;
}
