"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const sounds = JSON.parse(document.getElementById("sounds").textContent);
  const FADE_S = 0.006; // short enough to be an instant, long enough not to click
  const LEAD_S = 0.03; // all sounds are told to start this much later, so that none is late
  const byId = (id) => document.getElementById(id);

  // ---- sound ----

  let context = null;
  const decoded = new Map();

  function audio() {
    context ??= new AudioContext({ sampleRate: 48000 });
    return context;
  }

  function decode(id) {
    if (!decoded.has(id)) {
      const bytes = fetch(sounds[id]).then((answer) => answer.arrayBuffer());
      decoded.set(id, bytes.then((buffer) => audio().decodeAudioData(buffer)));
    }
    return decoded.get(id);
  }

  // All choices run at once from the same instant; one is heard, the others have gain 0.
  class Player {
    static sounding = null;

    constructor(choices) {
      Object.assign(this, { choices, chosen: 0, at: 0, matched: true, region: null });
      Object.assign(this, { nodes: null, since: 0, wanted: false, turn: 0, ended: () => {} });
    }

    get playing() {
      return this.nodes !== null;
    }

    gainOf(index) {
      if (index !== this.chosen) return 0;
      return this.matched ? 10 ** (this.choices[index].matched_db / 20) : 1;
    }

    position() {
      if (!this.nodes) return this.at;
      let now = this.at + Math.max(0, audio().currentTime - this.since);
      if (this.region && now >= this.region.to) {
        const { from, to } = this.region;
        now = from + ((now - from) % (to - from));
      }
      return Math.min(now, data.duration_s);
    }

    async play() {
      if (this.wanted) return;
      this.wanted = true;
      const turn = ++this.turn; // whoever pauses or plays after this makes it void
      try {
        if (Player.sounding !== this) Player.sounding?.pause();
        Player.sounding = this;
        await audio().resume();
        const buffers = await Promise.all(this.choices.map((choice) => decode(choice.sound)));
        if (turn === this.turn) this.begin(buffers);
      } catch (error) {
        if (turn === this.turn) this.pause();
        throw error;
      }
    }

    begin(buffers) {
      const { from, to } = this.region ?? { from: 0, to: data.duration_s };
      if (this.at < from || this.at >= to - 0.01) this.at = from;
      this.since = audio().currentTime + LEAD_S;
      this.nodes = buffers.map((buffer, index) => {
        const source = new AudioBufferSourceNode(audio(), { buffer, loop: this.region !== null });
        Object.assign(source, { loopStart: from, loopEnd: to });
        const gain = new GainNode(audio(), { gain: this.gainOf(index) });
        source.connect(gain).connect(audio().destination);
        source.start(this.since, this.at);
        return { source, gain };
      });
      this.nodes[0].source.onended = () => {
        this.pause();
        this.at = 0;
        this.ended();
      };
    }

    pause() {
      this.wanted = false;
      this.turn += 1;
      if (!this.nodes) return;
      this.at = this.position();
      for (const { source } of this.nodes) {
        source.onended = null;
        source.stop();
        source.disconnect();
      }
      this.nodes = null;
    }

    toggle() {
      return this.wanted ? this.pause() : this.play();
    }

    change(update) {
      const wanted = this.wanted;
      this.pause();
      update();
      if (wanted) this.play();
    }

    seek(seconds) {
      this.change(() => (this.at = Math.min(Math.max(seconds, 0), data.duration_s)));
    }

    select(index) {
      this.chosen = (index + this.choices.length) % this.choices.length;
      this.level();
    }

    level() {
      const now = audio().currentTime;
      (this.nodes ?? []).forEach(({ gain }, index) => {
        gain.gain.cancelScheduledValues(now);
        gain.gain.setValueAtTime(gain.gain.value, now);
        gain.gain.linearRampToValueAtTime(this.gainOf(index), now + FADE_S);
      });
    }
  }

  // ---- players of the page ----

  const players = {};
  let active = null;

  function view(section) {
    const stem = section.dataset.stem;
    const player = (players[stem] = new Player(data.choices[stem]));
    const part = (name) => section.querySelector("." + name);
    const [play, seek, clock, status] = ["play", "seek", "clock", "status"].map(part);
    const [match, loop, from, to] = ["match", "loop", "from", "to"].map(part);

    function show() {
      const at = player.position();
      play.textContent = player.playing ? "❚❚ Pause" : "▶ Play";
      if (document.activeElement !== seek || player.playing) seek.value = at;
      clock.textContent = at.toFixed(1) + " s";
      section.style.setProperty("--at", (100 * at) / data.duration_s + "%");
      if (player.playing) requestAnimationFrame(show);
    }

    function choose(index) {
      player.select(index);
      for (const item of section.querySelectorAll("[data-choice]")) {
        const chosen = Number(item.dataset.choice) === player.chosen;
        if (item.matches("button")) item.setAttribute("aria-pressed", String(chosen));
        else item.classList.toggle("chosen", chosen);
      }
    }

    async function toggle() {
      use();
      status.textContent = "decoding " + player.choices.length + " sounds …";
      try {
        await player.toggle();
        status.textContent = "";
      } catch (error) {
        status.textContent = "this browser cannot decode the sound: " + error.message;
      }
      show();
    }

    function region() {
      const ends = { from: Number(from.value), to: Number(to.value) };
      const valid = ends.from >= 0 && ends.to <= data.duration_s && ends.to - ends.from >= 0.05;
      status.textContent = loop.checked && !valid ? "the loop ends before it begins" : "";
      player.change(() => (player.region = loop.checked && valid ? ends : null));
      show();
    }

    function end(input) {
      input.value = player.position().toFixed(2);
      loop.checked = true;
      region();
    }

    function use() {
      active = { section, player, toggle, choose, show, end, match, loop, from, to };
    }

    player.ended = show;
    play.addEventListener("click", toggle);
    seek.addEventListener("input", () => (player.seek(Number(seek.value)), show()));
    match.addEventListener("change", () => ((player.matched = match.checked), player.level()));
    for (const input of [loop, from, to]) input.addEventListener("change", region);
    section.addEventListener("focusin", use);
    section.addEventListener("pointerdown", use);
    section.addEventListener("click", (event) => {
      const item = event.target.closest("[data-choice]");
      if (item) choose(Number(item.dataset.choice));
      const picture = event.target.closest(".picture");
      if (picture) {
        const box = picture.getBoundingClientRect();
        player.seek(((event.clientX - box.left) / box.width) * data.duration_s);
        show();
      }
    });
    if (active === null) use();
  }

  document.querySelectorAll(".player").forEach(view);
  const masks = byId("masks");
  const showMasks = () => document.body.classList.toggle("masks", masks.checked);
  masks.addEventListener("change", showMasks);
  showMasks(); // a browser that loads a page again keeps what was checked

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    const typed = target.matches("select, input[type=number], input[type=range]");
    if (typed || event.ctrlKey || event.metaKey || event.altKey || !active) return;
    const { player, section } = active;
    const busy = player.playing || section.contains(target);
    const native = target.closest("button, a, input") && !target.closest(".choices, .play");
    const press = (box) => () => box.click();
    const actions = {
      " ": native ? null : active.toggle,
      ArrowLeft: () => (player.seek(player.position() - 1), active.show()),
      ArrowRight: () => (player.seek(player.position() + 1), active.show()),
      ArrowUp: busy ? () => active.choose(player.chosen - 1) : null,
      ArrowDown: busy ? () => active.choose(player.chosen + 1) : null,
      "[": () => active.end(active.from),
      "]": () => active.end(active.to),
      l: press(active.loop),
      m: press(active.match),
      a: trial ? () => hear("a") : null,
      b: trial ? () => hear("b") : null,
      x: trial ? () => hear("x") : null,
    };
    let action = actions[event.key];
    if (/^[0-9]$/.test(event.key) && Number(event.key) < player.choices.length) {
      action = () => active.choose(Number(event.key));
    }
    if (!action) return;
    event.preventDefault();
    action();
  });

  // ---- tables ----

  for (const tab of document.querySelectorAll("[role=tab]")) {
    tab.addEventListener("click", () => {
      for (const other of document.querySelectorAll("[role=tab]")) {
        other.setAttribute("aria-selected", String(other === tab));
        byId(other.getAttribute("aria-controls")).hidden = other !== tab;
      }
    });
  }

  function compareCells(a, b) {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x < y ? -1 : Number(x > y);
  }

  for (const button of document.querySelectorAll("#figures thead button")) {
    button.addEventListener("click", () => {
      const heading = button.closest("th");
      const first = button.dataset.best === "max" ? "descending" : "ascending";
      const second = first === "descending" ? "ascending" : "descending";
      const order = heading.getAttribute("aria-sort") === first ? second : first;
      for (const other of heading.parentNode.children) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", order);
      const key = (row) => row.children[heading.cellIndex].dataset.sort;
      const body = heading.closest("table").tBodies[0];
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return Number(x === "") - Number(y === ""); // unknown is last
        return order === "ascending" ? compareCells(x, y) : compareCells(y, x);
      });
      body.append(...rows);
    });
  }

  // ---- blind test ----

  const log = [];
  let saved = 0; // how many of the log's trials a file has
  let trial = null;
  const [stemBox, aBox, bBox] = ["abx-stem", "abx-a", "abx-b"].map(byId);

  function fill() {
    const labels = data.choices[stemBox.value].map((choice) => choice.label);
    for (const [box, index] of [[aBox, labels.length - 2], [bBox, labels.length - 1]]) {
      const kept = labels.indexOf(box.value);
      box.replaceChildren(...labels.map((label) => new Option(label, label)));
      box.selectedIndex = kept >= 0 ? kept : index;
    }
  }

  function enable(on) {
    for (const id of ["hear-a", "hear-b", "hear-x", "stop", "is-a", "is-b"]) {
      byId("abx-" + id).disabled = !on;
    }
  }

  function start() {
    drop();
    if (aBox.value === bBox.value) {
      byId("abx-score").textContent = "A and B are the same; choose two.";
      return;
    }
    const choice = (label) => data.choices[stemBox.value].find((one) => one.label === label);
    const hidden = crypto.getRandomValues(new Uint8Array(1))[0] & 1 ? "b" : "a";
    trial = {
      player: new Player([choice(aBox.value), choice(bBox.value)]),
      record: { stem: stemBox.value, a: aBox.value, b: bBox.value, x: hidden },
      switches: { a: 0, b: 0, x: 0 },
      began: performance.now(),
    };
    const shown = players[stemBox.value];
    Object.assign(trial.player, { region: shown.region, at: shown.position() });
    enable(true);
    tell();
    hear("x");
  }

  function drop() {
    trial?.player.pause();
    trial = null;
    enable(false);
  }

  function hear(which) {
    trial.switches[which] += 1;
    const letter = which === "x" ? trial.record.x : which;
    trial.player.select(letter === "a" ? 0 : 1);
    for (const one of "abx") {
      byId("abx-hear-" + one).setAttribute("aria-pressed", String(one === which));
    }
    return trial.player.play().catch((error) => (byId("abx-score").textContent = error.message));
  }

  function answer(letter) {
    const { record, switches, began } = trial;
    log.push({
      trial: log.length + 1,
      ...record,
      answer: letter,
      correct: letter === record.x,
      seconds: Math.round(performance.now() - began) / 1000,
      switches,
      answered_at: new Date().toISOString(),
    });
    drop();
    const last = log[log.length - 1];
    const row = byId("abx-table").tBodies[0].insertRow();
    for (const key of ["trial", "stem", "a", "b", "answer", "x", "seconds"]) {
      const text = key === "answer" || key === "x" ? last[key].toUpperCase() : last[key];
      row.insertCell().textContent = text;
    }
    byId("abx-table").hidden = false;
    byId("abx-save").disabled = false;
    tellUnsaved();
    tell();
    byId("abx-start").focus();
  }

  // The chance to have at least so many right by tossing a coin.
  function pValue(right, n) {
    let term = 0.5 ** n;
    let sum = 0;
    for (let k = 0; k <= n; k += 1) {
      if (k >= right) sum += term;
      term *= (n - k) / (k + 1);
    }
    return Math.min(sum, 1);
  }

  // Trials count together if they ask the same: one stem, the same two methods.
  function score() {
    const same = log.filter(
      (one) => one.stem === stemBox.value && one.a === aBox.value && one.b === bBox.value,
    );
    const right = same.filter((one) => one.correct).length;
    return { trials: same.length, correct: right, p_value: pValue(right, same.length) };
  }

  function tell() {
    const { trials, correct, p_value: p } = score();
    const so = trials ? `${correct} of ${trials} right, p = ${p.toPrecision(2)} by guessing` : "";
    byId("abx-score").textContent = so || (trial ? "First trial." : "No trial yet.");
  }

  function warn(event) {
    event.preventDefault();
    event.returnValue = true; // what older browsers look at
  }

  // A page that always listened would not be kept for "back" by some browsers.
  function tellUnsaved() {
    const n = log.length - saved;
    byId("abx-unsaved").textContent = n ? `${n} ${n === 1 ? "choice" : "choices"} not saved` : "";
    if (n) addEventListener("beforeunload", warn);
    else removeEventListener("beforeunload", warn);
  }

  function save() {
    const text = JSON.stringify(
      { unstir: data.unstir, file: data.file, start_s: data.start_s, score: score(), trials: log },
      null,
      2,
    );
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "abx-log.json";
    link.click();
    saved = log.length;
    tellUnsaved();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  fill();
  stemBox.addEventListener("change", () => (drop(), fill(), tell()));
  for (const box of [aBox, bBox]) box.addEventListener("change", () => (drop(), tell()));
  byId("abx-start").addEventListener("click", start);
  byId("abx-stop").addEventListener("click", () => trial.player.pause());
  for (const one of "abx") byId("abx-hear-" + one).addEventListener("click", () => hear(one));
  byId("abx-is-a").addEventListener("click", () => answer("a"));
  byId("abx-is-b").addEventListener("click", () => answer("b"));
  byId("abx-save").addEventListener("click", save);

  window.unstir = { players, log, score, pValue, trial: () => trial, context: audio };
})();
