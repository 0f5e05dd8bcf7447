// A formula: its source until the typesetter has been loaded, then MathML.

const MAX_FORMULA = 2000; // characters; longer ones stay source

export function mathNode(formula: string, isDisplay: boolean): HTMLElement {
  const node = document.createElement("span");
  node.className = isDisplay ? "math display" : "math";
  const source = document.createElement("code");
  source.textContent = formula.trim();
  node.append(source);
  if (formula.length <= MAX_FORMULA) {
    void import("./typeset.ts").then(({ typeset }) => {
      const set = typeset(formula, isDisplay);
      if (set) node.replaceChildren(set);
    });
  }
  return node;
}
