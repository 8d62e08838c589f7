"use strict";
// A motion's poses in the browser: forward kinematics and what moves each vertex (SMPL 2015, eqs. 2-4).
// Rotations are nine numbers, column by column, as WebGL has matrices.

const JOINTS = 24;
const ABSENT_STATE = 0;
const HELD_STATE = 1;

/** Rotation (3 columns of 3) of a unit quaternion x, y, z, w. */
function rotation([x, y, z, w]) {
  return [
    1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w),
    2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w),
    2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y),
  ];
}

function turn(R, v) {
  return [0, 1, 2].map((row) => R[row] * v[0] + R[3 + row] * v[1] + R[6 + row] * v[2]);
}

function compose(A, B) {
  return [0, 3, 6].flatMap((column) => turn(A, B.slice(column, column + 3)));
}

/** One motion: its poses between steps, and the bones that its vertices follow. */
class Actor {
  constructor(data, parents) {
    this.parents = parents;
    for (const name of ["vertices", "normals", "joints", "turns", "transl", "state"]) {
      this[name] = unpacked(data[name]);
    }
    this.steps = this.state.length;
  }

  /** Steps before and after a time in steps, and how far it is between them. */
  between(time) {
    const before = Math.min(Math.max(Math.floor(time + 1e-4), 0), this.steps - 1);
    const after = Math.min(before + 1, this.steps - 1);
    return [before, after, after > before ? Math.max(time - before, 0) : 0];
  }

  /** As the motion file defines it: nobody if either step has nobody, else the nearer one's. */
  stateAt(time) {
    const [before, after, share] = this.between(time);
    const gone = share > 1e-3 && this.state[after] === ABSENT_STATE;
    if (gone || this.state[before] === ABSENT_STATE) return ABSENT_STATE;
    return this.state[share < 0.5 ? before : after];
  }

  translAt(time) {
    const [before, after, share] = this.between(time);
    const at = (step, axis) => this.transl[3 * step + axis];
    return [0, 1, 2].map((axis) => at(before, axis) * (1 - share) + at(after, axis) * share);
  }

  pelvis(time) {
    return this.translAt(time).map((value, k) => value + this.joints[k]);
  }

  /** A joint's rotation: the normalised mean of both steps' quaternions, the nearer way round. */
  turnAt(time, joint) {
    const [before, after, share] = this.between(time);
    const at = (step) => this.turns.subarray(4 * (JOINTS * step + joint), 4 * (JOINTS * step + joint) + 4);
    const [p, q] = [at(before), at(after)];
    const dot = p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3];
    const weight = dot < 0 ? -share : share;
    const mixed = [0, 1, 2, 3].map((k) => p[k] * (1 - share) + q[k] * weight);
    const length = Math.hypot(...mixed);
    return rotation(mixed.map((value) => value / length));
  }

  /** Joints' places by forward kinematics, and what moves the unposed mesh: 24 matrices. */
  pose(time) {
    const rest = (joint) => this.joints.subarray(3 * joint, 3 * joint + 3);
    const moved = this.translAt(time);
    const turns = [];
    const places = [];
    const bones = new Float32Array(16 * JOINTS);
    for (let joint = 0; joint < JOINTS; joint += 1) {
      const parent = this.parents[joint];
      const own = this.turnAt(time, joint);
      const here = rest(joint);
      if (parent < 0) {
        turns.push(own);
        places.push([0, 1, 2].map((k) => here[k] + moved[k]));
      } else {
        const bone = turn(turns[parent], [0, 1, 2].map((k) => here[k] - rest(parent)[k]));
        turns.push(compose(turns[parent], own));
        places.push([0, 1, 2].map((k) => places[parent][k] + bone[k]));
      }
      const back = turn(turns[joint], here);
      for (let column = 0; column < 3; column += 1) {
        bones.set(turns[joint].slice(3 * column, 3 * column + 3), 16 * joint + 4 * column);
      }
      bones.set([0, 1, 2].map((k) => places[joint][k] - back[k]), 16 * joint + 12);
      bones[16 * joint + 15] = 1;
    }
    return { places, bones };
  }
}
