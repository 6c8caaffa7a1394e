// From a picture file to what the network takes: the same numbers as chapters/kit/data/pictures.py gets from it, or for boxes and
// styles those of OpenCV's resize.
const BITS = 11; // of the weights, as OpenCV has them where pixels are bytes

/**
 * A picture file, upright, on white.
 *
 * Returns a promise of something that a canvas can draw, with `width` and `height`; it fails where the file is damaged, or no
 * picture that the browser knows.
 */
export async function readPicture(file) {
  const { bytes, orientation } = webpAsItLies(new Uint8Array(await file.arrayBuffer()));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: file.type }),
    { imageOrientation: 'from-image', colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
  return orientation === 1 ? bitmap : turned(bitmap, orientation);
}

/**
 * A sample of a picture: its shorter side brought to `resize`, or to what just covers the sample, then cut at the centre.
 *
 * Returns { pixels: Uint8Array (C, H, W), frame: { left, top, width, height } }, the frame in the picture's own pixels. Only the
 * rows that are needed are ever read, so that a large picture is no trouble for a phone.
 */
export function sampleOf(picture, { shape: [channels, height, width], resize }) {
  let [rows, columns] = [picture.height, picture.width];
  if (resize || rows !== height || columns !== width) {
    const short = resize || Math.max(height, width);
    [rows, columns] = rows > columns ? [Math.floor(short * rows / columns), short] : [short, Math.floor(short * columns / rows)];
  }
  const top = Math.floor((rows - height) / 2), left = Math.floor((columns - width) / 2);
  const pixels = interpolated(picture, [channels, height, width], { rows, columns, top, left });
  const scale = { x: picture.width / columns, y: picture.height / rows };
  return { pixels, frame: { left: left * scale.x, top: top * scale.y, width: width * scale.x, height: height * scale.y } };
}

/** Height x width pixels from (top, left) on of a picture brought to rows x columns: Uint8Array (C, H, W). */
function interpolated(picture, [channels, height, width], { rows, columns, top, left }) {
  const down = neighbours(picture.height, rows, top, height), across = neighbours(picture.width, columns, left, width);
  const read = rowReader(picture, channels), area = height * width, pixels = new Uint8Array(channels * area);
  const lines = new Map(); // rows of the picture, already brought to the sample's width
  const line = (number) => {
    if (!lines.has(number)) {
      if (lines.size > 1) lines.delete(Math.min(...lines.keys()));
      const row = read(number), line = new Int32Array(channels * width);
      for (let channel = 0; channel < channels; channel++) {
        for (let x = 0; x < width; x++) {
          const { first, second, weights } = across[x];
          line[x + width * channel] = row[channels * first + channel] * weights[0] + row[channels * second + channel] * weights[1];
        }
      }
      lines.set(number, line);
    }
    return lines.get(number);
  };
  for (let y = 0; y < height; y++) {
    const { first, second, weights } = down[y], one = line(first), other = line(second);
    for (let channel = 0; channel < channels; channel++) {
      for (let x = 0; x < width; x++) {
        const at = x + width * channel;
        // Shifts and all as OpenCV's bilinear interpolation of bytes rounds.
        const sum = ((weights[0] * (one[at] >> 4)) >> 16) + ((weights[1] * (other[at] >> 4)) >> 16) + 2;
        pixels[x + width * y + area * channel] = Math.max(0, Math.min(255, sum >> 2));
      }
    }
  }
  return pixels;
}

/**
 * The whole picture brought to height x width, whatever its proportions: Uint8Array (3, H, W).
 *
 * Where it becomes lower, each pixel is the mean of what it covers; else it lies between the nearest of either side.
 */
export function stretched(picture, height, width) {
  if (picture.height <= height) return interpolated(picture, [3, height, width], { rows: height, columns: width, top: 0, left: 0 });
  const read = rowReader(picture, 3), area = height * width;
  const across = covered(picture.width, width), down = covered(picture.height, height);
  const pixels = new Uint8Array(3 * area), lines = new Map(); // rows of the picture, already brought to the width
  const line = (number) => {
    if (!lines.has(number)) {
      const row = read(number), line = new Float64Array(3 * width);
      across.forEach((parts, x) => {
        for (const [at, weight] of parts) for (let colour = 0; colour < 3; colour++) line[3 * x + colour] += weight * row[3 * at + colour];
      });
      lines.set(number, line);
    }
    return lines.get(number);
  };
  down.forEach((parts, y) => {
    for (const at of lines.keys()) if (at < parts[0][0]) lines.delete(at); // needed no more
    for (let x = 0; x < width; x++) {
      for (let colour = 0; colour < 3; colour++) {
        const sum = parts.reduce((sum, [at, weight]) => sum + weight * line(at)[3 * x + colour], 0);
        pixels[x + width * y + area * colour] = Math.round(sum);
      }
    }
  });
  return pixels;
}

