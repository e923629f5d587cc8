"use strict";

const at = id => document.getElementById(id);
const FIELDS = [
  "text", "source", "canonical", "split", "stage", "reason", "teacher", "kind", "state", "decision", "dispute", "low", "high",
];
const NONE = "(none)";
const NAMES = { canonical: "class", stage: "dropped by" };
const DONE = { accept: "accepted", reject: "rejected", relabel: "relabelled", note: "note" };
const MARKS = { accept: "✓", reject: "✗", relabel: "↻" };
const GONE = "The server does not answer. Start fer-build review again, on the same port; every decision that was shown "
  + "as saved is kept.";

let about = null;
let list = { rows: [], total: 0, page: 0, pages: 0 };
let shown = null;
let busy = false;

/** Make an element; text is only ever text. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter(one => one !== null));
  return made;
}

const number = value => value.toLocaleString("en");
const percent = share => `${(100 * share).toFixed(1)} %`;

/** Ask the server; what it refuses is shown, and thrown. */
async function ask(path, body) {
  const headers = { "Content-Type": "application/json" };
  const sent = body === undefined ? {} : { method: "POST", headers, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch {
    throw fault(GONE);
  }
  const found = await answer.json();
  if (!answer.ok) throw fault(found.error);
  at("fault").hidden = true;
  return found;
}

function fault(text) {
  at("fault").textContent = text;
  at("fault").hidden = false;
  return new Error(text);
}

/** What the list is filtered by, as it stands in the address. */
function query() {
  const from = new URLSearchParams(location.search);
  const found = new URLSearchParams();
  for (const name of FIELDS) {
    for (const value of from.getAll(name).filter(Boolean)) found.append(name, value === NONE ? "" : value);
  }
  return found;
}

function asObject(parameters) {
  const found = {};
  for (const [name, value] of parameters) (found[name] ??= []).push(value);
  return found;
}

/** Write filters and row into the address. */
function go(parameters, row, replace) {
  const next = new URLSearchParams(parameters);
  if (row !== null) next.set("row", row);
  const url = next.size ? `?${next}` : location.pathname;
  history[replace ? "replaceState" : "pushState"](null, "", url);
}

function addressed() {
  const from = new URLSearchParams(location.search);
  const row = from.get("row");
  from.delete("row");
  return [from, row === null ? null : Number(row)];
}

async function loadList(row, page) {
  const parameters = query();
  if (row !== null && row !== undefined) parameters.set("row", row);
  else if (page) parameters.set("page", page);
  list = await ask(`/api/rows?${parameters}`);
  drawList();
}

async function show(row) {
  if (row === null) {
    shown = null;
    drawNothing();
    return;
  }
  shown = await ask(`/api/row/${row}`);
  go(addressed()[0], row, true);
  drawRow();
  markCurrent();
  const beside = list.rows[list.rows.findIndex(one => one.row === row) + 1];
  if (beside) new Image().src = `/picture/${beside.row}/0`;
}

function drawList() {
  at("rows").replaceChildren(...list.rows.map(one => el("li", {}, listed(one))));
  at("count").textContent = `${number(list.decided)} of ${number(list.total)} decided`;
  at("bar").max = Math.max(list.total, 1);
  at("bar").value = list.decided;
  at("pages").textContent = list.pages ? `page ${list.page + 1} of ${number(list.pages)}` : "no rows";
  at("earlier").disabled = list.page === 0;
  at("later").disabled = list.page + 1 >= list.pages;
  at("disputes").hidden = list.disputes === 0;
  at("disputes").textContent = `${number(list.disputes)} in dispute`;
  markCurrent();
}

function listed(one) {
  const state = one.mine || (one.dispute === 1 ? "dispute" : "");
  const label = one.canonical && one.canonical !== one.label ? `${one.label} (${one.canonical})` : one.label;
  const from = [one.why, one.source, one.path.split("/").pop()].filter(Boolean).join(" · ");
  const button = el("button", { type: "button", "data-row": one.row, "data-mine": state },
    el("img", { src: `/picture/${one.row}/0`, alt: "", loading: "lazy", width: 40, height: 40 }),
    el("span", { class: "words" }, el("b", {}, label || "no label"), el("small", { title: `${one.source}/${one.path}` }, from)),
    el("span", { class: "state", title: state || "undecided" }, MARKS[one.mine] || (one.dispute === 1 ? "≠" : ""),
      state ? el("span", { class: "unseen" }, state) : null));
  button.addEventListener("click", () => show(one.row));
  return button;
}

function markCurrent() {
  for (const button of at("rows").querySelectorAll("button")) {
    const here = shown !== null && Number(button.dataset.row) === shown.row;
    button.toggleAttribute("aria-current", here);
    if (here) reveal(button);
  }
}

/** Scroll the list, and nothing but the list, to a row. */
function reveal(button) {
  const frame = at("rows").getBoundingClientRect(), place = button.getBoundingClientRect();
  if (place.top < frame.top) at("rows").scrollTop -= frame.top - place.top;
  else if (place.bottom > frame.bottom) at("rows").scrollTop += place.bottom - frame.bottom;
}

function drawNothing() {
  const told = list.total ? "Choose a row." : "No row is like this. Clear the filters to see all.";
  at("row").replaceChildren(el("p", { class: "empty" }, told));
  for (const id of ["accept", "reject", "note"]) at(id).disabled = true;
  at("labels").replaceChildren();
}

function drawRow() {
  const pictures = shown.pictures.map((told, n) => el("figure", {},
    el("img", { src: `/picture/${shown.row}/${n}`, alt: `Picture ${n + 1} of this row` }), el("figcaption", {}, told)));
  at("row").replaceChildren(
    el("div", { class: "pictures", "data-many": pictures.length }, ...pictures), el("div", { class: "words" }, ...words(shown)));
  at("row").scrollTop = 0;
  for (const id of ["accept", "reject", "note"]) at(id).disabled = false;
  at("settling").hidden = shown.dispute !== "open";
  at("settles").checked = shown.dispute === "open";
  drawLabels();
}

/** What is told of a row, from the top. */
function words(one) {
  const canonical = one.canonical && one.canonical !== one.label ? el("small", {}, ` canonical: ${one.canonical}`) : null;
  const found = [el("h2", {}, one.label || "no label", canonical, own(one))];
  if (one.dispute) found.push(dispute(one));
  if (one.note) found.push(el("p", { class: "written" }, el("b", {}, "Your note: "), one.note));
  if (one.drop) found.push(...dropped(one.drop));
  if (one.rationale.length) found.push(...rationale(one));
  const asked = one.question ? el("p", { class: "prose" }, one.question) : null;
  if (asked && !one.rationale.length) found.push(el("h3", {}, "Question"), asked);
  if (one.choices.length) found.push(...choices(one));
  if (one.votes.length) found.push(...votes(one.votes));
  if (one.facts.length) found.push(el("h3", {}, "Row"), pairs([["id", one.id], ...one.facts]));
  if (asked && one.rationale.length) found.push(folded("Question", asked));
  if (one.measures.length) found.push(folded("Measurements", pairs(one.measures)));
  return found;
}

function own(one) {
  if (!one.mine) return el("span", { class: "chip" }, "undecided");
  const { decision, label } = one.mine;
  return el("span", { class: "chip", "data-mine": decision }, [MARKS[decision], DONE[decision], label].filter(Boolean).join(" "));
}

function dispute(one) {
  const all = [...one.others, ...(one.mine ? [{ ...one.mine, reviewer: `${about.reviewer} (you)`, note: "" }] : [])];
  const title = one.dispute === "open" ? "Reviewers disagree" : "Reviewers disagreed; it is settled";
  return el("div", { class: "note" }, el("h3", {}, title),
    el("ul", {}, ...all.map(other => el("li", {}, el("b", {}, `${other.reviewer}: `), DONE[other.decision],
      other.label ? ` ${other.label}` : "", other.settles ? ", which settles it" : "", other.note ? `. ${other.note}` : ""))));
}

function dropped(drop) {
  const meaning = drop.about ? el("small", {}, ` ${drop.about}`) : null;
  const lines = [el("h3", {}, `Dropped by ${drop.stage}`), el("p", { class: "reason" }, el("b", {}, drop.reason), meaning)];
  return drop.detail ? [...lines, el("p", { class: "path" }, drop.detail)] : lines;
}

/** Cut a text so that its tags stand back. */
function untagged(text) {
  return text.split(/(<\/?\w+>)/).map(part => /^<\/?\w+>$/.test(part) ? el("span", { class: "tag" }, part) : part);
}

function rationale(one) {
  const judged = one.rationale.some(piece => piece.verdict);
  const text = el("p", { class: "prose" }, ...one.rationale.flatMap(piece => piece.verdict
    ? [el("mark", { class: piece.verdict.replace(" ", "-"), title: piece.told }, piece.text)] : untagged(piece.text)));
  return [el("h3", {}, one.drop ? "What was said" : "Rationale"), text, ...(judged ? [legend()] : [])];
}

function legend() {
  const verdicts = [
    ["supported", "measurements bear it out"], ["contradicted", "they show the opposite"], ["not-judged", "they cannot tell"],
  ];
  return el("ul", { class: "legend" }, ...verdicts.map(([name, told]) =>
    el("li", {}, el("mark", { class: name }, name.replace("-", " ")), told)));
}

function choices(one) {
  const listed = one.choices.map(({ text, right }) => el("li", { "data-right": String(right) },
    text, right ? " ✓" : "", right ? el("span", { class: "unseen" }, "answer") : null));
  return [el("h3", {}, "Choices"), el("ul", { class: "choices" }, ...listed)];
}

function votes(given) {
  const rows = given.map(({ word, count, share }) => el("tr", {}, el("th", { scope: "row" }, word),
    el("td", {}, el("meter", { value: share, max: 1, "aria-label": `share of ${word}` })), el("td", {}, String(count))));
  return [el("h3", {}, "Votes"), el("table", { class: "votes" }, el("tbody", {}, ...rows))];
}

function pairs(given) {
  return el("dl", { class: "facts" }, ...given.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function folded(title, content) {
  return el("details", {}, el("summary", {}, title), content);
}

function drawLabels() {
  const buttons = about.labels.map((label, n) => {
    const same = label === shown.canonical;
    const title = same ? "its label" : `relabel to ${label}`;
    const button = el("button", { type: "button", disabled: same, title }, el("kbd", {}, String(n + 1)), ` ${label}`);
    button.addEventListener("click", () => decide("relabel", { label }));
    return button;
  });
  at("labels").replaceChildren(...(buttons.length ? [el("span", { class: "quiet" }, "Relabel"), ...buttons] : []));
}

/** Have a decision written down, then show the next row to decide. */
async function decide(decision, more = {}) {
  if (busy || !shown) return;
  busy = true;
  try {
    const row = shown.row;
    const settles = decision !== "note" && shown.dispute === "open" && at("settles").checked;
    const body = { row, decision, settles, query: asObject(query()), ...more };
    const found = await ask("/api/decide", body);
    at("said").textContent = `${DONE[decision]}${more.label ? ` ${more.label}` : ""}, saved`;
    const next = decision === "note" ? row : found.next;
    await loadList(next ?? row);
    await show(next ?? row);
    if (next === null) at("said").textContent = "saved; none is left to decide here";
  } catch (error) {
    at("said").textContent = "not saved";
  } finally {
    busy = false;
  }
}

async function undo() {
  if (busy) return;
  busy = true;
  try {
    const found = await ask("/api/undo", {});
    at("said").textContent = found.row < 0 ? "taken back, on a row that is no longer here" : "taken back";
    if (found.row >= 0) {
      await loadList(found.row);
      await show(found.row);
    }
  } catch (error) {
    at("said").textContent = "";
  } finally {
    busy = false;
  }
}

/** Go to the row before or after, over the ends of pages. */
async function step(by) {
  if (!list.rows.length || busy) return;
  const here = shown ? list.rows.findIndex(one => one.row === shown.row) : -1;
  let next = here + by;
  if (here < 0) next = 0;
  if (next < 0 || next >= list.rows.length) {
    const page = list.page + by;
    if (page < 0 || page >= list.pages) return;
    await loadList(null, page);
    next = by > 0 ? 0 : list.rows.length - 1;
  }
  await show(list.rows[next].row);
}

async function turn(by) {
  await loadList(null, list.page + by);
  await show(list.rows.length ? list.rows[0].row : null);
}

function note() {
  if (!shown) return;
  at("words").value = shown.note;
  at("noting").showModal();
  at("words").focus();
}

async function figures() {
  at("told").textContent = "Counting …";
  at("summary").showModal();
  const found = await ask("/api/summary");
  const counted = counts => Object.entries(counts).map(([name, count]) => `${name} ${number(count)}`).join(", ") || "nothing";
  const lines = [["decided", number(found.rows)], ["together", counted(found.results)]];
  for (const [who, counts] of Object.entries(found.reviewers)) lines.push([who, counted(counts)]);
  if (found.notes) lines.push(["rows with notes", number(found.notes)]);
  if (found.settled) lines.push(["settled", number(found.settled)]);
  for (const one of found.agreement) lines.push([one.reviewers.join(" and "), agreed(one)]);
  const none = "No sample was drawn: start with --sample N for an estimate of all rows.";
  at("told").replaceChildren(pairs(lines), ...(found.estimate ? estimate(found.estimate) : [el("p", { class: "quiet" }, none)]));
}

function agreed(one) {
  const kappa = one.kappa === null ? "no kappa, since both always say the same" : `Cohen's kappa ${one.kappa.toFixed(2)}`;
  return `agree on ${percent(one.observed)} of ${number(one.rows)} rows, ${kappa}`;
}

function estimate(one) {
  const of = about.kind === "drops" ? ["reason", "rightly dropped"] : ["class", "acceptable"];
  const head = [...of, "95 % interval", "decided"].map(name => el("th", { scope: "col" }, name));
  const row = (name, { share, low, high, accepted, decided }) => {
    const known = [percent(share), `${percent(low)} to ${percent(high)}`, `${accepted} of ${decided}`];
    const told = share === null ? ["–", "–", "–"] : known;
    return el("tr", {}, el("th", { scope: "row" }, name || "none"), ...told.map(word => el("td", {}, word)));
  };
  const rows = [row("all", one.overall), ...Object.entries(one.classes).map(([name, share]) => row(name, share))];
  const left = [`${number(one.undecided)} undecided`, one.disagreed ? `${number(one.disagreed)} in dispute` : ""];
  return [el("h3", {}, `Sample of ${number(one.asked)} of ${number(one.of)} rows`),
    el("p", { class: "quiet" }, `${left.filter(Boolean).join(", ")}; seed ${one.seed}.`),
    el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows))];
}

/** Bring the form in line with the address. */
function fillForm() {
  const from = new URLSearchParams(location.search);
  for (const name of FIELDS) if (at("query").elements[name]) at("query").elements[name].value = from.get(name) ?? "";
  const many = FIELDS.filter(name => from.get(name)).length;
  at("active").textContent = many ? `(${many})` : "";
}

async function filtered() {
  const parameters = new URLSearchParams();
  for (const [name, value] of new FormData(at("query"))) if (value !== "") parameters.append(name, value);
  go(parameters, null, false);
  await arrive(true);
}

/** Show what the address asks for; without a row the first that is undecided. */
async function arrive(first) {
  fillForm();
  const row = first ? null : addressed()[1];
  await loadList(row, 0);
  const here = row ?? list.next ?? list.rows[0]?.row ?? null;
  if (here !== null && !list.rows.some(one => one.row === here)) await loadList(here);
  await show(here);
}

function facet(name, values) {
  const title = NAMES[name] ?? name;
  const options = values.map(([value, count]) =>
    el("option", { value: value === "" ? NONE : value }, `${value || "none"} (${number(count)})`));
  return el("label", {}, `${title[0].toUpperCase()}${title.slice(1)} `,
    el("select", { name }, el("option", { value: "" }, "any"), ...options));
}

function search() {
  at("filters").open = true;
  at("query").elements.text.select();
}

const next = () => step(1);
const before = () => step(-1);
const help = () => at("keys").showModal();
const KEYS = {
  a: () => decide("accept"), r: () => decide("reject"), n: note, u: undo, "/": search, "?": help,
  j: next, ArrowRight: next, ArrowDown: next, k: before, ArrowLeft: before, ArrowUp: before,
  l: () => at("labels").querySelector("button:enabled")?.focus(),
};
const BUTTONS = {
  accept: KEYS.a, reject: KEYS.r, note, undo, before, after: next, figures, help, disputes,
  earlier: () => turn(-1), later: () => turn(1),
};

function disputes() {
  go(new URLSearchParams({ dispute: "open" }), null, false);
  arrive(true);
}

function write(event) {
  event.preventDefault();
  at("noting").close();
  decide("note", { note: at("words").value.trim() });
}

function pressed(event) {
  const typing = event.target.closest("input, select, textarea, dialog");
  if (event.key === "Enter" && event.ctrlKey && event.target === at("words")) return at("written").requestSubmit();
  if (event.key === "Escape" && event.target.matches("input, select")) return event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const label = about?.labels[Number(event.key) - 1];
  const action = label && label !== shown?.canonical ? () => decide("relabel", { label }) : KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function listen() {
  document.addEventListener("keydown", pressed);
  for (const [id, action] of Object.entries(BUTTONS)) at(id).addEventListener("click", action);
  for (const button of document.querySelectorAll("dialog .close")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  at("written").addEventListener("submit", write);
  at("query").addEventListener("submit", event => { event.preventDefault(); filtered(); });
  at("query").addEventListener("change", filtered);
  at("query").addEventListener("reset", () => { go(new URLSearchParams(), null, false); arrive(true); });
  window.addEventListener("popstate", () => arrive(false));
}

async function begin() {
  about = await ask("/api/about");
  document.title = `Review of ${about.dataset}`;
  at("name").textContent = about.dataset;
  const rows = `${number(about.rows)} rows`;
  const what = about.sample ? `a sample of ${number(about.rows)} of ${number(about.of)} rows, seed ${about.sample.seed}` : rows;
  at("who").textContent = `${what}, reviewed by ${about.reviewer}`;
  at("facets").replaceChildren(...Object.entries(about.facets).map(([name, values]) => facet(name, values)));
  at("agreement").hidden = !about.agreement;
  if (about.kind === "drops") {
    at("accept").firstElementChild.textContent = "Rightly dropped";
    at("reject").firstElementChild.textContent = "Wrongly dropped";
  }
  for (const one of document.querySelectorAll(".of-labels")) one.hidden = about.labels.length === 0;
  if (matchMedia("(max-width: 60rem)").matches) at("filters").open = false;
  listen();
  await arrive(false);
}

begin();
