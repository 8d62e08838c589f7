"use strict";
// The 3D player: skinned bodies over a floor, seen by a camera that turns around them. World frame:
// x right, y up, z towards the recording's camera, metres. Matrices are column-major, as WebGL's.

const FIELD = (40 * Math.PI) / 180; // of view, up and down
const COLOURS = { held: [0.8, 0.475, 0.655], tracked: [0, 0.62, 0.45], truth: [0.9, 0.82, 0.15] };
const VIEWS = { start: [0.5, 0.25], front: [0, 0.05], side: [Math.PI / 2, 0.05], top: [0, 1.5] };

const SKIN_VERTEX = `#version 300 es
in vec3 position; in vec3 normal; in uvec4 bone; in vec4 weight;
uniform mat4 bones[${JOINTS}]; uniform mat4 camera;
out vec3 turned;
void main() {
  mat4 move = weight.x * bones[bone.x] + weight.y * bones[bone.y]
            + weight.z * bones[bone.z] + weight.w * bones[bone.w];
  turned = mat3(move) * normal;
  gl_Position = camera * move * vec4(position, 1.0);
}`;
const SKIN_FRAGMENT = `#version 300 es
precision highp float;
in vec3 turned; uniform vec3 light; uniform vec4 colour; out vec4 seen;
void main() {
  float wrapped = 0.5 + 0.5 * dot(normalize(turned), light);
  seen = vec4(colour.rgb * (0.32 + 0.9 * wrapped * wrapped) * colour.a, colour.a);
}`;
const LINE_VERTEX = `#version 300 es
in vec3 position; uniform mat4 camera;
void main() { gl_Position = camera * vec4(position, 1.0); }`;
const LINE_FRAGMENT = `#version 300 es
precision highp float;
uniform vec4 colour; out vec4 seen;
void main() { seen = colour; }`;

function multiplied(a, b) {
  const out = new Float32Array(16);
  for (let column = 0; column < 4; column += 1) {
    for (let row = 0; row < 4; row += 1) {
      let sum = 0;
      for (let k = 0; k < 4; k += 1) sum += a[4 * k + row] * b[4 * column + k];
      out[4 * column + row] = sum;
    }
  }
  return out;
}

function perspective(aspect, near, far) {
  const f = 1 / Math.tan(FIELD / 2);
  const depth = near - far;
  return [f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / depth, -1, 0, 0, (2 * far * near) / depth, 0];
}

class BodyPlayer {
  /** A player on a canvas; without WebGL 2, null, and the page's words in the canvas's place. */
  static on(canvas, data) {
    const gl = canvas.getContext("webgl2", { antialias: true });
    const fail = () => {
      canvas.hidden = true;
      document.getElementById("no-player").hidden = false;
      document.querySelector("#player figcaption").hidden = true;
    };
    if (!gl) {
      fail();
      return null;
    }
    canvas.addEventListener("webglcontextlost", fail);
    return new BodyPlayer(canvas, gl, data);
  }

  constructor(canvas, gl, data) {
    this.canvas = canvas;
    this.gl = gl;
    this.data = data;
    this.actors = data.actors.map((actor) => new Actor(actor, data.parents));
    this.time = 0;
    this.follow = true;
    this.truthShown = true;
    this.skin = this.program(SKIN_VERTEX, SKIN_FRAGMENT);
    this.lines = this.program(LINE_VERTEX, LINE_FRAGMENT);
    this.upload();
    this.view("start");
    this.listen();
  }

  program(vertex, fragment) {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    return program;
  }

  /** A buffer as a program's attribute, in the vertex array that is bound. */
  attribute(program, name, array, size, stride, normalised) {
    const { gl } = this;
    const place = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, array, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(place);
    if (name === "bone") gl.vertexAttribIPointer(place, size, gl.UNSIGNED_BYTE, stride, 0);
    else {
      const kind = { Float32Array: gl.FLOAT, Int8Array: gl.BYTE, Uint8Array: gl.UNSIGNED_BYTE };
      gl.vertexAttribPointer(place, size, kind[array.constructor.name], normalised, stride, 0);
    }
  }

