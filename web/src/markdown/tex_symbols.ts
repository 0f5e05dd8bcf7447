// The commands of TeX that stand for a character, as text: "name character name character ...".

const read = (text: string): Map<string, string> => {
  const words = text.trim().split(/\s+/);
  return new Map(words.flatMap((word, index) => (index % 2 ? [] : [[word, words[index + 1]!]])));
};

// Letters and other identifiers.
export const LETTERS = read(`
  alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ
  lambda λ mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ
  varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ
  Omega Ω hbar ℏ ell ℓ imath ı jmath ȷ wp ℘ Re ℜ Im ℑ aleph ℵ beth ℶ partial ∂ nabla ∇ infty ∞ emptyset ∅
  varnothing ∅ top ⊤ bot ⊥ angle ∠ degree ° square □ Box □ blacksquare ■ triangle △ prime ′ ldots … dots …
  cdots ⋯ vdots ⋮ ddots ⋱ dotsc … dotsb ⋯ dotsm ⋯ dotsi ⋯ checkmark ✓ clubsuit ♣ spadesuit ♠ heartsuit ♡
  diamondsuit ♢ flat ♭ natural ♮ sharp ♯ S § P ¶ dag † pounds £ copyright © % % # # $ $ _ _ & &
`);

// Operators, relations, arrows and delimiters.
export const OPERATORS = read(`
  pm ± mp ∓ times × div ÷ cdot ⋅ ast ∗ star ⋆ circ ∘ bullet ∙ oplus ⊕ ominus ⊖ otimes ⊗ oslash ⊘ odot ⊙
  dagger † ddagger ‡ cap ∩ cup ∪ sqcap ⊓ sqcup ⊔ vee ∨ lor ∨ wedge ∧ land ∧ setminus ∖ wr ≀ amalg ⨿ neg ¬
  lnot ¬ forall ∀ exists ∃ nexists ∄ in ∈ notin ∉ ni ∋ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊
  supsetneq ⊋ nsubseteq ⊈ sqsubseteq ⊑ sqsupseteq ⊒ le ≤ leq ≤ ge ≥ geq ≥ leqslant ⩽ geqslant ⩾ lt < gt >
  ll ≪ gg ≫ ne ≠ neq ≠ equiv ≡ sim ∼ simeq ≃ approx ≈ cong ≅ propto ∝ asymp ≍ doteq ≐ triangleq ≜ coloneqq ≔
  prec ≺ succ ≻ preceq ⪯ succeq ⪰ parallel ∥ nparallel ∦ perp ⟂ mid ∣ nmid ∤ vdash ⊢ dashv ⊣ models ⊨ vDash ⊨
  bowtie ⋈ ltimes ⋉ rtimes ⋊ lesssim ≲ gtrsim ≳ nleq ≰ ngeq ≱ nless ≮ ngtr ≯ because ∵ therefore ∴
  to → rightarrow → leftarrow ← gets ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔ iff ⟺
  implies ⟹ impliedby ⟸ mapsto ↦ longmapsto ⟼ longrightarrow ⟶ longleftarrow ⟵ longleftrightarrow ⟷
  Longrightarrow ⟹ Longleftarrow ⟸ Longleftrightarrow ⟺ uparrow ↑ downarrow ↓ updownarrow ↕ Uparrow ⇑
  Downarrow ⇓ nearrow ↗ searrow ↘ swarrow ↙ nwarrow ↖ hookrightarrow ↪ hookleftarrow ↩ rightharpoonup ⇀
  rightleftharpoons ⇌ leftharpoonup ↼ rightsquigarrow ⇝ leadsto ⇝ upharpoonright ↾ colon : surd √
  langle ⟨ rangle ⟩ lbrace { rbrace } lbrack [ rbrack ] lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ vert | Vert ‖
  lvert | rvert | lVert ‖ rVert ‖ backslash \\ lparen ( rparen ) { { } } | ‖
`);

// Operators that grow in a displayed formula. The first have their limits above and below.
export const LARGE = read(`
  sum ∑ prod ∏ coprod ∐ bigcup ⋃ bigcap ⋂ bigsqcup ⨆ bigvee ⋁ bigwedge ⋀ bigoplus ⨁ bigotimes ⨂ bigodot ⨀
  biguplus ⨄
`);
export const INTEGRALS = read("int ∫ iint ∬ iiint ∭ oint ∮ oiint ∯");

const set = (text: string) => new Set(text.split(" "));
export const FUNCTIONS = set(
  "sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan log ln lg exp arg deg dim hom ker",
);
export const LIMIT_FUNCTIONS = set("lim max min sup inf det gcd Pr limsup liminf argmax argmin");

export const ACCENTS = read(`
  hat ^ widehat ^ bar ¯ overline ‾ vec → overrightarrow → overleftarrow ← tilde ~ widetilde ~ dot ˙ ddot ¨
  check ˇ breve ˘ acute ´ grave \` mathring ˚ overbrace ⏞
`);
export const STRETCHED = set("widehat overline overrightarrow overleftarrow widetilde overbrace underline underbrace");
export const UNDER = read("underline _ underbrace ⏟");

export const SPACES = new Map<string, number>([
  [",", 3], ["thinspace", 3], [":", 4], [">", 4], [";", 5], [" ", 6], ["~", 6], ["quad", 18], ["qquad", 36], ["!", -3],
]); // in eighteenths of an em

// Alphabets: the first capital, small letter and digit of each in Unicode, 0 if there is none; then
// the letters that Unicode had before.
export const ALPHABETS: Record<string, [upper: number, lower: number, digit: number, earlier: string]> = {
  mathbf: [0x1d400, 0x1d41a, 0x1d7ce, ""],
  boldsymbol: [0x1d468, 0x1d482, 0x1d7ce, ""],
  mathbb: [0x1d538, 0x1d552, 0x1d7d8, "CℂHℍNℕPℙQℚRℝZℤ"],
  mathcal: [0x1d49c, 0x1d4b6, 0, "BℬEℰFℱHℋIℐLℒMℳRℛeℯgℊoℴ"],
  mathfrak: [0x1d504, 0x1d51e, 0, "CℭHℌIℑRℜZℨ"],
  mathsf: [0x1d5a0, 0x1d5ba, 0x1d7e2, ""],
  mathtt: [0x1d670, 0x1d68a, 0x1d7f6, ""],
};
export const SAME_ALPHABET = new Map([["bm", "boldsymbol"], ["mathscr", "mathcal"], ["textbf", "mathbf"], ["Bbb", "mathbb"]]);
