"use strict";
// One clock for the page: the video, the 3D player, the plots' cursors and the figures follow it.

const TYPES = { u1: Uint8Array, i1: Int8Array, i2: Int16Array, u4: Uint32Array, f4: Float32Array };
const STATES = ["absent", "held", "tracked"];

function unpacked({ type, data }) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return new TYPES[type](bytes.buffer);
}

/** Seconds that run from `first` to `last`; listeners are told of every change. */
class Clock {
  constructor(first, last) {
    this.first = first;
    this.last = last;
    this.seconds = first;
    this.speed = 1;
    this.playing = false;
    this.listeners = [];
  }

  tell() {
    for (const listener of this.listeners) listener();
  }

  seek(seconds) {
    this.seconds = Math.min(Math.max(seconds, this.first), this.last);
    this.tell();
  }

  play() {
    if (this.playing) return;
    if (this.seconds >= this.last) this.seconds = this.first;
    this.playing = true;
    let before = performance.now();
    const advance = (now) => {
      if (!this.playing) return;
      const next = this.seconds + (this.speed * Math.max(now - before, 0)) / 1000;
      before = now;
      if (next >= this.last) this.playing = false;
      this.seek(next);
      requestAnimationFrame(advance);
    };
    this.tell();
    requestAnimationFrame(advance);
  }

  pause() {
    this.playing = false;
    this.tell();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }
}

/** The video runs by itself beside the clock and is set right where the two part. */
function followWithVideo(clock, video, step) {
  const furthest = 0.12; // seconds that nobody sees; setting a running video right is seen
  video.controls = false;
  video.addEventListener("click", () => clock.toggle());
  video.addEventListener("dblclick", () => video.requestFullscreen && video.requestFullscreen());
  clock.listeners.push(() => {
    if (!video.duration) return;
    // Frame k is shown from k steps on; its middle is safe from rounding.
    const wanted = Math.min(clock.seconds - clock.first + step / 2, video.duration - step / 4);
    video.playbackRate = clock.speed;
    if (clock.playing && video.paused) video.play().catch(() => {});
    if (!clock.playing && !video.paused) video.pause();
    const apart = Math.abs(video.currentTime - wanted);
    if (!video.seeking && apart > (clock.playing ? furthest * Math.max(clock.speed, 1) : step / 4)) {
      video.currentTime = wanted;
    }
  });
  video.addEventListener("loadeddata", () => clock.tell());
  const fail = () => {
    video.hidden = true;
    document.getElementById("no-video").hidden = false;
  };
  if (video.error) fail(); // before anybody could listen
  video.addEventListener("error", fail);
  video.addEventListener("seeked", () => !clock.playing && clock.tell());
}

/** Index of the last moment at or before the time, of rising ones. */
function indexAt(moments, seconds) {
  let low = 0;
  let high = moments.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (moments[middle] <= seconds + 1e-6) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Cursors and figures of the plots. */
function followWithPlots(clock, plots, steps, states) {
  const figures = [...document.querySelectorAll(".plot")];
  const cursors = figures.map((figure) => figure.querySelector(".cursor"));
  const readings = plots.map((plot, index) => ({
    seconds: unpacked(plot.seconds),
    curves: plot.curves.map(unpacked),
    digits: plot.digits,
    outputs: [...document.querySelectorAll(`[data-plot="${index}"] output`)],
  }));
  const state = document.getElementById("state");
  const show = () => {
    const share = `${(100 * (clock.seconds - clock.first)) / (clock.last - clock.first)}%`;
    for (const cursor of cursors) {
      cursor.setAttribute("x1", share);
      cursor.setAttribute("x2", share);
    }
    for (const { seconds, curves, digits, outputs } of readings) {
      const index = indexAt(seconds, clock.seconds);
      outputs.forEach((output, curve) => {
        const value = curves[curve][index];
        output.textContent = Number.isFinite(value) ? grouped(value, digits) : "\u2013";
      });
    }
    state.textContent = STATES[states[indexAt(steps, clock.seconds)]];
  };
  clock.listeners.push(show);
  for (const figure of figures) {
    const axes = figure.querySelector(".axes > svg");
    const go = (event) => {
      const box = axes.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      clock.seek(clock.first + share * (clock.last - clock.first));
    };
    axes.addEventListener("pointerdown", (event) => {
      axes.setPointerCapture(event.pointerId);
      go(event);
    });
    axes.addEventListener("pointermove", (event) => event.buttons && go(event));
  }
}

function grouped(value, digits) {
  return value.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))/g, digits ? "" : "\u202f");
}

function controls(clock, step) {
  const play = document.getElementById("play");
  const time = document.getElementById("time");
  const shown = document.getElementById("clock");
  const speed = document.getElementById("speed");
  time.min = clock.first;
  time.max = clock.last;
  play.addEventListener("click", () => clock.toggle());
  time.addEventListener("input", () => clock.seek(Number(time.value)));
  speed.addEventListener("change", () => {
    clock.speed = Number(speed.value);
    clock.tell();
  });
  clock.listeners.push(() => {
    play.textContent = clock.playing ? "\u275a\u275a" : "\u25b6";
    play.setAttribute("aria-label", clock.playing ? "Pause" : "Play");
    time.value = clock.seconds;
    time.setAttribute("aria-valuetext", `${clock.seconds.toFixed(2)} seconds`);
    shown.textContent = `${clock.seconds.toFixed(2)} / ${clock.last.toFixed(2)} s`;
  });
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest("select, button, [type=checkbox]")) return; // their own keys
    const far = event.shiftKey ? 10 : 1;
    const actions = {
      " ": () => clock.toggle(),
      ArrowLeft: () => clock.seek(clock.seconds - far * step),
      ArrowRight: () => clock.seek(clock.seconds + far * step),
      Home: () => clock.seek(clock.first),
      End: () => clock.seek(clock.last),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  });
}

function begin() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const step = data.step_s;
  const clock = new Clock(data.first_s, data.last_s);
  const states = unpacked(data.player.actors[0].state);
  const steps = Float32Array.from(states, (_, k) => data.first_s + k * step);
  controls(clock, step);
  followWithPlots(clock, data.plots, steps, states);
  followWithVideo(clock, document.getElementById("video"), step);
  const canvas = document.getElementById("canvas");
  const player = BodyPlayer.on(canvas, data.player);
  if (player) clock.listeners.push(() => player.show((clock.seconds - clock.first) / step));
  clock.tell();
  window.report = { clock, player }; // for tests, and for a reader with a console
}

begin();
