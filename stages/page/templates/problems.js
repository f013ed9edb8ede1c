// The browser of problems: filters what Python has decided, and shows it. Every text is set as text, never as HTML.
(function () {
  "use strict";
  const PER_PAGE = matchMedia("(max-width: 760px)").matches ? 5 : 12;   // the list stands above the problem there
  const LINK = "#problem=";
  const byId = (name) => document.getElementById("problems-" + name);
  const data = JSON.parse(byId("data").textContent);
  const section = document.getElementById("problems");
  const problems = data.problems;
  const places = new Map(problems.map((problem, i) => [problem.id, i]));
  const haystacks = new Array(problems.length);
  const inputs = ["search", "odd", "none", "answers", "split"].map(byId);
  let matching = [];   // indexes of the problems that the filters let through
  let page = 0;        // of the list
  let current = -1;    // index of the problem that is shown, -1: none

  // An element with a class, attributes, and children: elements, or texts.
  function make(tag, name, ...children) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    for (const child of children) if (child !== null && child !== "") element.append(child);
    return element;
  }

  // Text that a model or a file wrote; its direction is its own.
  function foreign(tag, name, text) {
    const element = make(tag, name ? "foreign " + name : "foreign", text);
    element.dir = "auto";
    return element;
  }

  const sign = (right) => (right === null || right === undefined ? "?" : right ? "✓" : "✗");
  const kind = (right) => (right === null || right === undefined ? "open" : right ? "right" : "wrong");
  const word = (right) => (right === null || right === undefined ? "not judged" : right ? "right" : "wrong");
  const score = (value) => (value >= 0.005 || value === 0 ? value.toFixed(2) : value.toExponential(0));
  const count = (n, one, several) => n.toLocaleString("en") + " " + (n === 1 ? one : several || one + "s");

  function haystack(i) {
    if (haystacks[i] === undefined) {
      const problem = problems[i];
      const texts = [problem.id, problem.question, problem.answer || "", ...(problem.choices || [])];
      for (const view of problem.views) {
        for (const path of view.paths) texts.push(path.answer || "", ...path.pieces.map((piece) => piece[0]));
        for (const pair of view.pairs) texts.push(...pair.shared, ...pair.chosen, ...pair.rejected);
        texts.push(...view.missing);
      }
      haystacks[i] = texts.join("\n").toLowerCase();
    }
    return haystacks[i];
  }

  function judged(problem, test) {
    return problem.views.some((view) => view.judged) && problem.views.every((view) => !view.judged || test(view));
  }

  const ANSWERS = {
    "right": (problem) => problem.flags.includes("right"),
    "wrong": (problem) => problem.flags.includes("wrong"),
    "all-right": (problem) => judged(problem, (view) => view.right === view.judged),
    "none-right": (problem) => judged(problem, (view) => view.right === 0),
  };

  function passes(i) {
    const problem = problems[i];
    const [search, odd, none, answers, split] = inputs.map((input) => input.value);
    return (!odd || problem.flags.includes(odd)) && (!none || problem.none.includes(none)) &&
      (!split || problem.split === split) && (!answers || ANSWERS[answers](problem)) &&
      (!search.trim() || search.toLowerCase().trim().split(/\s+/).every((part) => haystack(i).includes(part)));
  }

  function filter() {
    matching = problems.map((_, i) => i).filter(passes);
    page = 0;
    const at = matching.indexOf(current);
    if (at >= 0) page = Math.floor(at / PER_PAGE);
    byId("count").textContent = (matching.length === problems.length ? "All " + count(problems.length, "problem") + "." :
      matching.length.toLocaleString("en") + " of " + count(problems.length, "problem") + " match.") +
      " Keys: j or → for the next one, k or ← for the one before.";
    list();
  }

  function list() {
    const pages = Math.max(1, Math.ceil(matching.length / PER_PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const rows = matching.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map((i) => {
      const problem = problems[i];
      const link = make("a", "", foreign("span", "id", problem.shown || problem.id), foreign("span", "asked", problem.question));
      const judged = problem.views.filter((view) => view.judged);
      for (const loop of new Set(judged.map((view) => view.loop))) {
        const told = make("span", "told");
        if (loop !== undefined) told.append(foreign("span", "loop", loop));
        for (const view of judged.filter((view) => view.loop === loop)) {
          const right = view.judged === 1 ? view.right === 1 : null;
          const said = right === null ? view.right + "/" + view.judged : sign(right);
          told.append(make("span", right === null ? "" : kind(right), view.name + ": " + said));
        }
        link.append(told);
      }
      link.href = LINK + encodeURIComponent(problem.id);
      if (i === current) link.setAttribute("aria-current", "true");
      return make("li", "", link);
    });
    byId("list").replaceChildren(...rows);
    byId("pager").hidden = pages === 1;
    byId("page").textContent = "page " + (page + 1) + " of " + pages;
    byId("earlier").disabled = page === 0;
    byId("later").disabled = page === pages - 1;
  }

  function steps(path) {
    const names = path.names || [];
    const table = make("table", "steps");
    const caption = make("thead", "");
    if (path.labelled || names.length) {
      const head = make("tr", "");
      for (const said of ["step", "", "", ...(path.labelled ? ["hits/draws"] : []), ...names]) {
        const cell = make("th", said && said !== "step" ? "figure" : "", make("span", "", said));
        cell.scope = "col";
        head.append(cell);
      }
      caption.append(head);
      table.append(caption);
    }
    const body = make("tbody", "");
    let number = 0;
    for (const [text, verdict, label, scores, first] of path.pieces) {
      const cell = foreign("td", "text", text);
      if (label === undefined) {
        cell.colSpan = 1 + (path.labelled ? 1 : 0) + names.length;
        body.append(make("tr", "rest", make("th", "number"), make("td", "mark"), cell));
        continue;
      }
      number += 1;
      const known = path.labelled || verdict !== null;
      const head = make("th", "number", String(number));
      head.scope = "row";
      const mark = make("td", "mark " + (known ? kind(verdict) : ""), known ? sign(verdict) : "");
      if (known) mark.title = verdict === null ? "undecided" : word(verdict);
      if (first) cell.append(make("span", "first", "← first wrong step"));
      const row = make("tr", known ? kind(verdict) : "", head, mark, cell);
      if (path.labelled) row.append(make("td", "hits", label));
      for (const [value, passed, agrees] of scores) {
        const shown = make("td", "score " + (passed === undefined ? "plain" : kind(passed)), score(value) + (agrees === 0 ? "!" : ""));
        shown.style.setProperty("--share", value);
        row.append(shown);
      }
      body.append(row);
    }
    table.append(body);
    return table;
  }

  function onePath(path) {
    const verdict = sign(path.correct) + " " + word(path.correct);
    const known = path.answer !== undefined ? path.answer : path.outcome !== undefined ? path.outcome : "no answer";
    // What became of a program says no more than its verdict where it is "wrong".
    const told = known === word(path.correct) ? [verdict] : [verdict + (path.answer === undefined ? ", " : ", answer "), foreign("span", "", known)];
    const head = make("h5", "", foreign("span", "", path.id), " ", make("span", kind(path.correct), ...told), " ",
      make("span", "facts", path.facts.join(" · ")));
    const part = make("div", "path", head);
    for (const note of path.notes || []) part.append(make("p", "", foreign("span", "flag", note)));
    part.append(steps(path));
    return part;
  }

  function branch(pair, name) {
    const side = make("div", "branch " + (name === "chosen" ? "right" : "wrong"));
    const told = [(name === "chosen" ? "+ " : "− ") + name];
    if (typeof pair[name + "_correct"] === "boolean") told.push(word(pair[name + "_correct"]));
    if (pair[name + "_score"] !== undefined) told.push("score " + score(pair[name + "_score"]));
    if (pair[name + "_cut"]) told.push("cut off");
    const lines = make("div", "lines", pair[name].join("\n"));
    lines.dir = "auto";
    side.append(make("p", "", told.join(", ")), lines);
    return side;
  }

  function onePair(pair) {
    const part = make("div", "pair",
      make("h5", "", foreign("span", "", pair.id.replace(">", " above #")), " ", make("span", "facts", pair.rule && "by " + pair.rule)));
    if (pair.shared.length) {
      const lines = make("div", "lines shared", pair.shared.join("\n"));
      lines.dir = "auto";
      part.append(lines);
    }
    part.append(make("div", "branches", branch(pair, "chosen"), branch(pair, "rejected")));
    return part;
  }

  function oneView(view, open) {
    const part = make("details", "view");
    part.open = open;
    const told = view.judged ? ": " + view.right + " of " + count(view.judged, "answer") + " right" : "";
    part.append(make("summary", "", (view.loop === undefined ? "" : view.loop + ", ") + view.name + told));
    if (view.command) {
      part.append(make("p", "facts", foreign("span", "", view.file + ", line " + view.line), " ", foreign("code", "", view.command)));
    }
    if (view.same) part.append(make("p", "facts", "The " + view.same + "."));
    part.append(...view.paths.map(onePath));
    if (view.more) part.append(make("p", "facts", count(view.more, "more path is", "more paths are") + " in the file."));
    if (view.pairs.length || view.missing.length) part.append(make("h4", "", "Pairs"));
    part.append(...view.pairs.map(onePair));
    if (view.missing.length) part.append(make("ul", "plain", ...view.missing.map((said) => foreign("li", "", said))));
    return part;
  }

  function step(by) {
    const at = matching.indexOf(current);
    const next = at < 0 ? 0 : at + by;
    if (next >= 0 && next < matching.length) open(matching[next], true);
  }

  function open(i, chosen) {
    current = i;
    const problem = problems[i];
    const at = matching.indexOf(i);
    if (at >= 0) page = Math.floor(at / PER_PAGE);
    const back = make("button", "", "Previous");
    const on = make("button", "", "Next");
    back.type = on.type = "button";
    back.disabled = at <= 0;
    on.disabled = at < 0 || at === matching.length - 1;
    back.addEventListener("click", () => step(-1));
    on.addEventListener("click", () => step(1));
    const title = foreign("h3", "", problem.shown || problem.id);
    title.id = "problems-one-title";
    const facts = ["task " + problem.task, ...(problem.split ? ["split " + problem.split] : [])];
    const one = byId("one");
    one.replaceChildren(
      make("header", "", title, make("span", "", back, " ", on)),
      foreign("p", "asked", problem.question),
      ...(problem.choices || []).map((choice, n) => foreign("p", "", String.fromCharCode(65 + n) + ") " + choice)),
      make("p", "facts", problem.answer === undefined ? "" : foreign("span", "", "answer " + problem.answer + " · "), facts.join(" · ")),
      // Of several loops those after the first are a click away: they often have the same paths.
      ...problem.views.map((view) => oneView(view, view.loop === problem.views[0].loop)));
    list();
    const link = LINK + encodeURIComponent(problem.id);
    if (chosen) {
      if (location.hash !== link) history.replaceState(null, "", link);
      one.focus({preventScroll: true});
      one.scrollIntoView({block: "start"});
    }
  }

  function follow() {
    if (!location.hash.startsWith(LINK)) return false;
    let id = location.hash.slice(LINK.length);
    try { id = decodeURIComponent(id); } catch (error) { if (!(error instanceof URIError)) throw error; }
    const i = places.get(id);
    if (i === undefined) {
      byId("one").replaceChildren(make("p", "notice", foreign("span", "", id), " is not in the sample; sipf show FILE ID shows it."));
      section.scrollIntoView();
      return true;
    }
    if (!passes(i)) { byId("filter").reset(); filter(); }
    open(i, true);
    return true;
  }

  // Whether a key is meant for the problems: the focus is here, or nowhere and they are what is on the screen.
  function here() {
    if (section.contains(document.activeElement)) return true;
    const box = section.getBoundingClientRect();
    return document.activeElement === document.body && box.top < innerHeight / 2 && box.bottom > innerHeight / 2;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, textarea") || !here()) return;
    const by = {"j": 1, "ArrowRight": 1, "k": -1, "ArrowLeft": -1}[event.key];
    if (by) { event.preventDefault(); step(by); }
  });
  for (const input of inputs) input.addEventListener("input", filter);
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("reset", () => setTimeout(filter));
  byId("earlier").addEventListener("click", () => { page -= 1; list(); });
  byId("later").addEventListener("click", () => { page += 1; list(); });
  addEventListener("hashchange", follow);

  function offer(select, values) {
    for (const value of [...new Set(values)].sort()) {
      const option = make("option", "", value);
      option.value = value;
      select.append(option);
    }
    select.parentElement.hidden = values.length === 0;
    if (!values.length) select.parentElement.style.display = "none";
  }

  const sample = data.sample;
  const cut = sample.cut;
  const left = [
    cut.texts ? count(cut.characters, "character") + " of " + count(cut.texts, "text") + " longer than " + count(sample.longest, "character") : "",
    cut.paths ? count(cut.paths, "path") : "", cut.lines ? count(cut.lines, "line") : "",
  ].filter(Boolean);
  const scored = problems.some((problem) => problem.views.some((view) => view.paths.some((path) => path.names)));
  byId("sample").textContent = sample.taken === 0 ? "There are no problems to show." :
    (sample.taken === sample.of ? "All " + count(sample.taken, "problem") + " of the rounds and of the results" :
      "A sample of " + count(sample.taken, "problem") + " of " + sample.of.toLocaleString("en") + ", drawn by a hash of their ids with seed " + sample.seed +
      ", the same ones in every round") + (sample.taken < sample.drawn ? "; " + count(sample.drawn - sample.taken, "more was", "more were") + " drawn and left out to keep the page small" : "") + "." +
    (left.length ? " Cut off: " + left.join(", ") + "; sipf show --full shows all." : "") +
    (scored ? " A score below " + sample.pass_score + " counts as wrong." : "");
  offer(byId("none"), problems.flatMap((problem) => problem.none));
  offer(byId("split"), problems.flatMap((problem) => (problem.split ? [problem.split] : [])));
  byId("filter").hidden = problems.length === 0;
  filter();
  if (!follow() && problems.length) open(0, false);
})();