/** Of each of `after` pixels those of `before` that it covers: [number, its share]. */
function covered(before, after) {
  const scale = before / after;
  return Array.from({ length: after }, (_, index) => {
    const [start, end] = [index * scale, Math.min((index + 1) * scale, before)], parts = [];
    for (let at = Math.floor(start); at < end; at++) parts.push([at, (Math.min(at + 1, end) - Math.max(at, start)) / (end - start)]);
    return parts;
  });
}

/** Of `count` pixels of a side brought from `before` to `after` pixels: the two they lie between, and the weights of these. */
function neighbours(before, after, start, count) {
  const scale = 1 / (after / before), one = 1 << BITS;
  return Array.from({ length: count }, (_, index) => {
    const place = Math.fround((start + index + 0.5) * scale - 0.5);
    let first = Math.floor(place), share = Math.fround(place - first);
    if (first < 0) [first, share] = [0, 0];
    if (first >= before - 1) [first, share] = [before - 1, 0];
    return { first, second: Math.min(first + 1, before - 1), weights: [toEven((1 - share) * one), toEven(share * one)] };
  });
}

function toEven(value) {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low & 1) : Math.round(value);
}

/** A function (number) -> that row of the picture, on white, Uint8Array (W, C); gray is ITU-R 601's luma. */
function rowReader(picture, channels) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [picture.width, 1];
  const context = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
  Object.assign(context, { imageSmoothingEnabled: false, fillStyle: '#fff' });
  return (number) => {
    context.fillRect(0, 0, picture.width, 1);
    context.drawImage(picture, 0, -number);
    const { data } = context.getImageData(0, 0, picture.width, 1);
    const row = new Uint8Array(channels * picture.width);
    for (let x = 0; x < picture.width; x++) {
      const [red, green, blue] = [data[4 * x], data[4 * x + 1], data[4 * x + 2]];
      if (channels === 1) row[x] = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
      else [row[3 * x], row[3 * x + 1], row[3 * x + 2]] = [red, green, blue];
    }
    return row;
  };
}

/** A WebP as a browser draws it everywhere, and how it is to be turned then: some heed its EXIF orientation, some do not. */
function webpAsItLies(bytes) {
  const view = new DataView(bytes.buffer), word = (at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length < 16 || word(0) !== 'RIFF' || word(8) !== 'WEBP') return { bytes, orientation: 1 };
  for (let at = 12; at + 8 <= bytes.length; at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) & 1)) {
    if (word(at) !== 'EXIF') continue;
    const tiff = at + 8 + (word(at + 8) === 'Exif' ? 6 : 0), end = Math.min(bytes.length, at + 8 + view.getUint32(at + 4, true));
    if (tiff + 8 > end) break;
    const little = word(tiff).startsWith('II'), entries = tiff + view.getUint32(tiff + 4, little);
    if (entries + 2 > end) break;
    for (let entry = entries + 2; entry + 12 <= Math.min(end, entries + 2 + 12 * view.getUint16(entries, little)); entry += 12) {
      if (view.getUint16(entry, little) !== 0x0112) continue;
      const orientation = view.getUint16(entry + 8, little);
      view.setUint16(entry + 8, 1, little);
      return { bytes, orientation: orientation >= 1 && orientation <= 8 ? orientation : 1 };
    }
  }
  return { bytes, orientation: 1 };
}

function turned(bitmap, orientation) {
  const canvas = document.createElement('canvas'), { width: w, height: h } = bitmap;
  [canvas.width, canvas.height] = orientation > 4 ? [h, w] : [w, h];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.setTransform(...[[1, 0, 0, 1, 0, 0], [-1, 0, 0, 1, w, 0], [-1, 0, 0, -1, w, h], [1, 0, 0, -1, 0, h], [0, 1, 1, 0, 0, 0],
    [0, 1, -1, 0, h, 0], [0, -1, -1, 0, h, w], [0, -1, 1, 0, 0, w]][orientation - 1]);
  context.drawImage(bitmap, 0, 0);
  return canvas;
}
