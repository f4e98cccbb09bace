// Stands before the theme's search worker (tools/docs_search.py). It reads a sentence as its words that
// mean something, each by its stem, so that "How do I compare two runs?" asks for "compar two run": left
// alone, the worker looks for everything that begins with "how", "do" or "i". A query with one of lunr's
// signs ("a phrase", title:, +, -, ~, ^, *) is the reader's own, and stays as it is.
addEventListener("message", ({ data: message }) => {
  const isQuery = message.type === 2;
  if (!isQuery || /["*+:^~]|(^|\s)-/.test(message.data)) return;
  const words = message.data.toLowerCase().replace(/[?!.,;]+(?=\s|$)/g, "").trim().split(/\s+/);
  const telling = words.filter((word) => lunr.stopWordFilter(word));
  // Words of the pages are kept whole and met by their beginnings: "strategi" would miss "strategy".
  const stem = (word) => lunr.stemmer(new lunr.Token(word)).toString().replace(/i$/, "");
  message.data = (telling.length ? telling : words).map(stem).join(" ");
});
