// Answers to questions: of the server, or of this very page where it is one file.

const element = document.getElementById("answers");
const answers = element ? JSON.parse(element.textContent) : null;

export const isOneFile = answers !== null;

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

export async function ask(what, query = {}) {
  if (isOneFile) {
    const name = [what, ...Object.entries(query).map(([k, v]) => `${k}=${v}`)].join("\n");
    if (!(name in answers)) throw new Error("This page of one file had no room for it: open the run with tts view.");
    return unpack(answers[name]);
  }
  const response = await fetch(`api/${what}?${new URLSearchParams(query)}`).catch(() => {
    throw new Error("The server does not answer: has tts view ended?");
  });
  const said = await response.json().catch(() => ({ error: `the server said ${response.status}` }));
  if (!response.ok) throw new Error(said.error);
  return said;
}
