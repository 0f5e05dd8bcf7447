export default {
  compilerOptions: {
    runes: true,
    fragments: "tree", // builds elements one by one: no HTML strings, as the content policy demands
  },
};