  upload() {
    const { gl, data } = this;
    const faces = unpacked(data.faces);
    const [bones, weights] = [unpacked(data.bones), unpacked(data.weights)];
    this.corners = faces.length;
    for (const actor of this.actors) {
      actor.mesh = gl.createVertexArray();
      gl.bindVertexArray(actor.mesh);
      this.attribute(this.skin, "position", actor.vertices, 3, 0, false);
      this.attribute(this.skin, "normal", actor.normals, 3, 4, true);
      this.attribute(this.skin, "bone", bones, 4, 0, false);
      this.attribute(this.skin, "weight", weights, 4, 0, true);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);
    }
    this.drawn = [
      { points: this.floorLines(), colour: [0.76, 0.79, 0.82, 1] },
      { points: this.frustumLines(), colour: [0.15, 0.2, 0.3, 1] },
    ];
    for (const drawn of this.drawn) {
      drawn.array = gl.createVertexArray();
      gl.bindVertexArray(drawn.array);
      this.attribute(this.lines, "position", new Float32Array(drawn.points), 3, 0, false);
    }
  }

  /** Pelvises of the steps with a person (of all, where there is none), the truth's too. */
  path() {
    return this.actors.flatMap((actor) => {
      const steps = [...actor.state.keys()];
      const seen = steps.filter((k) => actor.state[k] !== ABSENT_STATE);
      return (seen.length ? seen : steps).map((k) => actor.pelvis(k));
    });
  }

  /** Lines half a metre apart, around where the person and the camera are. */
  floorLines() {
    const places = [...this.path(), this.data.camera[0]];
    const ends = [0, 2].map((axis) => [
      Math.floor(Math.max(Math.min(...places.map((p) => p[axis])) - 1, -20)),
      Math.ceil(Math.min(Math.max(...places.map((p) => p[axis])) + 1, 20)),
    ]);
    const [[left, right], [back, front]] = ends;
    const y = this.data.floor;
    const points = [];
    // Piece by piece: some drivers lose a long line that passes beside the eye.
    for (let x = left; x <= right; x += 0.5) {
      for (let z = back; z <= front; z += 0.5) {
        if (z < front) points.push(x, y, z, x, y, z + 0.5);
        if (x < right) points.push(x, y, z, x + 0.5, y, z);
      }
    }
    return points;
  }

  /** The recording's camera: a pyramid, with a mark above the upper edge of its picture. */
  frustumLines() {
    const [eye, ...corners] = this.data.camera;
    const points = corners.flatMap((corner, k) => [...eye, ...corner, ...corner, ...corners[(k + 1) % 4]]);
    const [left, right, , below] = corners;
    const mark = [0, 1, 2].map((k) => (left[k] + right[k]) / 2 + 0.25 * (left[k] - below[k]));
    return [...points, ...left, ...mark, ...mark, ...right];
  }

  /** Look from a named side: following, the person fills the picture; else the whole path does. */
  view(name) {
    [this.yaw, this.pitch] = VIEWS[name];
    this.shift = [0, 0, 0];
    const path = this.path();
    this.middle = [0, 1, 2].map((axis) => {
      const values = path.map((p) => p[axis]);
      return (Math.min(...values) + Math.max(...values)) / 2;
    });
    const reach = Math.max(...path.map((p) => Math.hypot(...p.map((v, k) => v - this.middle[k]))));
    const radius = 1.15 + (this.follow ? 0 : reach);
    const narrow = Math.min(this.canvas.clientWidth / Math.max(this.canvas.clientHeight, 1), 1) || 1;
    this.distance = radius / Math.sin(FIELD / 2) / narrow;
    this.draw();
  }

  show(time) {
    this.time = time;
    this.draw();
  }

  /** Eye, target, and the axes of what is seen: right, up, towards the eye. */
  eye() {
    const [sy, cy] = [Math.sin(this.yaw), Math.cos(this.yaw)];
    const [sp, cp] = [Math.sin(this.pitch), Math.cos(this.pitch)];
    const right = [cy, 0, -sy];
    const towards = [sy * cp, sp, cy * cp];
    const up = [-sy * sp, cp, -cy * sp];
    const centre = this.follow ? this.actors[0].pelvis(this.time) : this.middle;
    const target = centre.map((value, k) => value + this.shift[k]);
    return { right, up, towards, place: target.map((value, k) => value + this.distance * towards[k]) };
  }

  camera() {
    const { right, up, towards, place } = this.eye();
    const dot = (a) => -(a[0] * place[0] + a[1] * place[1] + a[2] * place[2]);
    const view = [
      right[0], up[0], towards[0], 0, right[1], up[1], towards[1], 0,
      right[2], up[2], towards[2], 0, dot(right), dot(up), dot(towards), 1,
    ];
    const aspect = this.canvas.width / this.canvas.height;
    return multiplied(perspective(aspect, 0.05 * this.distance, 60 + 4 * this.distance), view);
  }

  draw() {
    const { gl, canvas } = this;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(Math.round(side * ratio), 1));
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    gl.viewport(0, 0, width, height);
    gl.clearColor(0.933, 0.945, 0.957, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.disable(gl.BLEND);
    const camera = this.camera();
    gl.useProgram(this.lines);
    gl.uniformMatrix4fv(gl.getUniformLocation(this.lines, "camera"), false, camera);
    for (const { array, points, colour } of this.drawn) {
      gl.uniform4fv(gl.getUniformLocation(this.lines, "colour"), colour);
      gl.bindVertexArray(array);
      gl.drawArrays(gl.LINES, 0, points.length / 3);
    }
    gl.useProgram(this.skin);
    gl.uniformMatrix4fv(gl.getUniformLocation(this.skin, "camera"), false, camera);
    const { right, up, towards } = this.eye();
    const light = [0, 1, 2].map((k) => -0.35 * right[k] + 0.5 * up[k] + 0.79 * towards[k]);
    gl.uniform3fv(gl.getUniformLocation(this.skin, "light"), light);
    this.actors.forEach((actor, index) => this.drawActor(actor, index > 0));
  }

  drawActor(actor, isTruth) {
    const { gl } = this;
    const state = actor.stateAt(this.time);
    if (state === ABSENT_STATE || (isTruth && !this.truthShown)) return;
    const colour = isTruth ? COLOURS.truth : COLOURS[state === HELD_STATE ? "held" : "tracked"];
    gl.uniform4fv(gl.getUniformLocation(this.skin, "colour"), [...colour, isTruth ? 0.75 : 1]);
    gl.uniformMatrix4fv(gl.getUniformLocation(this.skin, "bones"), false, actor.pose(this.time).bones);
    gl.bindVertexArray(actor.mesh);
    const draw = () => gl.drawElements(gl.TRIANGLES, this.corners, gl.UNSIGNED_INT, 0);
    if (isTruth) { // its depths first: only the nearest of its surfaces is then seen through
      gl.colorMask(false, false, false, false);
      draw();
      gl.colorMask(true, true, true, true);
      gl.depthFunc(gl.LEQUAL);
      gl.enable(gl.BLEND);
      gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    }
    draw();
    gl.depthFunc(gl.LESS);
    gl.disable(gl.BLEND);
  }

  orbit(dx, dy) {
    this.yaw -= dx * 0.008;
    this.pitch = Math.min(Math.max(this.pitch + dy * 0.008, -1.5), 1.5);
  }

  pan(dx, dy) {
    const scale = (2 * this.distance * Math.tan(FIELD / 2)) / this.canvas.clientHeight;
    const { right, up } = this.eye();
    this.shift = this.shift.map((value, k) => value + scale * (dy * up[k] - dx * right[k]));
  }

  zoom(factor) {
    this.distance = Math.min(Math.max(this.distance * factor, 0.3), 60);
  }

  listen() {
    const { canvas } = this;
    const fingers = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
    }
    canvas.addEventListener("pointermove", (event) => {
      const last = fingers.get(event.pointerId);
      if (!last) return;
      const [dx, dy] = [event.clientX - last[0], event.clientY - last[1]];
      const other = [...fingers].find(([id]) => id !== event.pointerId);
      if (other) {
        const away = ([x, y]) => Math.hypot(x - other[1][0], y - other[1][1]);
        this.zoom(away(last) / Math.max(away([event.clientX, event.clientY]), 1));
        this.pan(dx / 2, dy / 2);
      } else if (event.shiftKey || event.buttons & 6) this.pan(dx, dy);
      else this.orbit(dx, dy);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      this.draw();
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return; // the page scrolls on under the mouse
      event.preventDefault();
      this.zoom(Math.exp(event.deltaY * 0.001));
      this.draw();
    }, { passive: false });
    document.addEventListener("keydown", (event) => {
      const factor = { "+": 0.9, "=": 0.9, "-": 1.1 }[event.key];
      if (!factor || event.ctrlKey || event.metaKey) return;
      this.zoom(factor);
      this.draw();
    });
    for (const button of document.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.view(button.dataset.view));
    }
    document.getElementById("follow").addEventListener("change", (event) => {
      this.follow = event.target.checked;
      this.view("start");
    });
    document.getElementById("truth")?.addEventListener("change", (event) => {
      this.truthShown = event.target.checked;
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }
}
