"use strict";
// The lesson book. Everything a model wrote reaches the page through textContent and never as HTML.
const find = (id) => document.getElementById(id);
const make = (tag, kind, words) => {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  if (words !== undefined) node.textContent = words;
  return node;
};
const STEP = 50;
let book = null;
let shown = [];
let until = 0;

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function hay(page) {
  if (page.hay === undefined) {
    const texts = [page.id, page.text, page.kind];
    for (const answer of page.answers) texts.push(answer.text, answer.read, answer.second);
    for (const said of page.said) texts.push(said.reply);
    for (const lesson of page.lessons) texts.push(lesson.text, lesson.prompt);
    page.hay = texts.filter(Boolean).join("\n").toLowerCase();
  }
  return page.hay;
}

function filter() {
  const run = book.runs[Number(find("run").value)];
  const words = find("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const option of find("outcome").options) {
    const count = run.questions.filter((page) => !option.value || page.outcome === option.value).length;
    option.textContent = `${book.outcomes[option.value] || "all"} (${count})`;
  }
  const outcome = find("outcome").value;
  const split = find("split").value;
  const taught = find("taught").checked;
  shown = run.questions.filter(
    (page) =>
      (!outcome || page.outcome === outcome) &&
      (!split || page.split === split) &&
      (!taught || page.lessons.length > 0) &&
      words.every((word) => hay(page).includes(word)),
  );
  find("questions").replaceChildren();
  until = 0;
  more();
  find("count").textContent = `${shown.length.toLocaleString("en")} of ${run.questions.length.toLocaleString("en")} questions`;
  remember();
}

function more() {
  const part = shown.slice(until, until + STEP);
  find("questions").append(...part.map(entry));
  until += part.length;
  find("more").hidden = until >= shown.length;
}

function entry(page) {
  const item = make("li");
  const fold = make("details");
  fold.dataset.question = page.id;
  const head = make("summary");
  head.append(make("span", `badge ${page.outcome}`, book.outcomes[page.outcome]));
  const line = make("span", "", page.text.length > 160 ? `${page.text.slice(0, 160)}…` : page.text);
  line.dir = "auto";
  head.append(line);
  fold.append(head);
  fold.addEventListener("toggle", () => {
    if (fold.open && fold.childElementCount === 1) fold.append(opened(page));
  });
  item.append(fold);
  return item;
}

function opened(page) {
  const run = book.runs[Number(find("run").value)];
  const body = make("div", "page");
  const about = [page.id, page.split, page.kind].filter(Boolean).join(" · ");
  body.append(make("p", "small", about), text(page.text), make("p", "", `Right answer: ${page.gold}`));
  const first = page.said.map((said) => said.error).filter(Boolean);
  let before = null; // what the student wrote in the exam before, its first sample
  run.exams.forEach((exam, place) => {
    const answers = page.answers.filter((answer) => answer.exam === place);
    if (!answers.length) return;
    body.append(make("h3", "", exam.title));
    for (const answer of answers) {
      const head = make("p", "small");
      head.append(make("span", `badge ${answer.verdict}`, answer.verdict));
      const notes = [answer.read !== undefined ? `read: ${answer.read}` : "", answer.cut ? "cut off" : "", answer.error || "", answer.name];
      head.append(notes.filter(Boolean).join(" · "));
      body.append(head);
      const compared = exam.role === "student" && answer.sample === answers[0].sample;
      body.append(answerText(answer, compared ? before : null, first));
      if (answer.second) body.append(make("p", "small", `asked for the answer alone: ${answer.second}`));
    }
    if (exam.role === "student") before = answers[0].text || "";
    for (const said of page.said.filter((one) => (one.attempts || []).some((name) => name.startsWith(`${exam.step}/`)))) {
      body.append(...saidText(said));
    }
    for (const lesson of page.lessons.filter((one) => (one.attempts || []).some((name) => name.startsWith(`${exam.step}/`)))) {
      body.append(...lessonText(lesson, page));
    }
  });
  const loose = page.said.filter((one) => !(one.attempts || []).length);
  const plain = page.lessons.filter((one) => !(one.attempts || []).length);
  if (loose.length || plain.length) body.append(make("h3", "", "Lessons that answer no attempt"));
  for (const said of loose) body.append(...saidText(said));
  for (const lesson of plain) body.append(...lessonText(lesson, page));
  return body;
}

function text(words) {
  const node = make("div", "text", words);
  node.dir = "auto";
  return node;
}

// A right answer after a wrong one shows what changed; a wrong one shows the step the teacher names.
function answerText(answer, before, errors) {
  const words = answer.text || "";
  const node = text("");
  if (before && before !== words && words.length < 4000 && before.length < 4000) {
    node.append(...changes(before, words));
    return node;
  }
  const quoted = errors.flatMap((error) => [...error.matchAll(/["“«']([^"”»']{3,})["”»']/g)].map((found) => found[1]));
  const hit = answer.verdict === "wrong" ? quoted.map((one) => [words.indexOf(one), one]).find(([place]) => place >= 0) : undefined;
  if (!hit) {
    node.textContent = words;
    return node;
  }
  const mark = make("mark", "", hit[1]);
  mark.title = "the first wrong step, as the teacher names it";
  node.append(words.slice(0, hit[0]), mark, words.slice(hit[0] + hit[1].length));
  return node;
}

