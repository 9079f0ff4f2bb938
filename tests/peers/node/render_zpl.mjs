// Renders ZPL with zpl-renderer-js. Input: a JSON list of {zpl, widthMm, heightMm, dpmm} on standard input.
// Output: a JSON list of {width, height, pixels}, pixels being base64 of one grey byte per dot (0 is black).
import fs from "node:fs";
import zlib from "node:zlib";
import { ready } from "zpl-renderer-js";

const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const [a, b, c] = [left, up, corner].map((value) => Math.abs(guess - value));
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

function decodePng(png) {
  let at = 8;
  let header;
  const data = [];
  while (at < png.length) {
    const length = png.readUInt32BE(at);
    const kind = png.toString("latin1", at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (kind === "IHDR") header = body;
    if (kind === "IDAT") data.push(body);
    at += 12 + length;
  }
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const [depth, colour] = [header[8], header[9]];
  const channels = CHANNELS[colour];
  const step = Math.max(1, (channels * depth) / 8);
  const stride = Math.ceil((width * channels * depth) / 8);
  const raw = zlib.inflateSync(Buffer.concat(data));
  const grey = Buffer.alloc(width * height);
  let above = Buffer.alloc(stride);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    const line = raw.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1));
    for (let i = 0; i < stride; i++) {
      const left = i >= step ? line[i - step] : 0;
      const corner = i >= step ? above[i - step] : 0;
      const add = [0, left, above[i], (left + above[i]) >> 1, paeth(left, above[i], corner)];
      line[i] += add[filter];
    }
    above = line;
    for (let x = 0; x < width; x++) {
      const value =
        depth === 8
          ? line[x * channels]
          : ((line[(x * depth) >> 3] >> (8 - depth - ((x * depth) & 7))) & ((1 << depth) - 1)) * 255;
      grey[y * width + x] = value > 127 ? 255 : 0;
    }
  }
  return { width, height, pixels: grey.toString("base64") };
}

const { api } = await ready;
const images = [];
for (const { zpl, widthMm, heightMm, dpmm } of JSON.parse(fs.readFileSync(0, "utf8"))) {
  const png = await api.zplToBase64Async(zpl, widthMm, heightMm, dpmm);
  images.push(decodePng(Buffer.from(png, "base64")));
}
process.stdout.write(JSON.stringify(images), () => process.exit(0));
