// Color code with highlight.js. Its output is taken as a tree and made into nodes, never as HTML.
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import cpp from "highlight.js/lib/languages/cpp";
import css from "highlight.js/lib/languages/css";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";

// Receives scopes and texts from highlight.js, as its own emitter does.
class NodeEmitter {
  private readonly root = document.createElement("span");
  private current: HTMLElement = this.root;

  addText(text: string): void {
    this.current.append(document.createTextNode(text));
  }

  startScope(name: string): void {
    const node = document.createElement("span");
    node.className = name
      .split(".")
      .map((part, index) => (index === 0 ? `hljs-${part}` : `${part}_`))
      .join(" ");
    this.current.append(node);
    this.current = node;
  }

  endScope(): void {
    this.current = this.current.parentElement ?? this.root;
  }

  openNode(name: string): void {
    this.startScope(name);
  }

  closeNode(): void {
    this.endScope();
  }

  __addSublanguage(emitter: NodeEmitter, _name: string): void {
    this.current.append(...emitter.nodes);
  }

  finalize(): void {
    this.current = this.root;
  }

  toHTML(): string {
    return ""; // highlight.js asks for it; nothing reads it
  }

  get nodes(): Node[] {
    return [...this.root.childNodes];
  }
}

const languages = { bash, cpp, css, javascript, json, python, rust, sql, typescript, xml, yaml };
for (const [name, definition] of Object.entries(languages)) hljs.registerLanguage(name, definition);
hljs.configure({ __emitter: NodeEmitter } as any);

// The nodes of highlighted code; null for an unknown language.
export function highlight(code: string, language: string): Node[] | null {
  if (!hljs.getLanguage(language)) return null;
  const { _emitter } = hljs.highlight(code, { language, ignoreIllegals: true });
  return (_emitter as unknown as NodeEmitter).nodes;
}