// Word by word, by the longest common subsequence.
function changes(before, after) {
  const a = before.split(/(?<=\s)/);
  const b = after.split(/(?<=\s)/);
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      table[i][j] = a[i].trim() === b[j].trim() ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
  const parts = [];
  const add = (tag, word) => {
    const last = parts[parts.length - 1];
    if (last && last[0] === tag) last[1] += word;
    else parts.push([tag, word]);
  };
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i].trim() === b[j].trim()) add("span", b[(i++, j++)]);
    else if (j >= b.length || (i < a.length && table[i + 1][j] >= table[i][j + 1])) add("del", a[i++]);
    else add("ins", b[j++]);
  }
  return parts.map(([tag, words]) => make(tag, "", tag === "del" ? `${words.trimEnd()} ` : words));
}

function saidText(said) {
  const head = make("p", "small");
  head.append(make("span", "badge", "the teacher"), `round ${said.step.split("-")[0]} · ${said.place}`);
  const nodes = [head, text(said.error || said.failed || said.reply || "")];
  nodes.push(fold("The teacher's request and its whole reply", [["asked", said.prompt], ["replied", said.reply], ["key of the request", said.key]]));
  return nodes;
}

function lessonText(lesson, page) {
  const head = make("p", "small");
  head.append(make("span", "badge", `lesson: ${lesson.kind}`), `round ${lesson.round}`);
  const nodes = [head];
  if (lesson.prompt) nodes.push(text(lesson.prompt));
  const own = lesson.kept && lesson.text.startsWith(lesson.kept) ? lesson.kept : "";
  const body = text(own ? "" : lesson.text);
  if (own) {
    const kept = make("span", "kept", own);
    kept.title = "the student's own right steps, as it wrote them";
    body.append(kept, lesson.text.slice(own.length));
    head.append(" · underlined: the student's own steps");
  }
  nodes.push(body);
  const source = page.said.find((one) => (one.attempts || []).join() === (lesson.attempts || []).join());
  const rows = [["asked", lesson.request], ["key of the request", lesson.key], ["stands in", lesson.request || !source ? "" : source.place]];
  if (rows.some((row) => row[1])) nodes.push(fold("Where it comes from", rows));
  return nodes;
}

function fold(title, rows) {
  const node = make("details", "small");
  node.append(make("summary", "", title));
  for (const [name, words] of rows) if (words) node.append(make("p", "small", name), text(words));
  return node;
}

// The tab remembers the filters, so that a reload or a live update keeps them.
const FIELDS = ["words", "run", "outcome", "split"];
function remember() {
  const state = new URLSearchParams(FIELDS.map((id) => [id, find(id).value]));
  if (find("taught").checked) state.set("taught", "1");
  try {
    sessionStorage.setItem(`tutelage${location.pathname}`, state.toString());
  } catch {}
}
function recall() {
  let state = null;
  try {
    state = new URLSearchParams(sessionStorage.getItem(`tutelage${location.pathname}`) || "");
  } catch {
    return;
  }
  for (const id of FIELDS) if (state.has(id)) find(id).value = state.get(id);
  for (const id of ["run", "outcome", "split"]) if (find(id).selectedIndex < 0) find(id).selectedIndex = 0;
  find("taught").checked = state.has("taught");
}

async function begin() {
  book = await unpack(find("data").textContent);
  book.runs.forEach((run, place) => find("run").append(new Option(run.name, String(place))));
  find("run").parentElement.hidden = book.runs.length < 2;
  const splits = new Set(book.runs.flatMap((run) => run.questions.map((page) => page.split)).filter(Boolean));
  for (const split of splits) find("split").append(new Option(split, split));
  recall();
  let pause = 0;
  find("words").addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(filter, 60);
  });
  for (const id of ["run", "outcome", "split", "taught"]) find(id).addEventListener("change", filter);
  find("filters").addEventListener("submit", (event) => event.preventDefault());
  find("more").addEventListener("click", more);
  filter();
}

async function watch() {
  let stamp = "";
  for (;;) {
    try {
      const [fresh, ...lines] = (await (await fetch("stamp", { cache: "no-store" })).text()).split("\n");
      if (stamp && fresh !== stamp) location.reload();
      stamp = fresh;
      document.querySelectorAll(".state").forEach((node, place) => (node.textContent = lines[place] || node.textContent));
    } catch {}
    await new Promise((done) => setTimeout(done, 2000));
  }
}

begin();
if (document.body.dataset.live) watch();
