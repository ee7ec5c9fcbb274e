// Reads the binary glTF files that this server writes: nodes with triangle meshes and vertex colours.

import { compose, multiply } from "./matrix.js";

const ARRAYS = { 5121: Uint8Array, 5123: Uint16Array, 5125: Uint32Array, 5126: Float32Array };
const WIDTH = { SCALAR: 1, VEC2: 2, VEC3: 3, VEC4: 4 };
const IDENTITY = compose([0, 0, 0], [0, 0, 0, 1], [1, 1, 1]);

// [{instance, matrix, position, normal, colour, index}], with matrix from the mesh to the y-up world.
export function readGlb(buffer) {
  const header = new DataView(buffer);
  if (header.getUint32(0, true) !== 0x46546c67) throw new Error("The scene is no binary glTF.");
  const length = header.getUint32(12, true);
  const gltf = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 20, length)));
  const binary = 20 + length + 8;

  const array = (number) => {
    const accessor = gltf.accessors[number];
    const start = binary + gltf.bufferViews[accessor.bufferView].byteOffset + (accessor.byteOffset || 0);
    return new ARRAYS[accessor.componentType](buffer, start, accessor.count * WIDTH[accessor.type]);
  };

  const found = [];
  const visit = (number, parent) => {
    const node = gltf.nodes[number];
    const own = compose(node.translation || [0, 0, 0], node.rotation || [0, 0, 0, 1], node.scale || [1, 1, 1]);
    const matrix = multiply(parent, own);
    for (const { attributes, indices } of node.mesh === undefined ? [] : gltf.meshes[node.mesh].primitives)
      found.push({
        instance: node.extras?.instance_id,
        matrix,
        position: array(attributes.POSITION),
        normal: array(attributes.NORMAL),
        colour: attributes.COLOR_0 === undefined ? null : array(attributes.COLOR_0),
        index: array(indices),
      });
    for (const child of node.children || []) visit(child, matrix);
  };
  for (const root of gltf.scenes[gltf.scene || 0].nodes) visit(root, IDENTITY);
  return found;
}
